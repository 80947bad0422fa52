"""The sound of a film: copied as it is, or encoded anew where a file can't hold it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tfnst.video.encoding import VideoFormat

# Sound that begins with the film may have packets that only prime its decoder.
_PRIMING = Fraction(1, 10)
_BIT_RATE = 192_000
_RATE = 48_000
# What encoders take: planar and interleaved floating-point samples.
_SAMPLES = {"aac": "fltp", "libopus": "flt"}
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# A step in the times of sound that is longer than this is filled with silence.
_GAP = Fraction(1, 10)


class Sound:
    """All sound of a film from one time to another, as packets for another file.

    It is a context manager, which closes the film.

    Args:
        path: of the film.
        origin: the film's beginning on the file's own clock, in seconds.
        start: seconds from the film's beginning, from which on there is sound.
        end: seconds from the film's beginning, where it stops.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        origin: Fraction,
        start: Fraction,
        end: Fraction,
    ) -> None:
        self._path, self._origin = os.fspath(path), origin
        self._start, self._end = start, end
        self._files = contextlib.ExitStack()
        self._tracks: list[_Track] = []

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add_to(self, output: Any, format: VideoFormat) -> None:
        """Adds the streams to a file, before its first packet is written.

        Args:
            output: PyAV's output container.
            format: of the film.
        """
        import av

        with av.open(self._path, metadata_errors="replace") as film:
            # Streams in unknown codecs can neither be copied nor decoded.
            numbers = [
                number
                for number, stream in enumerate(film.streams.audio)
                if stream.codec_context is not None
            ]
        for number in numbers:
            # A file for each stream: they advance independently.
            film = self._files.enter_context(
                av.open(self._path, metadata_errors="replace")
            )
            stream = film.streams.audio[number]
            if _codec(stream) in format.sounds:
                packets = self._copy(film, stream, output)
            else:
                packets = self._encode(film, stream, output, format)
            self._tracks.append(_Track(packets))

    def until(self, time: Fraction) -> Iterator[Any]:
        """Packets that haven't been given yet and begin before a time.

        Args:
            time: seconds from `start`.
        """
        for track in self._tracks:
            yield from track.until(time)

    def _copy(self, film: Any, stream: Any, output: Any) -> Iterator[Any]:
        target = output.add_stream_from_template(stream)
        base = Fraction(stream.time_base)
        earliest = self._start if self._start > 0 else -_PRIMING
        shift = round((self._start + self._origin) / base)

        def packets() -> Iterator[Any]:
            for packet in _demux(film, stream):
                if packet.pts is None or not packet.size:
                    continue
                time = packet.pts * base - self._origin
                if time >= self._end:
                    return
                if time < earliest:
                    continue
                packet.pts -= shift
                packet.dts = packet.pts
                packet.stream = target
                yield packet

        return packets()

    def _encode(
        self, film: Any, stream: Any, output: Any, format: VideoFormat
    ) -> Iterator[Any]:
        assert format.sound_encoder is not None
        context = stream.codec_context
        rate = context.sample_rate
        if format.sound_encoder != "aac" or rate not in _AAC_RATES:
            rate = _RATE
        layout = "mono" if context.layout.nb_channels == 1 else "stereo"
        target = output.add_stream(format.sound_encoder, rate=rate)
        target.layout, target.bit_rate = layout, _BIT_RATE
        target.codec_context.format = _SAMPLES[format.sound_encoder]

        def packets() -> Iterator[Any]:
            for frame in self._samples(film, stream, target):
                yield from target.encode(frame)
            yield from target.encode()

        return packets()

    def _samples(self, film: Any, stream: Any, target: Any) -> Iterator[Any]:
        """Frames of the size that an encoder takes, from `start` to `end`."""
        import av

        context = target.codec_context
        samples, rate, layout = context.format.name, context.sample_rate, context.layout
        context.open()
        resampler = av.AudioResampler(format=samples, layout=layout.name, rate=rate)
        queue = av.AudioFifo()
        # In samples from `start`: what was given, what is known, and where sound ends.
        taken, position, end = 0, 0, round((self._end - self._start) * rate)
        channels = layout.nb_channels

        def put(values: np.ndarray) -> None:
            """Adds samples [N, channels]."""
            planar = context.format.is_planar
            values = values.T if planar else values.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(values), format=samples, layout=layout.name
            )
            frame.sample_rate = rate
            queue.write(frame)

        def take(whole: bool) -> Iterator[Any]:
            """Full frames, and what is left if `whole`."""
            size = context.frame_size or 1024
            nonlocal taken
            while queue.samples >= size or (whole and queue.samples):
                frame = queue.read(min(size, queue.samples))
                frame.pts, frame.time_base = taken, Fraction(1, rate)
                taken += frame.samples
                yield frame

        for frame in _resampled(film, stream, resampler):
            begin = frame.pts * Fraction(frame.time_base) - self._origin - self._start
            values = frame.to_ndarray()
            values = values.T if values.shape[0] > 1 else values.reshape(-1, channels)
            gap = round(begin * rate) - position
            if gap > (_GAP * rate if position else 0):
                while gap > 0 and position < end:
                    silent = min(gap, rate, end - position)
                    put(np.zeros((silent, channels), values.dtype))
                    position, gap = position + silent, gap - silent
                    yield from take(whole=False)
            elif position == 0 and gap < 0:
                values = values[-gap:]
            values = values[: end - position]
            if len(values):
                put(values)
                position += len(values)
                yield from take(whole=False)
            if position >= end:
                break
        yield from take(whole=True)


class _Track:
    """Packets of one stream, with the first of those that are left known."""

    def __init__(self, packets: Iterator[Any]) -> None:
        self._packets = packets
        self._next: Any = None

    def until(self, time: Fraction) -> Iterator[Any]:
        """Packets that begin before a time."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            packet = self._next
            if packet is None or packet.pts * Fraction(packet.time_base) >= time:
                return
            self._next = None
            yield packet


def _codec(stream: Any) -> str:
    """FFmpeg's name of a stream's codec; decoders can have other names."""
    codec = stream.codec_context.codec
    name = getattr(codec, "canonical_name", codec.name)
    return {"mp3float": "mp3", "libopus": "opus", "libvorbis": "vorbis"}.get(name, name)


def _demux(film: Any, stream: Any) -> Iterator[Any]:
    """Packets up to the end of the file, or to where it is damaged."""
    import av

    with contextlib.suppress(av.error.FFmpegError):
        yield from film.demux(stream)


def _resampled(film: Any, stream: Any, resampler: Any) -> Iterator[Any]:
    """Decoded sound in another format; damaged packets are left out."""
    import av

    for packet in _demux(film, stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        for frame in frames:
            yield from (
                each for each in resampler.resample(frame) if each.pts is not None
            )
    yield from (each for each in resampler.resample(None) if each.pts is not None)
