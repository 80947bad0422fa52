"""Films that FFmpeg reads, through PyAV."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tfnst.checks import ArgumentError
from tfnst.files import show_path
from tfnst.limits import MAX_PIXELS
from tfnst.video.av_library import film_error, import_av, open_input
from tfnst.video.colors import to_picture
from tfnst.video.filters import Filter, deinterlace
from tfnst.video.frames import (
    LONGEST_STEP,
    DamagedFrameError,
    FilmInfo,
    SourceFrame,
    check_frame_size,
    fit_time_base,
)

_DEFAULT_RATE = Fraction(25)
# FFmpeg's flag for the picture on an album's cover.
_COVER = 0x400
# FFmpeg's own decoders of these drop transparency.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Formats whose durations are the times at which films end.
_ENDS_BY_CLOCK = ("matroska,webm", "flv")
# Seconds before a frame at which to look for one that can be decoded alone, when the
# file's index leads to a later one.
_STEPS_BACK = (0, 10, 60)
# Damaged packets in a row after which reading ends: the first ones may be damaged.
_MAX_DAMAGED_PACKETS = 1000
# Packets without frames after which reading ends: a file that was cut begins with some.
_MAX_EMPTY_PACKETS = 20_000


class DecodedFilm:
    """A film in a file that FFmpeg reads.

    Args:
        path: path of the file.

    Raises:
        ImportError: when PyAV isn't installed.
        OSError: when the file can't be read.
        ValueError: when it isn't a film, or its frames are too large or narrow.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._av = import_av(path)
        self._path, self._shown = path, show_path(path)
        self.damaged = 0
        self._container = self._open()
        try:
            self._stream = self._find_stream()
            self.info = self._inspect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def frames(self, start: Fraction) -> Iterator[SourceFrame]:
        """Yields frames in order, from a key frame at or before a time in seconds."""
        for back in (*_STEPS_BACK, None):
            goal = Fraction(-1) if back is None else start - back
            self._rewind(goal)
            self.damaged = 0
            frames = self._decode()
            first = next(frames, None)
            if goal < 0 or (first is not None and first.time <= start):
                break
        if first is not None:
            yield first
            yield from frames

    def _open(self) -> Any:
        expected = "a film that can be read"
        try:
            return open_input(self._path)
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            raise film_error(expected, self._shown, error) from error

    def _find_stream(self) -> Any:
        """Finds the first stream of moving pictures, or else of a single picture."""
        streams, expected = self._container.streams, "a film with pictures"
        # The picture on an album's cover is no film.
        videos = [each for each in streams.video if not _is_cover(each)]
        known = [each for each in videos if each.codec_context is not None]
        if not known:
            kinds = ", ".join(sorted({each.type for each in streams}))
            received = f"{self._shown}, which holds only {kinds or 'nothing'}"
            if videos:
                expected = "a film with a codec that FFmpeg decodes"
                received = self._shown
            raise ArgumentError(expected, received)
        stream = next((each for each in known if not self._is_still(each)), known[0])
        context = stream.codec_context
        if context.width and context.height:
            check_frame_size(self._shown, context.width, context.height)
        # Threads that each decode a frame lose some where one is damaged.
        stream.thread_type = "SLICE"
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._decoder = None
        if stream.metadata.get("alpha_mode") == "1":
            name = _ALPHA_DECODERS.get(context.codec.name)
            if name in self._av.codecs_available:
                self._decoder = self._av.CodecContext.create(name, "r")
                self._decoder.options = context.options
        return stream

    def _is_still(self, stream: Any) -> bool:
        """Returns whether a stream has one frame, such as a thumbnail."""
        length, rate = self._length_of(stream), stream.average_rate
        return stream.frames == 1 or bool(length and rate and length * rate <= 1)

    def _inspect(self) -> FilmInfo:
        """Finds the film's properties, for which its first frame is decoded."""
        stream, container = self._stream, self._container
        first = next(self._raw_frames(), None)
        if first is None:
            raise ArgumentError(
                "a film with frames that can be decoded",
                f"{self._shown}, in which there is none",
            )
        self._turns = _upright_turns(first)
        ratio = stream.sample_aspect_ratio
        self._square = _square_size(
            first.width, first.height, Fraction(ratio) if ratio else None
        )
        check_frame_size(self._shown, *self._square)
        width, height = self._square
        if any(name == "transpose" for name, _ in self._turns):
            width, height = height, width
        self._origin = self._time_of(first) or Fraction(0)
        rate = stream.average_rate or stream.guessed_rate
        sane = rate and rate * LONGEST_STEP >= 1
        self._rate = Fraction(rate) if sane else _DEFAULT_RATE
        return FilmInfo(
            width=width,
            height=height,
            rate=self._rate,
            time_base=min(Fraction(stream.time_base or 1), 1 / self._rate),
            duration=self._read_duration(),
            frames=stream.frames or None,
            origin=self._origin,
            has_sound=len(container.streams.audio) > 0,
            title=container.metadata.get("title"),
        )

    def _tag(self, frame: Any, name: str) -> int:
        """Returns a number of H.273 for a frame; PyAV 17 has it in decoders."""
        return int(getattr(frame, name, getattr(self._stream.codec_context, name)))

    def _read_duration(self) -> Fraction | None:
        """Reads the pictures' length; None where only sound's or a guess is stated."""
        length = self._length_of(self._stream)
        if length is None and not self._container.streams.audio:
            length = Fraction(self._container.duration or 0, self._av.time_base)
        if self._container.format.name in _ENDS_BY_CLOCK and length is not None:
            # When the film ends on the file's clock; a few state the length after all.
            length = length - self._origin if length > self._origin else length
        return length or None

    def _length_of(self, stream: Any) -> Fraction | None:
        """Reads the length of a stream in seconds, if the file states it."""
        if stream.duration and stream.time_base:
            return stream.duration * Fraction(stream.time_base)
        with contextlib.suppress(ValueError):  # Matroska: "00:00:05.280000000".
            hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
            return (int(hours) * 60 + int(minutes)) * 60 + Fraction(seconds)
        return None

    def _rewind(self, start: Fraction) -> None:
        """Goes to a frame that can be decoded alone, at a time or before it."""
        with contextlib.suppress(self._av.error.FFmpegError):
            if start > 0:
                ticks = (start + self._origin) / Fraction(self._stream.time_base)
                self._container.seek(math.floor(ticks), stream=self._stream)
                if self._decoder is not None:
                    self._decoder.flush_buffers()
                return
        # Some files can't be searched; any file can be opened anew.
        self._container.close()
        self._container = self._open()
        self._stream = self._find_stream()

    def _raw_frames(self) -> Iterator[Any]:
        """Yields frames as decoded by PyAV; damaged ones are counted and left out."""
        error_type, in_a_row, empty = self._av.error.FFmpegError, 0, 0
        packets = self._container.demux(self._stream)
        while in_a_row <= _MAX_DAMAGED_PACKETS and empty <= _MAX_EMPTY_PACKETS:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = self._decode_packet(packet)
            except EOFError:
                frames = []
            # IndexError: PyAV doesn't expect streams that turn up in the middle.
            except (error_type, IndexError):
                self.damaged, in_a_row, frames = self.damaged + 1, in_a_row + 1, []
            empty += 1
            for frame in frames:
                in_a_row = empty = 0
                yield frame

    def _decode_packet(self, packet: Any) -> list[Any]:
        if self._decoder is None:
            return packet.decode()
        # An empty packet, the last one, makes the decoder give its last frames.
        return self._decoder.decode(packet if packet.size else None)

    def _decode(self) -> Iterator[SourceFrame]:
        """Yields each frame with its time."""
        tick, last = fit_time_base(self.info.time_base), None
        step = max(1 / self._rate, tick)
        # MP4 files hold durations in 31 bits.
        longest = min(Fraction(LONGEST_STEP), (2**31 - 1) * tick)
        for frame in deinterlace(self._raw_frames()):
            time = self._time_of(frame)
            if time is not None:
                time -= self._origin
            if last is not None and (
                time is None or not last + tick <= time < last + longest
            ):
                # Raw streams have no times, and broken ones repeat them.
                time = last + step
            elif time is None:
                time = Fraction(0)
            last = time
            ticks = getattr(frame, "duration", None)
            base = frame.time_base
            duration = Fraction(ticks) * Fraction(base) if ticks and base else step
            if duration > longest:
                duration = step
            yield SourceFrame(time, duration, functools.partial(self._read, frame))

    def _time_of(self, frame: Any) -> Fraction | None:
        """Returns the time of a frame, in seconds from the beginning of the file."""
        if frame.pts is None or not frame.time_base:
            return None
        return frame.pts * Fraction(frame.time_base)

    def _read(self, frame: Any) -> np.ndarray:
        """Converts a frame to a picture, upright, in square pixels."""
        try:
            return to_picture(
                frame,
                # Joined recordings may change their size, too.
                size=self._square,
                turns=self._turns,
                primaries=self._tag(frame, "color_primaries"),
                transfer=self._tag(frame, "color_trc"),
            )
        except self._av.error.FFmpegError as error:
            raise DamagedFrameError from error


def _is_cover(stream: Any) -> bool:
    # A plain number or a Flag, depending on PyAV.
    return bool(getattr(stream.disposition, "value", stream.disposition) & _COVER)


def _square_size(width: int, height: int, ratio: Fraction | None) -> tuple[int, int]:
    """Returns width and height in square pixels; the side that is too short grows."""
    if ratio is None or ratio <= 0:
        return width, height
    if ratio > 1:
        return round(width * ratio), height
    return width, round(height / ratio)


def _upright_turns(frame: Any) -> list[Filter]:
    """Returns the filters that turn a frame upright.

    The display matrix [a b u; c d v; x y w] maps each point (p, q) of the frame, as a
    row, to the point that shows it; p goes right, q down.
    """
    data = None
    for side in frame.side_data or ():
        if getattr(side.type, "name", "") == "DISPLAYMATRIX":
            data = bytes(side)
    if data is None or len(data) < 36:
        return []
    a, b, _, c, d, *_ = np.frombuffer(data[:36], np.int32).astype(float).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return [("hflip", "")] * (a < 0) + [("vflip", "")] * (d < 0)
    if b > 0:
        return [("transpose", "clock" if c < 0 else "cclock_flip")]
    return [("transpose", "cclock" if c > 0 else "clock_flip")]
