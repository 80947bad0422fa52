"""Warm-up requests, which a server replays before a version becomes available."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tfnst.export import decoding

WARMUP = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
_SIZE = 64


def write_warmup(
    path: pathlib.Path, build: Callable[[np.ndarray, bytes], Mapping[str, Any]]
) -> None:
    """Writes one request for each signature.

    A first run optimises the graph and builds kernels and buffers for each operation,
    whatever its size, so a few steps on tiny pictures are enough.

    Args:
        path: path of the file, whose folder is made.
        build: function of a picture and its file that returns the inputs of a request
            for each signature.

    Reference:
        https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    picture = np.random.default_rng(0).random((1, _SIZE, _SIZE, 3), np.float32)
    encoded = decoding.encode_png(tf.constant(picture)).numpy()
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in build(picture, encoded).items():
            request = predict_pb2.PredictRequest()
            # A replay ignores the name, which is the server's to choose.
            request.model_spec.name = "tfnst"
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
