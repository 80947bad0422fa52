"""The gRPC client: pictures to a server that runs the exported model, and back.

It works with the embedded server and with TensorFlow Serving's own, and calls only
Predict and GetModelStatus. It takes neither TensorFlow nor tensorflow-serving-api; see
`tfnst.client.messages`.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any

import grpc

from tfnst.client.channels import channel_options, open_channel
from tfnst.client.errors import (
    ERRORS,
    DeadlineError,
    InvalidRequestError,
    ModelNotFoundError,
    ServerBusyError,
    ServerUnavailableError,
    ServingError,
    one_line,
)
from tfnst.client.messages import (
    FLOAT,
    INT32,
    STATES,
    STRING,
    add_input,
    messages,
    read_floats,
)
from tfnst.client.pictures import encode_picture
from tfnst.client.requests import _INTEGERS, add_styles, is_one_picture, seconds_for
from tfnst.client.responses import ModelVersionStatus, StylizeResponse
from tfnst.config import StyleTransferConfig
from tfnst.images.style_images import style_images

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

_ATTEMPTS = 5  # More gRPC doesn't allow.
_POLL_SECONDS = 0.5
_STATUS_SECONDS = 10.0


class StylizeClient:
    """Has pictures stylized by a server.

    A client holds one connection, which opens at the first call; threads may share
    it. Close it, or use it as a context manager.

    A call that the server answers with UNAVAILABLE or RESOURCE_EXHAUSTED is repeated
    after about 1, 2, 4 and 8 seconds: a run changes nothing on the server.

    Args:
        target: `"HOST:PORT"`, or another name that gRPC knows (`"unix:///..."`).
        model: name of the model. Default `"tfnst"`.
        version: number of the version, 0 or more; the newest one by default.
        version_label: label of a version, such as `"stable"`, instead of `version`.
        root_certificates: file with the certificates (PEM) of which one must have
            signed the server's; turns on TLS.
        client_certificate: file with the client's own certificate chain (PEM), for
            mutual TLS.
        client_key: file with the key of `client_certificate` (PEM).
        timeout: seconds that a call of `stylize` may take, repetitions included. By
            default they follow from the work: 60, and 100 for each million of
            `size * size * steps`, about four times what two CPU cores take. A
            server with a long queue or larger settings of its own may need more.
        max_attempts: how often a call is tried, 1 to 5. Default 4.

    Raises:
        ValueError: when an argument is out of its range, or they don't fit together.
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
    ) -> None:
        if not isinstance(target, str) or not (
            (target.rpartition(":")[2].isdecimal() and "//" not in target)
            or target.startswith(("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:"))
        ):
            _fail("target", "HOST:PORT", target)
        if not isinstance(model, str) or not model:
            _fail("model", "a text that is not empty", model)
        if version is not None and version_label is not None:
            _fail("version", "left out with `version_label`", version)
        if version is not None and not _is_integer(version, 0, 2**63 - 1):
            _fail("version", "an integer, 0 or more", version)
        if version_label is not None and (
            not isinstance(version_label, str) or not version_label
        ):
            _fail("version_label", "a text that is not empty", version_label)
        if not _is_integer(max_attempts, 1, _ATTEMPTS):
            _fail("max_attempts", f"an integer from 1 to {_ATTEMPTS}", max_attempts)
        if timeout is not None:
            _check_timeout(timeout)
        self.target = target
        self._spec = {"name": model}
        self._model = f"the model {model!r}"
        if version is not None:
            self._spec["version"] = {"value": version}
            self._model += f", version {version}"
        if version_label is not None:
            self._spec["version_label"] = version_label
            self._model += f", label {version_label!r}"
        self._timeout = timeout
        self._channel = open_channel(
            target,
            channel_options(max_attempts),
            root_certificates,
            client_certificate,
            client_key,
        )
        self._predict, self._get_status = (
            self._channel.unary_unary(
                f"/tensorflow.serving.{method}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=messages[response].FromString,
            )
            for method, response in (
                ("PredictionService/Predict", "PredictResponse"),
                ("ModelService/GetModelStatus", "GetModelStatusResponse"),
            )
        )

    def __enter__(self) -> StylizeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls that other threads wait for fail."""
        self._channel.close()

    def stylize(
        self,
        content_image: Any,
        style_image: Any,
        *,
        steps: int | None = None,
        size: int | None = None,
        style_strength: float | None = None,
        content_weight: float | None = None,
        style_weight: float | None = None,
        total_variation_weight: float | None = None,
        learning_rate: float | None = None,
        seed: int | None = None,
        preserve_color: str | None = None,
        timeout: float | None = None,
    ) -> StylizeResponse:
        """Paints the content image in the style of the style image, on the server.

        JPEG and PNG files are sent as they are if the server sees in them what
        `load_image` does. Others (turned by EXIF, with alpha, an ICC profile or CMYK,
        of another format) are read here, and sent as PNG with 8 bits a channel.

        Args:
            content_image: what to paint: a path, bytes of an image file, a binary
                file object, a PIL image, or an array as `tfnst.load_image`
                takes them.
            style_image: whose style; as `content_image`, or a `tfnst.StyleImage` with
                a weight, a scale and masks, or a list of up to 8 of either. It may
                have any shape.
            steps, size, style_strength, content_weight, style_weight,
                total_variation_weight, learning_rate, seed, preserve_color: as in
                StyleTransferConfig. None, the default, leaves the setting to the
                server.
            timeout: seconds, instead of the client's `timeout`.

        Returns:
            StylizeResponse.

        Raises:
            ValueError: for bad settings or pictures, before anything is sent.
            OSError: for files that can't be read.
            ServingError: when the server gives no picture; see there for its kinds.
        """
        settings = {
            "steps": steps,
            "size": size,
            "style_strength": style_strength,
            "content_weight": content_weight,
            "style_weight": style_weight,
            "total_variation_weight": total_variation_weight,
            "learning_rate": learning_rate,
            "seed": seed,
            "preserve_color": preserve_color,
        }
        settings = {k: v for k, v in settings.items() if v is not None}
        config = StyleTransferConfig(**settings)
        if settings.pop("style_strength", None) is not None:
            # Servers know the weights that it stands for.
            for name in ("style_weight", "total_variation_weight"):
                settings.setdefault(name, config.loss_weights()[name])
        timeout = self._timeout if timeout is None else timeout
        if timeout is None:
            timeout = seconds_for(config.steps, config.size)
        _check_timeout(timeout)
        request = messages["PredictRequest"](model_spec=self._spec)
        content, info = encode_picture(content_image, name="content_image")
        add_input(request, "content_bytes", STRING, string_val=[content])
        parts = style_images(style_image)
        if "preserve_color" in settings or not is_one_picture(parts):
            request.model_spec.signature_name = "blend"
            add_styles(request, parts)
        else:
            style, _ = encode_picture(parts[0].image, name="style_image")
            add_input(request, "style_bytes", STRING, string_val=[style])
        for name, value in settings.items():
            if name == "preserve_color":
                add_input(request, name, STRING, string_val=[value.encode()])
            elif name in _INTEGERS:
                add_input(request, name, INT32, int_val=[value])
            else:
                add_input(request, name, FLOAT, float_val=[value])
        return self._read(self._call(self._predict, request, timeout), info)

    def status(self, *, timeout: float = _STATUS_SECONDS) -> list[ModelVersionStatus]:
        """The versions of the model that the server knows, in order.

        Args:
            timeout: seconds that the server has for its answer. Default 10.

        Raises:
            ServingError: when there is no answer, or no such model or version.
        """
        _check_timeout(timeout)
        # Not by label, which TensorFlow Serving doesn't look up here.
        spec = {k: v for k, v in self._spec.items() if k != "version_label"}
        request = messages["GetModelStatusRequest"](model_spec=spec)
        response = self._call(self._get_status, request, timeout)
        return sorted(
            ModelVersionStatus(
                version=item.version,
                state=STATES.get(item.state, "UNKNOWN"),
                error=item.status.error_message,
            )
            for item in response.model_version_status
        )

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Waits until the server has a version (the client's, if one is set).

        Raises:
            DeadlineError: when there is none after `timeout` seconds.
            ServingError: when the server answers with another error than that it or
                the model is not there.
        """
        _check_timeout(timeout)
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
        error = DeadlineError(
            f"The server at {self.target} did not have {self._model} ready within "
            f"{timeout:g} seconds: {last}"
        )
        error.code = grpc.StatusCode.DEADLINE_EXCEEDED
        raise error

    def _call(self, method, request, timeout):
        call = method.future(request, timeout=timeout)
        try:
            return call.result()
        except grpc.FutureCancelledError as error:
            raise ServingError(
                f"The call to {self.target} was cancelled: the client was closed."
            ) from error
        except grpc.RpcError as error:
            kind, message = ERRORS.get(
                error.code(),
                (ServingError, "The server at {target} failed with {code}: {details}"),
            )
            failure = kind(
                message.format(
                    target=self.target,
                    model=self._model,
                    timeout=timeout,
                    code=error.code().name,
                    details=one_line(error.details() or "it gives no reason"),
                )
            )
            failure.code, failure.details = error.code(), error.details() or ""
            raise failure from error
        except BaseException:  # Ctrl-C: the server need not go on.
            call.cancel()
            raise

    def _read(self, response, info):
        outputs = {entry.key: entry.value for entry in response.outputs}
        try:
            (image_bytes,) = outputs["image_bytes"].string_val
            content, style, total = (
                float(read_floats(outputs[f"{name}_loss"])[0])
                for name in ("content", "style", "total")
            )
        except (IndexError, KeyError, ValueError) as error:
            raise ServingError(
                f"The server at {self.target} has {self._model}, but that is no export "
                "of tfnst: it gave "
                + (", ".join(sorted(map(repr, outputs))) or "nothing")
            ) from error
        version = response.model_spec.version.value
        return StylizeResponse(image_bytes, content, style, total, version, info)


def _fail(name: str, expected: str, received: Any) -> None:
    raise ValueError(f"`{name}` must be {expected}. Received: {received!r}")


def _is_integer(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _check_timeout(value: Any) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < math.inf
    ):
        _fail("timeout", "a finite number of seconds above 0", value)
