"""Prometheus metrics of the embedded server."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tensorflow_serving.apis import get_model_status_pb2

from tfnst.server.runs import Intake, RunLimit
from tfnst.server.versions import Versions

if TYPE_CHECKING:
    from tfnst.server.calls import Call

_State = get_model_status_pb2.ModelVersionStatus.State
_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600)
_BACKLOG = 128


class Metrics:
    """Counts requests, and reports runs, the queue and the versions when scraped.

    Args:
        versions: the model's versions.
        limit: the queue of runs.
        intake: the bytes of the requests.

    Raises:
        ImportError: when prometheus-client is missing.
    """

    def __init__(self, versions: Versions, limit: RunLimit, intake: Intake) -> None:
        try:
            import prometheus_client
        except ImportError as error:
            raise ImportError(
                "metrics need prometheus-client: pip install prometheus-client"
            ) from error
        self._start_server = prometheus_client.start_http_server
        self._versions = versions
        # Not the default registry: a process may have several servers.
        self._registry = prometheus_client.CollectorRegistry()
        histogram = functools.partial(
            prometheus_client.Histogram, buckets=_BUCKETS, registry=self._registry
        )
        self._requests = prometheus_client.Counter(
            "tfnst_requests",
            "Requests answered.",
            ["method", "code"],
            registry=self._registry,
        )
        self._seconds = histogram(
            "tfnst_request_seconds",
            "Time from a request to its answer, including time in the queue.",
            ["method"],
        )
        self._parse_seconds = histogram(
            "tfnst_parse_seconds", "Time to read the message of a request.", ["method"]
        )
        self._queue_seconds = histogram(
            "tfnst_queue_seconds", "Time that requests waited for their turn."
        )
        self._run_seconds = histogram(
            "tfnst_run_seconds", "Time of runs.", ["model", "signature"]
        )
        self._decode_seconds = histogram(
            "tfnst_decode_seconds",
            "Time of runs that went into decoding image files, added up over a "
            "request's files.",
            ["model", "signature"],
        )
        for name, text, function in (
            ("runs_in_progress", "Requests now running.", lambda: limit.running),
            ("queue_length", "Requests now waiting.", lambda: limit.waiting),
            (
                "pending_bytes",
                "Bytes of requests; one that is arriving counts as the longest.",
                lambda: intake.pending_bytes,
            ),
        ):
            gauge = prometheus_client.Gauge(
                f"tfnst_{name}", text, registry=self._registry
            )
            gauge.set_function(function)
        prometheus_client.ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def collect(self) -> Iterator[Any]:
        """Yields the states of the versions, as prometheus-client expects them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        states = GaugeMetricFamily(
            "tfnst_model_version",
            "1 for each version of a model and its current state.",
            labels=["model", "version", "state"],
        )
        failures = CounterMetricFamily(
            "tfnst_load_failures",
            "Failed loads of versions of a model.",
            labels=["model"],
        )
        model = self._versions.name
        for version in self._versions.states():
            state = _State.Name(version.state)
            states.add_metric([model, str(version.number), state], 1)
        failures.add_metric([model], self._versions.load_failures)
        yield from (states, failures)

    def observe(self, call: Call, code: str, seconds: float) -> None:
        """Counts an answered call, and its run if there was one.

        Args:
            call: the call.
            code: name of its gRPC status.
            seconds: time from the request to the response.
        """
        self._requests.labels(call.method, code).inc()
        self._seconds.labels(call.method).observe(seconds)
        self._parse_seconds.labels(call.method).observe(call.parse_seconds)
        if call.run_seconds is None:
            return
        run = call.model, call.signature
        self._run_seconds.labels(*run).observe(call.run_seconds)
        self._queue_seconds.observe(call.queue_seconds)
        if call.decode_seconds is not None:
            self._decode_seconds.labels(*run).observe(call.decode_seconds)

    def start(self, host: str, port: int, **tls: Any) -> int:
        """Starts to answer scrapes; returns the port.

        Args:
            host: address to listen on.
            port: port for HTTP; 0 chooses a free one.
            **tls: options of `prometheus_client.start_http_server` for TLS.

        Raises:
            OSError: when the port is taken.
        """
        self._server, self._thread = self._start_server(
            port, host, self._registry, **tls
        )
        # For more connections at once than Python's five; others wait for seconds.
        self._server.socket.listen(_BACKLOG)
        if tls:
            # In the thread of its connection: a client that doesn't finish the
            # handshake would keep others from being answered, and this from stopping.
            self._server.socket.do_handshake_on_connect = False
        number: int = self._server.server_port
        return number

    def stop(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
