"""The history of painted pictures: ordinary files in a folder.

The manifest in each picture states its settings, and its sources by their SHA-256. The
sources lie in `sources/SHA256/NAME`, so that a run can be repeated. Nothing else is
remembered, so other programs may add files to the folder or remove them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import itertools
import os
import pathlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Set
from typing import Any

import numpy as np
from PIL import Image

from tfnst.checks import argument
from tfnst.config import StyleTransferConfig, setting_names
from tfnst.files import os_error, show_path
from tfnst.images.arrays import to_integers
from tfnst.images.formats import SUFFIXES
from tfnst.images.manifest import read_manifest
from tfnst.images.reading import read_picture
from tfnst.images.style_images import StyleImage
from tfnst.images.transparency import on_white
from tfnst.images.writing import save_image
from tfnst.studio.tasks import Task

# Suffixes of videos that browsers play.
VIDEO_SUFFIXES = (".mp4", ".webm")
# Suffixes of pictures that can have 16 bits a channel.
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
# Position of the number of bits in a PNG file.
_PNG_START, _PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24
_SOURCES = "sources"
_THUMBNAIL_SIZE = 320
_STAMP = re.compile(r"\d{8}-\d{6}_")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A painted picture.

    Attributes:
        path: path of the file.
        manifest: manifest in the file.
        modified: time of the last change, in seconds since 1970.
    """

    path: pathlib.Path
    manifest: dict[str, Any] = dataclasses.field(repr=False)
    modified: float

    @property
    def name(self) -> str:
        """Name of the file, which is unique in the folder."""
        return self.path.name

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the run."""
        settings = self.manifest.get("settings")
        return settings if isinstance(settings, dict) else {}

    @property
    def bits(self) -> int:
        """Bits of each channel: 16 for a PNG file with 16, otherwise 8."""
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            start = file.read(_PNG_DEPTH + 1)
            if start.startswith(_PNG_START) and start[_PNG_DEPTH:] == b"\x10":
                return 16
        return 8

    def config(self, host: StyleTransferConfig) -> StyleTransferConfig:
        """Returns the settings for painting it again.

        Args:
            host: settings that provide those of the machine and the network.

        Raises:
            ValueError: for settings that are unknown or out of their range.
        """
        others = {*setting_names("machine"), "backbone", "weights", "init_image"}
        settings = {n: v for n, v in self.settings.items() if n not in others}
        start = self.settings.get("init_image", "content")
        if start != "given":
            settings["init_image"] = start
        return host.replace(**settings)


class History:
    """The painted pictures in a folder.

    Args:
        folder: the folder, which is made if it is missing.
        thumbnails: folder for thumbnails.

    Raises:
        OSError: when the folder can't be made or written to.
    """

    def __init__(
        self, folder: str | os.PathLike[str], thumbnails: str | os.PathLike[str]
    ) -> None:
        self.folder = pathlib.Path(folder).resolve()
        self._thumbnails = pathlib.Path(thumbnails)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[int, int], Entry | None]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".tfnst-{os.getpid()}.tmp"
            probe.touch()
            probe.unlink()
        except OSError as error:
            expected = "a folder that can be written to"
            with argument("output"):
                raise os_error(error, expected, show_path(folder)) from error

    def entries(self) -> list[Entry]:
        """Returns the pictures with a manifest, newest first."""
        with self._lock:
            found = [self._look_at(file) for file in self._files()]
            there = {entry.name for entry in found if entry is not None}
            for name in [name for name in self._known if name not in there]:
                if not (self.folder / name).exists():
                    del self._known[name]
        known = [entry for entry in found if entry is not None]
        return sorted(known, key=lambda entry: (entry.modified, entry.name))[::-1]

    def find(self, name: str) -> Entry:
        """Returns the picture with this name.

        Raises:
            LookupError: when there is none.
        """
        for entry in self.entries():
            if entry.name == name:
                return entry
        raise LookupError(f"The picture {name!r} is no longer there.")

    def add(self, task: Task, save: Callable[[pathlib.Path], None]) -> Entry:
        """Adds a picture.

        Args:
            task: the task that it was painted for.
            save: writes it to a given path.
        """
        with self._lock:
            path = self.new_path(task)
            save(path)
            entry = self._look_at(path)
        if entry is None:
            raise OSError(f"{path.name} was written without a manifest")
        return entry

    def new_path(self, task: Task) -> pathlib.Path:
        """Returns a path for the result of a task, at which there is no file yet."""
        names = [task.content.stem]
        names += [pathlib.Path(style.image).stem for style in task.styles]
        words = "_".join(re.sub(r"[^\w-]+", "-", name)[:30] for name in names)[:80]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in itertools.count(1):
            again = "" if number == 1 else f"_{number}"
            path = self.folder / f"{stamp}_{words}{again}{task.suffix}"
            if not path.exists():
                break
        return path

    def videos(self) -> list[pathlib.Path]:
        """Returns the paths of the videos, newest first."""
        found = [path for path in self._files(VIDEO_SUFFIXES) if path.stat().st_size]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def keep_source(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Copies a picture or video to the sources; returns its path there.

        Raises:
            OSError: when it can't be copied.
        """
        data = pathlib.Path(path).read_bytes()
        return self._keep(data, pathlib.Path(path).name)

    def keep_mask(self, mask: np.ndarray | None) -> pathlib.Path | None:
        """Writes a mask, float [H, W] in [0, 1], to the sources; None stays None."""
        if mask is None:
            return None
        levels = to_integers(mask)
        encoded = io.BytesIO()
        Image.fromarray(levels).save(encoded, "PNG")
        return self._keep(encoded.getvalue(), "mask.png")

    def source(self, description: Any) -> pathlib.Path | None:
        """Returns the path of a source described in a manifest; None if missing."""
        sha256 = description.get("sha256") if isinstance(description, dict) else None
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            return None
        folder = self.folder / _SOURCES / sha256
        with contextlib.suppress(OSError, StopIteration):
            return next(_files_in(folder))
        return None

    def content(self, entry: Entry) -> pathlib.Path | None:
        """Returns the path of a picture's photo; None if missing."""
        return self.source(entry.manifest.get("content_image"))

    def styles(self, entry: Entry) -> list[StyleImage]:
        """Returns a picture's styles, without those whose files are missing."""
        kept = []
        for each in _listed(entry.manifest.get("style_image")):
            path = self.source(each)
            if path is None:
                continue
            with contextlib.suppress(ValueError):
                kept.append(
                    StyleImage(
                        image=path,
                        weight=each.get("weight", 1.0),
                        scale=each.get("scale", 1.0),
                        mask=self.source(each.get("mask")),
                        region=self.source(each.get("region")),
                        layers=each.get("layers"),
                        rotations=each.get("rotations", 1),
                    )
                )
        return kept

    def thumbnail(self, entry: Entry) -> pathlib.Path:
        """Returns the path of a picture's thumbnail, which is made if missing."""
        path = self._thumbnail_path(entry)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(entry.path) as image:
                image.draft("RGB", (_THUMBNAIL_SIZE, _THUMBNAIL_SIZE))
                image.thumbnail((_THUMBNAIL_SIZE, _THUMBNAIL_SIZE))
                small = on_white(image)
            hidden = path.with_suffix(f".{threading.get_ident()}.tmp")
            small.save(hidden, "JPEG", quality=85)
            os.replace(hidden, path)
        return path

    def convert(self, entry: Entry, folder: pathlib.Path, suffix: str) -> pathlib.Path:
        """Writes a picture in another format, with its manifest and metadata.

        PNG and TIFF have as many bits as the picture.

        Args:
            entry: the picture.
            folder: folder of the new file.
            suffix: suffix of the new file, which determines its format.

        Returns:
            Path of the new file.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        path = folder / entry.path.with_suffix(suffix).name
        if entry.path.suffix == suffix:
            shutil.copyfile(entry.path, path)
        else:
            with argument("picture"):
                pixels, info = read_picture(entry.path, min_side=1)
            bits = entry.bits if suffix in _DEEP_SUFFIXES else 8
            save_image(pixels, path, bits=bits, info=info, manifest=entry.manifest)
        return path

    def delete(self, entry: Entry, in_use: Set[pathlib.Path] = frozenset()) -> None:
        """Removes a picture, and its sources unless another picture needs them.

        Args:
            entry: the picture.
            in_use: paths of sources that queued runs need.

        Raises:
            OSError: when it can't be removed.
        """
        self._thumbnail_path(entry).unlink(missing_ok=True)
        entry.path.unlink(missing_ok=True)
        self._forget(_hashes(entry.manifest), in_use)

    def delete_older(
        self, seconds: float, in_use: Set[pathlib.Path] = frozenset()
    ) -> None:
        """Removes the pictures and videos that were painted here before a time.

        Files whose names don't begin with a time stamp belong to somebody else.

        Args:
            seconds: the time, in seconds since 1970.
            in_use: paths of sources that queued runs need.

        Raises:
            OSError: when one can't be removed.
        """
        for entry in self.entries():
            if _STAMP.match(entry.name) and entry.modified < seconds:
                self.delete(entry, in_use)
        for video in self.videos():
            if _STAMP.match(video.name) and video.stat().st_mtime < seconds:
                video.unlink()

    def forget(self, task: Task, in_use: Set[pathlib.Path] = frozenset()) -> None:
        """Removes the sources of a task without a result, unless others need them.

        Args:
            task: the task.
            in_use: paths of sources that queued runs need.
        """
        sources = self.folder / _SOURCES
        names = {p.parent.name for p in task.files if p.parent.parent == sources}
        self._forget(names, in_use)

    def _forget(self, names: set[str], in_use: Set[pathlib.Path]) -> None:
        """Removes folders of sources that no picture and no queued run needs."""
        needed = {path.parent.name for path in in_use}
        needed |= {sha for other in self.entries() for sha in _hashes(other.manifest)}
        for name in names - needed:
            shutil.rmtree(self.folder / _SOURCES / name, ignore_errors=True)

    def _thumbnail_path(self, entry: Entry) -> pathlib.Path:
        seen = f"{entry.path} {entry.modified}".encode()
        return self._thumbnails / f"{hashlib.sha256(seen).hexdigest()[:32]}.jpg"

    def _files(self, suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[pathlib.Path]:
        with os.scandir(self.folder) as files:
            for file in files:
                named = not file.name.startswith(".") and file.name.lower().endswith(
                    suffixes
                )
                if named and file.is_file():
                    yield pathlib.Path(file.path)

    def _look_at(self, path: pathlib.Path) -> Entry | None:
        """Reads the picture in a file, again only if it has changed; None if none."""
        try:
            there = path.stat()
        except OSError:
            return None
        version = there.st_mtime_ns, there.st_size
        known = self._known.get(path.name)
        if known is None or known[0] != version:
            manifest = None
            with contextlib.suppress(OSError):
                manifest = read_manifest(path)
            entry = None if manifest is None else Entry(path, manifest, there.st_mtime)
            self._known[path.name] = known = version, entry
        return known[1]

    def _keep(self, data: bytes, name: str) -> pathlib.Path:
        folder = self.folder / _SOURCES / hashlib.sha256(data).hexdigest()
        with contextlib.suppress(OSError, StopIteration):
            return next(_files_in(folder))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (re.sub(r"[^\w.-]+", "-", name).strip(".") or "picture")
        hidden = folder / f".tfnst-{threading.get_ident()}.tmp"
        hidden.write_bytes(data)
        os.replace(hidden, path)
        return path


def _files_in(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the files in a folder by name, without those that are being written."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            yield file


def _listed(style: Any) -> list[dict[str, Any]]:
    """Returns the descriptions of the styles, of which one needn't be in a list."""
    styles = style if isinstance(style, list) else [style]
    return [each for each in styles if isinstance(each, dict)]


def _hashes(manifest: dict[str, Any]) -> set[str]:
    """Returns the SHA-256 of each of a picture's sources."""
    described = [manifest.get("content_image"), *_listed(manifest.get("style_image"))]
    for style in _listed(manifest.get("style_image")):
        described += [style.get("mask"), style.get("region")]
    return {
        each["sha256"]
        for each in described
        if isinstance(each, dict) and _SHA256.fullmatch(str(each.get("sha256")))
    }
