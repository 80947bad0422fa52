"""A film of a run: how the picture comes about, as a GIF, a WebP or an MP4."""

from __future__ import annotations

import importlib.util
import io
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.files import write_file
from tfnst.images.formats import check_suffix
from tfnst.transfer.results import TransferProgress

SUFFIXES = (".gif", ".webp", ".mp4")
MAX_SIZE = 1024
_FRAMES_PER_SECOND = 12
# How long the last frame is shown.
_HOLD_SECONDS = 2.0


class Film:
    """Frames of a run, evenly spaced by the work that is done.

    It is a callback of `tfnst.stylize`::

        film = tfnst.Film()
        result = tfnst.stylize("photo.jpg", "painting.jpg", callback=film)
        film.save("film.mp4", last_image=result.image)

    A run calls back about twice a second; where that is seldom, frames are shown for
    longer. Frames are kept shrunk, so a film of any run takes `3 * frames * size^2`
    bytes at most.

    Args:
        size: longest side of the film in pixels, 32 to 1024. It is never larger than
            the picture. Default 512.
        frames: most frames, 2 to 1000; 12 are shown in a second. Default 72.

    Raises:
        ValueError: for a size or number that is out of its range.
    """

    def __init__(self, *, size: int = 512, frames: int = 72) -> None:
        for name, value, low, high in (
            ("size", size, 32, MAX_SIZE),
            ("frames", frames, 2, 1000),
        ):
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or not low <= value <= high:
                raise ValueError(
                    f"`{name}` must be an integer from {low} to {high}. "
                    f"Received: {value!r}"
                )
        self._size = size
        self._count = frames
        # Number of the frame by the work, and the frame.
        self._frames: list[tuple[int, Image.Image]] = []

    def __call__(self, progress: TransferProgress) -> None:
        """Takes a frame where it is time for one."""
        number = int(progress.fraction * (self._count - 1))
        if not self._frames or number > self._frames[-1][0]:
            self._frames.append((number, progress.image(size=self._size)))

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self._frames)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        last_image: Image.Image | None = None,
        name: str = "path",
    ) -> None:
        """Writes the film, whole or not at all.

        Args:
            path: of the file: `.gif`, `.webp` or `.mp4`. An MP4 takes PyAV, which is in
                the extra `film`, and has even sides.
            last_image: what the film ends with; a run that was stopped has a picture
                that is newer than its last frame. By default the last frame.
            name: what errors call the path. Default `"path"`.

        Raises:
            ValueError: for another suffix, or a film without a frame.
            ImportError: when PyAV is missing.
            OSError: when the file can't be written; `FileNotFoundError` and the like.
        """
        suffix = _check_format(path, name)
        frames, durations = self._timed(last_image)
        if suffix == ".mp4":
            data = _encode_mp4(frames, durations)
        else:
            data = _encode_animation(frames, durations, suffix)
        write_file(path, data, name=name)

    def _timed(self, last_image):
        """Frames of one size, and for how many frames' time each is shown."""
        numbers = [number for number, _ in self._frames]
        images = [image for _, image in self._frames]
        if last_image is not None:
            numbers = numbers or [0]
            images[-1:] = [last_image.convert("RGB")]
        if not images:
            raise ValueError(
                "`Film` must have been a callback of a run before it is saved. "
                "Received: no frames"
            )
        width, height = images[-1].size
        scale = min(1.0, self._size / max(width, height))
        sides = [max(2, round(side * scale)) for side in (width, height)]
        images = [
            image
            if image.size == tuple(sides)
            else image.resize(sides, Image.Resampling.LANCZOS)
            for image in images
        ]
        durations = np.diff(numbers, append=numbers[-1]).tolist()
        durations[-1] = round(_HOLD_SECONDS * _FRAMES_PER_SECOND)
        return images, durations


def check_film_path(path: str | os.PathLike[str], *, name: str = "path") -> None:
    """Checks that `Film.save` could write to a path, before the work starts.

    Raises:
        ValueError, ImportError, OSError: as `Film.save`.
    """
    _check_format(path, name)
    write_file(path, None, name=name)


def _check_format(path: Any, name: str) -> str:
    suffix = check_suffix(path, name, SUFFIXES)
    if suffix == ".mp4" and importlib.util.find_spec("av") is None:
        raise ImportError(
            f"`{name}` must be a .gif or .webp where PyAV is missing; for MP4: "
            f"pip install 'tfnst[film]'. Received: {os.fspath(path)!r}"
        )
    return suffix


def _encode_animation(frames, durations, suffix):
    settings = {"quality": 85, "method": 3}
    if suffix == ".gif":
        # A palette for each frame flickers.
        palette = _common_palette(frames)
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


def _common_palette(frames):
    """256 colours for frames from the first to the last; most are the last one's."""
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, 5).astype(int)]
    width, height = frames[0].size
    shown = Image.new("RGB", (4 * width, 2 * height))
    for i, frame in enumerate([*chosen, *[frames[-1]] * 3]):
        shown.paste(frame, (i % 4 * width, i // 4 * height))
    return shown.quantize(256)


def _encode_mp4(frames, durations):
    import av

    # Chroma has half the resolution, which takes even sides.
    width, height = (side - side % 2 for side in frames[0].size)
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18", "preset": "medium"}
        for frame, duration in zip(frames, durations, strict=True):
            pixels = np.asarray(frame)[:height, :width]
            for _ in range(duration):
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return data.getvalue()
