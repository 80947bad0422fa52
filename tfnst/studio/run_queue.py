"""The queue of runs: fair turns for all visitors, and one thread that paints."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import pathlib
import secrets
import shutil
import threading
import time
from typing import Protocol

from tfnst.checks import one_line
from tfnst.studio.history import Entry, History
from tfnst.studio.limits import Limits
from tfnst.studio.tasks import Task

WAITING, PAINTING = "waiting", "painting"
DONE, STOPPED, FAILED, LEFT = "done", "stopped", "failed", "left"
_ENDED = (DONE, STOPPED, FAILED, LEFT)

_log = logging.getLogger(__name__)


class BusyError(RuntimeError):
    """There are too many runs or uploads at the moment."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of the task that is being painted.

    Attributes:
        step: number of finished steps; in a video, those of the present frame.
        steps: number of steps in all, likewise.
        size: long side of the present scale in pixels.
        fraction: finished share of the work.
        seconds: seconds since the first step began.
        losses: rows (step, content, style, total) for some of the steps.
        preview: the picture as it is now, a JPEG file.
        previews: number of previews so far.
        frames_done: number of painted frames; None for a picture.
        frames: number of frames in the video; None if unknown.
        pace: seconds for a frame that follows others; None while unknown.
    """

    step: int = 0
    steps: int = 0
    size: int = 0
    fraction: float = 0.0
    seconds: float = 0.0
    losses: tuple[tuple[float, float, float, float], ...] = ()
    preview: bytes | None = dataclasses.field(default=None, repr=False)
    previews: int = 0
    frames_done: int | None = None
    frames: int | None = None
    pace: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the remaining time; None while it can't be estimated."""
        if self.frames_done is not None:
            if self.frames is None or self.pace is None:
                return None
            return self.pace * max(self.frames - self.frames_done, 0)
        if self.fraction <= 0 or self.step < 2:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction


@dataclasses.dataclass(frozen=True)
class PausedVideo:
    """A video that waits while others have their turn.

    Attributes:
        path: path of the video, which has the frames so far.
        parts: folder from which painting continues.
        seconds: time spent on it so far.
    """

    path: pathlib.Path
    parts: pathlib.Path
    seconds: float

    def end(self, *, keep: bool) -> pathlib.Path | None:
        """Gives up painting the rest.

        Args:
            keep: whether to keep the frames so far.

        Returns:
            Path of the video; None if it isn't kept.
        """
        shutil.rmtree(self.parts, ignore_errors=True)
        if keep:
            return self.path
        self.path.unlink(missing_ok=True)
        return None


# The outcome of a task: a picture, a video, or an error message.
Outcome = Entry | pathlib.Path | str


@dataclasses.dataclass(eq=False)
class QueuedRun:
    """A visitor's run in the queue: one or several tasks, painted one by one.

    Attributes:
        tasks: the pictures or videos to paint.
        history: the folder that keeps them.
        visitor: the visitor, who gets a turn.
        session: the open page from which the run was started.
        keep: whether it goes on when that page is closed.
        key: random name of the run.
        state: `"waiting"`, `"painting"`, `"done"`, `"stopped"`, `"failed"`, or
            `"left"` when the visitor has closed the page.
        outcomes: the outcomes of the finished tasks.
        paused: the video that waits for its next turn; None if there is none.
        others_wait: whether other runs wait while this one is being painted.
        progress: progress of the present task.
        turn: position in the queue: lower ones are painted first.
        stopping: whether the run has been asked to stop.
        abandoned: whether nobody wants the picture so far.
    """

    tasks: tuple[Task, ...]
    history: History
    visitor: str
    session: str
    keep: bool = False
    key: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))
    state: str = WAITING
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    paused: PausedVideo | None = None
    others_wait: bool = False
    progress: Progress = Progress()
    turn: tuple[int, int] = (0, 0)
    stopping: bool = False
    abandoned: bool = False

    @property
    def task(self) -> Task:
        """The present task, or the last one."""
        return self.tasks[min(len(self.outcomes), len(self.tasks) - 1)]

    @property
    def results(self) -> list[tuple[Task, Entry]]:
        """The painted pictures, each with its task."""
        done = zip(self.tasks, self.outcomes, strict=False)
        return [(task, entry) for task, entry in done if isinstance(entry, Entry)]

    @property
    def video(self) -> pathlib.Path | None:
        """Path of the painted video; None if there is none."""
        videos = [each for each in self.outcomes if isinstance(each, pathlib.Path)]
        return videos[-1] if videos else None

    def thumbnails(self) -> list[tuple[str, str]]:
        """The painted pictures' thumbnails, as tuples (path, label)."""
        return [
            (str(self.history.thumbnail(entry)), task.label)
            for task, entry in self.results
        ]

    @property
    def errors(self) -> list[tuple[Task, str]]:
        """The error messages, each with its task."""
        done = zip(self.tasks, self.outcomes, strict=False)
        return [(task, text) for task, text in done if isinstance(text, str)]

    @property
    def ended(self) -> bool:
        """True once nothing more will happen."""
        return self.state in _ENDED

    def stop(self, *, leave: bool = False) -> None:
        """Asks the run to stop.

        Args:
            leave: whether the picture so far is thrown away.
        """
        self.abandoned |= leave
        self.stopping = True


class AbandonedError(Exception):
    """Nobody wants the picture any more."""


class Painter(Protocol):
    """Paints tasks, in this process or on a server."""

    def prepare(self) -> None:
        """Gets ready to paint; called once, before the first task."""

    def rehearse(self) -> None:
        """Traces graphs beforehand; called after `prepare` if no run waits."""

    def paint(
        self, run: QueuedRun, task: Task, limits: Limits
    ) -> Entry | pathlib.Path | PausedVideo | None:
        """Paints a task and adds the result to the run's history.

        It sets `run.progress` on the way, and ends early once the run is `stopping`. A
        video may pause if `run.others_wait`; later it goes on from `run.paused`.

        Args:
            run: the run with the task.
            task: the task.
            limits: the host's limits.

        Returns:
            The picture, the video or the paused video; None if the run was stopped
            before there was one.
        """


class RunQueue:
    """The runs of all visitors, painted one at a time.

    Each run gets a turn when it is submitted: the present one, or the one after its
    visitor's last. The lowest turn is painted first, and of several the oldest. So
    everybody's first run comes before anybody's second, whoever began, and nobody waits
    for ever. A run of several pictures takes a new turn for each, and a video each time
    it has paused.

    Args:
        painter: paints the tasks.
        limits: the host's limits.
    """

    def __init__(self, painter: Painter, limits: Limits) -> None:
        self.limits = limits
        self._painter = painter
        self._changed = threading.Condition()
        self._waiting: list[QueuedRun] = []
        self._painting: QueuedRun | None = None
        self._turn = 0
        self._last_turns: dict[str, int] = {}
        self._arrivals = itertools.count()
        self._closed = False
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="painter", daemon=True)

    def start(self) -> None:
        """Starts to prepare the painter, and then to paint."""
        self._thread.start()

    def submit(self, run: QueuedRun) -> None:
        """Adds a run to the queue.

        Raises:
            BusyError: when there are too many runs.
        """
        with self._changed:
            own = sum(each.visitor == run.visitor for each in self._runs())
            if own >= self.limits.max_runs:
                raise BusyError(
                    f"You have {own} runs in the queue, as many as the host allows. "
                    "Wait for one to end, or stop one."
                )
            if len(self._waiting) >= self.limits.max_waiting:
                raise BusyError(
                    f"{len(self._waiting)} runs are waiting, as many as the host "
                    "allows. Try again in a few minutes."
                )
            self._enter(run)
            self._changed.notify_all()
        _log.info("%s: %s, waits at place %d", run.key, _describe(run), self.place(run))

    def place(self, run: QueuedRun) -> int:
        """Returns a waiting run's place in line, from 1; 0 for any other run."""
        with self._changed:
            if run not in self._waiting:
                return 0
            before = sum(each.turn < run.turn for each in self._waiting)
            return before + 1

    @property
    def files(self) -> set[pathlib.Path]:
        """Paths of the files that waiting or running tasks are painted from."""
        with self._changed:
            tasks = [task for run in self._runs() for task in run.tasks]
        return {path for task in tasks for path in task.files}

    def stop(self, key: str) -> None:
        """Stops the run with a key; the picture so far is kept."""
        with self._changed:
            for run in self._runs():
                if run.key == key:
                    self._end(run)

    def _end(self, run: QueuedRun, *, leave: bool = False) -> None:
        with self._changed:
            run.stop(leave=leave)
            if run in self._waiting:
                self._waiting.remove(run)
                if run.paused is not None:
                    video = run.paused.end(keep=not leave)
                    run.outcomes += [] if video is None else [video]
                self._forget_sources(run)
                run.state = LEFT if leave else STOPPED
                _log.info("%s: %s while it waited", run.key, run.state)

    def leave(self, session: str) -> None:
        """Stops the runs of a closed page, except those that go on."""
        with self._changed:
            for run in self._runs():
                if run.session == session and not run.keep:
                    self._end(run, leave=True)

    def close(self, seconds: float = 5.0) -> None:
        """Stops all runs; the picture so far is kept.

        Args:
            seconds: maximum time to wait for the run that is being painted.
        """
        with self._changed:
            self._closed = True
            for run in self._runs():
                self._end(run)
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _runs(self) -> list[QueuedRun]:
        painting = [] if self._painting is None else [self._painting]
        return [*painting, *self._waiting]

    def _forget_sources(self, run: QueuedRun) -> None:
        """Removes the copied sources of an ended run that no picture needs.

        A video can't be repeated from the page, so its sources go, too. If the disk
        fails, the queue goes on.
        """
        with contextlib.suppress(OSError):
            painted = [task for task, _ in run.results]
            for task in run.tasks:
                if task not in painted:
                    run.history.forget(task, self.files)

    def _enter(self, run: QueuedRun) -> None:
        turn = max(self._turn, self._last_turns.get(run.visitor, -1) + 1)
        self._last_turns[run.visitor] = turn
        run.turn = (turn, next(self._arrivals))
        run.state = WAITING
        self._waiting.append(run)
        if self._painting is not None:
            self._painting.others_wait = True

    def _next(self) -> QueuedRun | None:
        """Waits for the next run and returns it; None once the queue is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            run = min(self._waiting, key=lambda each: each.turn)
            self._waiting.remove(run)
            self._turn = run.turn[0]
            self._last_turns = {
                visitor: turn
                for visitor, turn in self._last_turns.items()
                if turn >= self._turn
            }
            self._painting = run
            run.others_wait = bool(self._waiting)
            run.state = PAINTING
            if run.paused is None:
                run.progress = Progress()
            return run

    def _work(self) -> None:
        """Paints runs until the queue is closed; runs in the thread."""
        try:
            self._painter.prepare()
        except Exception as error:  # Each run tries again, and says why it can't.
            _log.warning("nothing can be painted yet: %s", explain(error))
        self.ready.set()
        if not self._waiting:
            try:
                self._painter.rehearse()
            except Exception as error:  # It was only a try.
                _log.debug("the rehearsal failed: %s", explain(error))
        while (run := self._next()) is not None:
            self._paint(run)

    def _paint(self, run: QueuedRun) -> None:
        task, began = run.task, time.monotonic()
        outcome: Outcome | PausedVideo | None
        try:
            outcome = self._painter.paint(run, task, self.limits)
        except Exception as error:
            outcome = explain(error)
            if not isinstance(error, ValueError | OSError | MemoryError):
                _log.info("%s failed", run.key, exc_info=True)
        with self._changed:
            self._painting = None
            run.paused = None
            if isinstance(outcome, PausedVideo) and run.stopping:
                outcome = outcome.end(keep=not run.abandoned)
            if isinstance(outcome, PausedVideo):
                run.paused = outcome
            elif outcome is not None:
                run.outcomes.append(outcome)
            again = not run.stopping and len(run.outcomes) < len(run.tasks)
            if again:
                # Others may be painted although this one couldn't.
                self._enter(run)
        if not again:
            self._forget_sources(run)
            if run.abandoned:
                run.state = LEFT
            elif run.stopping:
                run.state = STOPPED
            else:
                run.state = FAILED if len(run.errors) == len(run.tasks) else DONE
        _log.info(
            "%s: %s after %.1f s, %d %s%s",
            run.key,
            run.state,
            time.monotonic() - began,
            *_work_of(run.progress),
            f": {outcome}" if isinstance(outcome, str) else "",
        )


def explain(error: BaseException) -> str:
    """An error's message for visitors, in one line."""
    if isinstance(error, MemoryError) and not str(error):
        return "There is not enough memory; try a smaller size."
    return one_line(error)


def _work_of(progress: Progress) -> tuple[int, str]:
    if progress.frames_done is None:
        return progress.step, "steps"
    return progress.frames_done, "frames"


def _describe(run: QueuedRun) -> str:
    task = run.tasks[0]
    styles = "+".join(pathlib.Path(style.image).name for style in task.styles)
    several = f" and {len(run.tasks) - 1} more" if len(run.tasks) > 1 else ""
    return f"{task.content.name} in {styles}, {task.config.size} pixels{several}"
