"""The sound of a film, made ready before its first frame is painted.

Each track becomes a file of its own, in the painted film's format: what that can't hold
shows here, and not when everything is painted. In the end, packets are only copied.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfnst.checks import argument
from tfnst.files import (
    is_machine_error,
    read_file,
    show_path,
    warn_unwritten,
    write_file,
)
from tfnst.video.av_library import describe, open_input, open_output
from tfnst.video.frame_range import FrameRange, exact_seconds
from tfnst.video.frames import LONGEST_STEP

if TYPE_CHECKING:
    from tfnst.video.encoding import FilmFormat
    from tfnst.video.reading import FilmReader

_LIST = "sound.json"
# Sound that begins with the film may have packets that only prime its decoder.
_PRIMING = Fraction(1, 10)
# Seconds by which times of copied packets may go back, which are then nudged, and of a
# gap between samples that isn't filled with silence.
_STEP = Fraction(1, 10)
_BIT_RATE = 192_000
_RATE = 48_000
# Formats of samples that encoders take: planar and interleaved floats.
_SAMPLES = {"aac": "fltp", "libopus": "flt"}
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class Track(NamedTuple):
    """A sound track that is ready.

    Attributes:
        path: path of its file.
        first: time of its first packet in the painted film, in seconds.
        disposition: FFmpeg's flags, such as that of the track that players choose.
        metadata: its language and title.
    """

    path: str
    first: Fraction
    disposition: int
    metadata: dict[str, str]


@argument("output")
def prepare_sound(
    folder: str,
    film: str | os.PathLike[str],
    reader: FilmReader,
    range: FrameRange,
    format: FilmFormat,
) -> list[Track]:
    """Writes the sound tracks of a film, unless an earlier run has.

    Tracks are copied if the painted film can hold them as they are, and encoded
    otherwise. Empty ones are left out; so are those that can't be kept, with an
    UnwrittenWarning.

    Args:
        folder: path of a folder that exists.
        film: path of the film that is painted.
        reader: the same film.
        range: range of its frames.
        format: format of the painted film.

    Raises:
        OSError: when the disk is full.
    """
    listed = os.path.join(folder, _LIST)
    if not reader.info.has_sound or format.sound_encoder is None:
        return []
    if not os.path.exists(listed):
        part = _find_part(reader, range)
        with open_input(film) as opened:
            codecs = [_codec(stream) for stream in opened.streams.audio]
        rows = [
            _write_track(folder, film, number, codec, format, part)
            for number, codec in enumerate(codecs)
        ]
        rows = [row for row in rows if row is not None]
        write_file(listed, json.dumps(rows).encode())
    return [
        Track(os.path.join(folder, file), Fraction(first), *rest)
        for file, first, *rest in json.loads(read_file(listed))
    ]


def _write_track(
    folder: str,
    film: str | os.PathLike[str],
    number: int,
    codec: str | None,
    format: FilmFormat,
    part: _Part,
) -> list[Any] | None:
    """Writes a track, and returns its row of the list; None if it is left out."""
    import av

    failure = "nothing decodes it"
    ways: list[Any] = []
    if codec is not None:
        ways.append(functools.partial(_encoded, encoder=format.sound_encoder))
    if codec in format.sounds:
        ways.insert(0, _copied)
    file, first = f"sound-{number}{format.suffix}", None
    path, muxer = os.path.join(folder, file), format.suffix[1:]
    for way in ways:
        try:
            with open_input(film) as opened, open_output(path, muxer) as output:
                stream = opened.streams.audio[number]
                for packet in way(opened, stream, output, part):
                    if first is None:
                        first = packet.pts * Fraction(packet.time_base)
                    output.mux_one(packet)
                # A plain number or a Flag, depending on PyAV.
                flags = getattr(stream.disposition, "value", stream.disposition)
                row = [file, str(first), flags, _texts(stream.metadata)]
            return None if first is None else row
        except (av.error.FFmpegError, ValueError) as error:
            if is_machine_error(error):
                raise
            failure, first = describe(error), None
    shown = f"Sound track {number + 1} of {show_path(film)}"
    warn_unwritten(shown, ValueError(failure))
    return None


class _Part(NamedTuple):
    """Part of a film's sound.

    Attributes:
        zero: the part's beginning on the clock of the film's file, in seconds.
        earliest: least time of a packet from then on, in seconds.
        length: length of the part in seconds; None for all.
    """

    zero: Fraction
    earliest: Fraction
    length: Fraction | None


def _find_part(reader: FilmReader, range: FrameRange) -> _Part:
    """Finds the part of the sound that belongs to a range of frames."""
    info, start = reader.info, next(reader.frames(range)).time
    end = None if range.end is None else exact_seconds(range.end)
    if end is None and info.duration is not None:
        # Some films are longer than their files say.
        end = 2 * info.duration + 60
    length = None if end is None else end - start
    return _Part(info.origin + start, Fraction(0) if start else -_PRIMING, length)


def _copied(film: Any, stream: Any, output: Any, part: _Part) -> Iterator[Any]:
    """Yields packets as they are, with times that rise.

    Raises:
        ValueError: when a copy would not play.
    """
    target = output.add_stream_from_template(stream)
    base, last = Fraction(stream.time_base), None
    kind = None
    for packet, frames in _decoded(film, stream):
        for frame in frames:
            kind = kind or _kind(frame)
            if kind != _kind(frame):
                raise ValueError("it changes midway")
        if packet.pts is None or not packet.size:
            continue
        time = packet.pts * base - part.zero
        if part.length is not None and time >= part.length:
            return
        if time < part.earliest:
            continue
        packet.pts -= round(part.zero / base)
        if last is not None and packet.pts <= last:
            if (last - packet.pts) * base > _STEP:
                raise ValueError("its times go back")
            packet.pts = last + 1
        elif last is not None and (packet.pts - last) * base > LONGEST_STEP:
            raise ValueError("its times jump")
        packet.dts = last = packet.pts
        packet.stream = target
        yield packet


def _encoded(
    film: Any, stream: Any, output: Any, part: _Part, *, encoder: str | None
) -> Iterator[Any]:
    """Yields packets of one of FFmpeg's encoders."""
    assert encoder is not None
    context = stream.codec_context
    rate = context.sample_rate
    if encoder != "aac" or rate not in _AAC_RATES:
        rate = _RATE
    layout = "mono" if context.layout.nb_channels == 1 else "stereo"
    target = output.add_stream(encoder, rate=rate)
    target.layout, target.bit_rate = layout, _BIT_RATE
    target.codec_context.format = _SAMPLES[encoder]
    position = 0
    for values in _samples(_resampled(film, stream, layout, rate), part, rate):
        frame = _sound_frame(values, layout, rate)
        frame.pts, frame.time_base = position, Fraction(1, rate)
        position += frame.samples
        yield from target.encode(frame)
    if position:
        yield from target.encode()


def _samples(frames: Iterator[Any], part: _Part, rate: int) -> Iterator[np.ndarray]:
    """Yields samples [channels, N] from the part's start to its end, without gaps."""
    position, silence_left = 0, LONGEST_STEP * rate
    end = None if part.length is None else round(part.length * rate)
    for frame in frames:
        if frame.pts is None:
            continue
        values = frame.to_ndarray()
        begin = frame.pts * Fraction(frame.time_base) - part.zero
        gap = round(begin * rate) - position
        if end is not None:
            gap = min(gap, end - position)
        if position == 0 and gap < 0:
            values = values[:, -gap:]
        if (_STEP * rate if position else 0) < gap <= silence_left:
            position, silence_left = position + gap, silence_left - gap
            for done in range(0, gap, rate):
                silent = min(rate, gap - done)
                yield np.zeros((len(values), silent), values.dtype)
        if end is not None:
            values = values[:, : end - position]
        if values.shape[1]:
            yield values
            position += values.shape[1]
        if position == end:
            return


def add_track(track: Track, output: Any, files: contextlib.ExitStack) -> Iterator[Any]:
    """Adds a track to the painted film.

    Args:
        track: a track that is ready.
        output: PyAV's container, before its first packet.
        files: stack that closes the track's file.

    Returns:
        The packets, to be written to the container.
    """
    file = files.enter_context(open_input(track.path))
    stream = file.streams.audio[0]
    target = output.add_stream_from_template(stream)
    target.metadata.update(track.metadata)
    target.disposition = track.disposition

    def packets() -> Iterator[Any]:
        base, shift = Fraction(stream.time_base), None
        for packet in file.demux(stream):
            if not packet.size:
                return
            if shift is None:  # Files of some kinds can only begin at 0.
                shift = round(track.first / base) - packet.pts
            packet.pts += shift
            packet.dts, packet.stream = packet.pts, target
            yield packet

    return packets()


def _texts(metadata: dict[str, str]) -> dict[str, str]:
    """Reads a track's language and title; MP4 files name a title, or a handler."""
    title = metadata.get("title", metadata.get("name"))
    texts = {
        "language": metadata.get("language"),
        "title": title,
        "handler_name": title or metadata.get("handler_name"),
    }
    return {name: text for name, text in texts.items() if text is not None}


def _codec(stream: Any) -> str | None:
    """Returns FFmpeg's name of a stream's codec, or None if nothing decodes it."""
    if stream.codec_context is None:
        return None
    codec = stream.codec_context.codec
    name = getattr(codec, "canonical_name", codec.name)
    return {"mp3float": "mp3", "libopus": "opus", "libvorbis": "vorbis"}.get(name, name)


def _kind(frame: Any) -> tuple[Any, ...]:
    """Properties that a stream's header states, and that a resampler is made for."""
    return frame.sample_rate, frame.layout.name, frame.format.name


def _decoded(film: Any, stream: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yields packets with their frames, up to the file's end or to its damage.

    Damaged packets have none.
    """
    import av

    packets = film.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        # IndexError: PyAV doesn't expect streams that turn up in the middle.
        except (av.error.FFmpegError, IndexError):
            return
        if packet is None:
            return
        frames = []
        with contextlib.suppress(av.error.FFmpegError):
            frames = packet.decode()
        yield packet, frames


def _resampled(film: Any, stream: Any, layout: str, rate: int) -> Iterator[Any]:
    """Yields decoded sound in another layout and rate, as planar floats."""
    import av

    resampler: Any = None
    kind = None
    for _, frames in _decoded(film, stream):
        for frame in frames:
            if kind != _kind(frame):
                if resampler is not None:
                    yield from resampler.resample(None)
                resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
                kind = _kind(frame)
            yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


def _sound_frame(values: np.ndarray, layout: str, rate: int) -> Any:
    """Makes a frame of planar floats [channels, N]."""
    import av

    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(values), format="fltp", layout=layout
    )
    frame.sample_rate = rate
    return frame
