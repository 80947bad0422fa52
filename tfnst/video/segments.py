"""A film that is being painted, kept so that a run can be killed and continued.

A folder holds it: finished frames as PNG files until a segment is full, and segments
that have been encoded. Each file is written whole or not at all, and a segment is
encoded from a fixed number of frames by an encoder of its own, so that a run that was
killed at any moment continues and gives the same bytes. A film that is painted in
several passes is encoded after the last one: until then all frames are PNG files, each
of which is replaced in every pass.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tfnst.checks import argument, argument_error, check_integer
from tfnst.files import (
    is_machine_error,
    os_error,
    read_file,
    replaced_file,
    show_path,
    warn_unwritten,
    write_file,
)
from tfnst.video.av_library import describe
from tfnst.video.encoding import FORMATS, encode_segment
from tfnst.video.folder_lock import LOCK, FolderInUseError, FolderLock
from tfnst.video.frames import Frame, fit_time_base, to_ticks
from tfnst.video.joining import (
    Segment,
    join_packets,
    write_animation,
    write_pictures,
)
from tfnst.video.kept_frames import FrameState, KeptFrames
from tfnst.video.outputs import film_kind, frame_pattern
from tfnst.video.sound import Track, TrackWriter

_RUN, _VERSION = "run.json", 2
_SOUND = "sound.json"
_SEGMENT_FRAMES = 48
_OWN_FILES = re.compile(
    rf"run\.json|{LOCK}|{KeptFrames.FILES}|segment-\d{{6}}\.(json|mkv)|tail-\d{{6}}\.mkv"
    r"|sound\.json|sound-\d+\.(mp4|webm)|\.tfnst-[0-9a-f]{16}\.tmp"
)


class FilmParts:
    """The frames of a film that is being painted, in a folder.

    A folder that exists is continued. The disk holds the encoded film, `segment_frames`
    PNG files at most and the `keep` before them; memory doesn't depend on the film's
    length. With several passes, the disk holds two PNG files for each frame: painted,
    and what it was painted from. It is a context manager that closes itself.

    Args:
        folder: path of the folder, usually beside the film. It is made if it is
            missing; the folder that it is in must exist.
        kind: of the film, from `tfnst.video.outputs.film_kind`.
        rate: frames per second, roughly, for the encoder's decisions.
        time_base: seconds of which the frames' times are multiples, so that they are
            stored exactly; a thousandth at the finest for WebM and WebP, and a
            hundredth for GIF.
        description: what the run depends on, as values for JSON. It must be the same
            when the run continues.
        crf: the constant rate factor of H.264 or VP9: the lower the better. 17 and 22
            by default.
        segment_frames: frames in a segment. Default 48.
        keep: how many of the last frames `last_pictures` can give. Default 0.
        passes: how many times each frame is added. Every other pass goes from the
            film's end to its beginning. Default 1.

    Raises:
        ValueError: for a folder that holds anything else or another run, naming
            `resume`; and for one that another process writes into.
        OSError: when the folder can't be made or read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        kind: str,
        rate: Fraction,
        time_base: Fraction,
        description: Mapping[str, Any],
        crf: int | None = None,
        segment_frames: int = _SEGMENT_FRAMES,
        keep: int = 0,
        passes: int = 1,
    ) -> None:
        self._folder = os.fspath(folder)
        self._kind, self._format = kind, FORMATS[kind]
        self._rate, self._time_base = rate, fit_time_base(time_base)
        if crf is not None:
            check_integer("crf", crf, 0, 63 if kind == ".webm" else 51)
        self._crf = crf
        self._size = check_integer("segment_frames", segment_frames, 1)
        self._keep = check_integer("keep", keep, 0)
        self._passes = check_integer("passes", passes, 1)
        run = {
            "version": _VERSION,
            "kind": kind,
            "crf": crf,
            "rate": str(rate),
            "time_base": str(time_base),
            "segment_frames": segment_frames,
            "keep": keep,
            "passes": passes,
            "run": dict(description),
        }
        self._kept = KeptFrames(self._folder)
        # Segments, frames that are in none of them, and how many of these have been
        # painted again in the pass.
        self._full = self._loose = self._again = 0
        self._pass, self._end = 0, Fraction(0)
        made = not os.path.lexists(self._folder)
        self._lock = self._lock_folder()
        try:
            self._check_run(json.dumps(run))
            self._find_position()
        except BaseException:
            self._leave(remove=made)
            raise

    def __enter__(self) -> FilmParts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets others have the folder; one without any frame is removed."""
        self._leave(remove=not self.frames)

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return self._full * self._size + self._loose

    @property
    def frames_done(self) -> int:
        """How many of them the pass has added."""
        return self._again if self._pass else self.frames

    @property
    def pass_number(self) -> int:
        """Which pass it is, from 0."""
        return self._pass

    @property
    def backward(self) -> bool:
        """Whether the pass goes from the film's end to its beginning."""
        return self._pass % 2 == 1

    @property
    def end(self) -> Fraction:
        """When the next frame should begin, in the times of the frames; 0 at first."""
        return self._end

    def append(
        self,
        frame: Frame,
        state: FrameState | None = None,
        source: np.ndarray | None = None,
    ) -> None:
        """Adds the next frame of the pass; afterwards it is safe.

        Args:
            frame: the next one; its number in the first pass is `frames_done`.
            state: for `last_state`; needed with several passes.
            source: what it was painted from, for `next_frames`.

        Raises:
            ValueError: when it isn't the next frame, or of another size.
            OSError: when the disk is full.
        """
        number, end = self.number(self.frames_done), self._end
        if frame.number != number or (not self._pass and frame.time < end):
            raise argument_error(
                "frame",
                f"number {number}, at {float(end):g} seconds or later",
                f"number {frame.number} at {float(frame.time):g} seconds",
            )
        if state is not None:
            # First: a frame that is there has its state.
            self._kept.write_state(number, state, self._pass)
        if source is not None and not self._pass:
            self._kept.write_source(number, source)
        self._kept.write(frame, self._pass)
        if self.frames_done:
            self._kept.remove("state", self.number(self.frames_done - 1))
        if self._pass:
            self._again += 1
            return
        self._loose += 1
        self._end = frame.time + frame.duration
        if self._loose == self._size and self._passes == 1:
            self._finish_segment()

    def end_pass(self) -> bool:
        """Begins the next pass, unless this was the last one."""
        if self._pass + 1 == self._passes:
            return False
        self._pass, self._again = self._pass + 1, 0
        return True

    def next_frames(self) -> Iterator[tuple[Frame, np.ndarray]]:
        """The frames that a later pass has yet to add, and what they are painted from.

        Their pictures are those that the pass before has painted.
        """
        for done in range(self._again, self.frames):
            number = self.number(done)
            yield self._kept.read(number), self._kept.source(number)

    def number(self, done: int) -> int:
        """Of the frame that the pass adds after so many others."""
        return self.frames - 1 - done if self.backward else done

    def last_pictures(self, count: int) -> list[np.ndarray]:
        """The pictures of the pass's last frames, the latest one last.

        Args:
            count: how many, up to `keep`; fewer are given if there are fewer.

        Raises:
            ValueError: when `count` is more than `keep`.
        """
        return [self._kept.read(number).picture for number in self._last(count)]

    def last_sources(self, count: int) -> list[np.ndarray]:
        """What these were painted from, if that was added."""
        return [self._kept.source(number) for number in self._last(count)]

    def last_state(self) -> FrameState | None:
        """The state that the pass's last frame was added with."""
        number = self.number(self.frames_done - 1)
        if not self.frames_done or not os.path.exists(self._kept.path("state", number)):
            return None
        return self._kept.state(number)

    def _last(self, count: int) -> list[int]:
        """Numbers of the pass's last frames."""
        check_integer("count", count, 0, self._keep)
        done = self.frames_done
        return [self.number(i) for i in range(max(0, done - count), done)]

    @property
    def needs_sound(self) -> bool:
        """Absence of sound that is ready, in a film that may have some."""
        return self._format.sound_encoder is not None and not self.has_sound

    @property
    def has_sound(self) -> bool:
        """Presence of sound that is ready."""
        return os.path.exists(self._path(_SOUND))

    @argument("output")
    def add_sound(
        self,
        film: str | os.PathLike[str],
        *,
        origin: Fraction,
        start: Fraction,
        end: Fraction | None = None,
    ) -> None:
        """Makes a film's sound ready; afterwards it is safe.

        Args:
            film: path of the film that is painted.
            origin: its beginning on its file's own clock, in seconds.
            start: time of the first frame, in seconds from the film's beginning.
            end: seconds from its beginning to where sound ends; with the last frame
                by default.

        Raises:
            OSError: when the disk is full.
        """
        writer = TrackWriter(
            film,
            format=self._format,
            suffix=self._kind,
            origin=origin,
            start=start,
            end=end,
        )
        tracks = [
            (os.path.basename(track.path), str(track.first), *track[2:])
            for track in writer.write(self._folder)
        ]
        write_file(self._path(_SOUND), json.dumps(tracks).encode())

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
            output: path of the film, of the kind that was given.
            complete: whether the film has all of its frames. The folder is then
                removed; otherwise it stays, and the run can be continued. Default
                True.
            metadata: texts for MP4 and WebM files, such as `comment`.

        Raises:
            ValueError: when there are no frames, or `output` is of another kind.
            OSError: when it can't be written.
        """
        if film_kind(output) != self._kind:
            raise argument_error(
                "output", f"a film of the kind {self._kind}", show_path(output)
            )
        if not self.frames:
            raise argument_error("output", "a film of 1 frame or more", "no frames")
        count = -(-self.frames // self._size)
        for number in range(self._full, count):
            self._encode(number, self._tail_path(number))
        if self._kind in (".png", ".jpg"):
            pattern = frame_pattern(output)
            with _folder_errors(output):
                os.makedirs(os.path.dirname(pattern) or ".", exist_ok=True)
            write_pictures(pattern, self._segment, count, suffix=self._kind)
        else:
            with replaced_file(output) as path:
                if self._format.is_lossless:
                    write_animation(path, self._segment, count, suffix=self._kind)
                else:
                    self._join(path, count, metadata or {})
        if complete:
            self._leave(remove=True)
        else:
            for number in range(self._full, count):
                os.unlink(self._tail_path(number))

    def _join(self, path: str, count: int, metadata: Mapping[str, str]) -> None:
        """Joins the segments, with the sound where that is possible."""
        import av

        def join(tracks: Sequence[Track]) -> None:
            join_packets(
                path,
                self._segment,
                count,
                suffix=self._kind,
                delay=self._format.delay,
                time_base=self._time_base,
                tracks=tracks,
                metadata=metadata,
            )

        tracks = self._read_tracks()
        try:
            join(tracks)
        except (av.error.FFmpegError, ValueError) as error:
            if not tracks or is_machine_error(error):
                raise
            join([])
            warn_unwritten("The sound", ValueError(describe(error)))

    def _path(self, file: str) -> str:
        return os.path.join(self._folder, file)

    def _tail_path(self, number: int) -> str:
        return self._path(f"tail-{number:06}.mkv")

    def _segment_path(self, number: int, suffix: str) -> str:
        return self._path(f"segment-{number:06}{suffix}")

    @argument("resume")
    def _lock_folder(self) -> FolderLock:
        """Makes the folder if it is missing, and keeps other processes out of it."""
        with _folder_errors(self._folder):
            os.makedirs(self._folder, exist_ok=True)
        self._check_files()
        try:
            with _folder_errors(self._folder):
                return FolderLock(self._folder)
        except FolderInUseError as error:
            raise folder_in_use(self._folder) from error

    @argument("resume")
    def _check_files(self) -> list[str]:
        """The names of the files in the folder, which must be a film's parts."""
        with _folder_errors(self._folder):
            files = sorted(os.listdir(self._folder))
        strange = [file for file in files if not _OWN_FILES.fullmatch(file)]
        if _RUN not in files:
            strange += [file for file in files if file[0] != "." and file != LOCK]
        if strange:
            other = f"{show_path(self._folder)}, which holds {show_path(strange[0])}"
            raise argument_error("resume", "a folder with parts of a film", other)
        return files

    @argument("resume")
    def _check_run(self, run: str) -> None:
        """Checks that the folder is this run's, or makes it so."""
        if _RUN not in self._check_files():
            write_file(self._path(_RUN), run.encode())
            return
        data = read_file(self._path(_RUN))
        try:
            before = json.loads(data)
        except ValueError:
            before = None
        now = json.loads(run)
        if before != now:
            shown = show_path(self._folder)
            received = f"{shown}, whose run had {_differences(before, now)}"
            raise argument_error("resume", "a run with the same settings", received)

    def _leave(self, *, remove: bool) -> None:
        if remove:
            with contextlib.suppress(FileNotFoundError):
                self._remove()
        self._lock.close()

    def _remove(self) -> None:
        """Removes the folder. A kill leaves what no run goes on from by mistake."""
        order = sorted(
            os.listdir(self._folder),
            key=lambda file: (
                *(file == LOCK, file == _RUN),
                *(not file.startswith("segment"), file),
            ),
        )
        for file in order:
            os.unlink(self._path(file))
        with contextlib.suppress(OSError):  # Another process has just come.
            os.rmdir(self._folder)

    def _count_segments(self) -> int:
        """How many segments are complete; the last one's times are written first."""
        for number in itertools.count():
            if not all(
                os.path.exists(self._segment_path(number, suffix))
                for suffix in (".json", ".mkv")
            ):
                return number
        raise AssertionError

    def _find_position(self) -> None:
        """Goes on where the run was killed, and removes what it had begun."""
        self._full = self._count_segments()
        most = self._size if self._passes == 1 else None
        while self._loose != most and self._kept.has(self.frames):
            self._loose += 1
        if self._loose:
            self._end = sum(self._kept.times(self.frames - 1), Fraction(0))
        elif self._full:
            self._end = sum(self._read_times(self._full - 1)[-1], Fraction(0))
        if self._passes > 1 and self.frames:
            self._pass, self._again = self._find_pass()
        if self._loose == most:
            self._finish_segment()
        self._remove_leftovers()

    def _find_pass(self) -> tuple[int, int]:
        """Which pass it is, and how many frames it has added."""
        found = []
        for file in os.listdir(self._folder):
            if not file.startswith("state"):
                continue
            number = int(file[6:14])
            # A state without its frame is of one that wasn't finished.
            if number < self.frames:
                pass_number = self._kept.state_pass(number)
                if self._kept.pass_number(number) == pass_number:
                    done = self.frames - number if pass_number % 2 else number + 1
                    found.append((pass_number, done))
        # The first frame of a pass takes the place of the last one's state.
        return max(found, default=(self._kept.pass_number(0) + 1, 0))

    def _remove_leftovers(self) -> None:
        first = min(self._full * self._size, self.frames - self._keep)
        frames = range(max(0, first), self.frames)
        last = self.number(self.frames_done - 1) if self.frames_done else -1
        for file in os.listdir(self._folder):
            kind, _, rest = file.partition("-")
            number = int(re.sub(r"\D.*", "", rest) or -1)
            wanted = (
                file in (_RUN, LOCK, _SOUND)
                or (kind == "sound" and self.has_sound)
                or (kind in ("frame", "source") and number in frames)
                or (kind == "state" and number == last)
                or (kind == "segment" and number < self._full)
            )
            if not wanted:
                os.unlink(self._path(file))

    @argument("output")
    def _finish_segment(self) -> None:
        """Encodes a full segment, and removes the PNG files that it makes needless."""
        times = [[str(x) for x in pair] for pair in self._read_times(self._full)]
        path = self._segment_path(self._full, ".json")
        write_file(path, json.dumps(times).encode())
        self._encode(self._full, self._segment_path(self._full, ".mkv"))
        before = max(0, self._full * self._size - self._keep)
        self._full, self._loose = self._full + 1, 0
        for number in range(before, self.frames - self._keep):
            self._kept.remove("frame", number)

    @argument("output")
    def _encode(self, number: int, path: str) -> None:
        """Encodes a segment from PNG files, with the frames that there are."""
        first, times = number * self._size, self._read_times(number)
        with replaced_file(path) as hidden:
            encode_segment(
                hidden,
                (self._kept.read(first + i).picture for i in range(len(times))),
                [to_ticks(time - times[0][0], self._time_base) for time, _ in times],
                format=self._format,
                crf=self._crf,
                rate=self._rate,
                time_base=self._time_base,
            )

    @argument("resume")
    def _read_times(self, number: int) -> list[tuple[Fraction, Fraction]]:
        """Times and durations of a segment's frames."""
        if number >= self._full:
            first = number * self._size
            last = min(first + self._size, self.frames)
            return [self._kept.times(i) for i in range(first, last)]
        data = read_file(self._segment_path(number, ".json"))
        return [(Fraction(time), Fraction(length)) for time, length in json.loads(data)]

    def _segment(self, number: int) -> Segment:
        """A segment, or what there is of the last; times count from the first frame."""
        path = self._segment_path(number, ".mkv")
        if number >= self._full:
            path = self._tail_path(number)
        start = self._read_times(0)[0][0]
        frames = self._read_times(number)
        return Segment(
            path,
            tuple(time - start for time, _ in frames),
            tuple(length for _, length in frames),
        )

    @argument("resume")
    def _read_tracks(self) -> list[Track]:
        """The sound that is ready."""
        if not self.has_sound:
            return []
        data = read_file(self._path(_SOUND))
        return [
            Track(self._path(file), Fraction(first), *rest)
            for file, first, *rest in json.loads(data)
        ]


def folder_in_use(folder: str) -> ValueError:
    """The error for a film that is being painted in a folder by another process."""
    return argument_error(
        "output",
        "a film that no other process is painting",
        f"a film whose parts in {show_path(folder)} are in use",
    )


def _differences(before: Any, now: dict[str, Any]) -> str:
    """Which settings a run was begun with that are others now."""
    if not isinstance(before, dict) or not isinstance(before.get("run"), dict):
        return "no settings that can be read"
    then, new = ({**each, **each["run"]} for each in (before, now))
    names = sorted(then.keys() | new.keys())
    return ", ".join(
        f"another `{name}`"
        for name in names
        if name != "run" and then.get(name) != new.get(name)
    )


@contextlib.contextmanager
def _folder_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Words errors of making or reading a folder."""
    try:
        yield
    except OSError as error:
        expected = "a folder that can be written to"
        raise os_error(error, expected, show_path(path)) from error
