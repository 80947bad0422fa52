"""The gRPC services PredictionService and ModelService."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfnst.server.metrics import Metrics
from tfnst.server.runs import Cancellation, RunLimit, StatusError
from tfnst.server.versions import Versions

MAX_ERROR_BYTES = 1024
_NO_DEADLINE = 10**8  # Seconds; a call without a deadline has more than this left.
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_WORD = re.compile(r"[\w.:-]*", re.ASCII)
_logger = logging.getLogger("tfnst.server")


class Responder:
    """Answers calls: with errors and deadlines, a log line each, and metrics.

    Args:
        versions: the model's versions.
        limit: the runs and the queue.
        metrics: counts the calls; None for no metrics.
    """

    def __init__(
        self, versions: Versions, limit: RunLimit, metrics: Metrics | None
    ) -> None:
        self.versions = versions
        self.limit = limit
        self._metrics = metrics

    def respond(
        self,
        method: str,
        spec: model_pb2.ModelSpec,
        context: grpc.ServicerContext,
        work: Callable[[_Record], Any],
    ) -> Any:
        """Returns what `work` returns, or ends the call with its error.

        Args:
            method: the method's name, for the log.
            spec: the model that the request asks for.
            context: of the call.
            work: makes the response; it completes the record for the log.
        """
        record = _Record(spec)
        start = time.monotonic()
        code, message, response = tf.errors.OK, "", None
        try:
            response = work(record)
        except StatusError as error:
            # Not the error itself: its frames hold the request's pictures.
            code, message = error.code, error.message
        except Exception as error:
            _logger.exception("%s failed", method)
            code = tf.errors.INTERNAL
            message = f"The server failed: {type(error).__name__}"
        if code == tf.errors.CANCELLED and _seconds_left(context) == 0:
            code, message = tf.errors.DEADLINE_EXCEEDED, "Deadline Exceeded"
        seconds = time.monotonic() - start
        status = _CODES[code]
        message = _truncate(message)
        _logger.info(
            "method=%s model=%s version=%s signature=%s code=%s ms=%.1f peer=%s%s",
            method,
            _as_word(spec.name),
            _as_word(record.version),
            _as_word(record.signature),
            status.name,
            seconds * 1000,
            context.peer(),
            f" error={message!a}" if message else "",
        )
        if self._metrics:
            self._metrics.observe(method, status.name, seconds)
        if code != tf.errors.OK:
            context.abort(status, message)
        return response


class _Record:
    """The parts of a log line that the work on a request finds out."""

    def __init__(self, spec: model_pb2.ModelSpec) -> None:
        number = str(spec.version.value) if spec.HasField("version") else ""
        self.version = spec.version_label or number
        self.signature = spec.signature_name


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the other methods are for other kinds of models."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def Predict(  # noqa: N802 (named by the service)
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        cancellation = Cancellation()
        # Called when the call ends for any reason: its deadline passed, or the client
        # cancelled it or left. False means that it has already ended.
        if not context.add_callback(cancellation.request):
            cancellation.request()
        left = _seconds_left(context)
        deadline = None if left is None else time.monotonic() + left

        def work(record: _Record) -> predict_pb2.PredictResponse:
            _check_spec(request)
            lease = self._responder.versions.lease(request.model_spec)
            with lease as (number, servable):
                record.version = str(number)
                plan = servable.plan(request)
                record.signature = plan.signature_name
                with self._responder.limit.turn(deadline, cancellation):
                    if deadline is None:
                        timeout = None
                    else:
                        timeout = max(0.0, deadline - time.monotonic())
                    outputs = servable.run(plan, timeout, cancellation)
            response = predict_pb2.PredictResponse()
            _fill_spec(response.model_spec, request.model_spec, number)
            response.model_spec.signature_name = plan.signature_name
            for alias, tensor in outputs.items():
                response.outputs[alias].CopyFrom(tensor)
            return response

        return self._responder.respond("Predict", request.model_spec, context, work)

    def GetModelMetadata(  # noqa: N802
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        def work(record: _Record) -> get_model_metadata_pb2.GetModelMetadataResponse:
            _check_spec(request)
            if not request.metadata_field:
                raise _invalid(
                    "GetModelMetadataRequest must specify at least one metadata_field"
                )
            for field in request.metadata_field:
                if field != "signature_def":
                    raise _invalid(f"Metadata field {field} is not supported")
            lease = self._responder.versions.lease(request.model_spec)
            with lease as (number, servable):
                record.version = str(number)
                signatures = get_model_metadata_pb2.SignatureDefMap()
                for name, signature in servable.signatures.items():
                    signatures.signature_def[name].CopyFrom(signature)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            _fill_spec(response.model_spec, request.model_spec, number)
            packed = any_pb2.Any()
            packed.Pack(signatures)
            response.metadata["signature_def"].CopyFrom(packed)
            return response

        spec = request.model_spec
        return self._responder.respond("GetModelMetadata", spec, context, work)

    def Classify(  # noqa: N802
        self,
        request: classification_pb2.ClassificationRequest,
        context: grpc.ServicerContext,
    ) -> None:
        self._refuse("Classify", request.model_spec, context)

    def Regress(  # noqa: N802
        self, request: regression_pb2.RegressionRequest, context: grpc.ServicerContext
    ) -> None:
        self._refuse("Regress", request.model_spec, context)

    def MultiInference(  # noqa: N802
        self,
        request: inference_pb2.MultiInferenceRequest,
        context: grpc.ServicerContext,
    ) -> None:
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        self._refuse("MultiInference", spec, context)

    def _refuse(
        self, method: str, spec: model_pb2.ModelSpec, context: grpc.ServicerContext
    ) -> None:
        def work(record: _Record) -> None:
            raise StatusError(
                tf.errors.UNIMPLEMENTED,
                f"This server answers Predict and GetModelMetadata, not {method}.",
            )

        self._responder.respond(method, spec, context, work)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def GetModelStatus(  # noqa: N802
        self,
        request: get_model_status_pb2.GetModelStatusRequest,
        context: grpc.ServicerContext,
    ) -> get_model_status_pb2.GetModelStatusResponse:
        def work(record: _Record) -> get_model_status_pb2.GetModelStatusResponse:
            _check_spec(request)
            spec, versions = request.model_spec, self._responder.versions
            states = versions.states() if spec.name == versions.name else []
            if spec.HasField("version"):
                number = spec.version.value
                states = [state for state in states if state.number == number]
                missing = f"Could not find version {number} of model {spec.name}"
            else:
                missing = f"Could not find any versions of model {spec.name}"
            if not states:
                raise StatusError(tf.errors.NOT_FOUND, missing)
            response = get_model_status_pb2.GetModelStatusResponse()
            for state in reversed(states):
                status = response.model_version_status.add(
                    version=state.number, state=state.state
                )
                status.status.SetInParent()
                if state.error:
                    status.status.error_code = state.error.code
                    status.status.error_message = state.error.message
            return response

        spec = request.model_spec
        return self._responder.respond("GetModelStatus", spec, context, work)

    def HandleReloadConfigRequest(  # noqa: N802
        self,
        request: model_management_pb2.ReloadConfigRequest,
        context: grpc.ServicerContext,
    ) -> model_management_pb2.ReloadConfigResponse:
        configs = request.config.model_config_list.config
        spec = model_pb2.ModelSpec()
        if configs:
            spec.name = configs[0].name

        def work(record: _Record) -> model_management_pb2.ReloadConfigResponse:
            if not request.config.HasField("model_config_list"):
                raise _invalid(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest."
                    " Only ModelConfigList is currently supported"
                )
            if len(configs) != 1:
                raise _invalid(
                    "This server serves one model, so `model_config_list` must have "
                    f"one entry. Received: {len(configs)}"
                )
            self._responder.versions.configure(configs[0])
            response = model_management_pb2.ReloadConfigResponse()
            response.status.SetInParent()
            return response

        method = "HandleReloadConfigRequest"
        return self._responder.respond(method, spec, context, work)


def _check_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise _invalid("Missing ModelSpec")


def _fill_spec(
    spec: model_pb2.ModelSpec, requested: model_pb2.ModelSpec, number: int
) -> None:
    spec.name = requested.name
    spec.version.value = number


def _seconds_left(context: grpc.ServicerContext) -> float | None:
    """Seconds until the call's deadline, or None when it has none."""
    left = context.time_remaining()
    return None if left is None or left > _NO_DEADLINE else left


def _truncate(message: str) -> str:
    data = message.encode()
    if len(data) <= MAX_ERROR_BYTES:
        return message
    return data[:MAX_ERROR_BYTES].decode(errors="ignore") + "...TRUNCATED"


def _as_word(name: str) -> str:
    """A name from a client as one word of a log line; quoted if it isn't one."""
    word = name[:100]
    return word if _WORD.fullmatch(word) else ascii(word)


def _invalid(message: str) -> StatusError:
    return StatusError(tf.errors.INVALID_ARGUMENT, message)
