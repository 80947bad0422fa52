"""A studio without its page: uploads, samples, histories and the queue."""

from __future__ import annotations

import contextlib
import filecmp
import functools
import hashlib
import io
import logging
import os
import pathlib
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfnst.checks import argument, refusal_in
from tfnst.config import StyleTransferConfig, setting_names, settings_within
from tfnst.files import write_file
from tfnst.images.arrays import to_integers
from tfnst.images.decoding import open_image
from tfnst.images.formats import NETWORK_SUFFIX, READ_SUFFIXES
from tfnst.images.heif import may_be_heif
from tfnst.images.manifest import describe_source
from tfnst.images.reading import load_image, read_picture
from tfnst.images.source import PictureSource
from tfnst.images.style_images import StyleImage
from tfnst.images.writing import save_image, to_pil
from tfnst.studio import form
from tfnst.studio.history import Entry, History
from tfnst.studio.limits import Limits
from tfnst.studio.painters import Loading, LocalPainter, ServerPainter
from tfnst.studio.previews import PREVIEW_SIZE, encode_preview
from tfnst.studio.run_queue import BusyError, RunQueue, explain
from tfnst.studio.tasks import Task
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import FilmInfo
from tfnst.video.reading import open_film

# Longest side of the copies of pictures that the page shows.
SHOWN_SIZE = 1024
_REMEMBERED = 64
# Maximum number of visitors' files that are read at the same time.
_AT_ONCE = 2
# The beginning of a scan in a JPEG file. Each scan goes over the whole picture, even if
# it is a hundred bytes long, and programs write about ten. Files with more scans than
# these would keep others waiting.
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_MOST_SCANS = 200
_TEMPORARY_SECONDS = 600.0
_DAY = 24 * 3600.0

_log = logging.getLogger(__name__)


class Studio:
    """A studio, which all pages share.

    Args:
        output: folder of the painted pictures.
        config: initial settings of the page, and the settings that it doesn't show.
        limits: the host's limits.
        server: address of a server that paints; None to paint in this process.
        samples: folder with sample pictures; None for none.
        networks: folder with networks that have learned sample styles, each with the
            name of the style; None for none.
        shared: whether all visitors see the same pictures. Otherwise each browser has
            a folder of its own.
        loading: as for `LocalPainter`.
        reading_seconds: maximum time for which an upload waits until others are read.

    Raises:
        ValueError, OSError: for a bad argument.
    """

    def __init__(
        self,
        output: str,
        *,
        config: StyleTransferConfig,
        limits: Limits,
        server: str | None = None,
        samples: pathlib.Path | None = None,
        networks: pathlib.Path | None = None,
        shared: bool = True,
        loading: Loading = contextlib.nullcontext,
        reading_seconds: float = 60.0,
    ) -> None:
        self.config = config
        self.limits = limits
        self.server = server
        self.shared = shared
        self.fields = form.fields(on_server=server is not None)
        self.labels = {field.name: form.in_words(field.name) for field in self.fields}
        self.photos, self.styles = _find_samples(samples)
        self._networks: dict[pathlib.Path, pathlib.Path] = {}
        if server is None and networks is not None:
            self._networks = _find_networks(self.styles, networks)
        painter = (
            LocalPainter(config, loading) if server is None else ServerPainter(server)
        )
        self._temporary = tempfile.TemporaryDirectory(
            prefix="tfnst-studio-", ignore_cleanup_errors=True
        )
        self.folder = pathlib.Path(self._temporary.name)
        self.uploads = self.folder / "uploads"
        # Random name of this studio, for browsers that remember it.
        self.key = secrets.token_hex(8)
        try:
            self._all = self._open(pathlib.Path(output))
        except OSError:
            self._temporary.cleanup()
            raise
        self._histories: dict[str, History] = {}
        # The picture is read again once its time or size has changed.
        self._check = functools.lru_cache(_REMEMBERED)(self._read_and_check)
        self._readers = threading.BoundedSemaphore(_AT_ONCE)
        self._reading_seconds = reading_seconds
        self._closed = threading.Event()
        # Servers paint pictures only.
        self.paints_videos = server is None and limits.max_frames > 0
        self.queue = RunQueue(painter, limits)

    def start(self) -> None:
        """Starts to load the network, and then to paint."""
        self.queue.start()
        if self.limits.max_days:
            threading.Thread(target=self._tidy, name="tidying", daemon=True).start()

    def close(self) -> None:
        """Stops all runs, keeping the pictures so far, and removes temporary files."""
        self._closed.set()
        self.queue.close()
        self._temporary.cleanup()

    def history(self, visitor: str) -> History:
        """Returns the history that a visitor sees.

        Args:
            visitor: the secret of the visitor's browser.
        """
        if self.shared:
            return self._all
        return self._history_in(hashlib.sha256(visitor.encode()).hexdigest()[:24])

    def _history_in(self, name: str) -> History:
        """Returns the history in the visitor's folder with this name."""
        if name not in self._histories:
            self._histories[name] = self._open(self._visitors / name)
        return self._histories[name]

    @property
    def _visitors(self) -> pathlib.Path:
        return self._all.folder / "visitors"

    def delete_old(self) -> None:
        """Deletes all visitors' pictures and videos that are too old."""
        before = time.time() - self.limits.max_days * _DAY
        names = []
        with contextlib.suppress(OSError):
            names = os.listdir(self._visitors)
        for history in (self._all, *map(self._history_in, names)):
            history.delete_older(before)

    def _tidy(self) -> None:
        """Deletes old pictures and videos every hour; runs in a thread."""
        while True:
            try:
                self.delete_old()
            except OSError as error:  # Disks fail, and the next time may be better.
                _log.warning("old pictures can't be deleted: %s", explain(error))
            if self._closed.wait(3600):
                return

    @contextlib.contextmanager
    def scratch(self) -> Iterator[History]:
        """Opens a history whose pictures are thrown away at the end."""
        with tempfile.TemporaryDirectory(
            dir=self.folder, ignore_cleanup_errors=True
        ) as folder:
            yield self._open(pathlib.Path(folder))

    def _open(self, folder: pathlib.Path) -> History:
        return History(folder, self.folder / "thumbnails")

    def find_upload(self, path: str | None) -> str | None:
        """Returns the path of an uploaded file if it is still there, and None if not.

        Args:
            path: the path, which may be made up.
        """
        if path is None or not os.path.isfile(path):
            return None
        real = pathlib.Path(path).resolve()
        return path if self.uploads.resolve() in real.parents else None

    def check_picture(self, path: str) -> str | None:
        """Returns an error message about an uploaded picture; None if it is good.

        Args:
            path: path of the file.
        """
        try:
            there = os.stat(path)
            return self._check(path, there.st_mtime_ns, there.st_size)
        except OSError:
            return "The file is no longer there; choose it again."
        except BusyError as error:
            return str(error)

    def _read_and_check(self, path: str, *_: int) -> str | None:
        with self.reading():
            return _picture_error(pathlib.Path(path))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Limits how many files are read at once: a picture takes 12 bytes a pixel.

        Raises:
            BusyError: when other files take too long.
        """
        if not self._readers.acquire(timeout=self._reading_seconds):
            raise BusyError("Too many files are being read; try again in a minute.")
        try:
            yield
        finally:
            self._readers.release()

    def network_of(self, style: str | os.PathLike[str] | None) -> pathlib.Path | None:
        """Returns the path of the network that has learned a style; None without one.

        Args:
            style: path of the style's picture, which is compared with the samples.
        """
        if style is None:
            return None
        with contextlib.suppress(OSError):
            for sample, network in self._networks.items():
                if filecmp.cmp(sample, style, shallow=False) and network.is_file():
                    return network
        return None

    def sources(
        self, history: History, entry: Entry
    ) -> tuple[pathlib.Path, list[StyleImage]]:
        """Returns the photo and the styles that a picture can be painted again from.

        Raises:
            LookupError, ValueError: as `History.sources`, and if the network that has
                painted it isn't here.
        """
        content, styles = history.sources(entry)
        if entry.at_once:
            network = self.network_of(styles[0].image)
            painted_by = entry.manifest.get("style_image")
            if network is None or describe_source(network) != painted_by:
                raise LookupError("The network that painted this picture isn't here.")
        return content, styles

    def read_settings(
        self, values: Mapping[str, Any], *, at_once: bool = False
    ) -> tuple[StyleTransferConfig | None, dict[str, str]]:
        """Returns the settings in a filled form, or None, and errors by field.

        Args:
            values: field name -> value.
            at_once: whether a network paints, on which few settings have an effect.
        """
        fields, host = self.fields, self.config
        if at_once:
            effective = setting_names("at_once")
            fields = tuple(field for field in fields if field.name in effective)
            host = settings_within("at_once", host)
        config, wrong = form.read_values(values, fields, host)
        said = {name: in_labels(each, self.labels) for name, each in wrong.items()}
        return config, said

    def expected_seconds(self, task: Task) -> float | None:
        """Returns about how long a picture takes to paint; None if that is unknown.

        Args:
            task: the picture, whose photo has been checked.
        """
        sides = _sides_of(task.content)
        seconds = self.queue.painter.expected_seconds(task, sides)
        if seconds is None:
            return None
        return min(seconds, self.limits.seconds(task.config))

    def check_limits(self, task: Task) -> None:
        """Checks that the host's limits allow a task.

        Args:
            task: the task, whose pictures have been checked.

        Raises:
            ValueError, OSError: when a video can't be read, or the host's limits don't
                allow the task.
            ImportError: when PyAV is missing.
            BusyError: when too many files are being read.
        """
        if task.video is None:
            self.limits.check(task, _sides_of(task.content))
            return
        with self.reading(), open_film(str(task.content)) as reader:
            info = reader.info
        self.limits.check(task, (info.height, info.width))
        shown = FrameRange(task.video.start, task.video.end, task.video.every)
        self.limits.check_frames(shown.count(info) or 0)

    def mask_file(self, mask: np.ndarray) -> pathlib.Path:
        """Writes a mask, float [H, W] in [0, 1], to a file; returns its path."""
        pixels = to_integers(mask)
        folder = self.folder / "masks"
        folder.mkdir(exist_ok=True)
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes())
        path = folder / f"mask-{digest.hexdigest()[:16]}.png"
        # The form is read again with each of its changes.
        if not path.exists():
            encoded = io.BytesIO()
            Image.fromarray(pixels).save(encoded, "PNG")
            write_file(path, encoded.getvalue())
        return path

    def look_at_video(self, path: str) -> tuple[FilmInfo, bytes]:
        """Returns facts about an uploaded video, and its first frame as a JPEG file.

        Raises:
            ValueError, OSError: when the file can't be read as a video.
            ImportError: when PyAV is missing.
            BusyError: when too many files are being read.
        """
        with self.reading(), open_film(path) as reader:
            image = Image.fromarray(next(reader.frames()).picture)
        image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE))
        return reader.info, encode_preview(image)

    def copy_file(self, path: pathlib.Path) -> str:
        """Copies a file for the page; returns the path of the copy."""
        return str(shutil.copyfile(path, self.temporary_folder() / path.name))

    def copy_picture(self, path: pathlib.Path) -> str:
        """Copies a picture for the page, in a format that browsers show."""
        if not is_hidden_from_browsers(path):
            return self.copy_file(path)
        copy = self.temporary_folder() / f"{path.stem}.jpg"
        with self.reading():
            picture, info = read_picture(path, min_side=1)
            save_image(picture, copy, info=info)
        return str(copy)

    def download(self, history: History, entry: Entry, suffix: str) -> str:
        """Copies a painted picture in the format of a suffix; returns the path."""
        return str(history.convert(entry, self.temporary_folder(), suffix))

    def temporary_folder(self) -> pathlib.Path:
        """Makes a folder for a file that the page copies immediately."""
        temporary = self.folder / "temporary"
        temporary.mkdir(exist_ok=True)
        for old in temporary.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - old.stat().st_mtime > _TEMPORARY_SECONDS:
                    shutil.rmtree(old)
        folder = temporary / secrets.token_urlsafe(16)
        folder.mkdir()
        return folder


def _sides_of(picture: pathlib.Path) -> tuple[int, int]:
    """Returns the height and width of a picture, without decoding it."""
    source = PictureSource(picture.name)
    with (
        argument("picture"),
        open(picture, "rb") as file,
        open_image(file, source) as image,
    ):
        return image.height, image.width


def shrink(path: pathlib.Path, size: int = SHOWN_SIZE) -> Image.Image:
    """Reads a picture as it looks on a screen, at most `size` pixels long."""
    image = to_pil(load_image(path, min_side=1))
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return image


def jpeg_copy(path: pathlib.Path, size: int = SHOWN_SIZE) -> bytes:
    """Reads a picture as a JPEG file for the page."""
    return encode_preview(shrink(path, size))


def is_hidden_from_browsers(path: str | os.PathLike[str]) -> bool:
    """Returns whether a picture is a HEIF file, which most browsers don't show."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return may_be_heif(file.read(12))
    return False


def in_labels(error: BaseException, labels: Mapping[str, str]) -> str:
    """An error's message, with the labels of fields instead of arguments' names."""

    def label(name: str) -> str:
        return labels.get(name, name.replace("_", " "))

    text, refusal = explain(error), refusal_in(error)
    if refusal is not None and refusal.argument is not None:
        text = refusal.describe(label(refusal.argument))
    # It may mention other arguments, too.
    return re.sub(r"`(\w+)`", lambda mentioned: label(mentioned[1]), text)


def _picture_error(file: pathlib.Path) -> str | None:
    try:
        data = file.read_bytes()
        if data.startswith(b"\xff\xd8") and len(_SCAN.findall(data)) > _MOST_SCANS:
            return f"{file.name} is a JPEG file of far more scans than programs write."
        del data
        load_image(file, name="picture")
    except (ValueError, OSError, MemoryError) as error:
        text = in_labels(error, {"picture": "The picture"})
        return text.replace(repr(str(file)), file.name)
    return None


def _find_samples(
    folder: pathlib.Path | None,
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the photos and the styles in a folder, told apart by their names."""
    if folder is None:
        return [], []
    with contextlib.suppress(OSError):
        files = sorted(f for f in folder.iterdir() if f.suffix.lower() in READ_SUFFIXES)
        styles = [file for file in files if file.name.startswith("style")]
        photos = [file for file in files if file.name.startswith("photo")]
        others = [file for file in files if file not in styles + photos]
        return photos + others, styles + others
    return [], []


def _find_networks(
    styles: Sequence[pathlib.Path], folder: pathlib.Path
) -> dict[pathlib.Path, pathlib.Path]:
    """Returns the networks in a folder that have learned styles, by style."""
    named = {
        style: folder / f"{style.stem.removeprefix('style_')}{NETWORK_SUFFIX}"
        for style in styles
    }
    return {style: network for style, network in named.items() if network.is_file()}
