"""The queue of requests, the bounds on them, and how one is stopped."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import tensorflow as tf

_GIB = 2**30


class StatusError(Exception):
    """A request can't be served.

    Attributes:
        code: number of the status, the same in TensorFlow (`tf.errors`) and gRPC.
        message: text for the client.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid_argument(message: str) -> StatusError:
    """Returns a StatusError with INVALID_ARGUMENT."""
    return StatusError(tf.errors.INVALID_ARGUMENT, message)


class Cancellation:
    """A switch that stops a request, and the actions that stopping it takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self._requested = False

    def request(self) -> None:
        """Stops the request. May be called from any thread, and more than once."""
        with self._lock:
            if not self._requested:
                self._requested = True
                for action in self._actions:
                    action()

    @contextlib.contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """Calls `action` once if the request is stopped within the block.

        It is called immediately if the request has already been stopped. After the
        block it is neither called nor still running.
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
        """Raises `StatusError` with CANCELLED if the request has been stopped."""
        if self._requested:
            raise StatusError(tf.errors.CANCELLED, "The call was cancelled.")


class RunLimit:
    """Runs a few requests at a time, queues some more in order, refuses the rest.

    Only code in the event loop may use it.

    Args:
        max_concurrent: maximum number of running requests, 1 or more.
        max_queue: maximum number of waiting requests, 0 or more.
        max_bytes: maximum memory of the process; None for no limit.

    Attributes:
        running: number of running requests.
        running_bytes: predicted memory of the running requests.
        max_bytes: as given.
        idle_bytes: memory of the process when no request runs.
    """

    def __init__(
        self, max_concurrent: int, max_queue: int, max_bytes: int | None = None
    ) -> None:
        self._max_concurrent = max_concurrent
        self._max_queue = max_queue
        self.max_bytes = max_bytes
        self.idle_bytes = 0
        self.running = self.running_bytes = 0
        self._waiting: collections.deque[tuple[asyncio.Future[None], int]]
        self._waiting = collections.deque()

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def turn(
        self, cancellation: Cancellation, size: int = 0
    ) -> AsyncIterator[None]:
        """Waits for this request's turn, which lasts as long as the block.

        Args:
            cancellation: the request's cancellation, which also ends the wait.
            size: predicted memory of the run in bytes.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when the queue is full or the request is too
                large for the server, CANCELLED when it ends before its turn.
        """
        await self._enter(cancellation, size)
        try:
            yield
        finally:
            self.running -= 1
            self.running_bytes -= size
            self._let_in()

    def _has_room(self, size: int) -> bool:
        if self.running >= self._max_concurrent:
            return False
        return self.running_bytes + size <= self._bytes_for_runs()

    def _bytes_for_runs(self) -> float:
        if self.max_bytes is None:
            return math.inf
        return max(0, self.max_bytes - self.idle_bytes)

    async def _enter(self, cancellation: Cancellation, size: int) -> None:
        room = self._bytes_for_runs()
        if size > room:
            raise StatusError(
                tf.errors.RESOURCE_EXHAUSTED,
                f"The request takes about {size / _GIB:.1f} GiB, and the server has "
                f"{room / _GIB:.1f} GiB for requests. Choose a smaller "
                "`size`, or fewer styles or regions.",
            )
        full = not self._has_room(size)
        if (full or self._waiting) and len(self._waiting) >= self._max_queue:
            raise StatusError(
                tf.errors.RESOURCE_EXHAUSTED,
                f"The server is busy: {self.running} of at most "
                f"{self._max_concurrent} requests running, {len(self._waiting)} of at "
                f"most {self._max_queue} waiting. Try again later.",
            )
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self._waiting.append((place, size))
        self._let_in()

        def leave() -> None:
            loop.call_soon_threadsafe(self._leave, place)

        with cancellation.calling(leave):
            try:
                await place
            except asyncio.CancelledError:
                cancellation.check()
                raise

    def _let_in(self) -> None:
        while self._waiting and self._has_room(self._waiting[0][1]):
            place, size = self._waiting.popleft()
            self.running += 1
            self.running_bytes += size
            place.set_result(None)

    def _leave(self, place: asyncio.Future[None]) -> None:
        if not place.done():  # Otherwise its turn has come.
            self._waiting = collections.deque(
                each for each in self._waiting if each[0] is not place
            )
            place.cancel()
            self._let_in()


class Intake:
    """Bounds the bytes that requests hold from their arrival to their answer.

    The length of a message is known only once it has arrived; until then the request
    counts as the longest one. Only code in the event loop may use it.

    Args:
        max_message_bytes: maximum size of one request in bytes.
        max_pending_bytes: maximum size of all requests together in bytes.
    """

    def __init__(self, max_message_bytes: int, max_pending_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self._max_pending_bytes = max_pending_bytes
        self._places: set[Place] = set()

    @property
    def pending_bytes(self) -> int:
        """Bytes that the requests hold or may come to hold."""
        # A copy, because a scrape of the metrics comes from another thread.
        return sum(place.size for place in list(self._places))

    @contextlib.contextmanager
    def place(self) -> Iterator[Place]:
        """Reserves bytes for a request, as long as the block lasts.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when there are too few left.
        """
        place = Place(self.max_message_bytes)
        if self.pending_bytes + place.size > self._max_pending_bytes:
            raise StatusError(
                tf.errors.RESOURCE_EXHAUSTED,
                f"The server is busy: {len(self._places)} requests are arriving or "
                "waiting. Try again later.",
            )
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.remove(place)


@dataclasses.dataclass(eq=False)
class Place:
    """Bytes reserved for a request."""

    size: int
