"""The pictures that have been painted: ordinary files in a folder.

Each picture says by its manifest how it was painted, and from which pictures by their
SHA-256. These lie beside it, in `sources/SHA256/NAME`, so that a run can be repeated.
Nothing else is remembered, so what is added to the folder or removed from it by other
programs is part of the history, too.
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
from tfnst.studio.orders import Order

# Of films that browsers play.
FILM_SUFFIXES = (".mp4", ".webm")
# Of pictures that can have 16 bits a channel.
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
# Where a PNG file says how many it has.
_PNG_START, _PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24
_SOURCES = "sources"
_THUMBNAIL_SIZE = 320
_STAMP = re.compile(r"\d{8}-\d{6}_")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A painted picture.

    Attributes:
        path: of its file.
        manifest: how it was painted.
        modified: when, in seconds since 1970.
    """

    path: pathlib.Path
    manifest: dict[str, Any] = dataclasses.field(repr=False)
    modified: float

    @property
    def name(self) -> str:
        """The name of its file, which tells it from the others."""
        return self.path.name

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it was painted with."""
        settings = self.manifest.get("settings")
        return settings if isinstance(settings, dict) else {}

    @property
    def bits(self) -> int:
        """Of each channel: 16 for a PNG file that has so many, otherwise 8."""
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            start = file.read(_PNG_DEPTH + 1)
            if start.startswith(_PNG_START) and start[_PNG_DEPTH:] == b"\x10":
                return 16
        return 8

    def config(self, host: StyleTransferConfig) -> StyleTransferConfig:
        """The settings to repeat it with.

        Args:
            host: whose settings of the machine and the network are taken.

        Raises:
            ValueError: for settings that are unknown or out of their range.
        """
        others = {*setting_names(machine=True), "backbone", "weights", "init_image"}
        settings = {n: v for n, v in self.settings.items() if n not in others}
        start = self.settings.get("init_image", "content")
        if start != "given":
            settings["init_image"] = start
        return host.replace(**settings)


class History:
    """The painted pictures in a folder.

    Args:
        folder: is made if it isn't there.
        thumbnails: folder for small pictures of the pictures.

    Raises:
        OSError: when it can't be made or written to.
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
        """The pictures, newest first. Files without a manifest are left out."""
        with self._lock:
            found = [self._look_at(file) for file in self._files()]
            there = {entry.name for entry in found if entry is not None}
            for name in [name for name in self._known if name not in there]:
                if not (self.folder / name).exists():
                    del self._known[name]
        known = [entry for entry in found if entry is not None]
        return sorted(known, key=lambda entry: (entry.modified, entry.name))[::-1]

    def find(self, name: str) -> Entry:
        """The picture with this name.

        Raises:
            LookupError: when there is none.
        """
        for entry in self.entries():
            if entry.name == name:
                return entry
        raise LookupError(f"The picture {name!r} is no longer there.")

    def add(self, order: Order, save: Callable[[pathlib.Path], None]) -> Entry:
        """Adds a picture.

        Args:
            order: what it was painted from.
            save: writes it to the path that it is given.
        """
        with self._lock:
            path = self.new_path(order)
            save(path)
            entry = self._look_at(path)
        if entry is None:
            raise OSError(f"{path.name} was written without a manifest")
        return entry

    def new_path(self, order: Order) -> pathlib.Path:
        """A path for what an order asks for, at which nothing is yet."""
        names = [order.content.stem]
        names += [pathlib.Path(style.image).stem for style in order.styles]
        words = "_".join(re.sub(r"[^\w-]+", "-", name)[:30] for name in names)[:80]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in itertools.count(1):
            again = "" if number == 1 else f"_{number}"
            path = self.folder / f"{stamp}_{words}{again}{order.suffix}"
            if not path.exists():
                break
        return path

    def films(self) -> list[pathlib.Path]:
        """The films in the folder, the newest first."""
        found = [path for path in self._files(FILM_SUFFIXES) if path.stat().st_size]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def keep_source(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Copies a picture to where it stays; returns its path there.

        Raises:
            OSError: when it can't be copied.
        """
        data = pathlib.Path(path).read_bytes()
        return self._keep(data, pathlib.Path(path).name)

    def keep_mask(self, mask: np.ndarray | None) -> pathlib.Path | None:
        """Writes a mask, float [H, W] in [0, 1], to where it stays; None is none."""
        if mask is None:
            return None
        levels = to_integers(mask)
        encoded = io.BytesIO()
        Image.fromarray(levels).save(encoded, "PNG")
        return self._keep(encoded.getvalue(), "mask.png")

    def source(self, description: Any) -> pathlib.Path | None:
        """The picture that a manifest describes, if it has been kept."""
        sha256 = description.get("sha256") if isinstance(description, dict) else None
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            return None
        folder = self.folder / _SOURCES / sha256
        with contextlib.suppress(OSError, StopIteration):
            return next(_files_in(folder))
        return None

    def content(self, entry: Entry) -> pathlib.Path | None:
        """The photo of a picture, if it has been kept."""
        return self.source(entry.manifest.get("content_image"))

    def styles(self, entry: Entry) -> list[StyleImage]:
        """Those styles of a picture that have been kept, with weights and regions."""
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
        """A small picture of a picture."""
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
        """A picture in another format, with its manifest and metadata.

        PNG and TIFF have as many bits as the picture.

        Args:
            entry: the picture.
            folder: where to write it.
            suffix: of the file, which chooses the format.

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
        """Removes a picture, and what it was painted from unless another one needs it.

        Args:
            entry: the picture.
            in_use: what is yet to be painted from.

        Raises:
            OSError: when it can't be removed.
        """
        self._thumbnail_path(entry).unlink(missing_ok=True)
        entry.path.unlink(missing_ok=True)
        self._forget(_hashes(entry.manifest), in_use)

    def delete_older(
        self, seconds: float, in_use: Set[pathlib.Path] = frozenset()
    ) -> None:
        """Removes the pictures and films that were painted here before a time.

        What has another name than those that are given here is somebody else's.

        Args:
            seconds: the time, in seconds since 1970.
            in_use: what is yet to be painted from.

        Raises:
            OSError: when one can't be removed.
        """
        for entry in self.entries():
            if _STAMP.match(entry.name) and entry.modified < seconds:
                self.delete(entry, in_use)
        for film in self.films():
            if _STAMP.match(film.name) and film.stat().st_mtime < seconds:
                film.unlink()

    def forget(self, order: Order, in_use: Set[pathlib.Path] = frozenset()) -> None:
        """Removes what a picture was to be painted from, unless another one needs it.

        Args:
            order: that gave no picture.
            in_use: what is yet to be painted from.
        """
        sources = self.folder / _SOURCES
        names = {p.parent.name for p in order.files if p.parent.parent == sources}
        self._forget(names, in_use)

    def _forget(self, names: set[str], in_use: Set[pathlib.Path]) -> None:
        """Removes folders of sources that nothing needs."""
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
        """The picture in a file, read again only when it has changed."""
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
    """The files in a folder by name, without those that are being written."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            yield file


def _listed(style: Any) -> list[dict[str, Any]]:
    """The descriptions of a style's pictures; a single one needn't be in a list."""
    styles = style if isinstance(style, list) else [style]
    return [each for each in styles if isinstance(each, dict)]


def _hashes(manifest: dict[str, Any]) -> set[str]:
    """The SHA-256 of each picture that another was painted from."""
    described = [manifest.get("content_image"), *_listed(manifest.get("style_image"))]
    for style in _listed(manifest.get("style_image")):
        described += [style.get("mask"), style.get("region")]
    return {
        each["sha256"]
        for each in described
        if isinstance(each, dict) and _SHA256.fullmatch(str(each.get("sha256")))
    }
