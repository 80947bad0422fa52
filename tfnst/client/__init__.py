"""A gRPC client for servers of the exported model. It doesn't load TensorFlow."""

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
