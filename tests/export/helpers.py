"""What is exported for these tests, and comparisons with what Python paints."""

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import tfnst
from tests.helpers import ROOT, TINY, assert_alike
from tfnst.export import decoding

# One step at each scale where a request asks for no more: no time for rounding to grow.
CONFIG = TINY.replace(steps=1, initial_steps=1)
LIMITS = {"max_steps": 100_000, "max_size": 96, "max_pixels": 20_000}


def in_8_bits(array):
    """A picture as a PNG file stores it."""
    return (np.floor(array * 255 + 0.5) / 255).astype(np.float32)


def assert_losses(outputs, expected, i=0, *, rtol=1e-3):
    """The losses of picture `i` are those of the last step of Python's run."""
    for name in ("content", "style", "total"):
        np.testing.assert_allclose(
            outputs[f"{name}_loss"][i],
            expected.losses[-1][name],
            rtol=rtol,
            atol=1e-6,
            err_msg=name,
        )


def assert_gives(outputs, expected, i=0):
    """Picture `i` and its losses are those of Python's run, but for rounding."""
    assert_losses(outputs, expected, i)
    if "image_bytes" in outputs:
        stylized = tfnst.load_image(outputs["image_bytes"])
        assert_alike(stylized[i], in_8_bits(expected.array))
    else:
        assert_alike(outputs["stylized_image"][i], expected.array)


class Session:
    """The SavedModel as TensorFlow Serving runs it: feeding and fetching by name."""

    def __init__(self, folder):
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        with self._graph.as_default():
            meta = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self.signatures = meta.signature_def

    def run(self, signature, **inputs):
        definition = self.signatures[signature]
        feeds = {
            info.name: inputs.pop(name)
            if name in inputs
            else tf.make_ndarray(definition.defaults[name])
            for name, info in definition.inputs.items()
        }
        assert not inputs
        fetches = {name: info.name for name, info in definition.outputs.items()}
        return self._session.run(fetches, feeds)


class Unexported:
    """The same signatures in Python, one operation at a time, which begins quickly."""

    def __init__(self, model):
        self._served = model.served

    def run(self, signature, **inputs):
        function, expected = self._served[signature]
        tensors = {
            each.name: tf.constant(inputs.get(each.name, each.default), each.spec.dtype)
            for each in expected
        }
        assert set(inputs) <= set(tensors)
        return {name: each.numpy() for name, each in function(**tensors).items()}


def png(array):
    return decoding.encode_png(tf.constant(array[None])).numpy()


def assert_only_known_operations(folder):
    model = saved_model_pb2.SavedModel.FromString(
        (folder / "saved_model.pb").read_bytes()
    )
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    operations = {node.op for node in nodes}
    assert not {o for o in operations if "PyFunc" in o or "Xla" in o}
    # From the oldest release that setup.cfg allows. TensorFlow doesn't promise that an
    # older server can load a newer release's model, but it does know these.
    known = (ROOT / "tests" / "tensorflow_2_18_operations.txt").read_text().split()
    functions = {function.signature.name for function in graph.library.function}
    assert operations - functions <= set(known)
    # Servers have XLA disabled.
    assert not any(f.attr["_XlaMustCompile"].b for f in graph.library.function)
    assert_finite_constants(nodes)
    # No request writes what another reads.
    by_saver = {"AssignVariableOp"}
    outside_saver = {
        node.op
        for function in graph.library.function
        if "restore" not in function.signature.name
        for node in function.node_def
    }
    assert not by_saver & outside_saver


def assert_finite_constants(nodes):
    """So that nothing but a loss or a picture makes `check_numerics` fail."""
    for node in nodes:
        if node.op == "Const":
            values = tf.make_ndarray(node.attr["value"].tensor)
            if np.issubdtype(values.dtype, np.floating):
                assert np.isfinite(values).all(), node.name
