"""Errors of calls to a server."""

from __future__ import annotations

import grpc

_MAX_DETAILS = 500  # Characters of the server's text that a message shows.


class ServingError(RuntimeError):
    """A call to a server that failed ::

        ServingError (a RuntimeError): any other code, an answer without a picture, a
         |                             server whose certificate isn't trusted, or a
         |                             call after the client was closed
         +- InvalidRequestError (a ValueError): INVALID_ARGUMENT, or a request that is
         |                             too long
         +- ModelNotFoundError (a LookupError): NOT_FOUND, FAILED_PRECONDITION
         +- ServerBusyError: RESOURCE_EXHAUSTED
         +- ServerUnavailableError (a ConnectionError): UNAVAILABLE
         +- DeadlineError (a TimeoutError): DEADLINE_EXCEEDED

    Attributes:
        code: `grpc.StatusCode`; None where there is none, as when the server's answer
            has no picture.
        details: whole text of the server, of which the message shows one line.
    """

    code: grpc.StatusCode | None = None
    details: str = ""


class InvalidRequestError(ServingError, ValueError):
    """The server refuses a setting or a picture."""


class ModelNotFoundError(ServingError, LookupError):
    """The server has no such model or version."""


class ServerBusyError(ServingError):
    """The server's queue or memory is full."""


class ServerUnavailableError(ServingError, ConnectionError):
    """No server answers, or the server is about to stop."""


class DeadlineError(ServingError, TimeoutError):
    """The time ran out."""


_ERRORS = {
    grpc.StatusCode.INVALID_ARGUMENT: (
        InvalidRequestError,
        "The server at {target} refuses the request: {details}",
    ),
    grpc.StatusCode.NOT_FOUND: (
        ModelNotFoundError,
        "The server at {target} does not serve {model}; check the name and the "
        "version: {details}",
    ),
    grpc.StatusCode.FAILED_PRECONDITION: (
        ModelNotFoundError,
        "The server at {target} has {model}, but that isn't an export of tfnst: "
        "{details}",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        ServerBusyError,
        "The server at {target} has no room for the request; try again later, or "
        "with a smaller `size`: {details}",
    ),
    grpc.StatusCode.UNAVAILABLE: (
        ServerUnavailableError,
        "No server answers at {target}; check the address, whether the server is "
        "running, and whether it requires TLS{proxy}: {details}",
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        DeadlineError,
        "The server at {target} did not answer within {timeout:g} seconds; allow a "
        "longer `timeout`{advice}.",
    ),
}


_TOO_LONG = (
    InvalidRequestError,
    "The request is too long for the server at {target}; send smaller pictures, or "
    "start `tfnst serve` with larger `--max-message-bytes`: {details}",
)
_UNTRUSTED = (
    ServingError,
    "The server at {target} has a certificate that isn't trusted; use the name that it "
    "is for, or `root_certificates` with its authority: {details}",
)
_OTHER_ERROR = (ServingError, "The server at {target} failed with {code}: {details}")


def error_of_call(
    error: grpc.RpcError,
    *,
    target: str,
    model: str,
    timeout: float,
    proxy: str | None,
    distrust: str | None,
    painting: bool,
) -> ServingError:
    """The error to raise for a call that failed.

    Args:
        error: error that gRPC raised; it is also a `grpc.Call`.
        target: address of the server.
        model: description of the model.
        timeout: time limit of the call in seconds.
        proxy: environment variable that names a proxy to the server, or None.
        distrust: reason why the server's certificate isn't trusted, or None.
        painting: whether the call asked for a picture.
    """
    code, details = error.code(), error.details() or ""
    kind, message = _ERRORS.get(code, _OTHER_ERROR)
    # gRPC has words for this, but no code of its own.
    if kind is ServerBusyError and "message larger than max" in details:
        kind, message = _TOO_LONG
    if distrust:
        (kind, message), details = _UNTRUSTED, distrust
    failure = kind(
        message.format(
            target=target,
            model=model,
            timeout=timeout,
            code=code.name,
            details=one_line(details or "it gives no reason"),
            advice=", or ask for fewer `steps` or a smaller `size`" if painting else "",
            proxy=f", and the proxy in the environment variable {proxy}"
            if proxy
            else "",
        )
    )
    failure.code, failure.details = code, details
    return failure


def one_line(details: str) -> str:
    """A server's text in one line, without the names of TensorFlow's nodes."""
    text = " ".join(details.split("[[{{")[0].split())
    _, found, assertion = text.partition("assertion failed: [")
    if found:
        text = assertion.replace("Received:] ", "Received: ", 1)
    return text if len(text) <= _MAX_DETAILS else f"{text[:_MAX_DETAILS]}..."
