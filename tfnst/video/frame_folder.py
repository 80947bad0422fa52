"""The folder of an unfinished film, which holds each painted frame in a file.

    frame-0-00000012.png    frame 12, as the first pass has painted it
    source-00000012.png     the same frame before it was painted, for further passes
    state.npz               number of painted frames, and what the next one starts from
    run.json                settings

Each file is written whole or not at all, and the state comes last: a frame that it
doesn't count is painted again. So a run that was killed at any moment continues with
the same frames. The film is encoded from them when it ends.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from tfnst.checks import ArgumentError, argument
from tfnst.files import os_error, read_file, show_path, write_file
from tfnst.video.coherence import Traces
from tfnst.video.folder_lock import LOCK, lock_folder
from tfnst.video.frames import Frame

_logger = logging.getLogger(__name__)

# Raised when films that an older version has begun can't be continued.
_FORMAT = 3
_RUN, _STATE = "run.json", "state.npz"
_FILES = re.compile(
    rf"{_RUN}|{_STATE}|{LOCK}|sound.*|(frame-\d+|source)-\d{{8}}\.png|\.tfnst-.*\.tmp"
)
_GIGABYTE = 1e9


class FrameState(NamedTuple):
    """State after a frame, from which the next one is painted.

    Attributes:
        traces: traces of the frame.
        scenes: numbers of the scenes that the last frames belong to.
    """

    traces: Traces
    scenes: tuple[int, ...]


class FrameFolder(Sequence[Frame]):
    """The painted frames of a film, in the film's order, each as it was painted last.

    Memory doesn't depend on the film's length. It is a context manager that closes
    itself.

    Args:
        path: path of the folder, which is made if it is missing; the folder that it is
            in must exist.
        run: values for JSON that the frames depend on. They must be the same when the
            film is continued.
        passes: number of times that each frame is painted. Every other pass goes from
            the film's end to its beginning. Default 1.
        resume: whether a folder that exists is continued. Default True.

    Attributes:
        path: path of the folder.
        frames: number of frames that are painted.
        pass_number: number of the pass, from 0.
        frames_done: number of frames that the pass has painted.
        state: state after the last of these; None if there are none.

    Raises:
        ValueError: for a folder that holds anything else or another run, naming
            `resume`; and for one that another process writes into.
        OSError: when the folder can't be made or read.
    """

    @argument("resume")
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        run: Mapping[str, Any],
        passes: int = 1,
        resume: bool = True,
    ) -> None:
        self.path, self._passes = os.fspath(path), passes
        self.frames = self.pass_number = self.frames_done = 0
        self.state: FrameState | None = None
        is_new = not os.path.lexists(path)
        try:
            os.makedirs(path, exist_ok=True)
            _check_folder(self.path)
            self._lock = lock_folder(self.path)
        except BlockingIOError as error:
            raise ArgumentError(
                "a film that no other process is painting",
                f"a film whose parts in {show_path(path)} are in use",
                argument="output",
            ) from error
        except OSError as error:
            expected = "a folder that can be written to"
            raise os_error(error, expected, show_path(path)) from error
        try:
            if not (is_new or resume):
                raise ArgumentError(
                    f"True to continue the unfinished film in {show_path(path)}; or "
                    "remove that folder to start over",
                    "False",
                )
            self._check_run({"format": _FORMAT, "passes": passes, **run})
            self._read_state()
        except BaseException:
            self.close(remove=is_new)
            raise

    def __enter__(self) -> FrameFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(remove=not self.frames)

    def close(self, *, remove: bool = False) -> None:
        """Lets others have the folder.

        Args:
            remove: whether to remove it before that. Default False.
        """
        if remove:
            self._remove()
        self._lock.close()

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, number: Any) -> Any:
        number = range(self.frames)[number]
        done = self.frames - 1 - number if self.backward else number
        last_pass = self.pass_number - (done >= self.frames_done)
        return self._read(f"frame-{last_pass}", number)

    @property
    def backward(self) -> bool:
        """True if the pass goes from the film's end to its beginning."""
        return self.pass_number % 2 == 1

    def number(self, done: int) -> int:
        """Returns the number of the frame that the pass paints after so many others."""
        return self.frames - 1 - done if self.backward else done

    def source(self, number: int) -> Frame:
        """Reads a frame before it was painted; with several passes only."""
        return self._read("source", number)

    @argument("output")
    def append(self, frame: Frame, source: np.ndarray, state: FrameState) -> None:
        """Keeps the next frame of the pass; after that, a kill doesn't lose it.

        Args:
            frame: the painted frame.
            source: picture that it was painted from, uint8 [H, W, 3].
            state: state after the frame.

        Raises:
            OSError: when the disk is full.
        """
        number = self.number(self.frames_done)
        assert frame.number == number
        if self._passes > 1 and not self.pass_number:
            self._write("source", frame, source)
        self._write(f"frame-{self.pass_number}", frame, frame.picture)
        self.frames_done += 1
        self.frames = max(self.frames, self.frames_done)
        self._write_state(state)
        if self.pass_number:
            os.unlink(self._picture_path(f"frame-{self.pass_number - 1}", number))

    def end_pass(self) -> bool:
        """Begins the next pass, unless this was the last one."""
        if self.pass_number + 1 == self._passes:
            return False
        self.pass_number, self.frames_done, self.state = self.pass_number + 1, 0, None
        return True

    @argument("output")
    def check_room(
        self, frames: int | None, sides: tuple[int, int], *, pictures: bool = False
    ) -> None:
        """Checks that the disk has room for the frames that aren't painted yet.

        Args:
            frames: number of frames in the film; None, if unknown, passes.
            sides: height and width of the painted frames.
            pictures: whether the film becomes picture files, too. Default False.

        Raises:
            ValueError: when there isn't.
        """
        frames = frames or 0
        left = max(0, frames - self.frames)
        files = left * (1 if self._passes == 1 else 2) + frames * pictures
        # A file is smaller than its picture.
        needed = files * math.prod(sides) * 3 / _GIGABYTE
        free = shutil.disk_usage(self.path).free / _GIGABYTE
        if needed > free:
            raise ArgumentError(
                f"on a disk with {needed:.2f} GB free for the painted frames; a "
                "smaller `size` needs less",
                f"{show_path(self.path)}, where {free:.2f} GB are free",
            )
        _logger.info("painted frames take up to %.2f GB until the film ends", needed)

    def _read(self, kind: str, number: int) -> Frame:
        with Image.open(self._picture_path(kind, number)) as image:
            texts = image.info
            time, duration = Fraction(texts["time"]), Fraction(texts["duration"])
            return Frame(number, time, duration, np.asarray(image))

    def _write(self, kind: str, frame: Frame, picture: np.ndarray) -> None:
        info = PngImagePlugin.PngInfo()
        info.add_text("time", str(frame.time))
        info.add_text("duration", str(frame.duration))
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "PNG", compress_level=1, pnginfo=info)
        write_file(self._picture_path(kind, frame.number), data.getbuffer())

    def _picture_path(self, kind: str, number: int) -> str:
        return os.path.join(self.path, f"{kind}-{number:08}.png")

    def _write_state(self, state: FrameState) -> None:
        data = io.BytesIO()
        counts = self.pass_number, self.frames_done, self.frames
        arrays = state.traces._asdict() | {"scenes": state.scenes, "counts": counts}
        np.savez(data, **arrays)
        write_file(os.path.join(self.path, _STATE), data.getbuffer())
        self.state = state

    def _read_state(self) -> None:
        path = os.path.join(self.path, _STATE)
        if not os.path.exists(path):
            return
        with np.load(path) as state:
            counts = state["counts"].tolist()
            self.pass_number, self.frames_done, self.frames = counts
            scenes = tuple(state["scenes"].astype(int).tolist())
            self.state = FrameState(Traces(state["seen"], state["steps"]), scenes)

    def _check_run(self, run: dict[str, Any]) -> None:
        """Checks that the folder is this run's, or makes it so."""
        path, shown = os.path.join(self.path, _RUN), show_path(self.path)
        if not os.path.exists(path):
            write_file(path, json.dumps(run).encode())
            return
        now = json.loads(json.dumps(run))
        try:
            before = dict(json.loads(read_file(path)))
        except (ValueError, TypeError):
            before = {}
        if before.get("format") != _FORMAT:
            raise ArgumentError(
                "a film that this version of tfnst has begun; finish it with the "
                "version that did, or remove the folder to start over",
                shown,
            )
        others = [
            f"another `{name}`"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        if others:
            received = f"{shown}, whose run had {', '.join(others)}"
            raise ArgumentError("a run with the same settings", received)

    def _remove(self) -> None:
        """Removes the folder; what a kill leaves of it is never taken for a film."""
        order = (_STATE, _RUN, LOCK)
        others = [file for file in os.listdir(self.path) if _FILES.fullmatch(file)]
        # Without the state, nothing is painted; without the lock, another may come.
        for file in (_STATE, *(x for x in others if x not in order), _RUN, LOCK):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, file))
        with contextlib.suppress(OSError):  # Another process has just come.
            os.rmdir(self.path)


def _check_folder(path: str) -> None:
    """Raises ValueError for a folder with files that isn't an unfinished film's."""
    files = sorted(os.listdir(path))
    strange = [file for file in files if file[0] != "." and file != LOCK]
    if strange and _RUN not in files:
        other = f"{show_path(path)}, which holds {show_path(strange[0])}"
        raise ArgumentError("a folder with parts of a film", other)
