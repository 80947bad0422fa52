"""The gRPC client: sends pictures to a server that runs the exported model.

It works with the embedded server and with TensorFlow Serving, and only calls Predict
and GetModelStatus. It imports neither TensorFlow nor tensorflow-serving-api; see
`tfnst.client.messages`.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from typing import Any

import grpc

from tfnst.checks import ArgumentError, check_integer, check_number
from tfnst.client.channels import (
    certificate_problem,
    channel_options,
    open_channel,
    proxy_variable,
)
from tfnst.client.errors import (
    DeadlineError,
    ModelNotFoundError,
    ServerUnavailableError,
    ServingError,
    error_of_call,
    one_line,
)
from tfnst.client.messages import messages
from tfnst.client.requests import ModelChoice, build_request
from tfnst.client.responses import (
    ModelVersionStatus,
    StylizeResponse,
    read_response,
    read_status,
)

_logger = logging.getLogger(__name__)

_ATTEMPTS = 5  # gRPC's own maximum.
_POLL_SECONDS = 0.5
_STATUS_SECONDS = 10.0
_LONGEST_SECONDS = 10.0**8  # Three years; gRPC turns longer ones into none at all.
_MAX_PORT = 65535
_SECONDS = "a finite number of seconds above 0"


class StylizeClient:
    """Asks a server to stylize pictures.

    A client holds one connection, which opens at the first call; threads may share
    it. Close it, or use it as a context manager.

    A call that fails with UNAVAILABLE or RESOURCE_EXHAUSTED is repeated, which is safe
    because a run changes nothing on the server.

    Args:
        target: `"HOST:PORT"`, or another name that gRPC understands, such as
            `"unix:///..."`.
        model: name of the model. Default `"tfnst"`.
        version: number of the version, 0 or more; by default the newest one.
        version_label: label of a version, such as `"stable"`, in place of `version`.
        root_certificates: PEM file with the authorities to trust; turns on TLS.
        client_certificate: PEM file with the client's certificate chain, for mutual
            TLS.
        client_key: PEM file with the key of `client_certificate`.
        timeout: time limit of a call of `stylize` in seconds, retries included. The
            default depends on the work: 60 seconds plus 100 for each million of
            `size * size * steps`, about four times what two CPU cores take. A server
            with a long queue, or with larger defaults, may need more.
        max_attempts: number of attempts at a call, 1 to 5. Default 4.
        retry_seconds: approximate wait in seconds before the second attempt, above 0;
            it doubles with each further one. Default 1.

    Raises:
        ValueError: when an argument is out of range, or two don't go together.
        OSError: when a certificate or key can't be read.
    """

    def __init__(
        self,
        target: str,
        *,
        model: str = "tfnst",
        version: int | None = None,
        version_label: str | None = None,
        root_certificates: str | os.PathLike[str] | None = None,
        client_certificate: str | os.PathLike[str] | None = None,
        client_key: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        max_attempts: int = 4,
        retry_seconds: float = 1.0,
    ) -> None:
        _check_target(target)
        if timeout is not None:
            check_number("timeout", timeout, _SECONDS, above=0)
        max_attempts = check_integer("max_attempts", max_attempts, 1, _ATTEMPTS)
        retry_seconds = check_number("retry_seconds", retry_seconds, _SECONDS, above=0)
        self.target = target
        self._model = ModelChoice(model, version, version_label)
        self._timeout = timeout
        self._root_certificates = root_certificates
        self._channel = open_channel(
            target,
            channel_options(max_attempts, retry_seconds),
            root_certificates=root_certificates,
            client_certificate=client_certificate,
            client_key=client_key,
        )
        self._predict = self._method("PredictionService", "Predict")
        self._get_status = self._method("ModelService", "GetModelStatus")

    def __enter__(self) -> StylizeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; open calls and later ones fail."""
        self._channel.close()

    def stylize(
        self,
        content_image: Any,
        style_image: Any = None,
        *,
        timeout: float | None = None,
        **settings: Any,
    ) -> StylizeResponse:
        """Paints the content image in the style of the style image, on the server.

        JPEG and PNG files are sent unchanged if the server reads the same pixels from
        them as `load_image` does. Others (rotated by Exif, with alpha or an ICC
        profile, in CMYK or another format) are read here and sent as PNG with 8 bits
        per channel.

        Args:
            content_image: picture to paint: a path, bytes of an image file, a binary
                file object, a PIL image, or an array as `tfnst.load_image` takes it.
            style_image: picture with the style, of any shape: as `content_image`, or a
                `tfnst.StyleImage` with a weight, a scale and masks, or a list of up
                to 8 of either. None where a network paints, which has a style of its
                own.
            timeout: time limit in seconds, in place of the client's.
            **settings: fields of `tfnst.StyleTransferConfig`: `steps`, `size`, `seed`,
                `style_strength`, `content_weight`, `style_weight`,
                `total_variation_weight`, `learning_rate` and `preserve_color`; without
                a style, `size` and `preserve_color`. The server's own settings stand in
                for those that are left out or None.

        Returns:
            StylizeResponse.

        Raises:
            ValueError: for bad settings or pictures, before anything is sent.
            OSError: for files that can't be read.
            ServingError: when the server returns no picture; it has a subclass for
                each cause.
        """
        if timeout is not None:
            check_number("timeout", timeout, _SECONDS, above=0)
        request = build_request(self._model, content_image, style_image, settings)
        timeout = timeout or self._timeout or request.seconds
        began = time.monotonic()
        response = self._call(self._predict, request.message, timeout, painting=True)
        _logger.info(
            "%d bytes sent to %s, %d received %.1f s later",
            request.message.ByteSize(),
            self.target,
            response.ByteSize(),
            time.monotonic() - began,
        )
        return read_response(
            response, request.info, target=self.target, model=str(self._model)
        )

    def status(self, *, timeout: float = _STATUS_SECONDS) -> list[ModelVersionStatus]:
        """The versions of the model that the server knows, in order.

        Args:
            timeout: time limit in seconds. Default 10.

        Raises:
            ServingError: when there is no answer, or no such model or version.
        """
        check_number("timeout", timeout, _SECONDS, above=0)
        # Without the label, which TensorFlow Serving doesn't look up here.
        model = dataclasses.replace(self._model, version_label=None)
        request = messages["GetModelStatusRequest"](model_spec=model.spec())
        return read_status(self._call(self._get_status, request, timeout))

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Waits until the server has a version ready (the client's, if it has one).

        Args:
            timeout: time limit in seconds. Default 60.

        Raises:
            DeadlineError: when no version is ready after `timeout` seconds.
            ServingError: when the server answers with an error, unless it says that
                the model, or the server itself, isn't there yet; or when its
                certificate isn't trusted.
        """
        check_number("timeout", timeout, _SECONDS, above=0)
        deadline = time.monotonic() + timeout
        last = "there was no answer."
        while (left := deadline - time.monotonic()) > 0:
            try:
                versions = self.status(timeout=min(left, _STATUS_SECONDS))
            except (ServerUnavailableError, ModelNotFoundError, DeadlineError) as error:
                last = str(error)
            else:
                if any(version.state == "AVAILABLE" for version in versions):
                    return
                last = ", ".join(
                    f"version {number} is {state}{error and f' ({one_line(error)})'}"
                    for number, state, error in versions
                )
            time.sleep(max(0, min(_POLL_SECONDS, deadline - time.monotonic())))
        failure = DeadlineError(
            f"The server at {self.target} did not have {self._model} ready within "
            f"{timeout:g} seconds: {last}"
        )
        failure.code = grpc.StatusCode.DEADLINE_EXCEEDED
        raise failure

    def _method(self, service: str, name: str) -> grpc.UnaryUnaryMultiCallable:
        return self._channel.unary_unary(
            f"/tensorflow.serving.{service}/{name}",
            request_serializer=messages[f"{name}Request"].SerializeToString,
            response_deserializer=messages[f"{name}Response"].FromString,
        )

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable,
        request: Any,
        timeout: float,
        *,
        painting: bool = False,
    ) -> Any:
        try:
            call = method.future(request, timeout=min(timeout, _LONGEST_SECONDS))
        except ValueError as error:  # All that gRPC says of a closed channel.
            raise ServingError(f"The client of {self.target} is closed.") from error
        try:
            return call.result()
        except grpc.FutureCancelledError as error:
            raise ServingError(
                f"The call to {self.target} was cancelled: the client was closed."
            ) from error
        except grpc.RpcError as error:
            raise error_of_call(
                error,
                target=self.target,
                model=str(self._model),
                timeout=timeout,
                proxy=proxy_variable(self.target),
                distrust=self._distrust(error),
                painting=painting,
            ) from error
        except BaseException:  # On Ctrl-C, the server needn't go on.
            call.cancel()
            raise

    def _distrust(self, error: grpc.RpcError) -> str | None:
        """The reason why the server's certificate isn't trusted, if that may be it."""
        if (
            error.code() != grpc.StatusCode.UNAVAILABLE
            or self._root_certificates is None
            or proxy_variable(self.target)
        ):
            return None
        return certificate_problem(self.target, self._root_certificates)


def _check_target(value: Any) -> None:
    if isinstance(value, str):
        schemes = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
        port = value.rpartition(":")[2]
        has_port = port.isdecimal() and "//" not in value
        # gRPC would keep only 16 bits, and dial another port.
        if port.isdecimal() and not 1 <= int(port) <= _MAX_PORT:
            expected = f"HOST:PORT, with a port from 1 to {_MAX_PORT}"
            raise ArgumentError(expected, repr(value), argument="target")
        if has_port or value.startswith(schemes):
            return
    raise ArgumentError("HOST:PORT", repr(value), argument="target")
