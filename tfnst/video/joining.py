"""Joining segments into a film: without encoding again, or as an animation or pictures.

Everything streams: memory doesn't depend on the film's length.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from tfnst.files import write_file
from tfnst.video.av_library import open_input, open_output
from tfnst.video.colors import rgb_frame
from tfnst.video.encoding import THREADS, decode_segment
from tfnst.video.frames import to_ticks
from tfnst.video.picture_files import NUMBER
from tfnst.video.sound import Track, add_track

_HUNDREDTH = Fraction(1, 100)
_MILLISECOND = Fraction(1, 1000)
_QUALITY = 95
# A GIF file's palette comes from so many frames of so many segments, at most.
_PALETTE_FRAMES, _PALETTE_SEGMENTS = 4, 8


@dataclasses.dataclass(frozen=True)
class Segment:
    """Encoded frames.

    Attributes:
        path: of the file.
        times: of each frame, in seconds from the beginning of the painted film.
        durations: of each frame, in seconds.
    """

    path: str
    times: tuple[Fraction, ...]
    durations: tuple[Fraction, ...]


# Gives a segment by its number.
Segments = Callable[[int], Segment]


def join_packets(
    path: str,
    segments: Segments,
    count: int,
    *,
    suffix: str,
    delay: int,
    time_base: Fraction,
    tracks: Sequence[Track],
    metadata: Mapping[str, str],
) -> None:
    """Joins segments into an MP4 or WebM file, with sound; nothing is encoded.

    Args:
        path: of the file to write.
        segments: gives them by number.
        count: how many there are.
        suffix: `.mp4` or `.webm`.
        delay: by how many frames decoding runs ahead of showing.
        time_base: of the film, in seconds.
        tracks: of sound, which ends where the film does.
        metadata: texts to store in the file, by FFmpeg's names.
    """
    options = {"movflags": "+faststart"} if suffix == ".mp4" else {}
    with (
        open_output(path, suffix[1:], options) as output,
        contextlib.ExitStack() as files,
    ):
        output.metadata.update(metadata)
        with open_input(segments(0).path) as source:
            target = output.add_stream_from_template(source.streams.video[0])
        target.time_base = time_base
        pictures = _packets(segments, count, target, delay, time_base)
        last = segments(count - 1)
        end = last.times[-1] + last.durations[-1]
        sounds = [add_track(track, output, files, end) for track in tracks]
        for packet in heapq.merge(pictures, *sounds, key=_decoding_time):
            output.mux_one(packet)


def _packets(
    segments: Segments, count: int, target: Any, delay: int, time_base: Fraction
) -> Iterator[Any]:
    """The packets of all segments, with their times in the film."""
    decoded: deque[int] = deque()
    for number in range(count):
        segment = segments(number)
        shown = [to_ticks(time, time_base) for time in segment.times]
        lasts = _ticks(segment, time_base)
        if not number:
            step = max(1, lasts[0])
            decoded.extend((i - delay) * step for i in range(delay))
        decoded.extend(shown)
        with open_input(segment.path) as source:
            for packet in source.demux(video=0):
                if packet.size:
                    rank = packet.pts - delay
                    packet.pts, packet.dts = shown[rank], decoded.popleft()
                    packet.duration, packet.time_base = lasts[rank], time_base
                    packet.stream = target
                    yield packet


def _decoding_time(packet: Any) -> Fraction:
    return packet.dts * Fraction(packet.time_base)


def write_animation(path: str, segments: Segments, count: int, *, suffix: str) -> None:
    """Encodes lossless segments as a GIF or WebP file that repeats for ever.

    Times are rounded to hundredths (GIF) or thousandths (WebP) of a second, without
    adding up.

    Args:
        path: of the file to write.
        segments: gives them by number.
        count: how many there are.
        suffix: `.gif` or `.webp`.
    """
    is_gif = suffix == ".gif"
    base = _HUNDREDTH if is_gif else _MILLISECOND
    palette = _common_palette(segments, count) if is_gif else None
    last = _ticks(segments(count - 1), base)[-1]
    options = {"loop": "0"}
    if is_gif:
        options["final_delay"] = str(last)
    with open_output(path, suffix[1:], options) as output:
        stream: Any = None
        lasts: dict[int, int] = {}
        for picture, time, duration in _frames(segments, count, base):
            lasts[time] = duration
            if stream is None:
                stream = output.add_stream("gif" if is_gif else "libwebp", rate=25)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "pal8" if is_gif else "bgra"
                if not is_gif:
                    stream.options = {"quality": "90", "compression_level": "4"}
                stream.time_base = stream.codec_context.time_base = base
                stream.codec_context.thread_count = THREADS
            if palette is None:
                frame = rgb_frame(picture).reformat(format="bgra")
            else:
                frame = _indexed(picture, palette)
            frame.pts, frame.time_base = time, base
            for packet in stream.encode(frame):
                packet.duration = lasts.pop(packet.pts)
                output.mux_one(packet)
        for packet in stream.encode():
            packet.duration = lasts.pop(packet.pts)
            output.mux_one(packet)


def write_pictures(path: str, segments: Segments, count: int, *, suffix: str) -> None:
    """Writes each frame of lossless segments as a picture file, numbered from 1.

    Args:
        path: a pattern with a number such as `%05d`.
        segments: gives them by number.
        count: how many there are.
        suffix: `.png` or `.jpg`.
    """
    folder, last = os.path.split(path)
    number = 0
    for index in range(count):
        for picture in decode_segment(segments(index).path):
            number += 1
            written = NUMBER.sub(lambda found: found[0] % number, last, count=1)  # noqa: B023
            data = io.BytesIO()
            image = Image.fromarray(picture)
            if suffix == ".png":
                image.save(data, "PNG")
            else:
                image.save(data, "JPEG", quality=_QUALITY, subsampling=0)
            write_file(os.path.join(folder, written), data.getvalue())


def _ticks(segment: Segment, base: Fraction) -> list[int]:
    """How long each frame is shown, in multiples of a fraction of a second."""
    pairs = zip(segment.times, segment.durations, strict=True)
    return [
        max(1, to_ticks(time + length, base) - to_ticks(time, base))
        for time, length in pairs
    ]


def _frames(
    segments: Segments, count: int, base: Fraction
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Each picture with its time and duration; times rise."""
    last = -1
    for number in range(count):
        segment = segments(number)
        lasts = _ticks(segment, base)
        pictures = decode_segment(segment.path)
        for picture, time, length in zip(pictures, segment.times, lasts, strict=True):
            last = max(last + 1, to_ticks(time, base))
            yield picture, last, length


def _common_palette(segments: Segments, count: int) -> Image.Image:
    """A palette image with 256 colours: a separate one for each frame would flicker."""
    numbers: Sequence[int] = np.unique(
        np.linspace(0, count - 1, _PALETTE_SEGMENTS).astype(int)
    ).tolist()
    sampled = []
    for number in numbers:
        segment = segments(number)
        chosen = np.linspace(0, len(segment.times) - 1, _PALETTE_FRAMES).astype(int)
        for i, picture in enumerate(decode_segment(segment.path)):
            if i in chosen:
                image = Image.fromarray(picture)
                # Large frames are thinned out, not blended, which would lose colours.
                image.thumbnail((256, 256), Image.Resampling.NEAREST)
                sampled.append(image)
    width, height = sampled[0].size
    sheet = Image.new("RGB", (width, height * len(sampled)))
    for i, image in enumerate(sampled):
        sheet.paste(image, (0, i * height))
    return sheet.quantize(256)


def _indexed(picture: np.ndarray, palette: Image.Image) -> Any:
    """A frame of the format pal8."""
    import av

    indices = np.asarray(Image.fromarray(picture).quantize(palette=palette))
    colours = np.zeros((256, 4), np.uint8)
    values = np.asarray(palette.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[:, 0], colours[: len(values), 1:] = 255, values
    return av.VideoFrame.from_ndarray((indices, colours), format="pal8")
