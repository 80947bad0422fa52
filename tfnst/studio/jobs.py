"""The queue of runs: a fair turn for each visitor, and one thread that paints."""

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
from tfnst.studio.orders import Order

WAITING, PAINTING = "waiting", "painting"
DONE, STOPPED, FAILED, LEFT = "done", "stopped", "failed", "left"
_ENDED = (DONE, STOPPED, FAILED, LEFT)

_log = logging.getLogger(__name__)


class BusyError(RuntimeError):
    """A visitor has too many runs already, or all visitors together have."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the picture is that is being painted.

    Attributes:
        step: steps done.
        steps: steps in all.
        size: long side of the present scale in pixels.
        fraction: share of the work that is done.
        seconds: since the first step began.
        losses: rows (step, content, style, total) of steps so far, not of all.
        preview: the picture as it is now, a JPEG file.
        previews: how many there have been.
        frames_done: frames of a film that are painted; None for a picture. The steps
            are those of the frame that is being painted.
        frames: of the film in all, if it says.
        pace: seconds that a frame takes which follows others, once that is known.
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
        """An estimate; None while there is nothing to estimate from."""
        if self.frames_done is not None:
            if self.frames is None or self.pace is None:
                return None
            return self.pace * max(self.frames - self.frames_done, 0)
        if self.fraction <= 0 or self.step < 2:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A film that has given way to others.

    Attributes:
        path: of the film, which has the frames so far.
        parts: folder of what it is continued from.
        seconds: that were spent on it.
    """

    path: pathlib.Path
    parts: pathlib.Path
    seconds: float

    def end(self, *, keep: bool) -> pathlib.Path | None:
        """Ends it.

        Args:
            keep: whether to keep the frames so far.

        Returns:
            The film; None if it isn't kept.
        """
        shutil.rmtree(self.parts, ignore_errors=True)
        if keep:
            return self.path
        self.path.unlink(missing_ok=True)
        return None


# What an order gave: a picture, a film, or what went wrong.
Outcome = Entry | pathlib.Path | str


class Job:
    """One or several pictures that a visitor asked for, painted one after the other.

    Attributes:
        key: tells it from other jobs.
        history: where its pictures are kept.
        visitor: who gets a turn.
        tab: the page that it was started from.
        orders: the pictures.
        keep: whether it goes on when its page is closed.
        state: `"waiting"`, `"painting"`, `"done"`, `"stopped"`, `"failed"`, or
            `"left"` where the visitor has gone.
        outcomes: for each order that is done what it gave.
        unfinished: the film that gave way to others.
        others_wait: whether others wait while it is being painted.
        progress: of the order that is being painted.
        began: when the present order's turn came, by `time.monotonic`.
    """

    def __init__(
        self,
        orders: tuple[Order, ...],
        history: History,
        *,
        visitor: str,
        tab: str,
        keep: bool = False,
    ) -> None:
        self.key = secrets.token_hex(8)
        self.orders = orders
        self.history = history
        self.visitor = visitor
        self.tab = tab
        self.keep = keep
        self.state = WAITING
        self.outcomes: list[Outcome] = []
        self.unfinished: Unfinished | None = None
        self.others_wait = False
        self.progress = Progress()
        self.began: float | None = None
        self.turn = (0, 0)
        self._stop = threading.Event()
        self._leave = False

    @property
    def order(self) -> Order:
        """The one that is being painted, or the last one."""
        return self.orders[min(len(self.outcomes), len(self.orders) - 1)]

    @property
    def results(self) -> list[tuple[Order, Entry]]:
        """The pictures that were painted, each with its order."""
        done = zip(self.orders, self.outcomes, strict=False)
        return [(order, entry) for order, entry in done if isinstance(entry, Entry)]

    @property
    def film(self) -> pathlib.Path | None:
        """The film that was painted."""
        films = [each for each in self.outcomes if isinstance(each, pathlib.Path)]
        return films[-1] if films else None

    def thumbnails(self) -> list[tuple[str, str]]:
        """Of the pictures that were painted: path and the order's label."""
        return [
            (str(self.history.thumbnail(entry)), order.label)
            for order, entry in self.results
        ]

    @property
    def errors(self) -> list[tuple[Order, str]]:
        """What went wrong, each with its order."""
        done = zip(self.orders, self.outcomes, strict=False)
        return [(order, text) for order, text in done if isinstance(text, str)]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in _ENDED

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the picture so far."""
        return self._leave

    def stop(self, *, leave: bool = False) -> None:
        """Asks it to stop.

        Args:
            leave: whether nobody wants the picture so far.
        """
        self._leave |= leave
        self._stop.set()


class AbandonedError(Exception):
    """Nobody waits for the picture any more."""


class Painter(Protocol):
    """What paints: this process, or a server."""

    def prepare(self) -> None:
        """Loads what painting needs; called once, before the first order."""

    def rehearse(self) -> None:
        """Does what takes long only once; called if nobody waits yet."""

    def paint(
        self, job: Job, order: Order, limits: Limits
    ) -> Entry | pathlib.Path | Unfinished | None:
        """Paints an order of a job and adds what it painted to the job's history.

        It sets `job.progress` on the way, and ends early once the job is `stopping`.
        Films may give way where `job.others_wait`, and go on from `job.unfinished`.

        Args:
            job: whose order it is.
            order: what to paint.
            limits: what it may take.

        Returns:
            The picture, or the film; None for a job that was stopped before there was
            one.
        """


class JobQueue:
    """The jobs of all visitors, painted one at a time.

    Each job gets a turn when it is submitted: the present one, or the one after its
    visitor's last. The lowest turn is painted first, and of several the oldest. So
    everybody's first run comes before anybody's second, whoever began, and nobody is
    passed by for ever. A job of several pictures takes a new turn for each, and a film
    whenever it has given way to others.

    Args:
        painter: what paints.
        limits: what visitors may ask for.
    """

    def __init__(self, painter: Painter, limits: Limits) -> None:
        self.limits = limits
        self._painter = painter
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._painting: Job | None = None
        self._turn = 0
        self._last_turns: dict[str, int] = {}
        self._arrivals = itertools.count()
        self._closed = False
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="painter", daemon=True)

    def start(self) -> None:
        """Begins to prepare the painter, and to paint what is submitted."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Lets a job wait for its turn.

        Raises:
            BusyError: when there are too many already.
        """
        with self._changed:
            own = sum(each.visitor == job.visitor for each in self._jobs())
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
            self._enter(job)
            self._changed.notify_all()
        _log.info("%s: %s, waits at place %d", job.key, _describe(job), self.place(job))

    def place(self, job: Job) -> int:
        """How many turns a job is away from being painted; 0 for one that is."""
        with self._changed:
            if job not in self._waiting:
                return 0
            before = sum(each.turn < job.turn for each in self._waiting)
            return before + 1

    @property
    def files(self) -> set[pathlib.Path]:
        """What the jobs that haven't ended are painted from."""
        with self._changed:
            orders = [order for job in self._jobs() for order in job.orders]
        return {path for order in orders for path in order.files}

    def stop(self, key: str) -> None:
        """Ends a job by its key; what is painted of it by now is kept."""
        with self._changed:
            for job in self._jobs():
                if job.key == key:
                    self._end(job)

    def _end(self, job: Job, *, leave: bool = False) -> None:
        with self._changed:
            job.stop(leave=leave)
            if job in self._waiting:
                self._waiting.remove(job)
                if job.unfinished is not None:
                    film = job.unfinished.end(keep=not leave)
                    job.outcomes += [] if film is None else [film]
                self._settle(job)
                job.state = LEFT if leave else STOPPED
                _log.info("%s: %s while it waited", job.key, job.state)

    def leave(self, tab: str) -> None:
        """Ends the jobs of a page that was closed, except those to be kept."""
        with self._changed:
            for job in self._jobs():
                if job.tab == tab and not job.keep:
                    self._end(job, leave=True)

    def close(self, seconds: float = 5.0) -> None:
        """Stops all jobs; the picture so far is kept.

        Args:
            seconds: most time to wait for the one that is being painted.
        """
        with self._changed:
            self._closed = True
            for job in self._jobs():
                self._end(job)
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _jobs(self) -> list[Job]:
        painting = [] if self._painting is None else [self._painting]
        return [*painting, *self._waiting]

    def _settle(self, job: Job) -> None:
        """Removes the copies of pictures from which a job that ended painted nothing.

        Films aren't repeated, so those that they were painted from go, too. Disks fail,
        and the queue has to go on.
        """
        with contextlib.suppress(OSError):
            painted = [order for order, _ in job.results]
            for order in job.orders:
                if order not in painted:
                    job.history.forget(order, self.files)

    def _enter(self, job: Job) -> None:
        turn = max(self._turn, self._last_turns.get(job.visitor, -1) + 1)
        self._last_turns[job.visitor] = turn
        job.turn = (turn, next(self._arrivals))
        job.state = WAITING
        self._waiting.append(job)
        if self._painting is not None:
            self._painting.others_wait = True

    def _next(self) -> Job | None:
        """The job whose turn it is, once there is one; None at the end."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            job = min(self._waiting, key=lambda each: each.turn)
            self._waiting.remove(job)
            self._turn = job.turn[0]
            self._last_turns = {
                visitor: turn
                for visitor, turn in self._last_turns.items()
                if turn >= self._turn
            }
            self._painting = job
            job.others_wait = bool(self._waiting)
            job.state, job.began = PAINTING, time.monotonic()
            if job.unfinished is None:
                job.progress = Progress()
            return job

    def _work(self) -> None:
        """The work of the thread."""
        try:
            self._painter.prepare()
        except Exception as error:  # Each run tries again, and says why it can't.
            _log.warning("nothing can be painted yet: %s", in_words(error))
        self.ready.set()
        if not self._waiting:
            try:
                self._painter.rehearse()
            except Exception as error:  # It was only a try.
                _log.debug("the rehearsal failed: %s", in_words(error))
        while (job := self._next()) is not None:
            self._paint(job)

    def _paint(self, job: Job) -> None:
        order, began = job.order, time.monotonic()
        outcome: Outcome | Unfinished | None
        try:
            outcome = self._painter.paint(job, order, self.limits)
        except Exception as error:
            outcome = in_words(error)
            if not isinstance(error, ValueError | OSError | MemoryError):
                _log.info("%s failed", job.key, exc_info=True)
        with self._changed:
            self._painting = None
            job.unfinished = None
            if isinstance(outcome, Unfinished) and job.stopping:
                outcome = outcome.end(keep=not job.abandoned)
            if isinstance(outcome, Unfinished):
                job.unfinished = outcome
            elif outcome is not None:
                job.outcomes.append(outcome)
            again = not job.stopping and len(job.outcomes) < len(job.orders)
            if again:
                # Others may be painted although this one couldn't.
                self._enter(job)
        if not again:
            self._settle(job)
            if job.abandoned:
                job.state = LEFT
            elif job.stopping:
                job.state = STOPPED
            else:
                job.state = FAILED if len(job.errors) == len(job.orders) else DONE
        _log.info(
            "%s: %s after %.1f s, %d %s%s",
            job.key,
            job.state,
            time.monotonic() - began,
            *_work_of(job.progress),
            f": {outcome}" if isinstance(outcome, str) else "",
        )


def in_words(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, MemoryError) and not str(error):
        return "There is not enough memory; try a smaller size."
    return one_line(error)


def _work_of(progress: Progress) -> tuple[int, str]:
    if progress.frames_done is None:
        return progress.step, "steps"
    return progress.frames_done, "frames"


def _describe(job: Job) -> str:
    order = job.orders[0]
    styles = "+".join(pathlib.Path(style.image).name for style in order.styles)
    several = f" and {len(job.orders) - 1} more" if len(job.orders) > 1 else ""
    return f"{order.content.name} in {styles}, {order.config.size} pixels{several}"
