"""The versions of a model: loaded, answering requests, unloaded."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_pb2
from tensorflow_serving.config import (
    file_system_storage_path_source_pb2,
)

from tfnst.server.memory import release_memory
from tfnst.server.runs import Cancellation, StatusError
from tfnst.server.servables import Servable

_State = get_model_status_pb2.ModelVersionStatus
START, LOADING, AVAILABLE = _State.START, _State.LOADING, _State.AVAILABLE
UNLOADING, END = _State.UNLOADING, _State.END

_PathSource = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig
VersionPolicy = _PathSource.ServableVersionPolicy

_MAX_ENDED = 100  # Remembered versions that have ended.
_MAX_VERSION = 2**63 - 1
_LONGEST_WAIT = 60.0  # Seconds between two attempts to load a version.
_logger = logging.getLogger("tfnst.server")


@dataclasses.dataclass
class Version:
    """A version of the model, as GetModelStatus reports it.

    Attributes:
        number: version number, the name of the directory.
        state: one of START, LOADING, AVAILABLE, UNLOADING, END.
        error: error of the last failed load, or None.
        servable: the loaded model while the state is AVAILABLE or UNLOADING.
        uses: number of requests that hold the version.
        fingerprint: description of the directory's files at the last load.
        failures: number of failed loads since the last success.
        retry_time: earliest time of the next attempt, by `time.monotonic`.
    """

    number: int
    state: int = START
    error: StatusError | None = None
    servable: Servable | None = None
    uses: int = 0
    fingerprint: tuple[Any, ...] = ()
    failures: int = 0
    retry_time: float = 0.0


class Versions:
    """The versions `<directory>/<integer>/`, watched by a thread.

    The newest version answers, unless a policy says otherwise (`configure`). A new one
    is loaded and warmed up before it answers, and only then is an old one drained and
    unloaded. A version that fails to load is tried again when its files change, but
    after each failure it has to wait twice as long.

    Attributes:
        load_failures: number of failed loads.

    Args:
        directory: directory with the version directories.
        name: name of the model in requests.
        load: loads the version in a directory.
        poll_seconds: seconds between two looks at the directory.
        on_change: called when `available()` may have changed.
    """

    def __init__(
        self,
        directory: str,
        name: str,
        *,
        load: Callable[[str], Servable] = Servable,
        poll_seconds: float = 1.0,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory = directory
        self.name = name
        self._load_servable = load
        self._poll_seconds = poll_seconds
        self._on_change = on_change
        self._policy = VersionPolicy()
        self._labels: dict[str, int] = {}
        self._versions: dict[int, Version] = {}
        self._condition = threading.Condition()
        self._stopping = threading.Event()
        self._wake = threading.Event()
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
        self._wake.set()
        if self._thread.ident:
            self._thread.join(timeout=30)
        with self._condition:
            for version in self._versions.values():
                if version.servable and not version.uses:
                    version.servable.close()
                    version.servable, version.state = None, END

    def load_once(self) -> bool:
        """Loads the present versions once, without watching.

        Returns:
            True if there is at least one version and each could be loaded.
        """
        self._poll()
        states = [version.state for version in self.states()]
        return bool(states) and set(states) == {AVAILABLE}

    def retire(self) -> None:
        """Stops in the background, after the last request has ended."""
        self._stopping.set()
        self._cancellation.request()
        self._wake.set()
        threading.Thread(target=self._retire, daemon=True).start()

    def _retire(self) -> None:
        if self._thread.ident:
            self._thread.join()
        for version in list(self._versions.values()):
            if version.servable:
                self._set_state(version, UNLOADING)
                self._unload(version)

    def states(self) -> list[Version]:
        """Copies of the known versions, oldest first, without their servables."""
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
        choice = spec.WhichOneof("version_choice")
        number = spec.version.value
        if choice == "version_label":
            if spec.version_label not in self._labels:
                raise StatusError(
                    tf.errors.INVALID_ARGUMENT,
                    f"Unrecognized servable version label: {spec.version_label}",
                )
            number = self._labels[spec.version_label]
        version = self._newest() if choice is None else self._available(number)
        if version is None and self._is_starting():
            # TensorFlow Serving doesn't even listen before that.
            raise StatusError(
                tf.errors.UNAVAILABLE,
                f"The model {self.name} is being loaded. Try again later.",
            )
        if version is None or version.servable is None:
            raise unknown_servable(spec, number)
        return version, version.servable

    def _is_starting(self) -> bool:
        """Returns whether the versions found first are still being loaded."""
        states = {version.state for version in self._versions.values()}
        return not self._polled or (
            bool(states & {START, LOADING}) and not states & {AVAILABLE, UNLOADING}
        )

    def available(self) -> bool:
        """Returns whether a version can answer."""
        with self._condition:
            return self._newest() is not None

    def _available(self, number: int) -> Version | None:
        version = self._versions.get(number)
        return version if version and version.state == AVAILABLE else None

    def _newest(self) -> Version | None:
        return self._available(
            max((n for n in self._versions if self._available(n)), default=-1)
        )

    def check_labels(self, labels: Mapping[str, int]) -> None:
        """Raises StatusError when a label's version isn't available."""
        with self._condition:
            for _, number in sorted(labels.items()):
                if not self._available(number):
                    raise StatusError(
                        tf.errors.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of model "
                        f"{self.name}, which is not currently available for inference",
                    )

    def configure(self, policy: Any, labels: dict[str, int]) -> None:
        """Adopts a version policy, and labels whose versions also stay loaded.

        Args:
            policy: a ServableVersionPolicy.
            labels: label -> version number.
        """
        with self._condition:
            self._policy = VersionPolicy.FromString(policy.SerializeToString())
            self._labels = labels
        self._wake.set()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._poll()
            except Exception:
                _logger.exception("Looking for versions failed")
            self._wake.wait(self._poll_seconds)
            self._wake.clear()

    def _poll(self) -> None:
        try:
            found = _find_versions(self.directory)
        except OSError as error:  # A file system that is away for a moment.
            self._warn(f"The versions in {self.directory} can't be listed: {error}")
            return
        labelled = set(found) & set(self._labels.values())
        wanted = choose_versions(self._policy, found) | labelled
        self._polled = self._polled or not wanted
        if not wanted:
            self._warn(f"There is no version to serve in {self.directory}")
        for number in sorted(wanted, reverse=True):
            if self._stopping.is_set():
                return
            if self._should_load(number, found[number]):
                self._load(number, found[number])
        with self._condition:
            if not wanted or any(map(self._available, wanted)):
                self._unload_all_but(wanted)
            ended = [n for n, v in sorted(self._versions.items()) if v.state == END]
            for number in ended[:-_MAX_ENDED]:
                del self._versions[number]
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
        # It was unloaded and is wanted again; or it failed, perhaps because it was
        # still being copied, and its files have changed.
        if version.state != END or time.monotonic() < version.retry_time:
            return False
        return version.error is None or version.fingerprint != _fingerprint(path)

    def _unload_all_but(self, wanted: set[int]) -> None:
        for version in self._versions.values():
            if version.state == AVAILABLE and version.number not in wanted:
                version.state = UNLOADING
                threading.Thread(
                    target=self._unload, args=[version], daemon=True
                ).start()

    def _load(self, number: int, path: str) -> None:
        before = self._versions.get(number)
        version = Version(number, fingerprint=_fingerprint(path))
        version.failures = before.failures if before else 0
        with self._condition:
            self._versions[number] = version
            self._polled = True
        self._set_state(version, LOADING)
        start, failure = time.monotonic(), None
        try:
            servable, warm_ups = self._load_and_warm_up(path)
        except Exception as error:
            failure = _load_error(error)
        # Only now, because the error's traceback holds the model.
        if failure is not None:
            self._set_failed(version, failure)
            return
        release_memory()
        version.servable, version.failures = servable, 0
        self._set_state(version, AVAILABLE)
        _logger.info(
            "Version %d of %s is available after %.1f s and %d warm-up requests",
            number,
            self.name,
            time.monotonic() - start,
            warm_ups,
        )
        self._report_change()

    def _load_and_warm_up(self, path: str) -> tuple[Servable, int]:
        """Returns the model, and the number of requests that warmed it up."""
        servable = self._load_servable(path)
        try:
            return servable, servable.warm_up(self._cancellation)
        except BaseException:
            servable.close()
            raise

    def _set_failed(self, version: Version, error: StatusError) -> None:
        version.error = error
        version.failures += 1
        self.load_failures += 1
        wait = min(_LONGEST_WAIT, self._poll_seconds * 2**version.failures)
        version.retry_time = time.monotonic() + wait
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
        with self._condition:
            self._condition.wait_for(lambda: not version.uses)
            servable, version.servable = version.servable, None
        if servable:
            servable.close()
        del servable
        release_memory()
        self._set_state(version, END)
        _logger.info("Version %d of %s is unloaded", version.number, self.name)

    def _set_state(self, version: Version, state: int) -> None:
        with self._condition:
            version.state = state
            self._condition.notify_all()

    def _report_change(self) -> None:
        if not self._stopping.is_set():
            self._on_change()


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


def choose_versions(policy: Any, found: dict[int, str]) -> set[int]:
    """Returns the numbers of the versions that a policy keeps in memory."""
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return set(found)
    if choice == "specific":
        return set(found) & set(policy.specific.versions)
    return set(sorted(found)[-(policy.latest.num_versions or 1) :])


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


def unknown_servable(spec: model_pb2.ModelSpec, number: int = 0) -> StatusError:
    """Returns the error for a missing version, in the words of TensorFlow Serving.

    Args:
        spec: the request's model spec.
        number: version number that the spec's label stands for.
    """
    if spec.WhichOneof("version_choice") is None:
        request = f"Latest({spec.name})"
    else:
        request = f"Specific({spec.name}, {number or spec.version.value})"
    return StatusError(
        tf.errors.NOT_FOUND, f"Servable not found for request: {request}"
    )
