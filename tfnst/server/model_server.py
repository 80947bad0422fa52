"""The server: a model's versions, limits and gRPC services combined."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import os
import queue
import signal
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection as grpc_reflection
from grpc_reflection.v1alpha import reflection_pb2

from tfnst.checks import ArgumentError, check_integer, check_number
from tfnst.server import event_loop
from tfnst.server.calls import Calls
from tfnst.server.certificates import Certificates
from tfnst.server.health import Health
from tfnst.server.metrics import Metrics
from tfnst.server.runs import Intake, RunLimit
from tfnst.server.servables import Servable
from tfnst.server.services import Services
from tfnst.server.versions import Versions

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

DEFAULT_NAME = "tfnst"
DEFAULT_PORT = 8500
DEFAULT_MAX_CONCURRENT = 1
DEFAULT_MAX_QUEUE = 16
DEFAULT_MAX_MESSAGE_BYTES = 64 * 2**20
DEFAULT_MAX_PENDING_BYTES = 2 * 2**30
_INT32_MAX = 2**31 - 1  # The largest message that gRPC can send.
_FOREVER = 10**8  # Seconds: three years.
_MAX_CONNECTIONS = 4096
_SIGNAL_SECONDS = 1.0
_Path = str | os.PathLike[str]
_HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_OPTIONS = [
    ("grpc.max_send_message_length", _INT32_MAX),
    # A second server on the same port is an error; it doesn't get half the requests.
    ("grpc.so_reuseport", 0),
    # Notices clients that vanish, so that their runs are stopped.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # On a slow link an answer to a ping waits behind megabytes of picture.
    ("grpc.http2.ping_timeout_ms", 600_000),
    # Clients may ping during runs that take minutes.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # A connection costs memory and a file descriptor. Clients that come back connect
    # anew, without a failed call; after an hour that also spreads them over servers
    # that were added meanwhile. Calls under way keep an old connection.
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 5 * 60_000),
    ("grpc.max_connection_age_ms", 60 * 60_000),
    ("grpc.max_concurrent_streams", 128),
    ("grpc.max_allowed_incoming_connections", _MAX_CONNECTIONS),
]
_logger = logging.getLogger("tfnst.server")


class ModelServer:
    """Serves the newest version of a model over gRPC, in this process.

    Requests that the model refuses, or that no version can answer, get the codes and
    texts of TensorFlow Serving. When a call's deadline passes or its client leaves, its
    run is stopped.

    Args:
        directory: directory with the version directories `<integer>/` of the model.
        name: name of the model in requests. Default `"tfnst"`.
        host: address to listen on. Default `"127.0.0.1"`: this machine only.
        port: port for gRPC; 0 chooses a free one. Default 8500.
        max_concurrent: maximum number of simultaneous runs. Default 1, because a single
            run keeps every core (or the GPU) busy; more would each take longer, and
            more memory.
        max_queue: maximum number of waiting requests; any more get RESOURCE_EXHAUSTED.
            Default 16.
        poll_seconds: seconds between checks for new versions. Default 1.
        certificate: PEM file with the server's certificate chain; turns on TLS. It is
            read once, by `start`.
        private_key: PEM file with the key of `certificate`.
        client_ca: PEM file with the authorities for clients' certificates; turns on
            mutual TLS.
        max_message_bytes: maximum size of a request in bytes, also once decompressed.
            Default 64 MiB: two photos of 12 megapixels as PNG.
        max_pending_bytes: maximum size of all requests together in bytes; one that is
            still arriving counts as the longest. Default 2 GiB.
        max_memory: maximum memory of the process in GiB, which limits how many
            requests run at a time by the largest request that the export states; a
            version of which not even one fits isn't served. Default None: no limit.
        metrics_port: port for Prometheus, at `/metrics` on the same host and with the
            same TLS; 0 chooses a free one. Default None: no metrics.
        reflection: whether clients may ask for the services' descriptions. Default
            True.

    Raises:
        ValueError: when an argument is out of range or conflicts with another.
    """

    def __init__(
        self,
        directory: _Path,
        *,
        name: str = DEFAULT_NAME,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        max_concurrent: int = DEFAULT_MAX_CONCURRENT,
        max_queue: int = DEFAULT_MAX_QUEUE,
        poll_seconds: float = 1.0,
        certificate: _Path | None = None,
        private_key: _Path | None = None,
        client_ca: _Path | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        max_pending_bytes: int = DEFAULT_MAX_PENDING_BYTES,
        max_memory: float | None = None,
        metrics_port: int | None = None,
        reflection: bool = True,
    ) -> None:
        if directory is None or not os.path.isdir(directory):
            expected = "a directory with versions of a model"
            raise ArgumentError(expected, repr(directory), argument="directory")
        if not isinstance(name, str) or not name:
            raise ArgumentError("a non-empty string", repr(name), argument="name")
        check_number("poll_seconds", poll_seconds, "a number above 0", above=0)
        max_bytes = math.inf
        if max_memory is not None:
            expected = "a number of GiB above 0"
            max_bytes = check_number("max_memory", max_memory, expected, above=0)
            max_bytes *= 2**30
        check_integer("port", port, 0, 65535)
        check_integer("max_concurrent", max_concurrent, 1, 64)
        check_integer("max_queue", max_queue, 0, 10_000)
        check_integer("max_message_bytes", max_message_bytes, 1024, _INT32_MAX)
        check_integer("max_pending_bytes", max_pending_bytes, max_message_bytes, 2**63)
        if metrics_port is not None:
            check_integer("metrics_port", metrics_port, 0, 65535)
        self._certificates = Certificates(certificate, private_key, client_ca)
        self._address = f"[{host}]" if ":" in host else host
        self._host = host
        self.port = port
        self.metrics_port = metrics_port
        self._max_concurrent = max_concurrent
        self._health = Health()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._versions = Versions(
            os.path.abspath(directory),
            name,
            load=functools.partial(Servable, slots=max_concurrent),
            admit=self._admit,
            poll_seconds=poll_seconds,
            on_change=self._set_health,
        )
        self._reflection = reflection
        self._limit = RunLimit(max_concurrent, max_queue, max_bytes)
        self._has_max_memory = max_memory is not None
        self._intake = Intake(max_message_bytes, max_pending_bytes)
        self._metrics: Metrics | None = None

    def start(self) -> None:
        """Starts listening, and loads the model in the background.

        Raises:
            OSError: when a port is taken or a certificate can't be read.
            ImportError: when `metrics_port` is given and prometheus-client is missing.
        """
        if self.metrics_port is not None:
            self._metrics = Metrics(self._versions, self._limit, self._intake)
        event_loop.run(self._start())
        self._versions.start()
        _logger.info(
            "Serving %s from %s on %s:%d",
            self._versions.name,
            self._versions.directory,
            self._address,
            self.port,
        )

    def check(self) -> bool:
        """Loads and warms up the newest version, without listening.

        Returns:
            True if there is a version and it could be loaded.
        """
        available = self._versions.load_once()
        self._versions.stop()
        return available

    async def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls = Calls(self._intake, self._max_concurrent, self._metrics)
        longest = ("grpc.max_receive_message_length", self._intake.max_message_bytes)
        self._server = grpc.aio.server(options=[*_OPTIONS, longest])
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(service, methods)
                for service, methods in self._handlers().items()
            ]
        )
        self.port = self._listen()
        if self._metrics and self.metrics_port is not None:
            self.metrics_port = self._metrics.start(
                self._host, self.metrics_port, **self._certificates.http_options()
            )
        await self._server.start()

    def _handlers(self) -> dict[str, dict[str, Any]]:
        """Returns service -> method -> gRPC handler."""
        handler, check = self._calls.stream_handler, health_pb2.HealthCheckRequest
        handlers = Services(self._versions, self._limit, self._calls).handlers()
        handlers[_HEALTH_SERVICE] = {
            "Check": handler(check, self._health.check),
            "Watch": handler(check, self._health.watch),
        }
        if not self._reflection:
            return handlers
        reflect = grpc_reflection.aio.ReflectionServicer(
            [*handlers, grpc_reflection.SERVICE_NAME]
        ).ServerReflectionInfo
        request = reflection_pb2.ServerReflectionRequest
        handlers[grpc_reflection.SERVICE_NAME] = {
            "ServerReflectionInfo": handler(request, reflect)
        }
        return handlers

    def _listen(self) -> int:
        address = f"{self._address}:{self.port}"
        credentials = self._certificates.credentials()
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(
                f"can't listen on {address}: the port is taken, or the address or the "
                "certificate is not valid"
            ) from error

    def wait_until_available(self, timeout: float | None = None) -> bool:
        """Waits until a version of the model can answer.

        Args:
            timeout: maximum time to wait in seconds; None for no limit.

        Returns:
            True once one can; False if the time runs out.
        """
        return self._versions.wait_until_available(timeout)

    def stop(self, grace: float | None = None) -> None:
        """Accepts no more requests, finishes the others, and frees the model.

        Args:
            grace: seconds after which requests are cancelled; None for never.
        """
        event_loop.run(self._stop(_FOREVER if grace is None else grace))
        if self._metrics:
            self._metrics.stop()
        self._versions.stop()

    async def _stop(self, grace: float) -> None:
        self._health.stop()
        # This immediately tells clients to go elsewhere, and accepts no more calls.
        stopping = asyncio.ensure_future(self._server.stop(grace))
        await self._calls.finish()
        await stopping
        self._calls.close()

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop(grace=0)

    def _admit(self, servable: Servable) -> None:
        """Lets as many requests to a new version run at a time as fit into memory."""
        if self._has_max_memory and not servable.request_bytes:
            _logger.warning(
                "The model doesn't state the memory of its largest request, so "
                "`max_memory` doesn't limit it: export it again"
            )
        self._limit.fit(servable.request_bytes, psutil.Process().memory_info().rss)

    def _set_health(self, available: bool) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._health.set, available)


def serve(directory: _Path, *, grace: float | None = None, **options: Any) -> None:
    """Serves a model until SIGTERM or SIGINT arrives.

    It then finishes the accepted requests; a second signal ends the process
    immediately. Call it in the main thread.

    Args:
        directory: directory with the version directories `<integer>/`.
        grace: seconds after the signal until requests are cancelled. Default None:
            never.
        **options: options of `ModelServer`.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when a port is taken or a file can't be read.
    """
    # A signal handler may interrupt anything: safe for the queue's put, but not for an
    # Event's set.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    _raise_file_limit()
    server = ModelServer(directory, **options)
    numbers = [signal.SIGTERM, signal.SIGINT]
    before = [signal.signal(n, lambda number, _: signals.put(number)) for n in numbers]
    try:
        server.start()
        number = _next_signal(signals)
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)
        _logger.info("%s: finishing requests", signal.Signals(number).name)
        server.stop(grace)
    finally:
        for each, handler in zip(numbers, before, strict=True):
            signal.signal(each, handler)


def _next_signal(signals: queue.SimpleQueue[int]) -> int:
    while True:
        # A signal that arrives just before a wait is only noticed after it.
        with contextlib.suppress(queue.Empty):
            return signals.get(timeout=_SIGNAL_SECONDS)


def _raise_file_limit() -> None:
    """Allows the process a file for each connection, and some more."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + 1024
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
