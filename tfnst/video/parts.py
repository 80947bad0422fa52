"""A film that is being painted, kept so that a run can be killed and continued.

A folder holds it: finished frames as PNG files until a chunk is full, and chunks that
have been encoded. Each file is written whole or not at all, and a chunk is encoded from
a fixed number of frames by an encoder of its own, so that a run that was killed at any
moment continues and gives the same bytes. A film that is painted in several passes is
encoded after the last one: until then all frames are PNG files, each of which is
replaced in every pass.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from tfnst.checks import ArgumentError, argument, check_integer
from tfnst.files import (
    is_machine_error,
    os_error,
    replaced_file,
    show_path,
    warn_unwritten,
)
from tfnst.video.av_library import describe
from tfnst.video.chunks import Chunks
from tfnst.video.encoding import FORMATS, ChunkEncoder
from tfnst.video.folder_lock import LOCK
from tfnst.video.frames import Frame, fit_time_base
from tfnst.video.joining import join_packets, write_animation, write_pictures
from tfnst.video.kept_frames import KeptFrames
from tfnst.video.outputs import frame_pattern
from tfnst.video.parts_folder import RUN, PartsFolder
from tfnst.video.sound import SoundTracks

_VERSION = 2
_CHUNK_FRAMES = 48
_FILES = "|".join((KeptFrames.FILES, Chunks.FILES, SoundTracks.FILES))


class FrameState(NamedTuple):
    """State after a frame, from which the next one is painted.

    Attributes:
        traces: traces of each pixel, uint8 [H, W, C].
        scenes: numbers of the scenes that the last frames belong to.
    """

    traces: np.ndarray
    scenes: tuple[int, ...]


class FilmParts:
    """The frames of a film that is being painted, in a folder.

    A folder that exists is continued. The disk holds the encoded film, `chunk_frames`
    PNG files at most and the `keep` before them; memory doesn't depend on the film's
    length. With several passes, the disk holds two PNG files for each frame: painted,
    and what it was painted from. It is a context manager that closes itself.

    Args:
        folder: path of the folder, usually beside the film; see PartsFolder.
        suffix: suffix of the film's format, from `check_film_output`.
        rate: frames per second, roughly, for the encoder's decisions.
        time_base: seconds of which the frames' times are multiples, so that they are
            stored exactly; a thousandth at the finest for WebM and WebP, and a
            hundredth for GIF.
        description: values for JSON that the run depends on. They must be the same when
            the run continues.
        crf: constant rate factor of H.264 or VP9: the lower the better. 17 and 22 by
            default.
        chunk_frames: frames in a chunk. Default 48.
        keep: number of the last frames whose pictures stay. Default 0.
        passes: number of times that each frame is added. Every other pass goes from the
            film's end to its beginning. Default 1.

    Attributes:
        frames: number of frames so far.
        frames_done: number of frames that the pass has added.
        kept: frames that aren't in complete chunks, and the last ones; with several
            passes, all frames, and their sources.
        pass_number: number of the pass, from 0.
        sound: the film's sound.

    Raises:
        ValueError, OSError: as PartsFolder.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        suffix: str,
        rate: Fraction,
        time_base: Fraction,
        description: Mapping[str, Any],
        crf: int | None = None,
        chunk_frames: int = _CHUNK_FRAMES,
        keep: int = 0,
        passes: int = 1,
    ) -> None:
        self._format = FORMATS[suffix]
        if crf is not None:
            check_integer("crf", crf, 0, self._format.max_crf)
        run = {
            "version": _VERSION,
            "kind": suffix,
            "crf": crf,
            "rate": str(rate),
            "time_base": str(time_base),
            "segment_frames": chunk_frames,
            "keep": keep,
            "passes": passes,
            "run": dict(description),
        }
        self._chunk_frames, self._keep, self._passes = chunk_frames, keep, passes
        self._time_base = fit_time_base(time_base)
        encoder = ChunkEncoder(self._format, crf, rate, self._time_base)
        self._folder = PartsFolder(os.fspath(folder), files=_FILES, run=run)
        try:
            self.kept = KeptFrames(self._folder.path)
            self._chunks = Chunks(self._folder.path, self.kept, encoder, chunk_frames)
            self.sound = SoundTracks(self._folder.path, self._format)
            self.frames = self._count_frames()
            self.pass_number, self.frames_done = self._find_pass()
            self._complete_chunk()
            self._remove_leftovers()
        except BaseException:
            self._folder.close(remove=self._folder.is_new)
            raise

    def __enter__(self) -> FilmParts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets others have the folder; one without any frame is removed."""
        self._folder.close(remove=not self.frames)

    @property
    def backward(self) -> bool:
        """True if the pass goes from the film's end to its beginning."""
        return self.pass_number % 2 == 1

    def append(self, frame: Frame, source: np.ndarray, state: FrameState) -> None:
        """Adds the next frame of the pass; after that, a kill doesn't lose it.

        Args:
            frame: the next frame; its number in the first pass is `frames_done`.
            source: picture that it was painted from, uint8 [H, W, 3].
            state: state after the frame.

        Raises:
            ValueError: when it isn't the next frame.
            OSError: when the disk is full.
        """
        number = self.number(self.frames_done)
        if frame.number != number:
            raise ArgumentError(
                f"number {number}", f"number {frame.number}", argument="frame"
            )
        kept, pass_number = self.kept, str(self.pass_number)
        # The state comes first, so that each frame on the disk has one.
        past = " ".join(map(str, state.scenes))
        kept.write("state", number, state.traces, past=past, pass_number=pass_number)
        if self._passes > 1 and not self.pass_number:
            kept.write("source", number, source)
        kept.write(
            "frame",
            number,
            frame.picture,
            time=str(frame.time),
            duration=str(frame.duration),
            pass_number=pass_number,
        )
        if self.frames_done:
            kept.remove("state", self.number(self.frames_done - 1))
        self.frames_done += 1
        self.frames = max(self.frames, self.frames_done)
        self._complete_chunk()

    def end_pass(self) -> bool:
        """Begins the next pass, unless this was the last one."""
        if self.pass_number + 1 == self._passes:
            return False
        self.pass_number, self.frames_done = self.pass_number + 1, 0
        return True

    def number(self, done: int) -> int:
        """Returns the number of the frame that the pass adds after so many others."""
        return self.frames - 1 - done if self.backward else done

    def numbers_left(self) -> list[int]:
        """Returns the numbers of the frames that a later pass has yet to add."""
        return [self.number(done) for done in range(self.frames_done, self.frames)]

    def last_numbers(self, count: int) -> list[int]:
        """Returns the numbers of the last frames that the pass has added."""
        done = self.frames_done
        return [self.number(i) for i in range(max(0, done - count), done)]

    def last_state(self) -> FrameState | None:
        """Reads the state after the last frame of the pass; None at its beginning."""
        if not self.frames_done:
            return None
        number = self.number(self.frames_done - 1)
        scenes = self.kept.texts("state", number)["past"].split()
        return FrameState(self.kept.picture("state", number), tuple(map(int, scenes)))

    @argument("output")
    def finish(
        self,
        output: str | os.PathLike[str],
        *,
        complete: bool = True,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Writes the film, whole or not at all.

        Args:
            output: path of the film, of the given format.
            complete: whether the film has all of its frames. The folder is then
                removed; otherwise it stays, and the run can be continued. Default
                True.
            metadata: texts for MP4 and WebM files, such as `comment`.

        Raises:
            ValueError: when there are no frames.
            OSError: when it can't be written.
        """
        if not self.frames:
            raise ArgumentError(
                "a film of 1 frame or more", "no frames", argument="output"
            )
        chunks, format = self._chunks, self._format
        chunks.encode_others(self.frames)
        if format.suffix in (".png", ".jpg"):
            pattern = frame_pattern(output)
            _make_folder(pattern, output)
            write_pictures(pattern, chunks, format=format)
        else:
            with replaced_file(output) as path:
                if format.is_lossless:
                    write_animation(path, chunks, format=format)
                else:
                    self._join(path, metadata or {})
        if complete:
            self._folder.close(remove=True)
        else:
            chunks.remove_others()

    def _join(self, path: str, metadata: Mapping[str, str]) -> None:
        """Joins the chunks, with the sound where that is possible."""
        import av

        join = functools.partial(
            join_packets,
            path,
            self._chunks,
            format=self._format,
            time_base=self._time_base,
            metadata=metadata,
        )
        tracks = self.sound.read()
        try:
            join(tracks=tracks)
        except (av.error.FFmpegError, ValueError) as error:
            if not tracks or is_machine_error(error):
                raise
            join(tracks=[])
            warn_unwritten("The sound", ValueError(describe(error)))

    def _complete_chunk(self) -> None:
        """Encodes a full chunk, and removes PNG files that are no longer needed."""
        before = self._chunks.complete * self._chunk_frames
        if self._passes > 1 or self.frames < before + self._chunk_frames:
            return
        self._chunks.complete_next()
        for number in range(max(0, before - self._keep), self.frames - self._keep):
            self.kept.remove("frame", number)

    def _count_frames(self) -> int:
        """Counts the frames that an earlier run has left."""
        frames = self._chunks.complete * self._chunk_frames
        while self.kept.has("frame", frames):
            frames += 1
        return frames

    def _find_pass(self) -> tuple[int, int]:
        """Finds the number of the pass, and of frames that it has added."""
        if self._passes == 1 or not self.frames:
            return 0, self.frames
        found = []
        for file in os.listdir(self._folder.path):
            if not file.startswith("state"):
                continue
            number = int(file[6:14])
            # A state without its frame belongs to a frame that wasn't finished.
            if number < self.frames:
                pass_number = self.kept.pass_number("state", number)
                if self.kept.pass_number("frame", number) == pass_number:
                    done = self.frames - number if pass_number % 2 else number + 1
                    found.append((pass_number, done))
        # The first frame of a pass takes the place of the last one's state.
        return max(found, default=(self.kept.pass_number("frame", 0) + 1, 0))

    def _remove_leftovers(self) -> None:
        """Removes what an earlier run had begun when it was killed."""
        complete = self._chunks.complete
        first = min(complete * self._chunk_frames, self.frames - self._keep)
        frames = range(max(0, first), self.frames)
        last = self.number(self.frames_done - 1) if self.frames_done else -1
        for file in os.listdir(self._folder.path):
            kind, _, rest = file.partition("-")
            number = int(re.sub(r"\D.*", "", rest) or -1)
            wanted = (
                file in (RUN, LOCK, SoundTracks.LIST)
                or (kind == "sound" and self.sound.is_ready)
                or (kind in ("frame", "source") and number in frames)
                or (kind == "state" and number == last)
                or (kind == "segment" and number < complete)
            )
            if not wanted:
                os.unlink(self._folder.file(file))


def _make_folder(pattern: str, output: str | os.PathLike[str]) -> None:
    """Makes the folder of a film of picture files."""
    try:
        os.makedirs(os.path.dirname(pattern) or ".", exist_ok=True)
    except OSError as error:
        expected = "a folder that can be written to"
        raise os_error(error, expected, show_path(output)) from error
