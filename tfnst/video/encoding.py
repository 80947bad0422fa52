"""Encoders: what a film's frames become in each kind of file.

Encoders always run with the same settings and the same number of threads, as other
numbers give other bytes: a run that was interrupted must give the same film.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tfnst.video.av_library import open_input, open_output
from tfnst.video.colors import BT709, LIMITED, rgb_frame, to_bt709

THREADS = 2
_CODEC_BITEXACT = 1 << 23


@dataclasses.dataclass(frozen=True)
class VideoFormat:
    """How a kind of film is written.

    Attributes:
        encoder: of the segments: FFmpeg's name.
        options: of the encoder; `crf` is added where there is a quality.
        crf: the default constant rate factor; None for lossless segments.
        even: whether sides must be even.
        delay: by how many frames decoding runs ahead of showing.
        sounds: codecs of sound that the file can hold.
        sound_encoder: encoder of any other sound; None where there is no sound.
    """

    encoder: str
    options: dict[str, str]
    crf: int | None = None
    even: bool = False
    delay: int = 0
    sounds: tuple[str, ...] = ()
    sound_encoder: str | None = None

    @property
    def is_lossless(self) -> bool:
        """Whether segments are lossless, to be encoded again when the film ends."""
        return self.crf is None


# Lossless, each frame by itself.
_LOSSLESS = VideoFormat("ffv1", {"level": "3", "g": "1"})
FORMATS = {
    ".mp4": VideoFormat(
        "libx264",
        # With stitchable, headers don't depend on a segment's frames. With mbtree, the
        # same frames don't always give the same bytes: its AVX-512 code seems to read
        # memory that nothing has been written to.
        {"preset": "medium", "x264-params": "stitchable=1:mbtree=0"},
        crf=17,
        even=True,
        delay=2,
        sounds=("aac", "mp3", "ac3", "eac3", "alac", "opus"),
        sound_encoder="aac",
    ),
    ".webm": VideoFormat(
        "libvpx-vp9",
        {"b": "0", "deadline": "good", "cpu-used": "2", "tile-columns": "1"},
        crf=22,
        sounds=("opus", "vorbis"),
        sound_encoder="libopus",
    ),
    ".gif": _LOSSLESS,
    ".webp": _LOSSLESS,
    ".png": _LOSSLESS,
    ".jpg": _LOSSLESS,
}


def even_sides(picture: np.ndarray) -> np.ndarray:
    """The picture with its last row and column doubled where a side is odd.

    Chroma has half the resolution, so H.264 needs even sides. Nothing of the picture
    is lost, and a line that repeats its neighbour can't be seen.
    """
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def encode_segment(
    path: str,
    pictures: Iterable[np.ndarray],
    times: Iterable[int],
    *,
    format: VideoFormat,
    crf: int | None,
    rate: Fraction,
    time_base: Fraction,
) -> None:
    """Encodes frames into a Matroska file, which can be decoded by itself.

    Matroska rounds times to milliseconds, so each packet there is at as many
    milliseconds as its frame has before it; the true times are kept elsewhere.

    Args:
        path: of the file.
        pictures: uint8 [H, W, 3] each.
        times: of each, as multiples of the time base, from 0.
        format: of the film.
        crf: the constant rate factor; the format's by default.
        rate: frames per second, roughly, for the encoder's decisions.
        time_base: in seconds.
    """
    options, shown = dict(format.options), list(times)
    ranks = {time: rank for rank, time in enumerate(shown)}
    if not format.is_lossless:
        options["crf"] = str(format.crf if crf is None else crf)
    with open_output(path, "matroska") as container:
        stream: Any = None
        packets: list[Any] = []
        for picture, time in zip(pictures, shown, strict=True):
            if format.even:
                picture = even_sides(picture)
            if stream is None:
                stream = container.add_stream(
                    format.encoder, rate=rate.limit_denominator(1_000_000)
                )
                _set_up(stream, picture, format, options, time_base)
            if format.is_lossless:
                frame = rgb_frame(picture).reformat(format="bgr0")
            else:
                frame = to_bt709(picture)
            frame.pts, frame.time_base = time, time_base
            packets += stream.encode(frame)
        packets += stream.encode()
        for number, packet in enumerate(packets):
            packet.pts, packet.dts = ranks[packet.pts] + format.delay, number
            packet.time_base, packet.duration = _MILLISECOND, 1
            container.mux_one(packet)


_MILLISECOND = Fraction(1, 1000)


def _set_up(
    stream: Any,
    picture: np.ndarray,
    format: VideoFormat,
    options: dict[str, str],
    time_base: Fraction,
) -> None:
    """Settings of an encoder for frames like a picture."""
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "bgr0" if format.is_lossless else "yuv420p"
    stream.options = options
    stream.time_base = time_base
    context = stream.codec_context
    context.time_base = time_base
    context.thread_count = THREADS
    # Without this flag, FFmpeg lets x264's threads race.
    context.flags |= _CODEC_BITEXACT
    if not format.is_lossless:
        context.color_range = LIMITED
        context.colorspace = BT709
        context.color_primaries = context.color_trc = BT709


def decode_segment(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """The pictures of a lossless segment, uint8 [H, W, 3]."""
    with open_input(path) as container:
        for frame in container.decode(video=0):
            yield frame.reformat(format="rgb24").to_ndarray()
