"""What the page works with: uploads, samples, histories and the queue."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import pathlib
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfnst.checks import argument, refusal_in
from tfnst.config import StyleTransferConfig
from tfnst.images.decoding import open_image
from tfnst.images.formats import READ_SUFFIXES
from tfnst.images.heif import may_be_heif
from tfnst.images.reading import load_image, read_picture
from tfnst.images.source import PictureSource
from tfnst.images.style_images import StyleImage
from tfnst.images.writing import save_image, to_pil
from tfnst.studio import form
from tfnst.studio.history import Entry, History
from tfnst.studio.jobs import BusyError, Job, JobQueue, in_words
from tfnst.studio.limits import Limits
from tfnst.studio.orders import Film, Order
from tfnst.studio.painters import Loading, LocalPainter, ServerPainter
from tfnst.studio.previews import PREVIEW_SIZE, encode_preview
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import FilmInfo
from tfnst.video.reading import open_film

# Longest side of the copies of pictures that the page shows.
SHOWN_SIZE = 1024
_SAMPLE_SIZE = 200
_REMEMBERED = 64
# Files of visitors that are read at a time, and seconds for which others wait.
_AT_ONCE, _MOST_WAITING = 2, 60.0
# Where a scan of a JPEG file begins. Each goes over the whole picture, even if it is a
# hundred bytes long, and programs write ten or so: files of more than these would keep
# others waiting.
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_MOST_SCANS = 200
_PASSING_SECONDS = 600.0
_DAY = 24 * 3600.0

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StyleInput:
    """A style as it was filled in.

    Attributes:
        image: path of the picture.
        weight: its share of the style.
        scale: its size relative to the others.
        rotations: in how many ways it is seen, as for `StyleImage`.
        layers: those that it speaks for, with commas between them; empty for all.
        mask: where it is taken from, float [H, W] in [0, 1]; None for everywhere.
        region: where it goes, likewise.
    """

    image: pathlib.Path
    weight: float = 1.0
    scale: float = 1.0
    rotations: int = 1
    layers: str = ""
    mask: np.ndarray | None = None
    region: np.ndarray | None = None

    def everywhere(self) -> StyleInput:
        """The same style without its region."""
        return dataclasses.replace(self, region=None)


class Studio:
    """One studio, which all pages share.

    Args:
        output: folder of the painted pictures.
        config: the settings that pages begin with, and those that visitors can't see.
        limits: what visitors may ask for.
        server: address of a server that paints; None to paint in this process.
        samples: folder with pictures to offer; None for none.
        shared: whether all visitors see the same pictures. Otherwise each browser has
            a folder of its own.
        loading: as for `LocalPainter`.

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
        shared: bool = True,
        loading: Loading = contextlib.nullcontext,
    ) -> None:
        self.config = config
        self.limits = limits
        self.server = server
        self.shared = shared
        self.fields = form.fields(on_server=server is not None)
        self.photos, self.styles = _find_samples(samples)
        painter = (
            LocalPainter(config, loading) if server is None else ServerPainter(server)
        )
        self._temporary = tempfile.TemporaryDirectory(
            prefix="tfnst-studio-", ignore_cleanup_errors=True
        )
        self.folder = pathlib.Path(self._temporary.name)
        try:
            self._all = self._open(pathlib.Path(output))
        except OSError:
            self._temporary.cleanup()
            raise
        self._histories: dict[str, History] = {}
        self._checked: OrderedDict[Any, str | None] = OrderedDict()
        self._remembering = threading.Lock()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._closed = threading.Event()
        # Servers paint pictures only.
        self.paints_films = server is None and limits.max_frames > 0
        self.queue = JobQueue(painter, limits)

    def start(self) -> None:
        """Begins to load what painting needs, and to paint."""
        self.queue.start()
        if self.limits.max_days:
            threading.Thread(target=self._tidy, name="tidying", daemon=True).start()

    def close(self) -> None:
        """Stops all runs, keeping the pictures so far, and removes temporary files."""
        self._closed.set()
        self.queue.close()
        self._temporary.cleanup()

    def history(self, visitor: str) -> History:
        """The pictures that a visitor sees.

        Args:
            visitor: a secret of their browser.
        """
        if self.shared:
            return self._all
        return self._history_in(hashlib.sha256(visitor.encode()).hexdigest()[:24])

    def _history_in(self, name: str) -> History:
        """The history of the visitor whose folder has this name."""
        if name not in self._histories:
            self._histories[name] = self._open(self._visitors / name)
        return self._histories[name]

    @property
    def _visitors(self) -> pathlib.Path:
        return self._all.folder / "visitors"

    def delete_old(self) -> None:
        """Deletes the pictures and films of all visitors that are too old."""
        before = time.time() - self.limits.max_days * _DAY
        names = []
        with contextlib.suppress(OSError):
            names = os.listdir(self._visitors)
        for history in (self._all, *map(self._history_in, names)):
            history.delete_older(before, self.queue.files)

    def _tidy(self) -> None:
        """The work of a thread: deletes what is too old, every hour."""
        while True:
            try:
                self.delete_old()
            except OSError as error:  # Disks fail, and the next time may be better.
                _log.warning("old pictures can't be deleted: %s", in_words(error))
            if self._closed.wait(3600):
                return

    def scratch(self, tab: str) -> History:
        """A history of pictures to look at and throw away when the page is closed."""
        return self._open(self._scratch_folder(tab))

    def _open(self, folder: pathlib.Path) -> History:
        return History(folder, self.folder / "thumbnails")

    def leave(self, tab: str) -> None:
        """Ends what a page was doing that has been closed."""
        self.queue.leave(tab)
        shutil.rmtree(self._scratch_folder(tab), ignore_errors=True)

    def _scratch_folder(self, tab: str) -> pathlib.Path:
        return self.folder / f"tab-{hashlib.sha256(tab.encode()).hexdigest()[:24]}"

    def check_picture(self, path: str) -> str | None:
        """What is wrong with a picture that was handed in, in words; None if nothing.

        Args:
            path: of the file.
        """
        file = pathlib.Path(path)
        try:
            there = file.stat()
            key = path, there.st_mtime_ns, there.st_size
            with self._remembering:
                if key in self._checked:
                    self._checked.move_to_end(key)
                    return self._checked[key]
            with self._place():
                wrong = _what_is_wrong(file)
        except OSError:
            return "The file is no longer there; choose it again."
        except BusyError as error:
            return str(error)
        with self._remembering:
            self._checked[key] = wrong
            while len(self._checked) > _REMEMBERED:
                self._checked.popitem(last=False)
        return wrong

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Waits until a file may be read: a picture takes twelve bytes a pixel.

        Raises:
            BusyError: when others take too long.
        """
        if not self._places.acquire(timeout=_MOST_WAITING):
            raise BusyError("Too many files are being read; try again in a minute.")
        try:
            yield
        finally:
            self._places.release()

    def read_settings(
        self, values: Mapping[str, Any]
    ) -> tuple[StyleTransferConfig | None, dict[str, str]]:
        """The settings in a filled form, or what is wrong with them, by field."""
        config, wrong = form.read_values(values, self.fields, self.config)
        labels = {field.name: field.label for field in self.fields}
        return config, {name: in_labels(each, labels) for name, each in wrong.items()}

    def order(
        self,
        history: History,
        content: str,
        styles: Sequence[StyleInput],
        config: StyleTransferConfig,
        label: str = "",
        bits: int = 8,
    ) -> Order:
        """An order for a picture, with copies of what it is painted from.

        Args:
            history: where the picture and its sources are kept.
            content: path of the photo, which has been checked.
            styles: which have been checked.
            config: the settings.
            label: see `Order`.
            bits: see `Order`.

        Raises:
            ValueError: when the host's limits don't allow it.
        """
        source = PictureSource(os.path.basename(content))
        with (
            argument("picture"),
            open(content, "rb") as file,
            open_image(file, source) as image,
        ):
            self.limits.check(config, (image.height, image.width))
        return Order(
            content=history.keep_source(content),
            styles=_keep_styles(history, styles),
            config=config,
            label=label,
            bits=bits,
        )

    def order_film(
        self,
        history: History,
        path: str,
        styles: Sequence[StyleInput],
        config: StyleTransferConfig,
        film: Film,
        suffix: str,
    ) -> Order:
        """An order for a film, with copies of what it is painted from.

        Args:
            history: where the film and its sources are kept.
            path: of the film.
            styles: which have been checked.
            config: the settings.
            film: how to paint it.
            suffix: of the file that is painted.

        Raises:
            ValueError, OSError: when it is no film, or the host's limits don't allow
                it.
            BusyError: when too many files are being read.
        """
        with self._place(), open_film(path) as reader:
            info = reader.info
        self.limits.check(config, (info.height, info.width))
        frames = FrameRange(film.start, film.end, film.every).count(info)
        self.limits.check_frames(frames or 0)
        return Order(
            content=history.keep_source(path),
            styles=_keep_styles(history, styles),
            config=config,
            film=film,
            suffix=suffix,
        )

    def look_at_film(self, path: str) -> tuple[FilmInfo, bytes]:
        """What is known of a film that was handed in, and its first frame, for pages.

        Raises:
            ValueError, OSError: when it is no film.
            ImportError: when what reads it isn't installed.
            BusyError: when too many files are being read.
        """
        with self._place(), open_film(path) as reader:
            image = Image.fromarray(next(reader.frames()).picture)
        image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE))
        return reader.info, encode_preview(image)

    def submit(self, job: Job) -> None:
        """Hands a job in.

        Raises:
            BusyError: when there are too many.
        """
        try:
            self.queue.submit(job)
        except BusyError:
            for order in job.orders:
                job.history.forget(order, self.queue.files)
            raise

    def stop(self, key: str) -> None:
        """Ends a job, keeping the picture so far."""
        self.queue.stop(key)

    def sample_thumbnail(self, path: pathlib.Path) -> str:
        """The path of a small copy of a sample, for galleries."""
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        small = folder / f"{path.stem}{path.suffix[1:]}.jpg"
        if not small.exists():
            small.write_bytes(shown(path, _SAMPLE_SIZE))
        return str(small)

    def hand_out(self, path: pathlib.Path) -> str:
        """A copy of a file for the page."""
        return str(shutil.copyfile(path, self.passing_folder() / path.name))

    def hand_out_picture(self, path: pathlib.Path) -> str:
        """A copy of a picture for the page, in a format that browsers show."""
        if not is_hidden_from_browsers(path):
            return self.hand_out(path)
        copy = self.passing_folder() / f"{path.stem}.jpg"
        with self._place():
            picture, info = read_picture(path, min_side=1)
            save_image(picture, copy, info=info)
        return str(copy)

    def download(self, history: History, entry: Entry, suffix: str) -> str:
        """A copy of a painted picture in the format of a suffix."""
        return str(history.convert(entry, self.passing_folder(), suffix))

    def passing_folder(self) -> pathlib.Path:
        """A folder for a file that the page takes a copy of at once."""
        passing = self.folder / "passing"
        passing.mkdir(exist_ok=True)
        for old in passing.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - old.stat().st_mtime > _PASSING_SECONDS:
                    shutil.rmtree(old)
        folder = passing / secrets.token_urlsafe(16)
        folder.mkdir()
        return folder


def _keep_styles(
    history: History, styles: Sequence[StyleInput]
) -> tuple[StyleImage, ...]:
    """The styles of an order, whose pictures and masks stay where they are."""
    return tuple(
        StyleImage(
            image=history.keep_source(style.image),
            weight=style.weight,
            scale=style.scale,
            rotations=style.rotations,
            layers=[x.strip() for x in style.layers.split(",") if x.strip()] or None,
            mask=history.keep_mask(style.mask),
            region=history.keep_mask(style.region),
        )
        for style in styles
    )


def shrink(path: pathlib.Path, size: int = SHOWN_SIZE) -> Image.Image:
    """A picture as it looks on a screen, at most `size` pixels long."""
    image = to_pil(load_image(path, min_side=1))
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return image


def shown(path: pathlib.Path, size: int = SHOWN_SIZE) -> bytes:
    """A picture as a JPEG file for the page."""
    return encode_preview(shrink(path, size))


def is_hidden_from_browsers(path: str | os.PathLike[str]) -> bool:
    """Tells whether a picture is a HEIF file, which most browsers don't show."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return may_be_heif(file.read(12))
    return False


def in_labels(error: BaseException, labels: Mapping[str, str]) -> str:
    """What an error says, with the labels of fields in place of arguments' names."""

    def label(name: str) -> str:
        return labels.get(name, name.replace("_", " "))

    text, refusal = in_words(error), refusal_in(error)
    if refusal is not None and refusal.argument is not None:
        text = refusal.describe(label(refusal.argument))
    # It may mention other arguments, too.
    return re.sub(r"`(\w+)`", lambda mentioned: label(mentioned[1]), text)


def _what_is_wrong(file: pathlib.Path) -> str | None:
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
    """The photos and the styles in a folder of samples, by how their names begin."""
    if folder is None:
        return [], []
    with contextlib.suppress(OSError):
        files = sorted(f for f in folder.iterdir() if f.suffix.lower() in READ_SUFFIXES)
        styles = [file for file in files if file.name.startswith("style")]
        photos = [file for file in files if file.name.startswith("photo")]
        others = [file for file in files if file not in styles + photos]
        return photos + others, styles + others
    return [], []
