import contextlib
import datetime
import gc
import ipaddress
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent import futures

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests import toys
from tests.helpers import ROOT
from tfnst.server import ModelServer, model_server, versions
from tfnst.server.models import read_model_config
from tfnst.server.versions import Versions

SERVING = ROOT / "serving"
AN_HOUR = 2_000_000_000  # Steps of the toy's loop; they would take days.
Code = grpc.StatusCode
State = get_model_status_pb2.ModelVersionStatus


class Caller:
    """Calls a server's methods, each with a time limit."""

    def __init__(self, channel):
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        model = model_service_pb2_grpc.ModelServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel).Check
        self.stubs = {
            predict_pb2.PredictRequest: prediction.Predict,
            get_model_metadata_pb2.GetModelMetadataRequest: prediction.GetModelMetadata,
            classification_pb2.ClassificationRequest: prediction.Classify,
            regression_pb2.RegressionRequest: prediction.Regress,
            inference_pb2.MultiInferenceRequest: prediction.MultiInference,
            get_model_status_pb2.GetModelStatusRequest: model.GetModelStatus,
            model_management_pb2.ReloadConfigRequest: model.HandleReloadConfigRequest,
        }

    def __call__(self, request, timeout=30, metadata=()):
        return self.stubs[type(request)](request, timeout=timeout, metadata=metadata)

    def later(self, request, timeout=60):
        return self.stubs[type(request)].future(request, timeout=timeout)

    def refused(self, request, timeout=30, metadata=()):
        with pytest.raises(grpc.RpcError) as caught:
            self(request, timeout, metadata)
        return caught.value.code(), caught.value.details()

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


def reload_request(base, text="", name="toy"):
    request = model_management_pb2.ReloadConfigRequest()
    config = request.config.model_config_list.config.add()
    config.name, config.base_path, config.model_platform = name, base, "tensorflow"
    text_format.Merge(text, config)
    return request


def until(condition, seconds=20):
    """Waits for something that takes an unknown, short time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def answering(caller):
    """The version that answers a request without a version."""
    return caller(toys.predict_request(a=[1], b=[1])).model_spec.version.value


def idle_cpu(seconds=0.5):
    """CPU seconds that this process uses without any requests."""
    start = time.process_time()
    time.sleep(seconds)
    return time.process_time() - start


@contextlib.contextmanager
def running(base, **options):
    options = {"name": "toy", "port": 0, "poll_seconds": 0.1, **options}
    with (
        ModelServer(base, **options) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield server, Caller(channel)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return toys.save_toy(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture
def base(tmp_path, model):
    base = tmp_path / "versions"
    base.mkdir()
    toys.publish(model, base, 1)
    return str(base)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, model):
    """A server that no test changes, with room for many requests at once."""
    base = str(tmp_path_factory.mktemp("shared"))
    toys.publish(model, base, 1)
    with running(base, max_concurrent=8) as (server, caller):
        assert server.wait_until_available(60)
        yield server, caller


@pytest.fixture
def server(shared):
    return shared[0]


@pytest.fixture
def caller(shared):
    return shared[1]


def changed(request, text):
    """A request with fields merged in from text."""
    return text_format.Merge(text, request)


ROWS = {
    "empty name": (
        toys.predict_request(name=""),
        Code.INVALID_ARGUMENT,
        "ModelSpec has no name specified.",
    ),
    "unknown model": (
        toys.predict_request(name="m"),
        Code.NOT_FOUND,
        "Servable not found for request: Latest(m)",
    ),
    "unknown model and version": (
        changed(toys.predict_request(name="m"), "model_spec {version {value: 1}}"),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(m, 1)",
    ),
    "unknown version": (
        changed(toys.predict_request(), "model_spec {version {value: 7}}"),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(toy, 7)",
    ),
    "unknown label": (
        changed(toys.predict_request(), "model_spec {version_label: 'x'}"),
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: x",
    ),
    "unknown signature": (
        toys.predict_request("s"),
        Code.FAILED_PRECONDITION,
        'Serving signature key "s" not found.',
    ),
    "no signature for requests": (
        toys.predict_request("__saved_model_init_op"),
        Code.INTERNAL,
        "Expected prediction signature method_name to be one of "
        "{tensorflow/serving/predict, tensorflow/serving/classify, "
        "tensorflow/serving/regress}. Was: ",
    ),
    "missing input": (
        toys.predict_request(a=[1]),
        Code.INVALID_ARGUMENT,
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). "
        "Sent extra: {}. Missing but required: {b}.",
    ),
    "extra input": (
        toys.predict_request(z=[1], b=[1], a=[1]),
        Code.INVALID_ARGUMENT,
        "input size does not match signature: 3!=2 len({a,b,z}) != len({a,b}). "
        "Sent extra: {z}. Missing but required: {}.",
    ),
    "extra input with defaults": (
        toys.predict_request("scale", a=[1], factor=1.0, z=[1]),
        Code.INVALID_ARGUMENT,
        "input size does not match signature: 3!=2 len({a,factor,z}) != "
        "len({a,factor}). Sent extra: {z}. Missing but required: {}.",
    ),
    "missing input with defaults": (
        toys.predict_request("scale", factor=1.0),
        Code.INVALID_ARGUMENT,
        "Signature input alias: a(feed name: scale_a:0) not found in request and "
        "no default value provided. Inputs expected to be in the request {factor}, "
        "or default input alias set: factor",
    ),
    "wrong name with defaults": (
        toys.predict_request("scale", a=[1], z=[1]),
        Code.INVALID_ARGUMENT,
        "Inputs contains invalid name. Used request inputs: a, request input: a,z",
    ),
    "unparsable tensor": (
        changed(
            toys.predict_request(b=[1]),
            "inputs {key: 'a' value {dtype: DT_FLOAT tensor_shape {dim {size: 2}}"
            " tensor_content: 'abc'}}",
        ),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: a",
    ),
    "tensor too large to be sent": (
        changed(
            toys.predict_request(b=[1]),
            "inputs {key: 'a' value {dtype: DT_FLOAT"
            " tensor_shape {dim {size: 1000000000}} float_val: 1}}",
        ),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: a",
    ),
    "unknown output": (
        toys.predict_request(a=[1], b=[1], outputs=["z"]),
        Code.INVALID_ARGUMENT,
        "output tensor alias not found in signature: z Outputs expected to be in "
        "the set {difference,total}.",
    ),
    "output twice": (
        toys.predict_request(a=[1], b=[1], outputs=["total", "total"]),
        Code.INVALID_ARGUMENT,
        "duplicate output tensor alias: total",
    ),
    "dtype": (
        toys.predict_request(a=np.int32([1]), b=[1]),
        Code.INVALID_ARGUMENT,
        "Expects arg[0] to be float but int32 is provided",
    ),
    "dtype of the second": (
        toys.predict_request(a=[1], b=np.float64([1])),
        Code.INVALID_ARGUMENT,
        "Expects arg[1] to be float but double is provided",
    ),
    "dtype string": (
        toys.predict_request("shout", text=[1]),
        Code.INVALID_ARGUMENT,
        "Expects arg[0] to be string but float is provided",
    ),
    "shape": (
        toys.predict_request("picture", image=np.zeros((2, 2, 3), np.float32)),
        Code.INVALID_ARGUMENT,
        "Shape of tensor image [2,2,3] is not compatible with expected shape "
        "[?,?,?,3].",
    ),
    "no metadata field": (
        metadata_request(),
        Code.INVALID_ARGUMENT,
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    "unknown metadata field": (
        metadata_request("X"),
        Code.INVALID_ARGUMENT,
        "Metadata field X is not supported",
    ),
    "metadata of an unknown model": (
        metadata_request("signature_def", name="m"),
        Code.NOT_FOUND,
        "Servable not found for request: Latest(m)",
    ),
    "status of an unknown version": (
        status_request(version=7),
        Code.NOT_FOUND,
        "Could not find version 7 of model toy",
    ),
    "status of an unknown model": (
        status_request("m"),
        Code.NOT_FOUND,
        "Could not find any versions of model m",
    ),
}

# Each request is wrong in two ways; the error names the one that is checked first.
ORDER = {
    "model before signature": (toys.predict_request("s", name="m"), "Servable not"),
    "signature before inputs": (toys.predict_request("s", q=[1]), "Serving sign"),
    "input count before values": (
        toys.predict_request(a=np.int32([1])),
        "input size",
    ),
    "values before output_filter": (
        changed(
            toys.predict_request(b=[1], outputs=["z"]),
            "inputs {key: 'a' value {dtype: DT_INVALID}}",
        ),
        "tensor parsing",
    ),
    "output_filter before run": (
        toys.predict_request(a=np.int32([1]), b=[1], outputs=["z"]),
        "output tensor alias",
    ),
    "metadata field before model": (metadata_request("X", name="m"), "Metadata"),
}


class TestErrorTable:
    """The table of the real server's errors, row by row."""

    @pytest.mark.parametrize("kind", ["predict", "metadata", "status"])
    def test_no_model_spec(self, caller, kind):
        request = {
            "predict": predict_pb2.PredictRequest(),
            "metadata": metadata_request(name=None),
            "status": get_model_status_pb2.GetModelStatusRequest(),
        }[kind]
        assert caller.refused(request) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")

    @pytest.mark.parametrize("row", ROWS)
    def test_row(self, caller, row):
        request, code, text = ROWS[row]
        assert caller.refused(request) == (code, text)

    @pytest.mark.parametrize("row", ORDER)
    def test_order(self, caller, row):
        request, text = ORDER[row]
        assert caller.refused(request)[1].startswith(text)

    def test_errors_of_the_run(self, caller):
        request = toys.predict_request(a=[1, 2], b=[1, 2, 3])
        code, text = caller.refused(request)
        assert code == Code.INVALID_ARGUMENT
        assert text.startswith("Incompatible shapes: [2] vs. [3]")
        image = np.full((1, 2, 2, 3), -1, np.float32)
        code, text = caller.refused(toys.predict_request("picture", image=image))
        assert code == Code.INVALID_ARGUMENT
        assert text.startswith("assertion failed: [`image` must not be below 0]")

    def test_long_messages_are_cut(self, caller):
        code, text = caller.refused(toys.predict_request("é" * 1000))
        assert code == Code.FAILED_PRECONDITION
        assert text.endswith("...TRUNCATED")
        assert 1022 <= len(text.removesuffix("...TRUNCATED").encode()) <= 1024

    @pytest.mark.parametrize(
        "request_type",
        [
            classification_pb2.ClassificationRequest,
            regression_pb2.RegressionRequest,
            inference_pb2.MultiInferenceRequest,
        ],
    )
    def test_unimplemented(self, caller, request_type):
        assert caller.refused(request_type())[0] == Code.UNIMPLEMENTED


class TestPredict:
    def test_answer(self, caller):
        response = caller(toys.predict_request(a=[1, 2], b=[3, 5]))
        assert {k: list(v.float_val) for k, v in response.outputs.items()} == {
            "total": [4, 7],
            "difference": [-2, -3],
        }
        assert response.model_spec.name == "toy"
        assert response.model_spec.signature_name == "serving_default"
        assert response.model_spec.version.value == 1

    def test_by_version(self, caller):
        request = toys.predict_request("scale", a=[1])
        request.model_spec.version.value = 1
        response = caller(request)
        assert list(response.outputs["product"].float_val) == [2]
        assert response.model_spec.signature_name == "scale"

    def test_more_than_grpc_s_own_four_mebibytes(self, server):
        options = [("grpc.max_receive_message_length", -1)]
        address = f"127.0.0.1:{server.port}"
        with grpc.insecure_channel(address, options=options) as channel:
            values = np.arange(2_000_000, dtype=np.float32)
            response = Caller(channel)(toys.predict_request("scale", a=values))
        product = tf.make_ndarray(response.outputs["product"])
        np.testing.assert_array_equal(product, values * 2)

    def test_eight_threads(self, caller):
        def work(number):
            request = toys.predict_request("loop", start=[number], steps=100)
            return caller(request).outputs["work"].float_val[0]

        numbers = list(range(1, 9))
        alone = [work(number) for number in numbers]
        assert len(set(alone)) == 8
        with futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, numbers * 4)) == alone * 4

    def test_metadata_is_the_signature_def(self, caller, model):
        response = caller(metadata_request("signature_def"))
        assert response.model_spec.name == "toy"
        assert response.model_spec.version.value == 1
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(signatures)
        # Read from the file itself, without the loader.
        from tensorflow.core.protobuf import saved_model_pb2

        with open(os.path.join(model, "saved_model.pb"), "rb") as file:
            saved = saved_model_pb2.SavedModel.FromString(file.read())
        expected = saved.meta_graphs[0].signature_def
        assert dict(signatures.signature_def) == dict(expected)
        assert list(signatures.signature_def["scale"].defaults) == ["factor"]


class TestStopping:
    def request(self):
        return toys.predict_request("loop", start=[1], steps=AN_HOUR)

    def test_deadline(self, caller):
        start = time.monotonic()
        code, _ = caller.refused(self.request(), timeout=1)
        assert code == Code.DEADLINE_EXCEEDED
        assert time.monotonic() - start < 2.5
        time.sleep(0.5)
        assert idle_cpu() < 0.1

    def test_cancel(self, caller):
        call = caller.later(self.request())
        time.sleep(0.5)
        assert idle_cpu(0.3) > 0.05
        call.cancel()
        time.sleep(1)
        assert idle_cpu() < 0.1

    def test_a_client_that_is_gone(self, server):
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = Caller(channel).later(self.request(), timeout=None)
            time.sleep(0.5)
            assert idle_cpu(0.3) > 0.05
            assert not call.done()
        time.sleep(1)
        assert idle_cpu() < 0.1

    def test_queue(self, base):
        with running(base, max_concurrent=1, max_queue=2) as (server, caller):
            assert server.wait_until_available(60)
            limit = server._limit
            first = caller.later(self.request())
            assert until(lambda: limit.running == 1)
            second = caller.later(self.request())
            assert until(lambda: limit.waiting == 1)
            third = caller.later(self.request(), timeout=1)
            assert until(lambda: limit.waiting == 2)
            code, text = caller.refused(self.request())
            assert code == Code.RESOURCE_EXHAUSTED
            assert text == (
                "The server is busy: 1 of at most 1 requests running, 2 of at most 2 "
                "waiting. Try again later."
            )
            # Requests that need no run are still answered.
            assert caller.states() == {1: "AVAILABLE"}
            with pytest.raises(grpc.RpcError) as caught:
                third.result(30)
            assert caught.value.code() == Code.DEADLINE_EXCEEDED
            assert until(lambda: limit.waiting == 1)
            second.cancel()
            assert until(lambda: limit.waiting == 0)
            last = caller.later(toys.predict_request(a=[1], b=[1]))
            assert until(lambda: limit.waiting == 1)
            first.cancel()
            assert list(last.result(30).outputs["total"].float_val) == [2]

    def test_stop_cancels_after_its_grace(self, base):
        with running(base) as (server, caller):
            assert server.wait_until_available(60)
            call = caller.later(self.request())
            assert until(lambda: server._limit.running == 1)
            start = time.monotonic()
            server.stop(grace=0.5)
            assert 0.4 < time.monotonic() - start < 5
            with pytest.raises(grpc.RpcError):
                call.result(30)
        assert idle_cpu() < 0.1

    def test_stop_waits_for_requests_and_not_for_watchers(self, base):
        with running(base) as (server, caller):
            assert server.wait_until_available(60)
            address = f"127.0.0.1:{server.port}"
            request = health_pb2.HealthCheckRequest()
            with grpc.insecure_channel(address) as channel, Blockade(server, 1):
                watch = health_pb2_grpc.HealthStub(channel).Watch(request)
                assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
                stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                reflecting = reflection_pb2.ServerReflectionRequest(list_services="")
                asked = threading.Event()

                def requests():
                    yield reflecting
                    asked.wait(60)

                answers = stub.ServerReflectionInfo(requests())
                assert next(answers).HasField("list_services_response")
                call = caller.later(toys.predict_request("loop", start=[1], steps=9000))
                assert until(lambda: server._limit.running == 1)
                stopping = threading.Thread(target=server.stop)
                stopping.start()
                status = next(watch).status
                assert status == health_pb2.HealthCheckResponse.NOT_SERVING
                assert list(call.result(60).outputs["result"].float_val) == [1]
                stopping.join(10)
                asked.set()
                assert not stopping.is_alive()
                assert list(watch) == []


def open_files(count):
    """Skips the test where a process may not have that many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"at most {hard} open files")
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class Blockade:
    """Calls that have begun and send nothing, each over a connection of its own."""

    def __init__(self, server, count, method="Predict"):
        # Otherwise channels to one address share a connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        address = f"127.0.0.1:{server.port}"
        self.channels = [
            grpc.insecure_channel(address, options=options) for _ in range(count)
        ]
        path = f"/tensorflow.serving.PredictionService/{method}"
        self.ended = threading.Event()
        self.calls = [
            channel.stream_unary(path).future(self.nothing())
            for channel in self.channels
        ]

    def nothing(self):
        self.ended.wait(60)
        yield from ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        for channel in self.channels:
            channel.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory, model):
    """A server with little room for requests."""
    base = str(tmp_path_factory.mktemp("small"))
    toys.publish(model, base, 1)
    limits = {"max_message_bytes": 2**20, "max_pending_bytes": 2**24}
    with running(base, **limits) as (server, caller):
        assert server.wait_until_available(60)
        yield server, caller


class TestHostileClients:
    """What a few bytes or a few connections must not do."""

    def test_health_answers_whatever_arrives(self, small):
        server, caller = small
        with Blockade(server, 40) as blockade:
            # 16 of them may send up to a mebibyte each, the others are refused.
            assert until(lambda: sum(call.done() for call in blockade.calls) == 24)
            for call in blockade.calls:
                if call.done():
                    assert call.code() == Code.RESOURCE_EXHAUSTED
                    assert call.details().startswith(
                        "The server is busy: 16 requests are arriving or waiting."
                    )
            start = time.monotonic()
            health = caller.health(health_pb2.HealthCheckRequest(), timeout=5)
            assert health.status == health_pb2.HealthCheckResponse.SERVING
            assert time.monotonic() - start < 1
            code, _ = caller.refused(toys.predict_request(a=[1], b=[1]))
            assert code == Code.RESOURCE_EXHAUSTED
        assert until(lambda: server._intake.pending_bytes == 0)
        assert answering(caller) == 1

    def test_a_message_that_is_too_long(self, small):
        code, text = small[1].refused(
            toys.predict_request("echo", file_bytes=b"a" * 2**20)
        )
        assert code == Code.RESOURCE_EXHAUSTED
        assert "message larger than max" in text

    def test_a_message_that_unfolds(self, small):
        server, _ = small
        request = toys.predict_request("echo", file_bytes=b"a" * 2**20)
        address = f"127.0.0.1:{server.port}"
        with grpc.insecure_channel(
            address, compression=grpc.Compression.Gzip
        ) as channel:
            assert answering(Caller(channel)) == 1
            code, text = Caller(channel).refused(request)
        assert code == Code.RESOURCE_EXHAUSTED
        assert "larger than max" in text

    def test_what_is_no_message(self, small, caplog):
        server, _ = small
        caplog.set_level("INFO", "tfnst.server")
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            path = "/tensorflow.serving.PredictionService/Predict"
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"\x12", timeout=10)
        assert caught.value.code() == Code.INVALID_ARGUMENT
        assert caught.value.details() == "The 1 bytes received are no PredictRequest."
        assert "Traceback" not in caplog.text
        (line,) = [each for each in caplog.messages if "INVALID_ARGUMENT" in each]
        assert line.startswith("method=Predict model= version= signature= code=INVALID")

    def test_a_message_of_many_fields(self, small):
        server, _ = small
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            path = "/tensorflow.serving.PredictionService/Predict"
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"\x12\x00" * 200_000, timeout=10)
        assert caught.value.code() == Code.INVALID_ARGUMENT
        assert caught.value.details().startswith("The request must have at most 131072")

    @pytest.mark.parametrize(
        ("alias", "text"),
        [
            (
                "image",
                "dtype: DT_FLOAT tensor_shape {dim {size: 1} dim {size: 6000}"
                " dim {size: 6000} dim {size: 3}} float_val: 0.5",
            ),
            (
                "text",
                "dtype: DT_STRING tensor_shape {dim {size: 250000}} string_val: '"
                + "a" * 20_000
                + "'",
            ),
        ],
        ids=["numbers", "strings"],
    )
    def test_a_tensor_of_far_more_elements_than_were_sent(self, small, alias, text):
        signature = {"image": "picture", "text": "shout"}[alias]
        entry = f"inputs {{key: '{alias}' value {{{text}}}}}"
        request = changed(toys.predict_request(signature), entry)
        memory = psutil.Process().memory_info().rss
        assert small[1].refused(request) == (
            Code.INVALID_ARGUMENT,
            f"tensor parsing error: {alias}",
        )
        assert psutil.Process().memory_info().rss - memory < 50 * 2**20

    def test_a_tensor_that_is_larger_than_any_message(self, small):
        empty = np.array([b""] * 100_000, object)  # 24 bytes each, and 2 in a message.
        code, text = small[1].refused(toys.predict_request("shout", text=empty))
        assert code == Code.INVALID_ARGUMENT
        assert text == (
            "The inputs must have at most 2097152 bytes once they are decoded. "
            "Received: 2400000"
        )

    def test_a_watcher_that_reads_nothing(self, small):
        server, caller = small
        request = health_pb2.HealthCheckRequest()
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            watches = [
                health_pb2_grpc.HealthStub(channel).Watch(request) for _ in range(100)
            ]
            assert next(watches[0]).status == health_pb2.HealthCheckResponse.SERVING
            assert caller.health(request, timeout=5).status == (
                health_pb2.HealthCheckResponse.SERVING
            )
            for watch in watches:
                watch.cancel()

    def test_two_thousand_connections(self, small):
        open_files(6000)
        server, caller = small
        sockets = []
        try:
            for _ in range(2000):
                sockets.append(socket.create_connection(("127.0.0.1", server.port), 10))
            start = time.monotonic()
            assert answering(caller) == 1
            assert time.monotonic() - start < 2
        finally:
            for each in sockets:
                each.close()


class TestVersions:
    def test_warm_up_comes_before_available(self, base, model, caplog):
        caplog.set_level("INFO", "tfnst.server")
        version = os.path.join(base, "1")
        request = toys.predict_request("loop", start=[1], steps=AN_HOUR)
        toys.write_warm_up(version, [request])
        with running(base) as (server, caller):
            assert until(lambda: caller.states() == {1: "LOADING"})
            assert not server.wait_until_available(0.5)
            health = caller.health(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
            code, text = caller.refused(toys.predict_request(a=[1], b=[1]))
            assert code == Code.UNAVAILABLE
            assert text == "The model toy is being loaded. Try again later."
        # Stopping the server stops the warm-up.
        assert idle_cpu() < 0.1
        toys.write_warm_up(version, [toys.predict_request("loop", start=[1])] * 3)
        with running(base) as (server, caller):
            assert server.wait_until_available(60)
            assert caller.states() == {1: "AVAILABLE"}
            assert until(lambda: "and 3 warm-up requests" in caplog.text)

    def test_roll_out_and_roll_back_fail_no_request(self, base, model):
        with running(base, max_concurrent=4) as (server, caller):
            assert server.wait_until_available(60)
            seen, failures, done = [], [], threading.Event()

            def client():
                while not done.is_set():
                    try:
                        request = toys.predict_request("loop", start=[1], steps=50)
                        response = caller(request)
                    except grpc.RpcError as error:
                        failures.append(error.details())
                    else:
                        seen.append(response.model_spec.version.value)

            threads = [threading.Thread(target=client) for _ in range(4)]
            for thread in threads:
                thread.start()
            try:
                final = toys.publish(model, base, 2)
                assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})
                assert until(lambda: seen[-1] == 2)
                shutil.rmtree(final)
                assert until(lambda: caller.states() == {1: "AVAILABLE", 2: "END"})
                assert until(lambda: seen[-1] == 1)
            finally:
                done.set()
                for thread in threads:
                    thread.join(30)
            assert failures == []
            assert set(seen) == {1, 2}

    def test_a_running_request_keeps_its_version(self, base, model):
        with running(base, max_concurrent=2) as (server, caller):
            assert server.wait_until_available(60)
            call = caller.later(toys.predict_request("loop", start=[1], steps=AN_HOUR))
            assert until(lambda: server._limit.running == 1)
            toys.publish(model, base, 2)
            assert until(lambda: caller.states() == {1: "UNLOADING", 2: "AVAILABLE"})
            assert answering(caller) == 2
            call.cancel()
            assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})

    def test_a_version_that_fails_to_load(self, base, model):
        with running(base) as (server, caller):
            assert server.wait_until_available(60)
            broken = os.path.join(base, "2")
            os.mkdir(broken)
            assert until(lambda: caller.states() == {1: "AVAILABLE", 2: "END"})
            status = caller(status_request(version=2)).model_version_status[0].status
            assert status.error_code == tf.errors.NOT_FOUND
            assert "SavedModel file does not exist" in status.error_message
            assert answering(caller) == 1
            # It is tried again after it was copied file by file.
            shutil.copytree(model, broken, dirs_exist_ok=True)
            assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})

    def test_a_warm_up_that_fails(self, base, model):
        toys.write_warm_up(os.path.join(base, "1"), [toys.predict_request(a=[1])])
        with running(base) as (_, caller):
            assert until(lambda: caller.states() == {1: "END"})
            status = caller(status_request()).model_version_status[0].status
            assert status.error_code == tf.errors.INVALID_ARGUMENT
            assert status.error_message.startswith("input size does not match")

    def test_what_is_no_version(self, base):
        os.mkdir(os.path.join(base, "3.tmp"))
        os.mkdir(os.path.join(base, "-4"))
        os.mkdir(os.path.join(base, "9" * 30))
        with open(os.path.join(base, "5"), "w"):
            pass
        with running(base) as (server, caller):
            assert server.wait_until_available(60)
            assert caller.states() == {1: "AVAILABLE"}

    def test_an_empty_directory(self, tmp_path, model):
        with running(tmp_path) as (server, caller):
            assert not server.wait_until_available(0.3)
            assert caller.states() == {}
            code, _ = caller.refused(toys.predict_request(a=[1], b=[1]))
            assert code == Code.NOT_FOUND
            toys.publish(model, tmp_path, 10)
            assert server.wait_until_available(60)
            health = caller.health(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING


def graphs():
    """How many TensorFlow graphs this process holds."""
    return sum(type(each) is tf.Graph for each in gc.get_objects())


@pytest.fixture
def no_collection():
    """Python's own search for unused rings of objects, which would free any graph."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
class TestMemoryOfVersions:
    def test_unloaded_versions_are_freed(self, base, model):
        with running(base) as (server, caller):
            assert server.wait_until_available(60)
            before = graphs()
            for number in (2, 3):
                toys.publish(model, base, number)
                assert until(lambda n=number: caller.states()[n - 1] == "END")
                assert answering(caller) == number
            assert graphs() == before

    def test_versions_that_fail_are_freed_and_have_to_wait(self, base, monkeypatch):
        version = os.path.join(base, "1")
        toys.write_warm_up(version, [toys.predict_request(a=[1])])
        attempts = []
        build = Versions._build

        def count(self, path):
            attempts.append(time.monotonic())
            return build(self, path)

        monkeypatch.setattr(Versions, "_build", count)
        counts = []
        with running(base) as (server, caller):
            for number in range(4):  # Its files change all the time.
                assert until(lambda n=number: len(attempts) > n)
                assert until(lambda: caller.states() == {1: "END"})
                counts.append(graphs())
                with open(os.path.join(version, f"more{number}"), "w"):
                    pass
            assert len(set(counts)) == 1, counts
            waits = np.diff(attempts)
            assert all(waits[i] > 0.1 * 2 ** (i + 1) for i in range(3)), waits
            toys.write_warm_up(version, [])
            assert server.wait_until_available(60)


TOKEN = (("authorization", "Bearer secret"),)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("secret\n")
    return path


def labelled(label):
    request = toys.predict_request(a=[1], b=[1])
    request.model_spec.version_label = label
    return request


class TestReloadConfig:
    def test_policies_and_labels(self, base, model, token_file):
        for number in (2, 3):
            toys.publish(model, base, number)
        with running(base, admin_token_file=token_file) as (server, caller):

            def reload(text):
                return caller(reload_request(base, text), metadata=TOKEN)

            assert server.wait_until_available(60)
            assert caller.states() == {3: "AVAILABLE"}

            request = reload_request(base, "version_labels {key: 'stable' value: 2}")
            assert caller.refused(request, metadata=TOKEN) == (
                Code.FAILED_PRECONDITION,
                "Request to assign label to version 2 of model toy, which is not "
                "currently available for inference",
            )
            assert reload("model_version_policy {all {}}").status.error_code == 0
            every = dict.fromkeys((1, 2, 3), "AVAILABLE")
            assert until(lambda: caller.states() == every)
            assert answering(caller) == 3

            reload(
                "model_version_policy {specific {versions: [1, 2]}}"
                "version_labels [{key: 'stable' value: 2}, {key: 'canary' value: 1}]"
            )
            assert caller(labelled("stable")).model_spec.version.value == 2
            assert until(lambda: caller.states()[3] == "END")
            assert caller.states() == {1: "AVAILABLE", 2: "AVAILABLE", 3: "END"}

            reload("model_version_policy {latest {num_versions: 2}}")
            assert caller.refused(labelled("stable")) == (
                Code.INVALID_ARGUMENT,
                "Unrecognized servable version label: stable",
            )
            states = {1: "END", 2: "AVAILABLE", 3: "AVAILABLE"}
            assert until(lambda: caller.states() == states)

    def test_a_label_keeps_its_version(self, base, model, token_file):
        with running(base, admin_token_file=token_file) as (server, caller):
            assert server.wait_until_available(60)
            text = (
                "model_version_policy {latest {num_versions: 2}}"
                "version_labels {key: 'stable' value: 1}"
            )
            caller(reload_request(base, text), metadata=TOKEN)
            for number in (2, 3):
                toys.publish(model, base, number)
                assert until(lambda n=number: caller.states().get(n) == "AVAILABLE")
            assert answering(caller) == 3
            assert caller(labelled("stable")).model_spec.version.value == 1
            time.sleep(0.5)
            assert caller.states() == dict.fromkeys((1, 2, 3), "AVAILABLE")

    def test_several_models(self, base, model, tmp_path, token_file):
        other = str(tmp_path / "other")
        os.mkdir(other)
        toys.publish(model, other, 7)
        with running(base, admin_token_file=token_file) as (server, caller):
            assert server.wait_until_available(60)
            request = reload_request(base)
            request.config.model_config_list.config.add(name="o", base_path=other)
            caller(request, metadata=TOKEN)
            assert server.wait_until_available(60)
            to_other = toys.predict_request(a=[1], b=[2], name="o")
            assert caller(to_other).model_spec.version.value == 7
            assert answering(caller) == 1

            call = caller.later(toys.predict_request("loop", start=[1], steps=AN_HOUR))
            assert until(lambda: server._limit.running == 1)
            caller(reload_request(other, name="o"), metadata=TOKEN)
            assert caller.refused(toys.predict_request(a=[1], b=[1])) == (
                Code.NOT_FOUND,
                "Servable not found for request: Latest(toy)",
            )
            assert not call.done()
            call.cancel()
            assert list(caller(to_other).outputs["total"].float_val) == [3]

    def test_refused(self, base, token_file):
        def text(*args, **kwargs):
            request = reload_request(*args, **kwargs)
            code, message = caller.refused(request, metadata=TOKEN)
            assert code == Code.INVALID_ARGUMENT
            return message

        with running(base, admin_token_file=token_file) as (server, caller):
            assert server.wait_until_available(60)
            assert text("here") == (
                "Expected model toy to have an absolute path or URI; got "
                "base_path()=here"
            )
            assert text(base, name="") == (
                "Each model in `model_config_list` must have a name."
            )
            assert text(base, "model_platform: 'x'") == (
                "Model toy requests unsupported platform x"
            )
            assert text(base, "model_version_policy {specific {}}") == (
                "`model_version_policy.specific` must name one or more versions. "
                "Received: none"
            )
            two = reload_request(base)
            two.config.model_config_list.config.add(name="toy", base_path=base)
            assert caller.refused(two, metadata=TOKEN)[1] == (
                "`model_config_list` must name each model once. Received: toy twice"
            )
            nothing = model_management_pb2.ReloadConfigRequest()
            assert caller.refused(nothing, metadata=TOKEN) == (
                Code.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported",
            )
            for metadata in ((), (("authorization", "Bearer secre"),)):
                assert caller.refused(reload_request(base), metadata=metadata) == (
                    Code.PERMISSION_DENIED,
                    "The call must have the metadata `authorization: Bearer TOKEN`.",
                )
            assert caller.states() == {1: "AVAILABLE"}

    def test_nobody_may_without_a_token(self, caller):
        assert caller.refused(reload_request("/tmp"), metadata=TOKEN) == (
            Code.PERMISSION_DENIED,
            "This server has no `admin_token_file`, so its configuration can't be "
            "changed by clients.",
        )
        assert caller.states() == {1: "AVAILABLE"}


class TestModelConfigFile:
    @pytest.fixture
    def config(self, base, model, tmp_path):
        """A file with the model `toy`, whose newest two versions are served."""
        toys.publish(model, base, 2)
        path = tmp_path / "models.config"
        path.write_text(self.text(base))
        return path

    def text(self, base, label=1):
        policy = "model_version_policy {latest {num_versions: 1}}"
        labels = f"version_labels {{key: 'stable' value: {label}}}"
        entry = f"config {{name: 'toy' base_path: '{base}' {policy} {labels}}}"
        return f"# Ours.\nmodel_config_list {{ {entry} }}"

    def test_a_file(self, base, config):
        with running(None, name=None, model_config_file=config) as (server, caller):
            assert server.wait_until_available(60)
            both = dict.fromkeys((1, 2), "AVAILABLE")
            assert until(lambda: caller.states() == both)
            assert answering(caller) == 2
            assert caller(labelled("stable")).model_spec.version.value == 1

            config.write_text(self.text(base, label=3))
            with pytest.raises(ValueError, match=r"^Request to assign label to"):
                server.reload_config()
            assert caller(labelled("stable")).model_spec.version.value == 1
            config.write_text(self.text(base, label=2))
            server.reload_config()
            assert caller(labelled("stable")).model_spec.version.value == 2
            assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("x", r"`model_config_file` must be a file with a `model_config_list`\. R"),
            ("", "must be a file with one model or more in its `model_config_list`"),
            (
                "model_config_list {config {name: 'a' base_path: 'b'}}",
                r"models\.config: Expected model a to have an absolute path",
            ),
        ],
    )
    def test_bad_files(self, config, text, message):
        with running(None, name=None, model_config_file=config) as (server, _):
            config.write_text(text)
            with pytest.raises(ValueError, match=message):
                server.reload_config()
            assert server.wait_until_available(60)
        with pytest.raises(ValueError, match=message):
            ModelServer(model_config_file=config)

    def test_it_stands_alone(self, base, config):
        for options in ({"directory": base}, {"name": "toy"}):
            with pytest.raises(ValueError, match="left out with `model_config_file`"):
                ModelServer(model_config_file=config, **options)

    def test_the_shipped_file_outlives_any_number_of_exports(self, model, tmp_path):
        base = tmp_path / "models"
        base.mkdir()
        shipped = (SERVING / "models.config").read_text()
        config = tmp_path / "models.config"
        config.write_text(shipped.replace("/models/tfnst", str(base)))
        for number in (1, 2, 3):
            toys.publish(model, base, number)
        # TensorFlow Serving asks only the policy which versions to load.
        (served,) = read_model_config(config)
        loaded = versions._choose(served.model_version_policy, {1: "", 2: "", 3: ""})
        assert set(served.version_labels.values()) <= loaded
        request = labelled("stable")
        request.model_spec.name = "tfnst"
        with running(None, name=None, model_config_file=config) as (server, caller):
            assert server.wait_until_available(60)
            assert caller(request).model_spec.version.value == 1


class TestOperation:
    @pytest.mark.parametrize(
        "service",
        [
            "",
            "PredictionService",
            "ModelService",
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
        ],
    )
    def test_health(self, caller, service):
        response = caller.health(health_pb2.HealthCheckRequest(service=service))
        assert response.status == health_pb2.HealthCheckResponse.SERVING

    def test_reflection(self, server):
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            (response,) = stub.ServerReflectionInfo(iter([request]), timeout=30)
        assert [s.name for s in response.list_services_response.service] == [
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "tensorflow.serving.ModelService",
            "tensorflow.serving.PredictionService",
        ]

    @pytest.mark.parametrize(
        "method",
        [
            "grpc.health.v1.Health/Check",
            "grpc.health.v1.Health/Watch",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ],
    )
    def test_what_is_no_message_of_other_services(self, server, method, caplog):
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = channel.stream_stream(f"/{method}")(iter([b"\xff"]), timeout=30)
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
        assert caught.value.code() == Code.INVALID_ARGUMENT
        assert caught.value.details().startswith("The 1 bytes received are no ")
        assert "Traceback" not in caplog.text

    def test_no_reflection(self, base):
        with running(base, reflection=False) as (server, _):
            with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                request = reflection_pb2.ServerReflectionRequest(list_services="")
                with pytest.raises(grpc.RpcError) as caught:
                    list(stub.ServerReflectionInfo(iter([request]), timeout=30))
            assert caught.value.code() == Code.UNIMPLEMENTED

    def test_check(self, base, caplog):
        caplog.set_level("INFO", "tfnst.server")
        assert ModelServer(base).check()
        assert "Version 1 of tfnst is available after" in caplog.text
        toys.write_warm_up(os.path.join(base, "1"), [toys.predict_request(a=[1])])
        assert not ModelServer(base).check()
        assert "Version 1 of tfnst can't be loaded: input size does" in caplog.text
        shutil.rmtree(os.path.join(base, "1"))
        assert not ModelServer(base).check()

    def test_log_lines(self, caller, caplog):
        caplog.set_level("INFO", "tfnst.server")
        caller(toys.predict_request("scale", a=[1]))
        caller.refused(toys.predict_request(name="a\nb"))
        assert until(lambda: len(caplog.messages) == 2)
        good, bad = caplog.messages
        assert good.startswith(
            "method=Predict model=toy version=1 signature=scale code=OK ms="
        )
        assert "peer=ipv4:127.0.0.1:" in good
        assert bad.startswith(
            "method=Predict model='a\\nb' version= signature= code=NOT"
        )
        assert bad.endswith("error='Servable not found for request: Latest(a\\nb)'")

    def test_metrics(self, base):
        with running(base, metrics_port=0) as (server, caller):
            assert server.wait_until_available(60)
            caller(toys.predict_request(a=[1], b=[1]))
            caller(toys.predict_request("decode", file_bytes=b"file"))
            caller.refused(toys.predict_request(a=[1]))
            call = caller.later(toys.predict_request("loop", start=[1], steps=AN_HOUR))
            assert until(lambda: server._limit.running == 1)
            waiting = caller.later(toys.predict_request(a=[1], b=[1]))
            assert until(lambda: server._limit.waiting == 1)
            url = f"http://127.0.0.1:{server.metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=10) as response:
                lines = response.read().decode().splitlines()
            call.cancel()
            waiting.result(30)
        for line in (
            'tfnst_requests_total{code="OK",method="Predict"} 2.0',
            'tfnst_requests_total{code="INVALID_ARGUMENT",method="Predict"} 1.0',
            'tfnst_request_seconds_count{method="Predict"} 3.0',
            "tfnst_runs_in_progress 1.0",
            "tfnst_queue_length 1.0",
            "tfnst_run_bytes 0.0",
            "tfnst_queue_seconds_count 2.0",
            'tfnst_run_seconds_count{model="toy",signature="serving_default"} 1.0',
            'tfnst_decode_seconds_count{model="toy",signature="decode"} 1.0',
            'tfnst_decode_seconds_sum{model="toy",signature="decode"} 0.25',
            'tfnst_parse_seconds_count{method="Predict"} 3.0',
            'tfnst_load_failures_total{model="toy"} 0.0',
            'tfnst_model_version{model="toy",state="AVAILABLE",version="1"} 1.0',
        ):
            assert line in lines
        names = {line.split("{")[0].split()[0] for line in lines}
        dashboard = (SERVING / "grafana_dashboard.json").read_text()
        shown = set(re.findall(r"(?:tfnst|process)_\w+", dashboard))
        assert shown - names == set()
        assert len(shown) > 8

    def test_idle_connections_to_the_metrics_keep_no_threads(self, base):
        with (
            running(base, metrics_port=0) as (server, _),
            contextlib.ExitStack() as all,
        ):
            address = ("127.0.0.1", server.metrics_port)
            before = threading.active_count()
            for _ in range(50):
                connection = all.enter_context(socket.create_connection(address, 10))
                connection.sendall(b"GET /metrics")
            url = f"http://127.0.0.1:{server.metrics_port}"
            with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
                assert b"tfnst_runs_in_progress 0.0" in response.read()
            assert threading.active_count() - before < 10
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{url}/other", timeout=10)

    def test_a_taken_port(self, server, base):
        with pytest.raises(OSError, match="the port is taken"):
            ModelServer(base, port=server.port).start()

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"port": 65536}, "`port` must be an integer from 0 to 65535"),
            (
                {"max_concurrent": 0},
                "`max_concurrent` must be an integer from 1 to 64",
            ),
            ({"max_queue": -1}, "`max_queue` must be an integer from 0 to 10000"),
            ({"max_memory": 0}, "`max_memory` must be a number of GiB above 0"),
            ({"max_memory": True}, "`max_memory` must be a number of GiB above 0"),
            (
                {"max_message_bytes": 2**31},
                "`max_message_bytes` must be an integer from 1024 to 2147483647",
            ),
            (
                {"max_message_bytes": 2048, "max_pending_bytes": 2047},
                "`max_pending_bytes` must be an integer from 2048 to",
            ),
            ({"poll_seconds": 0}, "`poll_seconds` must be a number above 0"),
            ({"name": ""}, "`name` must be a non-empty string"),
            ({"certificate": "x"}, "`certificate` must be given with `private_key`"),
            ({"client_ca": "x"}, "`client_ca` must be given with `certificate`"),
        ],
    )
    def test_bad_arguments(self, base, options, text):
        with pytest.raises(ValueError, match=r"Received: ") as caught:
            ModelServer(base, **options)
        assert str(caught.value).startswith(text)

    def test_no_directory(self, tmp_path):
        with pytest.raises(ValueError, match="`directory` must be a directory"):
            ModelServer(tmp_path / "none")

    def test_import_tfnst_needs_no_grpc(self):
        code = "import sys; sys.modules['grpc'] = None; import tfnst"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_serve_may_have_a_file_for_each_connection():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files(6000)  # Or the test is skipped.
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        model_server._raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (4096 + 1024, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class TestSignals:
    """The server in a separate process."""

    SCRIPT = (
        "import logging, sys; from tfnst.server import serve;"
        "logging.basicConfig(level='INFO');"
        "serve(sys.argv[1], name='toy', port=0, poll_seconds=0.1)"
    )

    @pytest.fixture
    def process(self, base, tmp_path):
        log = tmp_path / "log"
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", self.SCRIPT, base], stderr=file
            )
        try:
            assert until(lambda: "is available after" in log.read_text(), 60)
            port = log.read_text().split("127.0.0.1:")[1].split()[0]
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield process, Caller(channel), log
        finally:
            process.kill()
            process.wait(30)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_running_requests_are_finished(self, process, number):
        process, caller, log = process
        caller(toys.predict_request("loop", start=[1], steps=100))
        start = time.monotonic()
        caller(toys.predict_request("loop", start=[1], steps=2_000))
        steps = int(2_000 * 2 / (time.monotonic() - start))  # About two seconds.
        call = caller.later(toys.predict_request("loop", start=[1], steps=steps))
        time.sleep(0.2)
        assert not call.done()
        process.send_signal(number)
        assert until(lambda: "finishing requests" in log.read_text())
        assert not call.done()
        assert list(call.result(60).outputs["result"].float_val) == [1]
        assert process.wait(30) == 0
        assert "Traceback" not in log.read_text()

    def test_hanging_up_has_it_read_its_configuration(self, process):
        process, caller, log = process
        process.send_signal(signal.SIGHUP)
        refusal = "stays as it is: `model_config_file` must be given to be read again"
        assert until(lambda: refusal in log.read_text())
        assert answering(caller) == 1

    def test_the_second_signal_ends_it_at_once(self, process):
        process, caller, log = process
        caller.later(toys.predict_request("loop", start=[1], steps=AN_HOUR))
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert until(lambda: "finishing requests" in log.read_text())
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths of certificates and keys: one authority, a server and a client."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.timezone.utc)
    paths, authority = {}, None
    for name in ("authority", "server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        issuer_name, issuer_key = authority or (subject, key)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(not authority, None), critical=True)
            .sign(issuer_key, hashes.SHA256())
        )
        authority = authority or (subject, key)
        pem = serialization.Encoding.PEM
        paths[name] = folder / f"{name}.crt"
        paths[name].write_bytes(certificate.public_bytes(pem))
        paths[f"{name}_key"] = folder / f"{name}.key"
        paths[f"{name}_key"].write_bytes(
            key.private_bytes(
                pem,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return paths


class TestTls:
    def ask(self, server, **credentials):
        credentials = grpc.ssl_channel_credentials(
            **{name: path.read_bytes() for name, path in credentials.items()}
        )
        address = f"127.0.0.1:{server.port}"
        with grpc.secure_channel(address, credentials) as channel:
            response = Caller(channel)(toys.predict_request(a=[1], b=[2]), timeout=10)
        return list(response.outputs["total"].float_val)

    def test_tls(self, base, files):
        tls = {"certificate": files["server"], "private_key": files["server_key"]}
        with running(base, **tls) as (server, plain):
            assert server.wait_until_available(60)
            assert self.ask(server, root_certificates=files["authority"]) == [3]
            request = toys.predict_request(a=[1], b=[2])
            assert plain.refused(request, timeout=5)[0] == Code.UNAVAILABLE

    def test_mutual_tls(self, base, files):
        tls = {
            "certificate": files["server"],
            "private_key": files["server_key"],
            "client_ca": files["authority"],
        }
        with running(base, **tls) as (server, _):
            assert server.wait_until_available(60)
            known = {
                "root_certificates": files["authority"],
                "private_key": files["client_key"],
                "certificate_chain": files["client"],
            }
            assert self.ask(server, **known) == [3]
            with pytest.raises(grpc.RpcError):
                self.ask(server, root_certificates=files["authority"])

    def test_metrics(self, base, files):
        tls = {
            "certificate": files["server"],
            "private_key": files["server_key"],
            "client_ca": files["authority"],
        }
        with running(base, metrics_port=0, **tls) as (server, _):
            context = ssl.create_default_context(cafile=files["authority"])
            url = f"https://127.0.0.1:{server.metrics_port}/metrics"
            with pytest.raises(OSError):  # noqa: PT011 (refused, in one way or other)
                urllib.request.urlopen(url, timeout=10, context=context)
            context.load_cert_chain(files["client"], files["client_key"])
            with urllib.request.urlopen(url, timeout=10, context=context) as response:
                assert b"tfnst_queue_length 0.0" in response.read()

    def test_new_certificates_need_no_restart(self, base, files, tmp_path):
        certificate, key = tmp_path / "server.crt", tmp_path / "server.key"

        def install(name):
            shutil.copy(files[name], certificate)
            shutil.copy(files[f"{name}_key"], key)

        def shown(port):
            pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
            return pem.strip().encode()

        install("server")
        tls = {"certificate": certificate, "private_key": key}
        with running(base, metrics_port=0, **tls) as (server, _):
            assert server.wait_until_available(60)
            ports = (server.port, server.metrics_port)
            old, new = (
                files[name].read_bytes().strip() for name in ("server", "client")
            )
            assert [shown(port) for port in ports] == [old, old]
            shutil.copy(files["client"], certificate)  # Without its key: not yet.
            assert [shown(port) for port in ports] == [old, old]
            install("client")
            assert [shown(port) for port in ports] == [new, new]
            assert self.ask(server, root_certificates=files["authority"]) == [3]

    def test_files_that_are_no_certificates(self, base, files):
        server = ModelServer(
            base, port=0, certificate=files["server_key"], private_key=files["server"]
        )
        with pytest.raises(OSError, match="certificate is not valid"):
            server.start()
        missing = files["server"].with_suffix(".none")
        server = ModelServer(base, port=0, certificate=missing, private_key=missing)
        with pytest.raises(FileNotFoundError):
            server.start()
