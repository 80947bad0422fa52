"""Warm-up requests, which a server replays before a version becomes available."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tfnst.export import decoding

WARMUP = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
_SIZE, _STEPS = 64, 2


def write_warmup(path: pathlib.Path) -> None:
    """Writes one request for each signature.

    A first run optimises the graph and builds kernels and buffers for each operation,
    whatever its size, so a few steps on tiny pictures are enough.

    Args:
        path: path of the file, whose folder is made.

    Reference:
        https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in _requests():
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _requests() -> Iterator[predict_pb2.PredictRequest]:
    rng = np.random.default_rng(0)
    picture = rng.random((1, _SIZE, _SIZE, 3), np.float32)
    encoded = decoding.encode_png(tf.constant(picture)).numpy()
    settings = {"steps": np.int32(_STEPS), "size": np.int32(_SIZE)}
    pictures = {
        "serving_default": {"content_bytes": encoded, "style_bytes": encoded},
        "stylize": {"content_image": picture, "style_image": picture},
        "blend": {
            "content_bytes": encoded,
            "style_bytes": np.array([encoded, encoded], object),
            "mask_bytes": np.array([encoded, b""], object),
            "region_bytes": np.array([encoded, b""], object),
        },
    }
    for signature, inputs in pictures.items():
        request = predict_pb2.PredictRequest()
        # A replay ignores the name, which is the server's to choose.
        request.model_spec.name = "tfnst"
        request.model_spec.signature_name = signature
        for name, value in (inputs | settings).items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        yield request
