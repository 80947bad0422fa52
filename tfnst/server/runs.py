"""Which requests run, which wait, and how a request is stopped."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import tensorflow as tf


class StatusError(Exception):
    """Why a request can't be served.

    Attributes:
        code: number of the status, the same in TensorFlow (`tf.errors`) and gRPC.
        message: text for the client.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Cancellation:
    """Whether a request is to be stopped, and what to do then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether the request is to be stopped."""
        return self._requested

    def request(self) -> None:
        """Stops the request. May be called from any thread, and more than once."""
        with self._lock:
            if not self._requested:
                self._requested = True
                for action in self._actions:
                    action()

    @contextlib.contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """A block in which `action` is called once if the request is stopped.

        It is called at once if the request was stopped before. After the block it is
        neither called nor still running.
        """
        with self._lock:
            self._actions.append(action)
            if self._requested:
                action()
        try:
            yield
        finally:
            with self._lock:
                self._actions.remove(action)

    def check(self) -> None:
        """Raises `StatusError` with CANCELLED if the request is to be stopped."""
        if self._requested:
            raise StatusError(tf.errors.CANCELLED, "The call was cancelled.")


class RunLimit:
    """Lets a few requests run, queues some more in order, and refuses the rest.

    Args:
        max_concurrent: most requests running at a time, 1 or more.
        max_queue: most requests waiting, 0 or more.
    """

    def __init__(self, max_concurrent: int, max_queue: int) -> None:
        self._max_concurrent = max_concurrent
        self._max_queue = max_queue
        self._condition = threading.Condition()
        self._running = 0
        self._waiting: collections.deque[object] = collections.deque()

    @property
    def running(self) -> int:
        """How many requests are running."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many requests are waiting."""
        return len(self._waiting)

    @contextlib.contextmanager
    def turn(
        self, deadline: float | None, cancellation: Cancellation
    ) -> Iterator[None]:
        """Waits for this request's turn, which lasts as long as the block.

        Args:
            deadline: how long to wait, as a time of `time.monotonic`; None for ever.
            cancellation: of the request; it ends the wait.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when the queue is full, DEADLINE_EXCEEDED
                or CANCELLED when the request ends before its turn.
        """
        with cancellation.calling(self._wake), self._condition:
            self._enter(deadline, cancellation)
        try:
            yield
        finally:
            with self._condition:
                self._running -= 1
                self._condition.notify_all()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _enter(self, deadline: float | None, cancellation: Cancellation) -> None:
        full = self._running >= self._max_concurrent
        if (full or self._waiting) and len(self._waiting) >= self._max_queue:
            raise StatusError(
                tf.errors.RESOURCE_EXHAUSTED,
                f"The server is busy: {self._running} of at most "
                f"{self._max_concurrent} requests running, {len(self._waiting)} of at "
                f"most {self._max_queue} waiting. Try again later.",
            )
        place = object()
        self._waiting.append(place)
        try:
            while True:
                cancellation.check()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise StatusError(
                        tf.errors.DEADLINE_EXCEEDED,
                        "The deadline passed while the request was waiting.",
                    )
                if self._waiting[0] is place and self._running < self._max_concurrent:
                    self._running += 1
                    return
                self._condition.wait(left)
        finally:
            self._waiting.remove(place)
            self._condition.notify_all()
