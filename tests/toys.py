"""Toy SavedModels for the server's tests, requests to them, and warm-up files."""

from __future__ import annotations

import os
import shutil

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2


def spec(name=None, *shape, dtype=tf.float32):
    return tf.TensorSpec(shape, dtype, name=name)


class Toy(tf.Module):
    """Signatures that can cause every error a server reports, and one that is slow."""

    def __init__(self):
        super().__init__()
        self.matrix = tf.Variable(np.full((64, 64), 1 / 64, np.float32))

    @tf.function(input_signature=[spec("a", None), spec("b", None)])
    def add(self, a, b):
        return {"total": a + b, "difference": a - b}

    @tf.function(input_signature=[spec("a", None), spec("factor")])
    def scale(self, a, factor=tf.constant(2.0)):  # noqa: B008 (saved as the default)
        return {"product": a * factor}

    @tf.function(input_signature=[spec("image", None, None, None, 3)])
    def picture(self, image):
        image = tf.ensure_shape(image, [None, None, None, 3])
        fine = tf.debugging.Assert(
            tf.reduce_all(image >= 0), ["`image` must not be below 0"]
        )
        with tf.control_dependencies([fine]):
            return {"mean": tf.reduce_mean(image, axis=[1, 2])}

    @tf.function(input_signature=[spec("start", None), spec("steps", dtype=tf.int32)])
    def loop(self, start, steps=tf.constant(3)):  # noqa: B008
        def body(step, work):
            return step + 1, tf.matmul(work, self.matrix)

        # Each request has work of its own: a shared variable would mix them up.
        work = tf.ones([128, 64]) * tf.reduce_sum(start)
        _, work = tf.while_loop(
            lambda step, work: step < steps,
            body,
            (tf.constant(0), work),
            parallel_iterations=1,
        )
        return {"result": start + 0 * work[0, 0], "work": work[0, 0]}

    @tf.function(input_signature=[spec("path", dtype=tf.string)])
    def wait(self, path):
        """Writes `<path>.started`, and answers once there is a file at the path."""
        started = tf.io.write_file(tf.strings.join([path, ".started"]), "")
        with tf.control_dependencies([started]):
            (opened,) = tf.while_loop(
                tf.logical_not,
                lambda _: (tf.size(tf.io.matching_files(path)) > 0,),
                (tf.constant(False),),
            )
        return {"opened": opened}

    @tf.function(input_signature=[spec("text", None, dtype=tf.string)])
    def shout(self, text):
        return {"loud_bytes": tf.strings.upper(text)}

    @tf.function(input_signature=[spec("word", dtype=tf.string)])
    def spell(self, word):
        fine = tf.debugging.Assert(word == b"right", ["`word` must be right.", word])
        with tf.control_dependencies([fine]):
            return {"word_bytes": tf.identity(word)}

    @tf.function(input_signature=[spec("file_bytes", dtype=tf.string)])
    def echo(self, file_bytes):
        return {"file_bytes": tf.strings.join([file_bytes, file_bytes])}

    @tf.function(input_signature=[spec("file_bytes", dtype=tf.string)])
    def decode(self, file_bytes):
        length = tf.strings.length(file_bytes)
        return {"length": length, "decode_seconds": tf.constant(0.25)}


def save_toy(path):
    toy = Toy()
    tf.saved_model.save(
        toy,
        str(path),
        signatures={
            "serving_default": toy.add,
            "scale": toy.scale,
            "picture": toy.picture,
            "loop": toy.loop,
            "wait": toy.wait,
            "shout": toy.shout,
            "spell": toy.spell,
            "echo": toy.echo,
            "decode": toy.decode,
        },
    )
    return str(path)


def publish(model, base, version):
    """Copies a SavedModel under a hidden name, then renames it, as exporters should."""
    hidden = os.path.join(base, f".{version}.tmp")
    shutil.copytree(model, hidden)
    final = os.path.join(base, str(version))
    os.rename(hidden, final)
    return final


def predict_request(signature="", *, outputs=(), name="toy", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    request.output_filter.extend(outputs)
    for alias, value in inputs.items():
        if isinstance(value, float):
            value = np.float32(value)
        elif isinstance(value, int):
            value = np.int32(value)
        elif isinstance(value, list):
            value = np.array(value, None if isinstance(value[0], bytes) else np.float32)
        proto = tf.make_tensor_proto(value)
        request.inputs[alias].CopyFrom(proto)
    return request


def write_warm_up(model, requests):
    folder = os.path.join(model, "assets.extra")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "tf_serving_warmup_requests")
    with tf.io.TFRecordWriter(path) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
    return path
