"""Requests that a server replays before it says that a version is ready."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from tfnst.export import decoding

WARMUP = pathlib.Path("assets.extra", "tf_serving_warmup_requests")


_WARMUP_SIZE, _WARMUP_STEPS = 64, 2


def write_warmup(path):
    """Requests that a server replays before it says that the version is ready.

    A first run builds kernels and buffers for each operation, whatever the size; a
    few steps on tiny pictures are enough to get that over with. `blend` isn't among
    them: its graph is the largest, and who has one style need not wait for it.
    """
    from tensorflow_serving.apis import (
        predict_pb2,
        prediction_log_pb2,
    )

    rng = np.random.default_rng(0)
    picture = rng.random((1, _WARMUP_SIZE, _WARMUP_SIZE, 3), np.float32)
    encoded = decoding.encode_png(tf.constant(picture)).numpy()
    inputs = {
        "serving_default": {"content_bytes": encoded, "style_bytes": encoded},
        "stylize": {"content_image": picture, "style_image": picture},
    }
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, values in inputs.items():
            request = predict_pb2.PredictRequest()
            # The name is the server's, which a replay doesn't look at.
            request.model_spec.name = "tfnst"
            request.model_spec.signature_name = signature
            values = {
                **values,
                "steps": np.int32(_WARMUP_STEPS),
                "size": np.int32(_WARMUP_SIZE),
            }
            for name, value in values.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
