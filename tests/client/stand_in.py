"""A server that stands in for a real one, and records its requests."""

import io
from concurrent import futures

import grpc
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.helpers import picture
from tfnst.images.writing import to_pil

LIMIT = 300  # Seconds for calls that take a moment, unless the machine is very busy.
Code = grpc.StatusCode
CONTENT, STYLE = picture(20, 30, seed=1), picture(24, 18, seed=2)


def encode(image, format="PNG", **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else to_pil(image)
    image.save(file, format, **options)
    return file.getvalue()


PNG, PAINTED = encode(CONTENT), encode(STYLE)


def answer(image=PAINTED, losses=(0.25, 0.5, 20.25), version=3):
    response = predict_pb2.PredictResponse()
    response.model_spec.name = "tfnst"
    response.model_spec.version.value = version
    response.model_spec.signature_name = "serving_default"
    response.outputs["image_bytes"].CopyFrom(tf.make_tensor_proto(image))
    for name, loss in zip(("content", "style", "total"), losses, strict=True):
        proto = tf.make_tensor_proto([loss], tf.float32)
        response.outputs[f"{name}_loss"].CopyFrom(proto)
    return response


class Server(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Records requests, and gives prepared answers.

    Answers are responses, (code, details) or functions of the context; the last one
    is repeated.
    """

    def __init__(self, *, port=0, credentials=None):
        self.requests, self.contexts, self.status_requests = [], [], []
        self.answers, self.status_answers = [answer()], []
        self._server = grpc.server(
            futures.ThreadPoolExecutor(4),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            self, self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        self.target = f"127.0.0.1:{self.port}"
        self._server.start()

    def Predict(self, request, context):  # noqa: N802 (named by the service)
        self.requests.append(request)
        self.contexts.append(context)
        return self._answer(self.answers, context)

    def GetModelStatus(self, request, context):  # noqa: N802
        self.status_requests.append(request)
        return self._answer(self.status_answers, context)

    def _answer(self, answers, context):
        given = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(given, tuple):
            context.abort(*given)
        return given(context) if callable(given) else given

    def sent(self, name):
        """An input of the last request."""
        return tf.make_ndarray(self.requests[-1].inputs[name])[()]

    def sent_all(self):
        """The inputs of the last request except the content image."""
        inputs = {
            name: tf.make_ndarray(proto)
            for name, proto in self.requests[-1].inputs.items()
        }
        del inputs["content_bytes"]
        return inputs

    def close(self):
        self._server.stop(None).wait(LIMIT)
