"""gRPC calls: receiving requests, and returning responses or errors.

gRPC's own handlers take a thread for each call, from its first byte to its last, so a
few clients on slow links could hold them all. Here calls wait in an event loop, and
only those that work have threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent import futures
from typing import Any, TypeVar

import grpc
import tensorflow as tf
from google.protobuf import message
from tensorflow_serving.apis import model_pb2

from tfnst.server import wire
from tfnst.server.metrics import Metrics
from tfnst.server.runs import Cancellation, Intake, StatusError, invalid_argument

MAX_ERROR_BYTES = 1024
_ARRIVAL_SECONDS = 300.0
_FIRST_SECONDS = 5.0
_MAX_STREAMS = 1000
_SPARE_THREADS = 4
_SMALL_BYTES = 2**16  # Largest message that is parsed without a thread.
_NO_DEADLINE = 10**8  # Seconds; a call without a deadline has more than this left.
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_WORD = re.compile(r"[\w.:-]*", re.ASCII)
_logger = logging.getLogger("tfnst.server")
_Result = TypeVar("_Result")


@dataclasses.dataclass
class Call:
    """A call, with the facts that its log line and the metrics need.

    Attributes:
        method: name of the method, such as `"Predict"`.
        peer: address of the client.
        number: name in the log: the client's `x-request-id`, or else a number.
        deadline: time at which the call must end, by `time.monotonic`; None for never.
        start: time at which the call began, likewise.
        cancellation: requested when the client leaves or the deadline passes.
        model: name of the requested model.
        version: requested version or label, then the version that answers.
        signature: name of the signature.
        queue_seconds: time spent in the queue.
        parse_seconds: time taken to parse the message.
        run_seconds: duration of the run; None if there was none.
        decode_seconds: time that the run took to decode its files; None if unknown.
    """

    method: str
    peer: str
    number: str
    deadline: float | None
    start: float
    cancellation: Cancellation = dataclasses.field(default_factory=Cancellation)
    model: str = ""
    version: str = ""
    signature: str = ""
    queue_seconds: float = 0.0
    parse_seconds: float = 0.0
    run_seconds: float | None = None
    decode_seconds: float | None = None

    def asks_for(self, spec: model_pb2.ModelSpec) -> None:
        """Records the requested model."""
        number = str(spec.version.value) if spec.HasField("version") else ""
        self.model = spec.name
        self.version = spec.version_label or number
        self.signature = spec.signature_name

    def seconds_left(self) -> float | None:
        """Returns the seconds until the deadline, 0 or more; None without one."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.monotonic())


Work = Callable[[Call, Any], Awaitable[Any]]


class Calls:
    """Receives calls and answers them.

    Only code in the event loop may use it.

    Args:
        intake: bounds the requests' bytes.
        max_concurrent: maximum number of simultaneous runs; each has a thread.
        metrics: counts the calls; None for no metrics.
    """

    def __init__(
        self, intake: Intake, max_concurrent: int, metrics: Metrics | None
    ) -> None:
        self._intake = intake
        self._metrics = metrics
        self._threads = futures.ThreadPoolExecutor(
            max_concurrent + _SPARE_THREADS, "tfnst-server"
        )
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._streams = 0
        loop = asyncio.get_running_loop()
        self._refusing: asyncio.Future[None] = loop.create_future()
        self._closing: asyncio.Future[None] = loop.create_future()

    def handler(self, method: str, request_type: Any, work: Work) -> Any:
        """Returns a gRPC handler for a method with one request and one response.

        Args:
            method: name of the method, for the log.
            request_type: class of the requests, which have a ModelSpec.
            work: makes the response; it raises StatusError to refuse.
        """
        answer = functools.partial(self._answer, method, request_type, work)
        # As a stream, so that a call can be refused before its request arrives.
        return grpc.stream_unary_rpc_method_handler(answer)

    def stream_handler(
        self, request_type: Any, respond: Callable[..., AsyncIterator[Any]]
    ) -> Any:
        """Returns a gRPC handler for a method that needs no turn and no thread.

        It is for streams and single messages; open ones end when the server stops.

        Args:
            request_type: class of the requests.
            respond: turns an iterator of requests, and gRPC's context, into an
                iterator of responses.
        """

        async def converse(context: Any) -> None:
            try:
                requests = _requests(context, request_type)
                async for response in respond(requests, context):
                    await context.write(response)
            except StatusError as error:
                await context.abort(_CODES[error.code], error.message)

        async def answer(_: Any, context: Any) -> None:
            await self._until_closing(converse(context), context)

        return grpc.stream_stream_rpc_method_handler(
            answer, response_serializer=lambda response: response.SerializeToString()
        )

    async def in_thread(
        self, function: Callable[..., _Result], *arguments: Any
    ) -> _Result:
        """Calls a slow function in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    async def finish(self) -> None:
        """Waits until the received requests are answered, then ends streams."""
        if self._refusing.done():
            return  # The server was stopped before.
        self._refusing.set_result(None)
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._closing.set_result(None)

    def close(self) -> None:
        """Ends the threads. No call may be in progress."""
        self._threads.shutdown()

    async def _answer(
        self, method: str, request_type: Any, work: Work, _: Any, context: Any
    ) -> bytes:
        call = self._begin(method, context)
        task = asyncio.ensure_future(self._respond(call, request_type, work, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            # gRPC cancels this handler when the deadline passes or the client leaves.
            # The work ends by itself, once its run has ended.
            code, text, response = await asyncio.shield(task)
        except asyncio.CancelledError:
            # In a thread, because stopping a run may wait for the runtime.
            self._threads.submit(call.cancellation.request)
            raise
        if code != tf.errors.OK:
            await context.abort(_CODES[code], text)
        return response

    def _begin(self, method: str, context: Any) -> Call:
        left = context.time_remaining()
        start = time.monotonic()
        metadata = dict(context.invocation_metadata() or ())
        return Call(
            method,
            peer=context.peer(),
            number=str(metadata.get("x-request-id") or next(self._numbers)),
            deadline=None if left is None or left > _NO_DEADLINE else start + left,
            start=start,
        )

    async def _respond(
        self, call: Call, request_type: Any, work: Work, context: Any
    ) -> tuple[int, str, bytes]:
        """Returns the status, its text and the response; logs and counts the call."""
        code, text, response = tf.errors.OK, "", b""
        try:
            response = await self._work(call, request_type, work, context)
        except StatusError as error:
            # Not the error itself: its frames hold the request's pictures.
            code, text = error.code, error.message
        except MemoryError:
            code = tf.errors.RESOURCE_EXHAUSTED
            text = "There is not enough memory for the request."
        except Exception as error:
            _logger.exception("%s failed", call.method)
            code = tf.errors.INTERNAL
            text = f"The server failed: {type(error).__name__}"
        if code == tf.errors.CANCELLED and call.seconds_left() == 0:
            code, text = tf.errors.DEADLINE_EXCEEDED, "Deadline Exceeded"
        text = _truncate(text)
        seconds = time.monotonic() - call.start
        _log(call, _CODES[code].name, text, seconds)
        if self._metrics:
            self._metrics.observe(call, _CODES[code].name, seconds)
        return code, text, response

    async def _work(
        self, call: Call, request_type: Any, work: Work, context: Any
    ) -> bytes:
        with self._intake.room(self._intake.max_message_bytes):
            data = await self._receive(context)
        with self._intake.room(len(data)):
            start = time.monotonic()
            if len(data) <= _SMALL_BYTES:
                request = _parse(request_type, data)
            else:
                request = await self.in_thread(_parse, request_type, data)
            call.parse_seconds = time.monotonic() - start
            del data
            call.asks_for(request.model_spec)
            if not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            response = await work(call, request)
            del request
        return await self.in_thread(response.SerializeToString)

    async def _receive(self, context: Any) -> bytes:
        reading = asyncio.ensure_future(context.read())
        await asyncio.wait(
            {reading, self._refusing},
            timeout=_ARRIVAL_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._refusing.done():
            reading.cancel()
            raise StatusError(tf.errors.UNAVAILABLE, "The server is about to stop.")
        if not reading.done():
            reading.cancel()
            raise StatusError(
                tf.errors.DEADLINE_EXCEEDED,
                f"The request did not arrive within {_ARRIVAL_SECONDS:g} seconds.",
            )
        data = reading.result()
        if data is grpc.aio.EOF:
            raise StatusError(
                tf.errors.CANCELLED,
                "No request arrived, or one of more than "
                f"{self._intake.max_message_bytes} bytes.",
            )
        return data

    async def _until_closing(self, answering: Any, context: Any) -> None:
        """Awaits a coroutine, which may never end, until the server stops."""
        task = asyncio.ensure_future(answering)
        if self._streams >= _MAX_STREAMS:
            task.cancel()
            await context.abort(
                _CODES[tf.errors.RESOURCE_EXHAUSTED], "too many streams"
            )
        self._streams += 1
        try:
            await asyncio.wait(
                {task, self._closing}, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                task.result()
        finally:
            self._streams -= 1
            task.cancel()


def _log(call: Call, status: str, text: str, seconds: float) -> None:
    _logger.info(
        "method=%s model=%s version=%s signature=%s code=%s ms=%.1f queue_ms=%.1f "
        "id=%s peer=%s%s",
        call.method,
        _as_word(call.model),
        _as_word(call.version),
        _as_word(call.signature),
        status,
        seconds * 1000,
        call.queue_seconds * 1000,
        _as_word(call.number),
        call.peer,
        f" error={text!a}" if text else "",
    )


async def _requests(context: Any, request_type: Any) -> AsyncIterator[Any]:
    """Yields the requests of a stream, the first of which must arrive soon."""
    reading = asyncio.wait_for(context.read(), _FIRST_SECONDS)
    with contextlib.suppress(asyncio.TimeoutError):
        data = await reading
        while data is not grpc.aio.EOF:
            yield _parse(request_type, data)
            data = await context.read()


def _parse(request_type: Any, data: bytes) -> Any:
    if len(data) > _SMALL_BYTES and not wire.is_cheap(data, request_type.DESCRIPTOR):
        raise invalid_argument(
            f"The request must have at most {wire.MAX_FIELDS} fields and bytes of "
            "integers; `tensor_content` has room for more."
        )
    try:
        return request_type.FromString(data)
    except message.DecodeError as error:
        raise invalid_argument(
            f"The {len(data)} bytes received are no {request_type.DESCRIPTOR.name}."
        ) from error


def _truncate(text: str) -> str:
    data = text.encode()
    if len(data) <= MAX_ERROR_BYTES:
        return text
    return data[:MAX_ERROR_BYTES].decode(errors="ignore") + "...TRUNCATED"


def _as_word(name: str) -> str:
    """Returns a client's text as one word of a log line, quoted if need be."""
    word = name[:100]
    return word if _WORD.fullmatch(word) else ascii(word)
