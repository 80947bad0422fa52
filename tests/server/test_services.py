"""What services answer and refuse, in the words of TensorFlow Serving."""

import os
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tests import toys
from tests.server.helpers import (
    LIMIT,
    Caller,
    Code,
    changed,
    connected,
    metadata_request,
    status_request,
)

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
        "method",
        [
            "PredictionService/Classify",
            "PredictionService/Regress",
            "PredictionService/MultiInference",
            "ModelService/HandleReloadConfigRequest",
        ],
    )
    def test_unimplemented(self, server, method):
        with connected(server) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/tensorflow.serving.{method}")(b"", timeout=LIMIT)
        assert caught.value.code() == Code.UNIMPLEMENTED


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
        with connected(server, options=options) as channel:
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
