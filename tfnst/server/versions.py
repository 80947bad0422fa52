"""The versions of a model: loaded, answering requests, unloaded."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from tfnst.server.memory import release_memory
from tfnst.server.runs import Cancellation, StatusError, invalid_argument
from tfnst.server.servables import Servable

_State = get_model_status_pb2.ModelVersionStatus
LOADING, AVAILABLE = _State.LOADING, _State.AVAILABLE
UNLOADING, END = _State.UNLOADING, _State.END

_MAX_ENDED = 100  # Remembered versions that have ended.
_MAX_VERSION = 2**63 - 1
_logger = logging.getLogger("tfnst.server")


@dataclasses.dataclass
class Version:
    """A version of the model, as GetModelStatus reports it.

    Attributes:
        number: version number, the name of the directory.
        fingerprint: description of the directory's files when it was loaded.
        seen: the same at the last look.
        state: one of LOADING, AVAILABLE, UNLOADING, END.
        error: error of the last failed load, or None.
        servable: the loaded model while the state is AVAILABLE or UNLOADING.
        uses: number of requests that hold the version.
    """

    number: int
    fingerprint: tuple[Any, ...]
    seen: tuple[Any, ...] = ()
    state: int = LOADING
    error: StatusError | None = None
    servable: Servable | None = None
    uses: int = 0


class Versions:
    """The versions `<directory>/<integer>/`, watched by a thread.

    The newest version answers. A new one is loaded and warmed up before it answers, and
    only then is the old one drained and unloaded. A version that fails to load, perhaps
    because it was still being copied, is tried again once its files have changed and
    then stay the same.

    Attributes:
        load_failures: number of failed loads.

    Args:
        directory: directory with the version directories.
        name: name of the model in requests.
        load: loads the version in a directory.
        admit: called with a version that is warmed up; raises StatusError if it can't
            be served.
        poll_seconds: seconds between two looks at the directory.
        on_change: called with True if a version can answer, otherwise False; at least
            each time that this changes.
    """

    def __init__(
        self,
        directory: str,
        name: str,
        *,
        load: Callable[[str], Servable] = Servable,
        admit: Callable[[Servable], None] = lambda servable: None,
        poll_seconds: float = 1.0,
        on_change: Callable[[bool], None] = lambda available: None,
    ) -> None:
        self.directory = directory
        self.name = name
        self._load_servable = load
        self._admit = admit
        self._poll_seconds = poll_seconds
        self._on_change = on_change
        self._versions: dict[int, Version] = {}
        self._condition = threading.Condition()
        self._stopping = threading.Event()
        self._cancellation = Cancellation()
        self._thread = threading.Thread(
            target=self._watch, name="tfnst-versions", daemon=True
        )
        self._last_warning = ""
        self._polled = False
        self.load_failures = 0

    def start(self) -> None:
        """Starts to watch for versions and to load them."""
        self._thread.start()

    def stop(self) -> None:
        """Stops watching, and unloads the versions that no request holds."""
        self._stopping.set()
        self._cancellation.request()
        if self._thread.ident:
            self._thread.join(timeout=30)
        with self._condition:
            for version in self._versions.values():
                if version.servable and not version.uses:
                    version.servable.close()
                    version.servable, version.state = None, END

    def load_once(self) -> bool:
        """Loads the newest version without watching; returns whether it can answer."""
        self._poll()
        return self.available()

    def states(self) -> list[Version]:
        """Returns copies of the known versions, oldest first, without servables."""
        with self._condition:
            return [
                dataclasses.replace(version, servable=None)
                for _, version in sorted(self._versions.items())
            ]

    @contextlib.contextmanager
    def lease(self, spec: model_pb2.ModelSpec) -> Iterator[tuple[int, Servable]]:
        """Keeps the requested version loaded within the block.

        Yields:
            (the version's number, the loaded model).

        Raises:
            StatusError: when the spec is incomplete or no such version answers.
        """
        with self._condition:
            version, servable = self._find(spec)
            version.uses += 1
        try:
            yield version.number, servable
        finally:
            with self._condition:
                version.uses -= 1
                self._condition.notify_all()

    def _find(self, spec: model_pb2.ModelSpec) -> tuple[Version, Servable]:
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":  # Only TensorFlow Serving has labels.
            raise invalid_argument(
                f"Unrecognized servable version label: {spec.version_label}"
            )
        if spec.name != self.name:
            raise _unknown_servable(spec)
        number = spec.version.value
        version = self._newest() if choice is None else self._available(number)
        if version is None and self._is_starting():
            # TensorFlow Serving doesn't even listen before that.
            raise StatusError(
                tf.errors.UNAVAILABLE,
                f"The model {self.name} is being loaded. Try again later.",
            )
        if version is None or version.servable is None:
            raise _unknown_servable(spec)
        return version, version.servable

    def _is_starting(self) -> bool:
        """Returns whether the versions found first are still being loaded."""
        states = {version.state for version in self._versions.values()}
        return not self._polled or (
            LOADING in states and not states & {AVAILABLE, UNLOADING}
        )

    def available(self) -> bool:
        """Returns whether a version can answer."""
        with self._condition:
            return self._newest() is not None

    def wait_until_available(self, timeout: float | None = None) -> bool:
        """Waits until a version can answer; returns False if the time runs out."""
        with self._condition:
            return self._condition.wait_for(self.available, timeout)

    def _available(self, number: int) -> Version | None:
        version = self._versions.get(number)
        return version if version and version.state == AVAILABLE else None

    def _newest(self) -> Version | None:
        available = filter(self._available, self._versions)
        return self._versions.get(max(available, default=-1))

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._poll()
            except Exception:
                _logger.exception("Looking for versions failed")
            self._stopping.wait(self._poll_seconds)

    def _poll(self) -> None:
        try:
            found = _find_versions(self.directory)
        except OSError as error:  # A file system that is away for a moment.
            self._warn(f"The versions in {self.directory} can't be listed: {error}")
            return
        newest = max(found, default=None)
        if newest is None:
            self._warn(f"There is no version to serve in {self.directory}")
        elif self._should_load(newest, found[newest]):
            self._load(newest, found[newest])
        self._polled = True
        self._unload_all_but(newest)
        self._report_change()

    def _warn(self, message: str) -> None:
        """Logs a warning, unless it is the same as the last one."""
        if message != self._last_warning:
            _logger.warning("%s", message)
        self._last_warning = message

    def _should_load(self, number: int, path: str) -> bool:
        version = self._versions.get(number)
        if version is None:
            return True
        if version.state != END:
            return False
        if version.error is None:  # It was unloaded and is the newest again.
            return True
        before, version.seen = version.seen, _fingerprint(path)
        return version.seen == before and version.seen != version.fingerprint

    def _unload_all_but(self, newest: int | None) -> None:
        """Unloads other versions, if the newest can answer, once they aren't in use."""
        with self._condition:
            if newest is None or self._available(newest):
                for version in self._versions.values():
                    if version.state == AVAILABLE and version.number != newest:
                        version.state = UNLOADING
            unused = [
                version
                for version in self._versions.values()
                if version.state == UNLOADING and not version.uses
            ]
            ended = [n for n, v in sorted(self._versions.items()) if v.state == END]
            for number in ended[:-_MAX_ENDED]:
                del self._versions[number]
        for version in unused:
            self._unload(version)

    def _load(self, number: int, path: str) -> None:
        version = Version(number, _fingerprint(path))
        with self._condition:
            self._versions[number] = version
        start, failure = time.monotonic(), None
        try:
            version.servable, warm_ups = self._load_and_warm_up(path)
        except Exception as error:
            failure = _load_error(error)
        # Only now, because the error's traceback holds the model.
        if failure is not None:
            self._set_failed(version, failure)
            return
        self._set_state(version, AVAILABLE)
        _logger.info(
            "Version %d of %s is available after %.1f s and %d warm-up requests",
            number,
            self.name,
            time.monotonic() - start,
            warm_ups,
        )

    def _load_and_warm_up(self, path: str) -> tuple[Servable, int]:
        """Returns the model, and the number of requests that warmed it up."""
        servable = self._load_servable(path)
        try:
            warm_ups = servable.warm_up(self._cancellation)
            release_memory()
            self._admit(servable)
        except BaseException:
            servable.close()
            raise
        return servable, warm_ups

    def _set_failed(self, version: Version, error: StatusError) -> None:
        version.error = error
        self.load_failures += 1
        release_memory()
        self._set_state(version, END)
        if not self._stopping.is_set():
            _logger.error(
                "Version %d of %s can't be loaded: %s",
                version.number,
                self.name,
                error.message,
            )

    def _unload(self, version: Version) -> None:
        if version.servable:
            version.servable.close()
            version.servable = None
        release_memory()
        self._set_state(version, END)
        _logger.info("Version %d of %s is unloaded", version.number, self.name)

    def _set_state(self, version: Version, state: int) -> None:
        with self._condition:
            version.state = state
            self._condition.notify_all()

    def _report_change(self) -> None:
        if not self._stopping.is_set():
            self._on_change(self.available())


def _find_versions(directory: str) -> dict[int, str]:
    """Returns version number -> path."""
    with os.scandir(directory) as entries:
        return {
            int(entry.name): entry.path
            for entry in entries
            if entry.name.isascii()
            and entry.name.isdigit()
            and int(entry.name) <= _MAX_VERSION
            and entry.is_dir()
        }


def _fingerprint(path: str) -> tuple[Any, ...]:
    """Returns the names, sizes and times of all files in a directory."""
    files = []
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(folder, name))
                files.append((folder, name, status.st_size, status.st_mtime_ns))
    return tuple(sorted(files))


def _load_error(error: Any) -> StatusError:
    """Returns the error as a StatusError, without its traceback."""
    if isinstance(error, StatusError):
        return StatusError(error.code, error.message)
    if isinstance(error, tf.errors.OpError):
        return StatusError(error.error_code, error.message)
    code = tf.errors.NOT_FOUND if isinstance(error, OSError) else tf.errors.INTERNAL
    return StatusError(code, str(error) or type(error).__name__)


def _unknown_servable(spec: model_pb2.ModelSpec) -> StatusError:
    """Returns the error for a missing version, in the words of TensorFlow Serving."""
    if spec.HasField("version"):
        request = f"Specific({spec.name}, {spec.version.value})"
    else:
        request = f"Latest({spec.name})"
    return StatusError(
        tf.errors.NOT_FOUND, f"Servable not found for request: {request}"
    )
