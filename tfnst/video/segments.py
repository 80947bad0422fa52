"""A film that is being painted, kept so that a run can be killed and continued.

A folder holds it: finished frames as PNG files until a segment is full, and segments
that have been encoded. Each file is written whole or not at all, and a segment is
encoded from a fixed number of frames by an encoder of its own, so that a run that was
killed at any moment continues and gives the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from tfnst.checks import argument_error, check_integer
from tfnst.files import os_error, read_file, replaced_file, show_path, write_file
from tfnst.video.encoding import FORMATS, encode_segment, fit_time_base
from tfnst.video.folder_lock import LOCK, FolderInUseError, FolderLock
from tfnst.video.frames import Frame
from tfnst.video.joining import (
    Segment,
    join_packets,
    write_animation,
    write_pictures,
)
from tfnst.video.outputs import film_kind, frame_pattern
from tfnst.video.reading import open_film
from tfnst.video.sound import Sound

_RUN, _VERSION = "run.json", 1
_SEGMENT_FRAMES = 48
_OWN_FILES = re.compile(
    r"run\.json|lock|(frame|state)-\d{8}\.png|segment-\d{6}\.(json|mkv)|tail\.mkv"
    r"|\.tfnst-[0-9a-f]{16}\.tmp"
)


class FrameState(NamedTuple):
    """What must be known of the last frame to go on from it."""

    picture: np.ndarray  # uint8 [H, W, 3]
    past: int  # a number


class FilmParts:
    """The frames of a film that is being painted, in a folder.

    A folder that exists is continued. The disk holds the encoded film, `segment_frames`
    PNG files at most and the `keep` before them; memory doesn't depend on the film's
    length. It is a context manager that closes itself.

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
    ) -> None:
        self._folder = os.fspath(folder)
        self._kind, self._format = kind, FORMATS[kind]
        self._rate, self._time_base = rate, fit_time_base(time_base)
        if crf is not None:
            check_integer("crf", crf, 0, 63 if kind == ".webm" else 51)
        self._crf = crf
        self._size = check_integer("segment_frames", segment_frames, 1)
        self._keep = check_integer("keep", keep, 0)
        run = {
            "version": _VERSION,
            "kind": kind,
            "crf": crf,
            "rate": str(rate),
            "time_base": str(time_base),
            "segment_frames": segment_frames,
            "keep": keep,
            "run": dict(description),
        }
        self._full, self._pending = 0, []
        made = not os.path.lexists(self._folder)
        self._lock = self._lock_folder()
        try:
            self._check_run(json.dumps(run))
            self._full = self._count_segments()
            self._pending = self._read_pending()
            self._remove_leftovers()
        except BaseException:
            self._leave(remove=made)
            raise

    def __enter__(self) -> FilmParts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets others have the folder; one without any frame is removed."""
        self._leave(remove=not self.frames_done)

    @property
    def frames_done(self) -> int:
        """How many frames there are."""
        return self._full * self._size + len(self._pending)

    @property
    def end(self) -> Fraction:
        """When the next frame should begin, in the times of the frames; 0 at first."""
        if self._pending:
            time, duration = self._pending[-1]
        elif self._full:
            time, duration = self._read_times(self._full - 1)[-1]
        else:
            return Fraction(0)
        return time + duration

    def append(self, frame: Frame, state: FrameState | None = None) -> None:
        """Adds a frame; afterwards it is safe.

        Args:
            frame: the next one; its number is `frames_done`.
            state: for `last_state`.

        Raises:
            ValueError: when it isn't the next frame, or of another size.
            OSError: when the disk is full.
        """
        if frame.number != self.frames_done or frame.time < self.end:
            raise argument_error(
                "frame",
                f"number {self.frames_done}, at {float(self.end):g} seconds or later",
                f"number {frame.number} at {float(frame.time):g} seconds",
            )
        text = PngImagePlugin.PngInfo()
        text.add_text("time", str(frame.time))
        text.add_text("duration", str(frame.duration))
        data = io.BytesIO()
        Image.fromarray(frame.picture).save(data, "PNG", compress_level=1, pnginfo=text)
        path = self._frame_path(frame.number)
        if state is not None:
            # First: a frame that is there has its state.
            self._write_state(frame.number, state)
        write_file(path, data.getbuffer(), name="output")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._state_path(frame.number - 1))
        self._pending.append((frame.time, frame.duration))
        if len(self._pending) == self._size:
            self._finish_segment()

    def last_pictures(self, count: int) -> list[np.ndarray]:
        """The pictures of the last frames in order, uint8 [H, W, 3].

        Args:
            count: how many, up to `keep`; fewer are given if there are fewer.

        Raises:
            ValueError: when `count` is more than `keep`.
        """
        check_integer("count", count, 0, self._keep)
        first = max(0, self.frames_done - count)
        return [self._read_picture(i) for i in range(first, self.frames_done)]

    def last_state(self) -> FrameState | None:
        """The state that the last frame was added with."""
        path = self._state_path(self.frames_done - 1)
        if not os.path.exists(path):
            return None
        with Image.open(path) as image:
            text = getattr(image, "text", {})
            return FrameState(np.asarray(image), int(text["past"]))

    def finish(
        self,
        output: str | os.PathLike[str],
        *,
        sound_from: str | os.PathLike[str] | None = None,
        complete: bool = True,
        metadata: Mapping[str, str] | None = None,
        name: str = "output",
    ) -> None:
        """Writes the film, whole or not at all.

        Args:
            output: path of the film, of the kind that was given.
            sound_from: the film that was painted, whose sound is used from the time
                of the first frame to the end of the last; nothing happens if it has
                none. No sound by default, nor in GIF, WebP and pictures.
            complete: whether the film has all of its frames. The folder is then
                removed; otherwise it stays, and the run can be continued. Default
                True.
            metadata: texts for MP4 and WebM files, such as `comment`.
            name: what errors call `output`. Default `"output"`.

        Raises:
            ValueError: when there are no frames, or `output` is of another kind.
            OSError: when it can't be written.
        """
        if film_kind(output, name=name) != self._kind:
            raise argument_error(
                name, f"a film of the kind {self._kind}", show_path(output)
            )
        if not self.frames_done:
            raise argument_error(name, "a film of 1 frame or more", "no frames")
        count = self._full + bool(self._pending)
        if self._pending:
            self._encode(self._full, self._pending, self._path("tail.mkv"))
        if self._kind in (".png", ".jpg"):
            pattern = frame_pattern(output)
            with _named_errors(name, output):
                os.makedirs(os.path.dirname(pattern) or ".", exist_ok=True)
            write_pictures(pattern, self._segment, count, suffix=self._kind, name=name)
        else:
            with replaced_file(output, name=name) as path:
                if self._format.is_lossless:
                    write_animation(path, self._segment, count, suffix=self._kind)
                else:
                    join_packets(
                        path,
                        self._segment,
                        count,
                        suffix=self._kind,
                        format=self._format,
                        time_base=self._time_base,
                        sound=self._find_sound(sound_from),
                        metadata=metadata or {},
                    )
        if complete:
            self._leave(remove=True)
        elif self._pending:
            os.unlink(self._path("tail.mkv"))

    def _path(self, file: str) -> str:
        return os.path.join(self._folder, file)

    def _frame_path(self, number: int) -> str:
        return self._path(f"frame-{number:08}.png")

    def _state_path(self, number: int) -> str:
        return self._path(f"state-{number:08}.png")

    def _write_state(self, number: int, state: FrameState) -> None:
        text = PngImagePlugin.PngInfo()
        text.add_text("past", str(state.past))
        data = io.BytesIO()
        image = Image.fromarray(state.picture)
        image.save(data, "PNG", compress_level=1, pnginfo=text)
        write_file(self._state_path(number), data.getbuffer(), name="output")

    def _segment_path(self, number: int, suffix: str) -> str:
        return self._path(f"segment-{number:06}{suffix}")

    def _lock_folder(self) -> FolderLock:
        """Makes the folder if it is missing, and keeps other processes out of it."""
        with _named_errors("resume", self._folder):
            os.makedirs(self._folder, exist_ok=True)
        self._check_files()
        try:
            with _named_errors("resume", self._folder):
                return FolderLock(self._folder)
        except FolderInUseError as error:
            raise folder_in_use(self._folder) from error

    def _check_files(self) -> list[str]:
        """The names of the files in the folder, which must be a film's parts."""
        with _named_errors("resume", self._folder):
            files = sorted(os.listdir(self._folder))
        strange = [file for file in files if not _OWN_FILES.fullmatch(file)]
        if _RUN not in files:
            strange += [file for file in files if file[0] != "." and file != LOCK]
        if strange:
            other = f"{show_path(self._folder)}, which holds {show_path(strange[0])}"
            raise argument_error("resume", "a folder with parts of a film", other)
        return files

    def _check_run(self, run: str) -> None:
        """Checks that the folder is this run's, or makes it so."""
        if _RUN not in self._check_files():
            write_file(self._path(_RUN), run.encode(), name="resume")
            return
        data = read_file(self._path(_RUN), name="resume")
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

    def _read_pending(self) -> list[tuple[Fraction, Fraction]]:
        """Times and durations of the frames that are in no segment yet."""
        pending: list[tuple[Fraction, Fraction]] = []
        while len(pending) < self._size:
            path = self._frame_path(self._full * self._size + len(pending))
            if not os.path.exists(path):
                break
            with Image.open(path) as image:
                # Typed as if any file could have this.
                text = getattr(image, "text", {})
                pending.append((Fraction(text["time"]), Fraction(text["duration"])))
        return pending

    def _remove_leftovers(self) -> None:
        """Goes on where the run was killed, and removes what it had begun."""
        if len(self._pending) == self._size:
            self._finish_segment()
        wanted = {_RUN, LOCK, os.path.basename(self._state_path(self.frames_done - 1))}
        first = min(self._full * self._size, self.frames_done - self._keep)
        wanted |= {
            os.path.basename(self._frame_path(number))
            for number in range(max(0, first), self.frames_done)
        }
        for file in os.listdir(self._folder):
            number = re.match(r"segment-(\d{6})", file)
            if file not in wanted and not (number and int(number[1]) < self._full):
                os.unlink(self._path(file))

    def _finish_segment(self) -> None:
        """Encodes a full segment, and removes the PNG files that it makes needless."""
        times = [[str(time), str(length)] for time, length in self._pending]
        path = self._segment_path(self._full, ".json")
        write_file(path, json.dumps(times).encode(), name="output")
        self._encode(self._full, self._pending, self._segment_path(self._full, ".mkv"))
        before = max(0, self._full * self._size - self._keep)
        self._full, self._pending = self._full + 1, []
        for number in range(before, self.frames_done - self._keep):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._frame_path(number))

    def _encode(
        self, number: int, frames: list[tuple[Fraction, Fraction]], path: str
    ) -> None:
        """Encodes frames that are in PNG files, from the first of a segment on."""
        first, start = number * self._size, frames[0][0]
        with replaced_file(path, name="output") as hidden:
            encode_segment(
                hidden,
                (self._read_picture(first + i) for i in range(len(frames))),
                [round((time - start) / self._time_base) for time, _ in frames],
                format=self._format,
                crf=self._crf,
                rate=self._rate,
                time_base=self._time_base,
            )

    def _read_picture(self, number: int) -> np.ndarray:
        with Image.open(self._frame_path(number)) as image:
            return np.asarray(image)

    def _read_times(self, number: int) -> list[tuple[Fraction, Fraction]]:
        """Times and durations of a segment's frames."""
        if number == self._full:
            return self._pending
        data = read_file(self._segment_path(number, ".json"), name="resume")
        return [(Fraction(time), Fraction(length)) for time, length in json.loads(data)]

    def _segment(self, number: int) -> Segment:
        """A segment, or what there is of the last; times count from the first frame."""
        path = self._segment_path(number, ".mkv")
        if number == self._full:
            path = self._path("tail.mkv")
        start = self._read_times(0)[0][0]
        frames = self._read_times(number)
        return Segment(
            path,
            tuple(time - start for time, _ in frames),
            tuple(length for _, length in frames),
        )

    def _find_sound(self, film: str | os.PathLike[str] | None) -> Sound | None:
        """The sound that belongs to the frames, if there is any."""
        if film is None:
            return None
        with open_film(film, name="sound_from") as reader:
            info = reader.info
        if not info.has_sound:
            return None
        start = self._read_times(0)[0][0]
        return Sound(film, origin=info.origin, start=start, end=self.end)


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
def _named_errors(name: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Words errors of making or reading a folder."""
    try:
        yield
    except OSError as error:
        expected = "a folder that can be written to"
        raise os_error(error, name, expected, show_path(path)) from error
