"""Formats of painted films, and their encoding.

Encoders always run with the same settings and the same number of threads, as other
numbers give other bytes: a film that was interrupted must be the same file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import io
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from tfnst.files import is_machine_error, replaced_file, warn_unwritten, write_file
from tfnst.video.av_library import describe, open_output
from tfnst.video.colors import BT709, LIMITED, rgb_frame, to_bt709
from tfnst.video.frames import Frame, fit_time_base, to_ticks
from tfnst.video.outputs import make_pattern
from tfnst.video.palettes import common_palette
from tfnst.video.picture_files import NUMBER
from tfnst.video.sound import Track, add_track

_THREADS = 2
_CODEC_BITEXACT = 1 << 23
_JPEG_QUALITY = 95
# A GIF file's palette comes from so many frames at most.
_PALETTE_FRAMES = 32


@dataclasses.dataclass(frozen=True)
class FilmFormat:
    """A kind of film that can be written.

    Attributes:
        suffix: suffix of the film's file.
        encoder: FFmpeg's name of the encoder; "" for picture files.
        options: options of this encoder; `crf` is added where there is a quality.
        container_options: options of the muxer.
        pix_fmt: FFmpeg's name of the pixels' format.
        time_base: unit of times in seconds; None where the source's is kept.
        crf: default constant rate factor; None where there is none.
        max_crf: largest constant rate factor.
        sounds: codecs of sound that the file can hold.
        sound_encoder: encoder of any other sound; None for files without sound.
    """

    suffix: str
    encoder: str = ""
    options: dict[str, str] = dataclasses.field(default_factory=dict)
    container_options: dict[str, str] = dataclasses.field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    time_base: Fraction | None = None
    crf: int | None = None
    max_crf: int = 51
    sounds: tuple[str, ...] = ()
    sound_encoder: str | None = None


_FORMATS = (
    FilmFormat(
        ".mp4",
        "libx264",
        # With mbtree, the same frames don't always give the same bytes: its AVX-512
        # code seems to read memory that nothing has been written to.
        {"preset": "medium", "x264-params": "mbtree=0"},
        {"movflags": "+faststart"},
        crf=17,
        sounds=("aac", "mp3", "ac3", "eac3", "alac", "opus"),
        sound_encoder="aac",
    ),
    FilmFormat(
        ".webm",
        "libvpx-vp9",
        {"b": "0", "deadline": "good", "cpu-used": "2", "tile-columns": "1"},
        crf=22,
        max_crf=63,
        sounds=("opus", "vorbis"),
        sound_encoder="libopus",
    ),
    FilmFormat(
        ".gif",
        "gif",
        container_options={"loop": "0"},
        pix_fmt="pal8",
        time_base=Fraction(1, 100),
    ),
    FilmFormat(
        ".webp",
        "libwebp",
        {"quality": "90", "compression_level": "4"},
        {"loop": "0"},
        pix_fmt="bgra",
        time_base=Fraction(1, 1000),
    ),
    FilmFormat(".png"),
    FilmFormat(".jpg"),
)
FORMATS = {format.suffix: format for format in _FORMATS}


@dataclasses.dataclass(frozen=True)
class FilmWriter:
    """Writes the frames of a film. Memory doesn't depend on its length.

    Attributes:
        format: format of the film.
        rate: frames per second, roughly, for the encoder's decisions.
        time_base: seconds of which the frames' times are multiples, so that they are
            stored exactly; GIF and WebP files have their own.
        crf: constant rate factor; that of the format by default.
        tracks: sound tracks, which end where the film does.
        metadata: texts to store in MP4 and WebM files, by FFmpeg's names.
        callback: called after each frame with the number of written ones.
        folder: folder for what is written until the film is whole; by default its own.
    """

    format: FilmFormat
    rate: Fraction
    time_base: Fraction
    crf: int | None = None
    tracks: Sequence[Track] = ()
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    callback: Callable[[int], None] = lambda written: None
    folder: str | None = None

    def write(self, output: str | os.PathLike[str], frames: Sequence[Frame]) -> None:
        """Writes a film of one frame or more, whole or not at all.

        Args:
            output: path of the film, of the given format.
            frames: the frames, which are asked for one after the other; a GIF file
                needs some of them before, for its palette.

        Raises:
            OSError: when it can't be written.
        """
        if not self.format.encoder:
            self._write_pictures(make_pattern(output), frames)
            return
        import av

        with replaced_file(output, folder=self.folder) as path:
            try:
                self._encode(path, frames, self.tracks)
            except (av.error.FFmpegError, ValueError) as error:
                if not self.tracks or is_machine_error(error):
                    raise
                self._encode(path, frames, ())
                warn_unwritten("The sound", ValueError(describe(error)))

    def _write_pictures(self, pattern: str, frames: Sequence[Frame]) -> None:
        """Writes each frame as a PNG or JPEG file, numbered from 1."""
        folder, last = os.path.split(pattern)
        for number, frame in enumerate(frames, 1):
            name = NUMBER.sub(lambda found: found[0] % number, last, count=1)  # noqa: B023
            data, image = io.BytesIO(), Image.fromarray(frame.picture)
            if self.format.suffix == ".png":
                image.save(data, "PNG")
            else:
                image.save(data, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
            write_file(os.path.join(folder, name), data.getvalue())
            self.callback(number)

    def _encode(
        self, path: str, frames: Sequence[Frame], tracks: Sequence[Track]
    ) -> None:
        base = self.format.time_base or fit_time_base(self.time_base)
        options = dict(self.format.container_options)
        if self.format.suffix == ".gif":
            options["final_delay"] = str(_duration(frames[-1], frames[0].time, base))
        convert = _converter(self.format, frames)
        rest = iter(frames)
        first = next(rest)
        with (
            open_output(path, self.format.suffix[1:], options) as output,
            contextlib.ExitStack() as files,
        ):
            output.metadata.update(self.metadata)
            stream = self._add_stream(output, convert(first.picture), base)
            sounds = [add_track(track, output, files) for track in tracks]
            pictures = self._packets(first, rest, convert, stream, base)
            for packet in heapq.merge(pictures, *sounds, key=_decoding_time):
                if isinstance(packet, Fraction):
                    break
                output.mux_one(packet)

    def _add_stream(self, output: Any, first: Any, base: Fraction) -> Any:
        """Adds a stream for frames like the first one."""
        format, rate = self.format, self.rate.limit_denominator(1_000_000)
        stream = output.add_stream(format.encoder, rate=rate)
        stream.width, stream.height = first.width, first.height
        stream.options, stream.pix_fmt = dict(format.options), format.pix_fmt
        context = stream.codec_context
        stream.time_base = context.time_base = base
        context.thread_count = _THREADS
        # Without this flag, FFmpeg lets x264's threads race.
        context.flags |= _CODEC_BITEXACT
        if format.crf is not None:
            crf = format.crf if self.crf is None else self.crf
            stream.options |= {"crf": str(crf)}
            context.color_range, context.colorspace = LIMITED, BT709
            context.color_primaries = context.color_trc = BT709
        return stream

    def _packets(
        self,
        first: Frame,
        rest: Iterator[Frame],
        convert: Callable[[np.ndarray], Any],
        stream: Any,
        base: Fraction,
    ) -> Iterator[Any]:
        """Yields the packets of a film's frames, and the film's end, in seconds."""
        start, last, durations = first.time, -1, {}
        end = start
        for number, frame in enumerate(itertools.chain([first], rest, [None]), 1):
            converted = None  # Makes the encoder give its last packets.
            if frame is not None:
                end = frame.time + frame.duration
                converted = convert(frame.picture)
                # Times are rounded one by one, so that errors don't add up, and rise.
                last = max(last + 1, to_ticks(frame.time - start, base))
                durations[last] = _duration(frame, start, base)
                converted.pts, converted.time_base = last, base
                self.callback(number)
            for packet in stream.encode(converted):
                packet.duration = durations.pop(packet.pts)
                yield packet
        yield end - start


def _duration(frame: Frame, start: Fraction, base: Fraction) -> int:
    """Returns the duration of a frame as a multiple of a time base."""
    time = frame.time - start
    return max(1, to_ticks(time + frame.duration, base) - to_ticks(time, base))


def _decoding_time(packet: Any) -> Fraction:
    """Returns the time of a packet, or the time itself."""
    if isinstance(packet, Fraction):
        return packet
    return packet.dts * Fraction(packet.time_base)


def _converter(
    format: FilmFormat, frames: Sequence[Frame]
) -> Callable[[np.ndarray], Any]:
    """Returns a function that converts pictures to a format's frames."""
    if format.suffix == ".mp4":
        # H.264's chroma is there by default; VP9 doesn't say.
        return lambda picture: to_bt709(even_sides(picture), chroma="left")
    if format.suffix == ".webm":
        return to_bt709
    if format.suffix == ".webp":
        return rgb_frame
    palette = _palette(frames)
    return lambda picture: _indexed(picture, palette)


def even_sides(picture: np.ndarray) -> np.ndarray:
    """Repeats the last row and column of a picture where a side is odd.

    Chroma has half the resolution, so H.264 needs even sides. Nothing of the picture
    is lost, and a line that repeats its neighbour can't be seen.
    """
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _palette(frames: Sequence[Frame]) -> Image.Image:
    """Finds 256 colours for a whole film, from a few of its frames."""
    sampled = []
    for number in np.unique(
        np.linspace(0, len(frames) - 1, _PALETTE_FRAMES, dtype=int)
    ):
        image = Image.fromarray(frames[int(number)].picture)
        # Large frames are thinned out, not blended, which would lose colours.
        image.thumbnail((256, 256), Image.Resampling.NEAREST)
        sampled.append(image)
    return common_palette(sampled)


def _indexed(picture: np.ndarray, palette: Image.Image) -> Any:
    """Converts a picture to a frame of the format pal8."""
    import av

    indices = np.asarray(Image.fromarray(picture).quantize(palette=palette))
    colours = np.zeros((256, 4), np.uint8)
    values = np.asarray(palette.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[:, 0], colours[: len(values), 1:] = 255, values
    return av.VideoFrame.from_ndarray((indices, colours), format="pal8")
