"""The queue of runs: first come, first served, painted by one thread."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import queue
import secrets
import threading
import time
from typing import Protocol

from tfnst.checks import one_line
from tfnst.studio.history import Entry, History
from tfnst.studio.limits import Limits
from tfnst.studio.tasks import Task

WAITING, PAINTING = "waiting", "painting"
DONE, STOPPED, FAILED, LEFT = "done", "stopped", "failed", "left"

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
        frames_done: number of painted frames; None for a picture.
        frames: number of frames in the video; None if unknown.
        first: seconds and fraction after the first step or frame, which takes longer
            than the others; None until then.
    """

    step: int = 0
    steps: int = 0
    size: int = 0
    fraction: float = 0.0
    seconds: float = 0.0
    losses: tuple[tuple[float, float, float, float], ...] = ()
    preview: bytes | None = dataclasses.field(default=None, repr=False)
    frames_done: int | None = None
    frames: int | None = None
    first: tuple[float, float] | None = None

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the remaining time; None while it can't be estimated."""
        if self.first is None:
            return None
        seconds, fraction = self.first
        if self.fraction <= fraction:
            return None
        rate = (self.seconds - seconds) / (self.fraction - fraction)
        return rate * (1 - self.fraction)


# The outcome of a task: a picture, a video, or an error message.
Outcome = Entry | pathlib.Path | str


@dataclasses.dataclass(eq=False)
class QueuedRun:
    """A visitor's run in the queue: one or several tasks, painted one by one.

    Attributes:
        tasks: the pictures or videos to paint.
        history: the folder that keeps them.
        visitor: the visitor, who may have one run at a time.
        keep: whether it goes on when the page is closed from which it was started.
        tab: name of the tab that shows it.
        key: random name of the run, for the log.
        state: `"waiting"`, `"painting"`, `"done"`, `"stopped"`, `"failed"`, or
            `"left"` when the visitor has closed the page.
        outcomes: the outcomes of the finished tasks.
        progress: progress of the present task.
        stopping: whether the run has been asked to stop.
        abandoned: whether nobody wants the picture so far.
    """

    tasks: tuple[Task, ...]
    history: History
    visitor: str
    keep: bool = False
    tab: str = ""
    key: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))
    state: str = WAITING
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    progress: Progress = Progress()
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
        return self.state not in (WAITING, PAINTING)

    def stop(self, *, leave: bool = False) -> None:
        """Asks the run to stop.

        Args:
            leave: whether the picture so far is thrown away.
        """
        self.abandoned |= leave
        self.stopping = True

    def end(self) -> None:
        """Sets the state of a run of which nothing more will be painted."""
        if self.abandoned:
            self.state = LEFT
        elif self.stopping:
            self.state = STOPPED
        else:
            self.state = FAILED if len(self.errors) == len(self.tasks) else DONE


class Painter(Protocol):
    """Paints tasks, in this process or on a server."""

    def prepare(self) -> None:
        """Gets ready to paint; called once, before the first task."""

    def rehearse(self) -> None:
        """Traces graphs beforehand; called after `prepare` if no run waits."""

    def expected_seconds(self, task: Task, sides: tuple[int, int]) -> float | None:
        """Returns about how long a picture takes; None while that is unknown.

        Args:
            task: the picture.
            sides: height and width of the photo.
        """

    def paint(
        self, run: QueuedRun, task: Task, limits: Limits
    ) -> Entry | pathlib.Path | None:
        """Paints a task and adds the result to the run's history.

        It sets `run.progress` on the way, and ends early once the run is `stopping`.

        Args:
            run: the run with the task.
            task: the task.
            limits: the host's limits.

        Returns:
            The picture or the video; None if the run was stopped before there was one.
        """


class RunQueue:
    """The runs of all visitors, painted one at a time in the order of their arrival.

    Gradio's own queue would check a form only when its turn has come, forget runs that
    go on when their page is closed, and, once it is full, refuse every click on the
    page. So its events wait here, and it ends those of closed pages.

    Args:
        painter: paints the tasks.
        limits: the host's limits.

    Attributes:
        ready: set once the painter has prepared and rehearsed, or has failed to.
    """

    def __init__(self, painter: Painter, limits: Limits) -> None:
        self.limits = limits
        self.ready = threading.Event()
        self.painter = painter
        self._lock = threading.RLock()
        # All runs that haven't ended, in their order; the first is being painted.
        self._runs: list[QueuedRun] = []
        self._line: queue.SimpleQueue[QueuedRun | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="painter", daemon=True)

    def start(self) -> None:
        """Starts to prepare the painter, and then to paint."""
        self._thread.start()

    def submit(self, run: QueuedRun) -> None:
        """Adds a run to the queue.

        Raises:
            BusyError: when the visitor has one already, or too many wait.
        """
        with self._lock:
            if self.run_of(run.visitor) is not None:
                raise BusyError(
                    "A run of yours is in the queue already: wait for it to end, or "
                    "stop it."
                )
            waiting = sum(each.state == WAITING for each in self._runs)
            if waiting >= self.limits.max_waiting:
                raise BusyError(
                    f"{waiting} runs are waiting, as many as the host allows. Try "
                    "again in a few minutes."
                )
            self._runs.append(run)
            self._line.put(run)
            place = len(self._runs)
        _log.info("%s: %s, waits at place %d", run.key, _describe(run), place)

    def runs_before(self, run: QueuedRun) -> int:
        """Returns how many runs are painted before this one."""
        with self._lock:
            return self._runs.index(run) if run in self._runs else 0

    def run_of(self, visitor: str) -> QueuedRun | None:
        """Returns a visitor's run; None if there is none."""
        with self._lock:
            return next((run for run in self._runs if run.visitor == visitor), None)

    def stop(self, visitor: str) -> None:
        """Stops a visitor's run; the picture so far is kept."""
        run = self.run_of(visitor)
        if run is not None:
            self._stop(run)

    def leave(self, run: QueuedRun) -> None:
        """Stops the run of a closed page, unless it goes on."""
        if not run.keep and not run.stopping:
            self._stop(run, leave=True)

    def close(self, seconds: float = 5.0) -> None:
        """Stops all runs; the picture so far is kept.

        Args:
            seconds: maximum time to wait for the run that is being painted.
        """
        with self._lock:
            for run in list(self._runs):
                self._stop(run)
        self._line.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _stop(self, run: QueuedRun, *, leave: bool = False) -> None:
        with self._lock:
            run.stop(leave=leave)
            if run.state == WAITING:
                self._end(run)

    def _end(self, run: QueuedRun) -> None:
        with self._lock:
            self._runs.remove(run)
            run.end()
        _log.info("%s: %s after %s", run.key, run.state, _work_of(run.progress))

    def _work(self) -> None:
        """Paints runs until the queue is closed; runs in the thread."""
        try:
            self.painter.prepare()
        except Exception as error:  # Each run tries again, and says why it can't.
            _log.warning("nothing can be painted yet: %s", explain(error))
        if not self._runs:
            try:
                self.painter.rehearse()
            except Exception as error:  # It was only a try.
                _log.debug("the rehearsal failed: %s", explain(error))
        self.ready.set()
        while (run := self._line.get()) is not None:
            with self._lock:
                if run.ended:  # It was stopped while it waited.
                    continue
                run.state = PAINTING
            while len(run.outcomes) < len(run.tasks) and not run.stopping:
                self._paint(run)
            self._end(run)

    def _paint(self, run: QueuedRun) -> None:
        began, run.progress = time.monotonic(), Progress()
        outcome: Outcome | None
        try:
            outcome = self.painter.paint(run, run.task, self.limits)
        except Exception as error:  # Other tasks may be painted all the same.
            outcome = explain(error)
            if not isinstance(error, ValueError | OSError | MemoryError):
                _log.info("%s failed", run.key, exc_info=True)
        _log.info(
            "%s: %s in %.1f s",
            run.key,
            outcome if isinstance(outcome, str) else _work_of(run.progress),
            time.monotonic() - began,
        )
        if outcome is not None:
            run.outcomes.append(outcome)


def explain(error: BaseException) -> str:
    """An error's message for visitors, in one line."""
    if isinstance(error, MemoryError) and not str(error):
        return "There is not enough memory; try a smaller size."
    return one_line(error)


def _work_of(progress: Progress) -> str:
    if progress.frames_done is None:
        return f"{progress.step} steps"
    return f"{progress.frames_done} frames"


def _describe(run: QueuedRun) -> str:
    task = run.tasks[0]
    styles = "+".join(pathlib.Path(style.image).name for style in task.styles)
    several = f" and {len(run.tasks) - 1} more" if len(run.tasks) > 1 else ""
    return f"{task.content.name} in {styles}, {task.config.size} pixels{several}"
