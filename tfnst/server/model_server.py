"""The server of one model: its versions, limits and gRPC services combined."""

from __future__ import annotations

import dataclasses
import logging
import os
import queue
import signal
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import (
    model_service_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)

from tfnst.server.metrics import Metrics
from tfnst.server.runs import RunLimit
from tfnst.server.services import ModelService, PredictionService, Responder
from tfnst.server.versions import Versions

DEFAULT_PORT = 8500
DEFAULT_MAX_CONCURRENT = 1
DEFAULT_MAX_QUEUE = 16
MAX_MESSAGE_BYTES = 2**31 - 1
_SPARE_THREADS = 16
_FOREVER = 10**8  # Seconds: three years.
_Path = str | os.PathLike[str]
_PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
_MODEL_SERVICE = "tensorflow.serving.ModelService"
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A second server on the same port is an error; it doesn't get half the requests.
    ("grpc.so_reuseport", 0),
    # Notices clients that vanish, so that their runs are stopped.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients may ping during runs that take minutes.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]
_logger = logging.getLogger("tfnst.server")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Certificates:
    """The files that turn on TLS; see ModelServer."""

    certificate: _Path | None
    private_key: _Path | None
    client_ca: _Path | None

    def __post_init__(self) -> None:
        pair = (self.certificate, self.private_key)
        if (self.certificate is None) != (self.private_key is None):
            raise _argument_error("certificate", "given with `private_key`", pair)
        if self.client_ca is not None and self.certificate is None:
            expected = "given with `certificate` and `private_key`"
            raise _argument_error("client_ca", expected, self.client_ca)

    def credentials(self) -> grpc.ServerCredentials | None:
        """What gRPC needs for TLS; None without a certificate.

        Raises:
            OSError: when a file can't be read.
        """
        if self.certificate is None or self.private_key is None:
            return None
        client_ca = None if self.client_ca is None else _read(self.client_ca)
        return grpc.ssl_server_credentials(
            [(_read(self.private_key), _read(self.certificate))],
            root_certificates=client_ca,
            require_client_auth=client_ca is not None,
        )


class ModelServer:
    """Serves the versions of one model over gRPC, in this process.

    Requests that the model refuses, or that no version can answer, get the codes and
    texts of TensorFlow Serving. When a call's deadline passes or its client leaves, its
    run is stopped.

    Args:
        directory: where the version directories `<integer>/` are.
        name: what requests call the model. Default `"tfnst"`.
        host: address to listen on. Default `"127.0.0.1"`: this machine only.
        port: port for gRPC; 0 chooses a free one. Default 8500.
        max_concurrent: most runs at a time. Default 1, because a single run keeps
            every core (or the GPU) busy; more would each take longer, and more memory.
        max_queue: most requests that wait for their turn; any more get
            RESOURCE_EXHAUSTED. Default 16.
        poll_seconds: how often to look for new versions. Default 1.
        certificate: PEM file with the server's certificate chain; turns on TLS.
        private_key: PEM file with the key of `certificate`.
        client_ca: PEM file with the authorities for clients' certificates; turns on
            mutual TLS.
        metrics_port: port for Prometheus, at `/metrics` on the same host; 0 chooses a
            free one. Default None: no metrics.

    Raises:
        ValueError: when an argument is out of range, or two don't go together.
    """

    def __init__(
        self,
        directory: _Path,
        *,
        name: str = "tfnst",
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        max_concurrent: int = DEFAULT_MAX_CONCURRENT,
        max_queue: int = DEFAULT_MAX_QUEUE,
        poll_seconds: float = 1.0,
        certificate: _Path | None = None,
        private_key: _Path | None = None,
        client_ca: _Path | None = None,
        metrics_port: int | None = None,
    ) -> None:
        if not os.path.isdir(directory):
            expected = "a directory with versions of a model"
            raise _argument_error("directory", expected, directory)
        if not isinstance(name, str) or not name:
            raise _argument_error("name", "a non-empty string", name)
        if not poll_seconds > 0:
            raise _argument_error("poll_seconds", "a number above 0", poll_seconds)
        _check_integer("port", port, 0, 65535)
        _check_integer("max_concurrent", max_concurrent, 1, 64)
        _check_integer("max_queue", max_queue, 0, 10_000)
        if metrics_port is not None:
            _check_integer("metrics_port", metrics_port, 0, 65535)
        self._certificates = _Certificates(
            certificate=certificate, private_key=private_key, client_ca=client_ca
        )
        self._address = f"[{host}]" if ":" in host else host
        self._host = host
        self.port = port
        self.metrics_port = metrics_port
        self._health = health.HealthServicer()
        self._versions = Versions(
            os.path.abspath(directory),
            name,
            slots=max_concurrent,
            poll_seconds=poll_seconds,
            on_change=self._set_health,
        )
        self._limit = RunLimit(max_concurrent, max_queue)
        self._metrics: Metrics | None = None
        # A waiting request holds a thread. The spare ones answer everything else, and
        # refuse requests when the queue is full.
        self._executor = futures.ThreadPoolExecutor(
            max_concurrent + max_queue + _SPARE_THREADS, "tfnst-server"
        )
        self._server = grpc.server(self._executor, options=_OPTIONS)

    def start(self) -> None:
        """Starts listening, and loads the model in the background.

        Raises:
            OSError: when a port is taken or a certificate can't be read.
            ImportError: when `metrics_port` is given and prometheus-client is missing.
        """
        if self.metrics_port is not None:
            self._metrics = Metrics(self._versions, self._limit)
        self._add_services()
        self._set_health(False)
        self.port = self._listen()
        if self._metrics and self.metrics_port is not None:
            self.metrics_port = self._metrics.start(self._host, self.metrics_port)
        self._server.start()
        self._versions.start()
        _logger.info(
            "Serving %s from %s on %s:%d",
            self._versions.name,
            self._versions.directory,
            self._address,
            self.port,
        )

    def _add_services(self) -> None:
        responder = Responder(self._versions, self._limit, self._metrics)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(responder), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(responder), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [
            file.services_by_name[service].full_name
            for file, service in (
                (prediction_service_pb2.DESCRIPTOR, "PredictionService"),
                (model_service_pb2.DESCRIPTOR, "ModelService"),
                (health_pb2.DESCRIPTOR, "Health"),
            )
        ]
        reflection.enable_server_reflection(
            [*names, reflection.SERVICE_NAME], self._server
        )

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
        """Waits until a version can answer.

        Args:
            timeout: most seconds to wait; None for no limit.

        Returns:
            Whether one can; False when the time ran out.
        """
        return self._versions.wait_until_available(timeout)

    def stop(self, grace: float | None = None) -> None:
        """Accepts no more requests, lets the others finish, and frees the model.

        Args:
            grace: seconds after which requests are cancelled; None waits for the last
                one.
        """
        self._health.enter_graceful_shutdown()
        # gRPC's own None means "cancel all at once".
        stopped = self._server.stop(_FOREVER if grace is None else grace)
        stopped.wait()
        self._versions.stop()
        self._executor.shutdown()
        if self._metrics:
            self._metrics.stop()

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop(grace=0)

    def _set_health(self, available: bool) -> None:
        status = health_pb2.HealthCheckResponse
        for service in ("", _PREDICTION_SERVICE, _MODEL_SERVICE):
            self._health.set(
                service, status.SERVING if available else status.NOT_SERVING
            )


def serve(directory: _Path, *, grace: float | None = None, **options: Any) -> None:
    """Serves a model until SIGTERM or SIGINT arrives.

    It then finishes the requests that it has accepted; a second signal ends the process
    at once. Call it in the main thread.

    Args:
        directory: where the version directories `<integer>/` are.
        grace: seconds after the signal until requests are cancelled. Default None:
            never.
        **options: see `ModelServer`.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when a port is taken or a certificate can't be read.
    """
    # A signal handler may interrupt anything, which the queue's put allows and an
    # Event's set doesn't.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    server = ModelServer(directory, **options)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(n, lambda number, _: signals.put(number)) for n in numbers]
    try:
        server.start()
        number = signals.get()
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)
        _logger.info("%s: finishing requests", signal.Signals(number).name)
        server.stop(grace)
    finally:
        for each, handler in zip(numbers, before, strict=True):
            signal.signal(each, handler)


def _read(path: _Path) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _check_integer(name: str, value: Any, low: int, high: int) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not low <= value <= high
    ):
        raise _argument_error(name, f"an integer from {low} to {high}", value)


def _argument_error(name: str, expected: str, received: Any) -> ValueError:
    return ValueError(f"`{name}` must be {expected}. Received: {received!r}")
