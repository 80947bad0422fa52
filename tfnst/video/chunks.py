"""Encoded chunks of a film that is being painted."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from tfnst.checks import argument
from tfnst.files import read_file, replaced_file, write_file
from tfnst.video.encoding import ChunkEncoder
from tfnst.video.frames import to_ticks
from tfnst.video.kept_frames import KeptFrames


class Chunk(NamedTuple):
    """A chunk of a film, encoded.

    Attributes:
        path: path of the file.
        times: time of each frame, in seconds from the beginning of the painted film.
        durations: duration of each frame in seconds.
    """

    path: str
    times: tuple[Fraction, ...]
    durations: tuple[Fraction, ...]


class Chunks:
    """Chunks in a folder, each encoded from the same number of kept frames.

    Complete ones stay, and their frames need not be kept any longer. The others are
    encoded when the film ends, perhaps for now. A chunk is read when it is asked for,
    so memory doesn't depend on the film's length.

    Args:
        folder: path of a folder that exists.
        kept: frames in the same folder.
        encoder: encoder of each chunk.
        size: number of frames in a complete chunk.

    Attributes:
        complete: number of complete chunks.
    """

    # Patterns of the files' names.
    FILES = r"segment-\d{6}\.(json|mkv)|tail-\d{6}\.mkv"

    def __init__(
        self, folder: str, kept: KeptFrames, encoder: ChunkEncoder, size: int
    ) -> None:
        self._folder, self._kept, self._encoder = folder, kept, encoder
        self._size = size
        # The file with the times is written first.
        self.complete = next(
            number
            for number in itertools.count()
            if not os.path.exists(self._times_path(number))
            or not os.path.exists(self._file("segment", number))
        )
        self._others = 0

    def __len__(self) -> int:
        return self.complete + self._others

    def __getitem__(self, number: int) -> Chunk:
        number = range(len(self))[number]
        start = self._times(0)[0][0]
        frames = self._times(number)
        return Chunk(
            self._file("segment" if number < self.complete else "tail", number),
            tuple(time - start for time, _ in frames),
            tuple(duration for _, duration in frames),
        )

    def __iter__(self) -> Iterator[Chunk]:
        return (self[number] for number in range(len(self)))

    @argument("output")
    def complete_next(self) -> None:
        """Encodes the next chunk, whose frames are all kept."""
        number = self.complete
        times = [[str(x) for x in pair] for pair in self._times(number)]
        data = json.dumps(times).encode()
        write_file(self._times_path(number), data)
        self._encode(number, self._file("segment", number))
        self.complete += 1

    @argument("output")
    def encode_others(self, frames: int) -> None:
        """Encodes all chunks that aren't complete.

        Args:
            frames: number of frames in the film.
        """
        count = -(-frames // self._size)
        for number in range(self.complete, count):
            self._encode(number, self._file("tail", number))
        self._others = count - self.complete

    def remove_others(self) -> None:
        """Removes the chunks that aren't complete."""
        for number in range(self.complete, len(self)):
            os.unlink(self._file("tail", number))
        self._others = 0

    def _encode(self, number: int, path: str) -> None:
        times = [time for time, _ in self._times(number)]
        first = number * self._size
        numbers = range(first, first + len(times))
        pictures = (self._kept.picture("frame", each) for each in numbers)
        base = self._encoder.time_base
        with replaced_file(path) as hidden:
            self._encoder.encode(
                hidden, pictures, [to_ticks(time - times[0], base) for time in times]
            )

    def _times(self, number: int) -> list[tuple[Fraction, Fraction]]:
        """Times and durations of a chunk's frames."""
        if number >= self.complete:
            first = number * self._size
            numbers = range(first, first + self._size)
            kept = itertools.takewhile(lambda i: self._kept.has("frame", i), numbers)
            return [self._kept.times(each) for each in kept]
        with argument("resume"):
            data = read_file(self._times_path(number))
        return [(Fraction(time), Fraction(length)) for time, length in json.loads(data)]

    def _times_path(self, number: int) -> str:
        return os.path.join(self._folder, f"segment-{number:06}.json")

    def _file(self, kind: str, number: int) -> str:
        return os.path.join(self._folder, f"{kind}-{number:06}.mkv")
