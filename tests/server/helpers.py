"""Calling a server, and waiting for what it does."""

import contextlib
import resource
import time

import grpc
import pytest
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests import toys
from tfnst.server import ModelServer

AN_HOUR = 2_000_000_000  # Steps of the toy's loop; they would take days.
LIMIT = 300  # Seconds for what takes a moment, unless the machine is very busy.
Code = grpc.StatusCode
State = get_model_status_pb2.ModelVersionStatus
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Caller:
    """Calls a server's methods, each with a time limit."""

    def __init__(self, channel):
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        model = model_service_pb2_grpc.ModelServiceStub(channel)
        self.check = health_pb2_grpc.HealthStub(channel).Check
        self.stubs = {
            predict_pb2.PredictRequest: prediction.Predict,
            get_model_metadata_pb2.GetModelMetadataRequest: prediction.GetModelMetadata,
            get_model_status_pb2.GetModelStatusRequest: model.GetModelStatus,
        }

    def __call__(self, request, timeout=LIMIT, metadata=()):
        return self.stubs[type(request)](request, timeout=timeout, metadata=metadata)

    def later(self, request, timeout=LIMIT):
        return self.stubs[type(request)].future(request, timeout=timeout)

    def refused(self, request, timeout=LIMIT, metadata=()):
        with pytest.raises(grpc.RpcError) as caught:
            self(request, timeout, metadata)
        return caught.value.code(), caught.value.details()

    def health(self, service=""):
        request = health_pb2.HealthCheckRequest(service=service)
        return self.check(request, timeout=LIMIT).status

    def states(self):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "toy"
        try:
            versions = self(request).model_version_status
        except grpc.RpcError as error:
            if error.code() != Code.NOT_FOUND:
                raise
            return {}
        return {v.version: State.State.Name(v.state) for v in versions}


@contextlib.contextmanager
def running(base, **options):
    """A server of the model `toy`, and its caller."""
    options = {"name": "toy", "port": 0, "poll_seconds": 0.05, **options}
    with ModelServer(base, **options) as server, connected(server) as channel:
        yield server, Caller(channel)


@contextlib.contextmanager
def serving(base, **options):
    """As `running`, once the model can answer."""
    with running(base, **options) as (server, caller):
        assert server.wait_until_available(LIMIT)
        yield server, caller


def connected(server, **options):
    return grpc.insecure_channel(f"127.0.0.1:{server.port}", **options)


def answering(caller):
    """The version that answers a request without a version."""
    return caller(toys.predict_request(a=[1], b=[1])).model_spec.version.value


def metadata_request(*fields, name="toy"):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    if name is not None:
        request.model_spec.name = name
    return request


def status_request(name="toy", version=None):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


def changed(request, text):
    """A request with fields merged in from text."""
    return text_format.Merge(text, request)


def until(condition):
    """Waits for something that takes an unknown, short time."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def open_files(count):
    """Skips the test where a process may not have that many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"at most {hard} open files")
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def busy():
    """Whether this process, and so a server in it, computes."""
    return _cpu_share() > 0.05


def idle():
    """Whether this process, and so a server in it, does next to nothing.

    On a machine so busy that this process hardly has a turn, it seems to be idle.
    """
    return _cpu_share() < 0.1


def _cpu_share(seconds=0.2):
    start, cpu_start = time.monotonic(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu_start) / (time.monotonic() - start)
