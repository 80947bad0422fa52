"""The gRPC service Health, which reports whether every model can answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

_Status = health_pb2.HealthCheckResponse
# The server as a whole; its services by the names that TensorFlow Serving gives them
# here, and by their full names.
NAMES = (
    "",
    "ModelService",
    "PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
)


class Health:
    """Answers Check and Watch.

    Not grpc_health's own servicer: there a watcher that reads nothing can keep the
    status from changing for the others. Only code in the event loop may use it.
    """

    def __init__(self) -> None:
        self._serving = False
        self._stopping = False
        self._changed = asyncio.Event()

    def set(self, serving: bool) -> None:
        """Sets whether requests can be answered; ignored after `stop`."""
        self._serving = serving and not self._stopping
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Reports NOT_SERVING from now on."""
        self._stopping = True
        self.set(False)

    async def check(self, requests: AsyncIterator[Any], context: Any) -> Any:
        """Answers the method Check."""
        async for request in requests:
            if request.service not in NAMES:
                await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            yield _Status(status=self._status(request.service))
            return

    async def watch(self, requests: AsyncIterator[Any], _: Any) -> Any:
        """Answers the method Watch: sends the status now and at each change."""
        async for request in requests:
            last = None
            while True:
                changed, status = self._changed, self._status(request.service)
                if status != last:
                    yield _Status(status=status)
                    last = status
                else:
                    await changed.wait()

    def _status(self, service: str) -> Any:
        if service not in NAMES:
            return _Status.SERVICE_UNKNOWN
        return _Status.SERVING if self._serving else _Status.NOT_SERVING
