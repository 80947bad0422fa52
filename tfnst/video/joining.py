"""Joining chunks into a film: without encoding again, or as an animation or pictures.

Everything streams: memory doesn't depend on the film's length.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from tfnst.files import write_file
from tfnst.video.av_library import open_input, open_output
from tfnst.video.chunks import Chunk, Chunks
from tfnst.video.colors import rgb_frame
from tfnst.video.encoding import THREADS, VideoFormat, decode_chunk
from tfnst.video.frames import to_ticks
from tfnst.video.palettes import common_palette
from tfnst.video.picture_files import NUMBER
from tfnst.video.sound import Track, add_track

_HUNDREDTH = Fraction(1, 100)
_MILLISECOND = Fraction(1, 1000)
_QUALITY = 95
# A GIF file's palette comes from so many frames of so many chunks, at most.
_PALETTE_FRAMES, _PALETTE_CHUNKS = 4, 8


def join_packets(
    path: str,
    chunks: Chunks,
    *,
    format: VideoFormat,
    time_base: Fraction,
    tracks: Sequence[Track],
    metadata: Mapping[str, str],
) -> None:
    """Writes an MP4 or WebM file with the packets of chunks, and with sound.

    Args:
        path: path of the file to write.
        chunks: all chunks of the film.
        format: format of the film.
        time_base: unit of the film's times, in seconds.
        tracks: sound tracks, which end where the film does.
        metadata: texts to store in the file, by FFmpeg's names.
    """
    suffix = format.suffix
    options = {"movflags": "+faststart"} if suffix == ".mp4" else {}
    with (
        open_output(path, suffix[1:], options) as output,
        contextlib.ExitStack() as files,
    ):
        output.metadata.update(metadata)
        with open_input(chunks[0].path) as source:
            target = output.add_stream_from_template(source.streams.video[0])
        target.time_base = time_base
        pictures = _packets(chunks, target, format.delay, time_base)
        last = chunks[-1]
        end = last.times[-1] + last.durations[-1]
        sounds = [add_track(track, output, files, end) for track in tracks]
        for packet in heapq.merge(pictures, *sounds, key=_decoding_time):
            output.mux_one(packet)


def _packets(
    chunks: Chunks, target: Any, delay: int, time_base: Fraction
) -> Iterator[Any]:
    """Yields the packets of all chunks, with their times in the film."""
    decoded: deque[int] = deque()
    for number, chunk in enumerate(chunks):
        shown = [to_ticks(time, time_base) for time in chunk.times]
        durations = _durations(chunk, time_base)
        if not number:
            step = max(1, durations[0])
            decoded.extend((i - delay) * step for i in range(delay))
        decoded.extend(shown)
        with open_input(chunk.path) as source:
            for packet in source.demux(video=0):
                if packet.size:
                    rank = packet.pts - delay
                    packet.pts, packet.dts = shown[rank], decoded.popleft()
                    packet.duration, packet.time_base = durations[rank], time_base
                    packet.stream = target
                    yield packet


def _decoding_time(packet: Any) -> Fraction:
    return packet.dts * Fraction(packet.time_base)


def write_animation(path: str, chunks: Chunks, *, format: VideoFormat) -> None:
    """Encodes lossless chunks as a GIF or WebP file that repeats for ever.

    Times are rounded to hundredths (GIF) or thousandths (WebP) of a second, without
    adding up.

    Args:
        path: path of the file to write.
        chunks: all chunks of the film.
        format: format of the film.
    """
    is_gif = format.suffix == ".gif"
    base = _HUNDREDTH if is_gif else _MILLISECOND
    palette = _palette(chunks) if is_gif else None
    options = {"loop": "0"}
    if is_gif:
        options["final_delay"] = str(_durations(chunks[-1], base)[-1])
    with open_output(path, format.suffix[1:], options) as output:
        stream: Any = None
        durations: dict[int, int] = {}
        for picture, time, duration in _frames(chunks, base):
            durations[time] = duration
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
                packet.duration = durations.pop(packet.pts)
                output.mux_one(packet)
        for packet in stream.encode():
            packet.duration = durations.pop(packet.pts)
            output.mux_one(packet)


def write_pictures(path: str, chunks: Chunks, *, format: VideoFormat) -> None:
    """Writes each frame of lossless chunks as a picture file, numbered from 1.

    Args:
        path: a pattern with a number such as `%05d`.
        chunks: all chunks of the film.
        format: format of the film.
    """
    folder, last = os.path.split(path)
    number = 0
    for chunk in chunks:
        for picture in decode_chunk(chunk.path):
            number += 1
            written = NUMBER.sub(lambda found: found[0] % number, last, count=1)  # noqa: B023
            data = io.BytesIO()
            image = Image.fromarray(picture)
            if format.suffix == ".png":
                image.save(data, "PNG")
            else:
                image.save(data, "JPEG", quality=_QUALITY, subsampling=0)
            write_file(os.path.join(folder, written), data.getvalue())


def _durations(chunk: Chunk, base: Fraction) -> list[int]:
    """Durations of a chunk's frames, in multiples of a fraction of a second."""
    pairs = zip(chunk.times, chunk.durations, strict=True)
    return [
        max(1, to_ticks(time + length, base) - to_ticks(time, base))
        for time, length in pairs
    ]


def _frames(chunks: Chunks, base: Fraction) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields each picture with its time and duration; times rise."""
    last = -1
    for chunk in chunks:
        pictures, durations = decode_chunk(chunk.path), _durations(chunk, base)
        for picture, time, length in zip(pictures, chunk.times, durations, strict=True):
            last = max(last + 1, to_ticks(time, base))
            yield picture, last, length


def _palette(chunks: Chunks) -> Image.Image:
    """Finds 256 colours for the whole film, from a few of its frames."""
    numbers = np.linspace(0, len(chunks) - 1, _PALETTE_CHUNKS).astype(int)
    sampled = []
    for number in np.unique(numbers).tolist():
        chunk = chunks[number]
        chosen = np.linspace(0, len(chunk.times) - 1, _PALETTE_FRAMES).astype(int)
        for i, picture in enumerate(decode_chunk(chunk.path)):
            if i in chosen:
                image = Image.fromarray(picture)
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
