"""Formats of painted films, and the encoder of their frames.

The encoder always runs with the same settings and the same number of threads, as other
numbers give other bytes: a run that was interrupted must give the same film.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tfnst.video.av_library import open_input, open_output
from tfnst.video.colors import BT709, LIMITED, rgb_frame, to_bt709

THREADS = 2
_CODEC_BITEXACT = 1 << 23
_MILLISECOND = Fraction(1, 1000)


@dataclasses.dataclass(frozen=True)
class VideoFormat:
    """A kind of film that can be written.

    Attributes:
        suffix: suffix of the film's file, or of the file of each frame.
        encoder: FFmpeg's name of the encoder of chunks.
        options: options of this encoder; `crf` is added where there is a quality.
        crf: default constant rate factor; None for lossless chunks.
        max_crf: largest constant rate factor.
        even: whether sides must be even.
        delay: number of frames by which decoding runs ahead of showing.
        sounds: codecs of sound that the file can hold.
        sound_encoder: encoder of any other sound; None for files without sound.
    """

    suffix: str
    encoder: str
    options: dict[str, str]
    crf: int | None = None
    max_crf: int = 51
    even: bool = False
    delay: int = 0
    sounds: tuple[str, ...] = ()
    sound_encoder: str | None = None

    @property
    def is_lossless(self) -> bool:
        """True if chunks are lossless, to be encoded again when the film ends."""
        return self.crf is None


_MP4 = VideoFormat(
    ".mp4",
    "libx264",
    # With stitchable, headers don't depend on a chunk's frames. With mbtree, the same
    # frames don't always give the same bytes: its AVX-512 code seems to read memory
    # that nothing has been written to.
    {"preset": "medium", "x264-params": "stitchable=1:mbtree=0"},
    crf=17,
    even=True,
    delay=2,
    sounds=("aac", "mp3", "ac3", "eac3", "alac", "opus"),
    sound_encoder="aac",
)
_WEBM = VideoFormat(
    ".webm",
    "libvpx-vp9",
    {"b": "0", "deadline": "good", "cpu-used": "2", "tile-columns": "1"},
    crf=22,
    max_crf=63,
    sounds=("opus", "vorbis"),
    sound_encoder="libopus",
)
_LOSSLESS = [
    # Each frame can be decoded by itself.
    VideoFormat(suffix, "ffv1", {"level": "3", "g": "1"})
    for suffix in (".gif", ".webp", ".png", ".jpg")
]
FORMATS = {format.suffix: format for format in (_MP4, _WEBM, *_LOSSLESS)}


@dataclasses.dataclass(frozen=True)
class ChunkEncoder:
    """Encoder of a film's chunks.

    Attributes:
        format: format of the film.
        crf: constant rate factor; None for the format's default.
        rate: frames per second, roughly, for the encoder's decisions.
        time_base: unit of times, in seconds.
    """

    format: VideoFormat
    crf: int | None
    rate: Fraction
    time_base: Fraction

    def encode(
        self, path: str, pictures: Iterable[np.ndarray], times: Sequence[int]
    ) -> None:
        """Encodes frames into a Matroska file, which can be decoded by itself.

        Matroska rounds times to milliseconds, so each packet gets as many milliseconds
        as there are frames before its own; the true times are kept elsewhere.

        Args:
            path: path of the file.
            pictures: the frames, each uint8 [H, W, 3].
            times: time of each frame in units of `time_base`, from 0.
        """
        ranks = {time: rank for rank, time in enumerate(times)}
        with open_output(path, "matroska") as container:
            stream: Any = None
            packets: list[Any] = []
            for picture, time in zip(pictures, times, strict=True):
                if self.format.even:
                    picture = even_sides(picture)
                if stream is None:
                    stream = self._add_stream(container, picture)
                if self.format.is_lossless:
                    frame = rgb_frame(picture).reformat(format="bgr0")
                else:
                    frame = to_bt709(picture)
                frame.pts, frame.time_base = time, self.time_base
                packets += stream.encode(frame)
            packets += stream.encode()
            for number, packet in enumerate(packets):
                packet.pts, packet.dts = ranks[packet.pts] + self.format.delay, number
                packet.time_base, packet.duration = _MILLISECOND, 1
                container.mux_one(packet)

    def _add_stream(self, container: Any, picture: np.ndarray) -> Any:
        """Adds a stream for frames of a picture's size."""
        format = self.format
        stream = container.add_stream(
            format.encoder, rate=self.rate.limit_denominator(1_000_000)
        )
        stream.height, stream.width = picture.shape[:2]
        stream.time_base = self.time_base
        context = stream.codec_context
        context.time_base = self.time_base
        context.thread_count = THREADS
        # Without this flag, FFmpeg lets x264's threads race.
        context.flags |= _CODEC_BITEXACT
        if format.is_lossless:
            stream.options, stream.pix_fmt = dict(format.options), "bgr0"
            return stream
        crf = format.crf if self.crf is None else self.crf
        stream.options = format.options | {"crf": str(crf)}
        stream.pix_fmt = "yuv420p"
        context.color_range = LIMITED
        context.colorspace = BT709
        context.color_primaries = context.color_trc = BT709
        return stream


def even_sides(picture: np.ndarray) -> np.ndarray:
    """Repeats the last row and column of a picture where a side is odd.

    Chroma has half the resolution, so H.264 needs even sides. Nothing of the picture
    is lost, and a line that repeats its neighbour can't be seen.
    """
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def decode_chunk(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Yields the pictures of a lossless chunk, uint8 [H, W, 3]."""
    with open_input(path) as container:
        for frame in container.decode(video=0):
            yield frame.reformat(format="rgb24").to_ndarray()
