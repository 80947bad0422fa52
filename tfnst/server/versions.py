"""Versions: which versions of a model are in memory, and which one answers."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.config.file_system_storage_path_source_pb2 import (
    FileSystemStoragePathSourceConfig,
)

from tfnst.server.runs import Cancellation, StatusError
from tfnst.server.servables import Servable

START = ModelVersionStatus.START
LOADING = ModelVersionStatus.LOADING
AVAILABLE = ModelVersionStatus.AVAILABLE
UNLOADING = ModelVersionStatus.UNLOADING
END = ModelVersionStatus.END

_MAX_ENDED = 100  # Versions of the past that are remembered.
_MAX_VERSION = 2**63 - 1
_logger = logging.getLogger("tfnst.server")

VersionPolicy = FileSystemStoragePathSourceConfig.ServableVersionPolicy


@dataclasses.dataclass
class Version:
    """A version of the model, as GetModelStatus tells of it.

    Attributes:
        number: the name of its directory.
        state: one of START, LOADING, AVAILABLE, UNLOADING, END.
        error: why it could not be loaded, or None.
        servable: the loaded model while it is AVAILABLE or UNLOADING.
        uses: how many requests hold it.
        fingerprint: what its directory held when it was loaded.
    """

    number: int
    state: int = START
    error: StatusError | None = None
    servable: Servable | None = None
    uses: int = 0
    fingerprint: tuple = ()


class Versions:
    """The versions `<directory>/<integer>/`, watched from a thread of its own.

    The newest version answers, unless a policy says otherwise (`configure`). A new
    one is loaded and warmed up before it answers, and only then an old one is
    drained and unloaded. What fails to load is tried again when its files change.

    Args:
        directory: where the version directories are.
        name: what requests call the model.
        slots: most runs at a time in one version.
        poll_seconds: how often the directory is looked at.
        on_change: called with True or False when a version became able to answer,
            or none is any longer.
    """

    def __init__(
        self,
        directory: str,
        name: str,
        *,
        slots: int = 1,
        poll_seconds: float = 1.0,
        on_change: Callable[[bool], None] = lambda available: None,
    ) -> None:
        self.directory = directory
        self.name = name
        self._slots = slots
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
        self._said = ""

    def start(self) -> None:
        """Begins to look for versions and to load them."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch and unloads what no request holds."""
        self._stopping.set()
        self._cancellation.request()
        self._wake.set()
        if self._thread.ident:
            self._thread.join(timeout=30)
        with self._condition:
            free = [v for v in self._versions.values() if v.servable and not v.uses]
            for version in free:
                version.servable, servable, version.state = None, version.servable, END
                servable.close()

    def wait_until_available(self, timeout: float | None = None) -> bool:
        """Waits until a version answers; False when the time runs out."""
        with self._condition:
            return self._condition.wait_for(self._newest, timeout)

    def states(self) -> list[Version]:
        """Copies of the versions known, oldest first, without their servables."""
        with self._condition:
            return [
                dataclasses.replace(version, servable=None)
                for _, version in sorted(self._versions.items())
            ]

    @contextlib.contextmanager
    def lease(self, spec) -> Iterator[Version]:
        """Holds the version that a ModelSpec asks for; it is not unloaded meanwhile.

        Raises:
            StatusError: when the spec is incomplete or no such version answers.
        """
        with self._condition:
            version = self._find(spec)
            version.uses += 1
        try:
            yield version
        finally:
            with self._condition:
                version.uses -= 1
                self._condition.notify_all()

    def _find(self, spec) -> Version:
        if not spec.name:
            raise _invalid("ModelSpec has no name specified.")
        known = spec.name == self.name
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            asked, version = f"Latest({spec.name})", self._newest()
        else:
            number = spec.version.value
            if choice == "version_label":
                if not known or spec.version_label not in self._labels:
                    raise _invalid(
                        f"Unrecognized servable version label: {spec.version_label}"
                    )
                number = self._labels[spec.version_label]
            asked, version = f"Specific({spec.name}, {number})", self._available(number)
        if not known or version is None:
            raise StatusError(
                tf.errors.NOT_FOUND, f"Servable not found for request: {asked}"
            )
        return version

    def _available(self, number: int) -> Version | None:
        version = self._versions.get(number)
        return version if version and version.state == AVAILABLE else None

    def _newest(self) -> Version | None:
        return self._available(
            max((n for n in self._versions if self._available(n)), default=-1)
        )

    def configure(self, config) -> None:
        """Takes over the version policy and the labels of a ModelConfig.

        Raises:
            StatusError: when it is not meant for this model; then nothing changes.
        """
        if config.name != self.name or not _same_path(config.base_path, self.directory):
            raise _invalid(
                f"This server serves model {self.name} from {self.directory} and no "
                f"other. Received: model {config.name} from {config.base_path}"
            )
        if config.model_platform not in ("", "tensorflow"):
            raise _invalid(
                f"Model {config.name} requests unsupported platform "
                f"{config.model_platform}"
            )
        policy = config.model_version_policy
        if policy.HasField("specific") and not policy.specific.versions:
            raise _invalid(
                "`model_version_policy.specific` must name one or more versions. "
                "Received: none"
            )
        with self._condition:
            for _, number in sorted(config.version_labels.items()):
                if not self._available(number):
                    raise StatusError(
                        tf.errors.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of model "
                        f"{self.name}, which is not currently available for inference",
                    )
            self._policy = VersionPolicy.FromString(policy.SerializeToString())
            self._labels = dict(config.version_labels)
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
            self._say(f"The versions in {self.directory} can't be listed: {error}")
            return
        wanted = _choose(self._policy, found)
        if not wanted:
            self._say(f"There is no version to serve in {self.directory}")
        for number in sorted(wanted, reverse=True):
            if self._stopping.is_set():
                return
            if self._is_due(number, found[number]):
                self._load(number, found[number])
        with self._condition:
            if not wanted or any(map(self._available, wanted)):
                for version in self._versions.values():
                    if version.state == AVAILABLE and version.number not in wanted:
                        version.state = UNLOADING
                        threading.Thread(
                            target=self._unload, args=[version], daemon=True
                        ).start()
            ended = [n for n, v in sorted(self._versions.items()) if v.state == END]
            for number in ended[:-_MAX_ENDED]:
                del self._versions[number]
        self._tell()

    def _say(self, message: str) -> None:
        if message != self._said:
            _logger.warning("%s", message)
        self._said = message

    def _is_due(self, number: int, path: str) -> bool:
        version = self._versions.get(number)
        if version is None:
            return True
        # One that was unloaded is wanted again; one that failed may have been copied
        # here file by file.
        unloaded = version.error is None or version.fingerprint != _fingerprint(path)
        return version.state == END and unloaded

    def _load(self, number: int, path: str) -> None:
        version = Version(number, fingerprint=_fingerprint(path))
        with self._condition:
            self._versions[number] = version
        self._set(version, LOADING)
        start = time.monotonic()
        servable = None
        try:
            servable = Servable(path, slots=self._slots)
            warm_ups = servable.warm_up(self._cancellation)
        except Exception as error:
            if servable:
                servable.close()
            version.error = _load_error(error)
            self._set(version, END)
            if not self._stopping.is_set():
                _logger.error(
                    "Version %d of %s can't be loaded: %s",
                    number,
                    self.name,
                    version.error.message,
                )
            return
        version.servable = servable
        self._set(version, AVAILABLE)
        _logger.info(
            "Version %d of %s is available after %.1f s and %d warm-up requests",
            number,
            self.name,
            time.monotonic() - start,
            warm_ups,
        )
        self._tell()

    def _unload(self, version: Version) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not version.uses)
            servable, version.servable = version.servable, None
        if servable:
            servable.close()
        self._set(version, END)
        _logger.info("Version %d of %s is unloaded", version.number, self.name)

    def _set(self, version: Version, state: int) -> None:
        with self._condition:
            version.state = state
            self._condition.notify_all()

    def _tell(self) -> None:
        with self._condition:
            available = self._newest() is not None
        if not self._stopping.is_set():
            self._on_change(available)


def _find_versions(directory: str) -> dict[int, str]:
    """Version number -> path."""
    with os.scandir(directory) as entries:
        return {
            int(entry.name): entry.path
            for entry in entries
            if entry.name.isascii()
            and entry.name.isdigit()
            and int(entry.name) <= _MAX_VERSION
            and entry.is_dir()
        }


def _choose(policy, found: dict[int, str]) -> set[int]:
    """The version numbers that a policy wants in memory."""
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return set(found)
    if choice == "specific":
        return set(found) & set(policy.specific.versions)
    return set(sorted(found)[-(policy.latest.num_versions or 1) :])


def _fingerprint(path: str) -> tuple:
    """The names, sizes and times of all files in a directory."""
    files = []
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(folder, name))
                files.append((folder, name, status.st_size, status.st_mtime_ns))
    return tuple(sorted(files))


def _same_path(one: str, other: str) -> bool:
    return bool(one) and os.path.realpath(one) == os.path.realpath(other)


def _load_error(error: Exception) -> StatusError:
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        return StatusError(error.error_code, error.message)
    code = tf.errors.NOT_FOUND if isinstance(error, OSError) else tf.errors.INTERNAL
    return StatusError(code, str(error) or type(error).__name__)


def _invalid(message: str) -> StatusError:
    return StatusError(tf.errors.INVALID_ARGUMENT, message)
