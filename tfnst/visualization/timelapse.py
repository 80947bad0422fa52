"""A timelapse of a run: how the picture develops, as a GIF, WebP or MP4 file."""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tfnst.checks import ArgumentError, argument, attach_refusal, check_integer
from tfnst.files import write_file
from tfnst.images.formats import check_suffix
from tfnst.video.encoding import FORMATS, FilmWriter
from tfnst.video.frames import Frame
from tfnst.video.palettes import common_palette

if TYPE_CHECKING:  # It loads TensorFlow.
    from tfnst.transfer.progress import TransferProgress

SUFFIXES = (".gif", ".webp", ".mp4")
MAX_SIZE = 1024
_FRAMES_PER_SECOND = 12
# Duration of the last frame.
_HOLD_SECONDS = 2.0


class Timelapse:
    """Collects frames of a run, evenly spaced by the work done.

    Use it as a callback of `tfnst.stylize`::

        timelapse = tfnst.Timelapse()
        result = tfnst.stylize("photo.jpg", "painting.jpg", callback=timelapse)
        timelapse.save("timelapse.mp4", last_image=result.image)

    A run calls back about twice a second; a short run gives fewer frames, and each is
    shown for longer. If it is used for another run, the timelapse begins anew. Frames
    are stored at this size, so they take at most `3 * frames * size^2` bytes, however
    long the run.

    Args:
        size: longest side of the frames in pixels, 32 to 1024; they are shrunk to it,
            never enlarged. Default 512.
        frames: largest number of frames, 2 to 1000; a second shows 12. Default 72.

    Raises:
        ValueError: when `size` or `frames` is out of its range.
    """

    def __init__(self, *, size: int = 512, frames: int = 72) -> None:
        self._size = check_integer("size", size, 32, MAX_SIZE)
        self._count = check_integer("frames", frames, 2, 1000)
        # Each frame with its number, which follows from the share of the work done.
        self._frames: list[tuple[int, Image.Image]] = []
        self._step = 0

    def __call__(self, progress: TransferProgress) -> None:
        """Takes a frame if it is time for the next one."""
        if progress.step <= self._step:  # Another run has begun.
            self._frames.clear()
        self._step = progress.step
        number = int(progress.fraction * (self._count - 1))
        if not self._frames or number > self._frames[-1][0]:
            self._frames.append((number, progress.image(size=self._size)))

    def __len__(self) -> int:
        """The number of frames taken so far."""
        return len(self._frames)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        last_image: Image.Image | None = None,
        name: str = "path",
    ) -> None:
        """Writes the timelapse, whole or not at all.

        Args:
            path: path of the file, which ends in `.gif`, `.webp` or `.mp4`. An MP4 file
                needs PyAV, which is in the extra `film`, and has even sides.
            last_image: picture to end with, as the result of a run that was stopped is
                newer than the last frame. The last frame by default.
            name: what errors call the path. Default `"path"`.

        Raises:
            ValueError: for any other suffix, or a timelapse without frames.
            ImportError: when PyAV is needed and missing.
            OSError: when the file can't be written; `FileNotFoundError` and the like.
        """
        with argument(name):
            suffix = _check_format(path)
        frames, durations = self._time_frames(last_image)
        with argument(name):
            if suffix == ".mp4":
                _write_mp4(path, frames, durations)
            else:
                write_file(path, _encode_animation(frames, durations, suffix))

    def _time_frames(
        self, last_image: Image.Image | None
    ) -> tuple[list[Image.Image], list[int]]:
        """Gives frames of equal size, and their durations in twelfths of a second."""
        numbers = [number for number, _ in self._frames]
        images = [image for _, image in self._frames]
        if last_image is not None:
            numbers = numbers or [0]
            images[-1:] = [last_image.convert("RGB")]
        if not images:
            expected = "a callback of a run before it is saved"
            raise ValueError(
                f"`Timelapse` must have been {expected}. Received: no frames"
            )
        width, height = images[-1].size
        scale = min(1.0, self._size / max(width, height))
        sides = (max(2, round(width * scale)), max(2, round(height * scale)))
        images = [
            image
            if image.size == sides
            else image.resize(sides, Image.Resampling.LANCZOS)
            for image in images
        ]
        durations = np.diff(numbers, append=numbers[-1]).tolist()
        durations[-1] = round(_HOLD_SECONDS * _FRAMES_PER_SECOND)
        return images, durations


class Film(Timelapse):
    """Former name of `Timelapse`."""

    def __init__(self, *, size: int = 512, frames: int = 72) -> None:
        message = "`tfnst.Film` is deprecated; use `tfnst.Timelapse` instead"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        super().__init__(size=size, frames=frames)


def check_timelapse_path(path: str | os.PathLike[str]) -> None:
    """Checks that `Timelapse.save` could write to a path, before the work starts.

    Raises:
        ValueError, ImportError, OSError: as `Timelapse.save`.
    """
    _check_format(path)
    write_file(path, None)


def _check_format(path: Any) -> str:
    """Returns the suffix of a path, if this format can be written."""
    suffix = check_suffix(path, SUFFIXES)
    if suffix == ".mp4" and importlib.util.find_spec("av") is None:
        expected = (
            "a .gif or .webp file unless PyAV is installed: pip install 'tfnst[film]'"
        )
        refusal = ArgumentError(expected, repr(os.fspath(path)))
        raise attach_refusal(ImportError(), refusal)
    return suffix


def _encode_animation(
    frames: list[Image.Image], durations: list[int], suffix: str
) -> bytes:
    """Encodes a GIF or WebP file that repeats for ever."""
    settings: dict[str, Any] = {"quality": 85, "method": 3}
    if suffix == ".gif":
        # The palette is mostly for the last frame.
        sampled = [frames[i] for i in np.linspace(0, len(frames) - 1, 5).astype(int)]
        palette = common_palette([*sampled, *[frames[-1]] * 3])
        frames = [frame.quantize(palette=palette) for frame in frames]
        settings = {"disposal": 1}
    data = io.BytesIO()
    frames[0].save(
        data,
        suffix[1:].upper(),
        save_all=True,
        append_images=frames[1:],
        duration=[round(1000 * each / _FRAMES_PER_SECOND) for each in durations],
        loop=0,
        **settings,
    )
    return data.getvalue()


def _write_mp4(
    path: str | os.PathLike[str], frames: list[Image.Image], durations: list[int]
) -> None:
    """Writes an MP4 file in H.264."""
    unit = Fraction(1, _FRAMES_PER_SECOND)
    pictures = itertools.chain.from_iterable(
        [np.asarray(frame)] * duration
        for frame, duration in zip(frames, durations, strict=True)
    )
    film = [Frame(i, i * unit, unit, picture) for i, picture in enumerate(pictures)]
    writer = FilmWriter(FORMATS[".mp4"], rate=1 / unit, time_base=unit)
    writer.write(path, film)
