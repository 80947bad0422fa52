"""The queue of requests, the bounds on them, and how one is stopped."""

from __future__ import annotations

import asyncio
import collections
import contextlib
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

    Only code in the event loop may use it, except for `fit`.

    Args:
        max_concurrent: maximum number of running requests, 1 or more.
        max_queue: maximum number of waiting requests, 0 or more.
        max_bytes: maximum memory of the process; infinity for no limit.

    Attributes:
        max_running: number of requests that may run now.
        running: number of running requests.
    """

    def __init__(
        self, max_concurrent: int, max_queue: int, max_bytes: float = math.inf
    ) -> None:
        self._max_concurrent = self.max_running = max_concurrent
        self._max_queue = max_queue
        self._max_bytes = max_bytes
        self._idle_bytes = 0
        self.running = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return len(self._waiting)

    def fit(self, request_bytes: int, idle_bytes: int) -> None:
        """Lets as many requests run at a time as the memory allows.

        Args:
            request_bytes: largest memory of a request to the new version; 0 if unknown.
            idle_bytes: memory that the process holds with that version.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when there isn't enough for one request.
        """
        if not self.running:  # Otherwise it holds requests, too.
            self._idle_bytes = idle_bytes
        fitting = self._max_concurrent
        if request_bytes and self._max_bytes < math.inf:
            room = max(0, self._max_bytes - self._idle_bytes)
            fitting = min(fitting, int(room // request_bytes))
            if not fitting:
                raise StatusError(
                    tf.errors.RESOURCE_EXHAUSTED,
                    f"its largest request takes {request_bytes / _GIB:.1f} GiB, and of "
                    f"`max_memory`, {self._max_bytes / _GIB:.1f} GiB, there are "
                    f"{room / _GIB:.1f} GiB left for requests: choose a larger one, or "
                    f"a smaller `max_memory` for the export",
                )
        self.max_running = fitting

    @contextlib.asynccontextmanager
    async def turn(self, cancellation: Cancellation) -> AsyncIterator[None]:
        """Waits for this request's turn, which lasts as long as the block.

        Args:
            cancellation: the request's cancellation, which also ends the wait.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when the queue is full, CANCELLED when the
                request ends before its turn.
        """
        await self._enter(cancellation)
        try:
            yield
        finally:
            self.running -= 1
            self._let_in()

    async def _enter(self, cancellation: Cancellation) -> None:
        full = self.running >= self.max_running
        if (full or self._waiting) and len(self._waiting) >= self._max_queue:
            raise StatusError(
                tf.errors.RESOURCE_EXHAUSTED,
                f"The server is busy: {self.running} of at most {self.max_running} "
                f"requests running, {len(self._waiting)} of at most {self._max_queue} "
                "waiting. Try again later.",
            )
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self._waiting.append(place)
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
        while self._waiting and self.running < self.max_running:
            self.running += 1
            self._waiting.popleft().set_result(None)

    def _leave(self, place: asyncio.Future[None]) -> None:
        if not place.done():  # Otherwise its turn has come.
            self._waiting.remove(place)
            place.cancel()


class Intake:
    """Bounds the bytes that requests hold from their arrival to their answer.

    Only code in the event loop may use it.

    Args:
        max_message_bytes: maximum size of one request in bytes.
        max_pending_bytes: maximum size of all requests together in bytes.

    Attributes:
        max_message_bytes: as given.
        pending_bytes: bytes that the requests hold or may come to hold.
    """

    def __init__(self, max_message_bytes: int, max_pending_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self._max_pending_bytes = max_pending_bytes
        self.pending_bytes = self._requests = 0

    @contextlib.contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Reserves bytes for a request, as long as the block lasts.

        The length of a message is known only once it has arrived; until then the
        request needs room for the longest one.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when there are too few left.
        """
        if self.pending_bytes + size > self._max_pending_bytes:
            raise StatusError(
                tf.errors.RESOURCE_EXHAUSTED,
                f"The server is busy: {self._requests} requests are arriving or "
                "waiting. Try again later.",
            )
        self.pending_bytes += size
        self._requests += 1
        try:
            yield
        finally:
            self.pending_bytes -= size
            self._requests -= 1
