"""What can go wrong between a client and a server, in words for people."""

from __future__ import annotations

import grpc

_DETAILS = 500  # Characters of a server's text that a message shows.


class ServingError(RuntimeError):
    """What a call to a server ended with, if not with a picture ::

        ServingError (a RuntimeError): any other code, or an answer that is no picture
         +- InvalidRequestError (a ValueError): INVALID_ARGUMENT
         +- ModelNotFoundError (a LookupError): NOT_FOUND, FAILED_PRECONDITION
         +- ServerBusyError: RESOURCE_EXHAUSTED
         +- ServerUnavailableError (a ConnectionError): UNAVAILABLE
         +- DeadlineError (a TimeoutError): DEADLINE_EXCEEDED

    Attributes:
        code: `grpc.StatusCode`, or None where the server answered, but no picture.
        details: the server's own text, whole; the message has one line of it.
    """

    code: grpc.StatusCode | None = None
    details: str = ""


class InvalidRequestError(ServingError, ValueError):
    """The server refuses a setting or a picture."""


class ModelNotFoundError(ServingError, LookupError):
    """The server has no such model or version."""


class ServerBusyError(ServingError):
    """The server's queue is full, or its memory."""


class ServerUnavailableError(ServingError, ConnectionError):
    """No server answers, or it is about to stop."""


class DeadlineError(ServingError, TimeoutError):
    """The time ran out."""


ERRORS = {
    grpc.StatusCode.INVALID_ARGUMENT: (
        InvalidRequestError,
        "The server at {target} refuses the request: {details}",
    ),
    grpc.StatusCode.NOT_FOUND: (
        ModelNotFoundError,
        "The server at {target} does not serve {model}; check the name and "
        "the version: {details}",
    ),
    grpc.StatusCode.FAILED_PRECONDITION: (
        ModelNotFoundError,
        "The server at {target} serves something else as {model}, no export of "
        "tfnst: {details}",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        ServerBusyError,
        "The server at {target} has no room for the request; try again later, or "
        "with a smaller `size`: {details}",
    ),
    grpc.StatusCode.UNAVAILABLE: (
        ServerUnavailableError,
        "No server answers at {target}; check the address, that it runs, and whether "
        "it wants TLS: {details}",
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        DeadlineError,
        "The server at {target} did not answer within {timeout:g} seconds; allow a "
        "longer `timeout`, or ask for fewer `steps` or a smaller `size`.",
    ),
}


def one_line(details: str) -> str:
    """A server's text without what only TensorFlow's developers understand."""
    text = " ".join(details.split("[[{{")[0].split())
    _, found, assertion = text.partition("assertion failed: [")
    if found:
        text = assertion.replace("Received:] ", "Received: ", 1)
    return text if len(text) <= _DETAILS else f"{text[:_DETAILS]}..."
