"""Metrics of the embedded server for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from tensorflow_serving.apis import get_model_status_pb2

from tfnst.server.runs import RunLimit
from tfnst.server.versions import Versions

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """Counts requests, and reports runs, the queue and the versions when asked.

    Args:
        versions: the model's versions.
        limit: the runs and the queue.

    Raises:
        ImportError: when prometheus-client is missing.
    """

    def __init__(self, versions: Versions, limit: RunLimit) -> None:
        try:
            import prometheus_client
        except ImportError as error:
            raise ImportError(
                "metrics need prometheus-client: pip install prometheus-client"
            ) from error
        self._client = prometheus_client
        self._versions = versions
        # Not the default registry: a process may have several servers.
        self._registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "tfnst_requests",
            "Requests answered.",
            ["method", "code"],
            registry=self._registry,
        )
        self._seconds = prometheus_client.Histogram(
            "tfnst_request_seconds",
            "Time from a request to its answer, including time in the queue.",
            ["method"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        for name, text, function in (
            ("runs_in_progress", "Requests now running.", lambda: limit.running),
            ("queue_length", "Requests now waiting.", lambda: limit.waiting),
        ):
            gauge = prometheus_client.Gauge(
                f"tfnst_{name}", text, registry=self._registry
            )
            gauge.set_function(function)
        self._registry.register(self)

    def collect(self) -> Iterator[Any]:
        """The states of the versions, in the form that prometheus-client expects."""
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(
            "tfnst_model_version",
            "1 for each version of the model and its current state.",
            labels=["model", "version", "state"],
        )
        for version in self._versions.states():
            state = get_model_status_pb2.ModelVersionStatus.State.Name(version.state)
            family.add_metric([self._versions.name, str(version.number), state], 1)
        yield family

    def observe(self, method: str, code: str, seconds: float) -> None:
        """Counts an answered request.

        Args:
            method: its name, such as `"Predict"`.
            code: the name of its gRPC status.
            seconds: from the request to the answer.
        """
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def start(self, host: str, port: int) -> int:
        """Starts listening; returns the port."""
        self._http, self._thread = self._client.start_http_server(
            port, host, registry=self._registry
        )
        return self._http.server_port

    def stop(self) -> None:
        """Stops listening."""
        self._http.shutdown()
        self._http.server_close()
        if isinstance(self._thread, threading.Thread):
            self._thread.join(timeout=10)
