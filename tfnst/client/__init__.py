"""A gRPC client for servers of the exported model. It doesn't load TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnst.lazy import lazy_names

if TYPE_CHECKING:
    from tfnst.client.client import StylizeClient
    from tfnst.client.errors import (
        DeadlineError,
        InvalidRequestError,
        ModelNotFoundError,
        ServerBusyError,
        ServerUnavailableError,
        ServingError,
    )
    from tfnst.client.responses import ModelVersionStatus, StylizeResponse

__all__ = [
    "DeadlineError",
    "InvalidRequestError",
    "ModelNotFoundError",
    "ModelVersionStatus",
    "ServerBusyError",
    "ServerUnavailableError",
    "ServingError",
    "StylizeClient",
    "StylizeResponse",
]

_MODULES = {
    "DeadlineError": "tfnst.client.errors",
    "InvalidRequestError": "tfnst.client.errors",
    "ModelNotFoundError": "tfnst.client.errors",
    "ModelVersionStatus": "tfnst.client.responses",
    "ServerBusyError": "tfnst.client.errors",
    "ServerUnavailableError": "tfnst.client.errors",
    "ServingError": "tfnst.client.errors",
    "StylizeClient": "tfnst.client.client",
    "StylizeResponse": "tfnst.client.responses",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
