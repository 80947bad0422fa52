"""The history of painted pictures: ordinary files in a folder.

The manifest in each picture states its settings, and its sources by their SHA-256. The
sources lie in `sources/SHA256/NAME`, so that a run can be repeated. Nothing else is
remembered, so other programs may add files to the folder or remove them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import pathlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from tfnst.checks import argument
from tfnst.config import StyleTransferConfig, setting_names
from tfnst.files import os_error, show_path, write_file
from tfnst.images.formats import SUFFIXES
from tfnst.images.manifest import read_manifest
from tfnst.images.reading import read_picture
from tfnst.images.style_images import StyleImage
from tfnst.images.transparency import on_white
from tfnst.images.writing import save_image
from tfnst.studio.masks import BRUSHES
from tfnst.studio.previews import encode_preview
from tfnst.studio.tasks import Task

# Suffixes of videos that browsers play.
VIDEO_SUFFIXES = (".mp4", ".webm")
# Suffixes of pictures that can have 16 bits a channel.
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
# Start of a PNG file, and the position of its number of bits.
_PNG_START, _PNG_DEPTH = b"\x89PNG", 24
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
    def at_once(self) -> bool:
        """True for a picture that a network has painted at once."""
        return isinstance(self.manifest.get("network"), dict)

    @property
    def style(self) -> Any:
        """Description of the style's pictures, which a network has learned from."""
        if self.at_once:
            return self.manifest["network"].get("picture")
        return self.manifest.get("style_image")

    @property
    def bits(self) -> int:
        """Bits of each channel: 16 for a PNG file with 16, otherwise 8."""
        with open(self.path, "rb") as file:
            start = file.read(_PNG_DEPTH + 1)
        deep = start.startswith(_PNG_START) and start[_PNG_DEPTH:] == b"\x10"
        return 16 if deep else 8

    def config(self, host: StyleTransferConfig) -> StyleTransferConfig:
        """Returns the settings for painting it again.

        Args:
            host: settings that provide those of the machine and the network.

        Raises:
            ValueError: for settings that are unknown or out of their range.
        """
        if unknown := sorted(self.settings.keys() - set(setting_names())):
            names = ", ".join(unknown)
            raise ValueError(f"This version of tfnst has no settings {names}.")
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
        self._sources = self.folder / "sources"
        self._thumbnails = pathlib.Path(thumbnails)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            expected = "a folder that can be written to"
            with argument("output"):
                raise os_error(error, expected, show_path(folder)) from error

    def entries(self) -> list[Entry]:
        """Returns the pictures with a manifest, newest first."""
        found = [entry for path in self._files() if (entry := _read_entry(path))]
        return sorted(found, key=lambda entry: (entry.modified, entry.name))[::-1]

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
        """Adds a picture, with copies of the files that it was painted from.

        Args:
            task: the task that it was painted for.
            save: writes it to a given path.
        """
        path = self.new_path(task)
        save(path)
        entry = _read_entry(path)
        if entry is None:
            raise OSError(f"{path.name} was written without a manifest")
        for file in task.files:
            self._keep(file)
        return entry

    def new_path(self, task: Task) -> pathlib.Path:
        """Returns a path for the result of a task, at which there is no file yet."""
        names = [task.content.stem]
        names += [pathlib.Path(style.image).stem for style in task.styles]
        words = "_".join(re.sub(r"[^\w-]+", "-", name)[:30] for name in names)[:80]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        numbers = ("" if n == 1 else f"_{n}" for n in itertools.count(1))
        paths = (self.folder / f"{stamp}_{words}{n}{task.suffix}" for n in numbers)
        return next(path for path in paths if not path.exists())

    def videos(self) -> list[pathlib.Path]:
        """Returns the paths of the videos, newest first."""
        found = [path for path in self._files(VIDEO_SUFFIXES) if path.stat().st_size]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def content(self, entry: Entry) -> pathlib.Path | None:
        """Returns the path of a picture's photo; None if it isn't kept."""
        with contextlib.suppress(LookupError):
            return self._kept(entry.manifest.get("content_image"), "photo")
        return None

    def sources(self, entry: Entry) -> tuple[pathlib.Path, list[StyleImage]]:
        """Returns the photo and the styles that a picture was painted from.

        Raises:
            LookupError: when one of them isn't kept, or there are too many.
            ValueError: for a style that can't be understood.
        """
        content = self._kept(entry.manifest.get("content_image"), "photo")
        styles = _listed(entry.style)
        if len(styles) > len(BRUSHES):
            raise LookupError(f"The page has no room for {len(styles)} styles.")
        return content, [self._style(each) for each in styles]

    def _style(self, described: Any) -> StyleImage:
        given: dict[str, Any] = {"image": self._kept(described, "style")}
        for name in {"mask", "region"} & set(described):
            given[name] = self._kept(described[name], "mask")
        options = {"weight", "scale", "layers", "rotations"} & set(described)
        return StyleImage(**given, **{name: described[name] for name in options})

    def _kept(self, described: Any, kind: str) -> pathlib.Path:
        """Returns the path of a source described in a manifest."""
        sha256 = described.get("sha256") if isinstance(described, dict) else None
        if _SHA256.fullmatch(str(sha256)):
            for file in _files_in(self._sources / str(sha256)):
                return file
        raise LookupError(f"The {kind} of this picture isn't kept.")

    def thumbnail(self, entry: Entry) -> pathlib.Path:
        """Returns the path of a picture's thumbnail, which is made if missing."""
        path = self._thumbnail_path(entry)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, encode_preview(_shrink(entry.path)))
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

    def delete(self, entry: Entry) -> None:
        """Removes a picture, and its sources unless another picture needs them.

        Raises:
            OSError: when it can't be removed.
        """
        self._thumbnail_path(entry).unlink(missing_ok=True)
        entry.path.unlink(missing_ok=True)
        needed = {sha for other in self.entries() for sha in _hashes(other)}
        for sha256 in _hashes(entry) - needed:
            shutil.rmtree(self._sources / sha256, ignore_errors=True)

    def delete_older(self, seconds: float) -> None:
        """Removes the pictures and videos that were painted here before a time.

        Files whose names don't begin with a time stamp belong to somebody else.

        Args:
            seconds: the time, in seconds since 1970.

        Raises:
            OSError: when one can't be removed.
        """
        for entry in self.entries():
            if _STAMP.match(entry.name) and entry.modified < seconds:
                self.delete(entry)
        for video in self.videos():
            if _STAMP.match(video.name) and video.stat().st_mtime < seconds:
                video.unlink()

    def _thumbnail_path(self, entry: Entry) -> pathlib.Path:
        seen = f"{entry.path} {entry.modified}".encode()
        return self._thumbnails / f"{hashlib.sha256(seen).hexdigest()[:32]}.jpg"

    def _files(self, suffixes: tuple[str, ...] = SUFFIXES) -> list[pathlib.Path]:
        return [
            path for path in _files_in(self.folder) if path.suffix.lower() in suffixes
        ]

    def _keep(self, file: pathlib.Path) -> None:
        """Copies a file to the sources, unless it is there already."""
        data = file.read_bytes()
        folder = self._sources / hashlib.sha256(data).hexdigest()
        if not _files_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^\w.-]+", "-", file.name).strip(".") or "picture"
            write_file(folder / name, data)


@functools.lru_cache(2**16)
def _read_manifest(path: pathlib.Path, *version: int) -> dict[str, Any] | None:
    """Reads the manifest in a file; again only when its version is another."""
    with contextlib.suppress(OSError):
        return read_manifest(path)
    return None


def _read_entry(path: pathlib.Path) -> Entry | None:
    """Returns the picture in a file; None if there is none with a manifest."""
    try:
        there = path.stat()
    except OSError:
        return None
    manifest = _read_manifest(path, there.st_mtime_ns, there.st_size)
    return None if manifest is None else Entry(path, manifest, there.st_mtime)


def _files_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files in a folder by name, without those that are being written."""
    if not folder.is_dir():
        return []
    found = (p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file())
    return sorted(found)


def _shrink(path: pathlib.Path) -> Image.Image:
    """Reads a picture in the size of thumbnails; a grey one if it can't be read."""
    size = _THUMBNAIL_SIZE, _THUMBNAIL_SIZE
    try:
        with Image.open(path) as image:
            image.draft("RGB", size)
            image.thumbnail(size)
            return on_white(image)
    except Exception:  # Files may hold anything, and the others are to be shown.
        return Image.new("RGB", size, "gray")


def _listed(style: Any) -> list[Any]:
    """Returns the descriptions of the styles, of which one needn't be in a list."""
    return style if isinstance(style, list) else [style]


def _hashes(entry: Entry) -> set[str]:
    """Returns the SHA-256 of each of a picture's sources."""
    described = [entry.manifest.get("content_image"), entry.style]
    return set(re.findall(f'"sha256": "({_SHA256.pattern})"', json.dumps(described)))
