"""The methods of the gRPC services PredictionService and ModelService."""

from __future__ import annotations

import contextlib
import importlib
import time
from typing import Any

import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from tfnst.server.calls import Call, Calls
from tfnst.server.memory import trim_memory
from tfnst.server.runs import RunLimit, StatusError, invalid_argument
from tfnst.server.servables import CheckedRequest, Result, Servable
from tfnst.server.versions import Versions

# For reflection. Before release 2.21, these modules fail at their end, after they have
# added the services to what reflection describes.
for _module in ("prediction_service_pb2", "model_service_pb2"):
    with contextlib.suppress(AttributeError):
        importlib.import_module(f"tensorflow_serving.apis.{_module}")


class Services:
    """Answers the requests of both services.

    Classify, Regress and MultiInference are for other kinds of models; gRPC answers
    UNIMPLEMENTED.

    Args:
        versions: the model's versions.
        limit: the queue of runs.
        calls: makes the handlers, and has the threads.
    """

    def __init__(self, versions: Versions, limit: RunLimit, calls: Calls) -> None:
        self._versions = versions
        self._limit = limit
        self._calls = calls

    def handlers(self) -> dict[str, dict[str, Any]]:
        """Returns service -> method -> gRPC handler."""
        handler = self._calls.handler
        metadata_request = get_model_metadata_pb2.GetModelMetadataRequest
        status_request = get_model_status_pb2.GetModelStatusRequest
        return {
            "tensorflow.serving.PredictionService": {
                "Predict": handler(
                    "Predict", predict_pb2.PredictRequest, self._predict
                ),
                "GetModelMetadata": handler(
                    "GetModelMetadata", metadata_request, self._get_model_metadata
                ),
            },
            "tensorflow.serving.ModelService": {
                "GetModelStatus": handler(
                    "GetModelStatus", status_request, self._get_model_status
                ),
            },
        }

    async def _predict(
        self, call: Call, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        with self._versions.lease(request.model_spec) as (number, servable):
            call.version = str(number)
            checked = servable.check(request)
            call.signature = checked.signature_name
            waiting = time.monotonic()
            async with self._limit.turn(call.cancellation):
                running = time.monotonic()
                call.queue_seconds = running - waiting
                try:
                    result = await self._calls.in_thread(_run, servable, checked, call)
                finally:
                    call.run_seconds = time.monotonic() - running
        call.decode_seconds = result.decode_seconds
        response = predict_pb2.PredictResponse()
        _fill_spec(response.model_spec, request.model_spec, number)
        response.model_spec.signature_name = call.signature
        for alias, tensor in result.outputs.items():
            response.outputs[alias].CopyFrom(tensor)
        return response

    async def _get_model_metadata(
        self, call: Call, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if not request.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self._versions.lease(request.model_spec) as (number, servable):
            call.version = str(number)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in servable.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _fill_spec(response.model_spec, request.model_spec, number)
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    async def _get_model_status(
        self, call: Call, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        spec = request.model_spec
        states = self._versions.states() if spec.name == self._versions.name else []
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


def _run(servable: Servable, request: CheckedRequest, call: Call) -> Result:
    try:
        return servable.run(request, call.seconds_left(), call.cancellation)
    finally:
        trim_memory()


def _fill_spec(
    spec: model_pb2.ModelSpec, requested: model_pb2.ModelSpec, number: int
) -> None:
    spec.name = requested.name
    spec.version.value = number
