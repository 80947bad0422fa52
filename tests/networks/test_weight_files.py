"""Reading weight files, and the errors on the way."""

import pathlib

import h5py
import numpy as np
import pytest

from tests.helpers import message
from tests.networks.helpers import (
    CUT,
    SHAPES,
    arrays,
    assert_same,
    legacy,
    weights_of,
    write_hdf5,
    write_npz,
)
from tfnst.config import BACKBONES
from tfnst.networks import backbones, vgg, weight_files, weight_sources

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    "pattern",
    [
        legacy,
        lambda layer, i, part: f"{layer}/{layer}_{'Wb'[part]}_1:0",
        lambda layer, i, part: f"model_weights/vgg19/{legacy(layer, i, part)}",
        lambda layer, i, part: f"layers/{layer}/vars/{part}",
        lambda layer, i, part: f"layers/conv2d{f'_{i}' if i else ''}/vars/{part}",
        lambda layer, i, part: f"layers/vgg/layers/conv2d_{i}/vars/{part}",
    ],
    ids=["keras2", "keras1", "model", "names", "classes", "nested"],
)
def test_reads_every_layout_of_hdf5(home, pattern):
    path = write_hdf5(home / "file", pattern, arrays())
    with h5py.File(path, "a") as file:
        file["fc1/fc1/kernel:0"] = np.ones((8, 4))
        file["layers/dense/vars/0"] = np.ones((8, 4))
        file["optimizer_weights/adam/block1_conv1/kernel:0"] = np.ones((3, 3, 3, 64))
    assert_same(weight_files.read_weights(path), arrays())


@pytest.mark.parametrize("name", BACKBONES)
def test_numbered_layers_get_their_names(home, name):
    # Tiny, but with real numbers of filters. More than ten layers: 10 comes after 9.
    layers = {}
    for layer in vgg.layer_names(name):
        if "conv" in layer:
            filters = vgg.VGG_FILTERS[int(layer[5]) - 1]
            layers[layer] = (1, 1, 1, filters)
    layers = arrays(layers)
    path = write_hdf5(
        home / "file",
        lambda layer, i, part: f"layers/conv2d{f'_{i}' if i else ''}/vars/{part}",
        layers,
    )
    assert_same(weight_files.read_weights(path), layers)


# Keras 3.15 isn't ready for NumPy 2.4.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", ["x.weights.h5", "x.h5"])
def test_reads_what_keras_writes(home, name):
    backbone = backbones.load_backbone(weights=None, last_layer="block2_conv1")
    path = str(home / name)
    save = backbone.model.save_weights if "weights" in name else backbone.model.save
    save(path)
    again = backbones.load_backbone(weights=path, last_layer="block2_conv1")
    assert_same(weights_of(again), weights_of(backbone))


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_casts_other_floats(home, dtype):
    layers = {
        layer: [array.astype(dtype) for array in pair]
        for layer, pair in arrays().items()
    }
    path = write_npz(home / "w.npz", layers)
    expected = {
        layer: [array.astype("float32") for array in pair]
        for layer, pair in layers.items()
    }
    assert_same(weight_files.read_weights(path), expected)


@pytest.mark.parametrize("kind", ["npz", "named", "numbered"])
def test_reads_only_the_layers_asked_for(home, kind):
    layers = arrays(SHAPES | {"block2_conv1": (3, 3, 64, 128)})
    if kind == "npz":
        path = write_npz(home / "w.npz", layers)
    else:
        pattern = {
            "named": legacy,
            "numbered": lambda _, i, part: f"layers/conv2d_{i}/vars/{part}",
        }[kind]
        path = write_hdf5(home / "w.h5", pattern, layers)
    read, found = weight_files.read_convolutions(path, ["block1_conv2", "block3_conv1"])
    assert_same(read, {"block1_conv2": layers["block1_conv2"]})
    assert found == list(layers)
    # Not even what isn't a weight matters behind the last layer.
    layers["block2_conv1"] = (np.array(["x"]), np.array(["y"]))
    path = write_npz(home / "behind.npz", layers)
    backbone = backbones.load_backbone(weights=path, **CUT)
    assert_same(weights_of(backbone), arrays())


def load_error(error, path, **settings):
    return message(error, backbones.load_backbone, weights=path, **CUT | settings)


def test_a_missing_file(monkeypatch, home):
    path = str(home / "none.h5")
    expected = f"must be an existing file. Received: {path!r}"
    assert load_error(FileNotFoundError, path) == f"`weights` {expected}"
    assert message(FileNotFoundError, weight_files.read_weights, path) == (
        f"`path` {expected}"
    )
    monkeypatch.setenv("TFNST_WEIGHTS", path)
    for function in (backbones.load_backbone, weight_sources.find_weights):
        got = message(FileNotFoundError, function, "vgg19")
        assert got == f"`TFNST_WEIGHTS` {expected}"


def test_a_folder(home):
    assert load_error(IsADirectoryError, str(home)) == (
        f"`weights` must be a file, not a folder. Received: {str(home)!r}"
    )


def test_a_text_file(home):
    path = home / "w.h5"
    path.write_text("<html>not found</html>")
    assert load_error(ValueError, str(path)) == (
        "`weights` must be a weight file in HDF5 or NPZ: it is neither, or is cut "
        f"short. Received: {str(path)!r}"
    )


def cut_short(path):
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[: len(data) // 2])
    return path


def test_a_truncated_hdf5(home):
    path = cut_short(write_hdf5(home / "w.h5", legacy, arrays()))
    got = load_error(ValueError, path)
    assert got.startswith("`weights` must be a weight file in HDF5 or NPZ: Unable to ")
    assert "truncated file" in got
    assert got.endswith(f". Received: {path!r}")


def test_a_truncated_npz(home):
    path = cut_short(write_npz(home / "w.npz", arrays()))
    assert load_error(ValueError, path) == (
        "`weights` must be a weight file in HDF5 or NPZ: it is neither, or is cut "
        f"short. Received: {path!r}"
    )


def test_pickles_are_not_opened(home):
    path = str(home / "w.npz")
    np.savez(path, block1_conv1__kernel=np.array([object()], dtype=object))
    assert load_error(ValueError, path) == (
        "`weights` must be a weight file in HDF5 or NPZ: Object arrays cannot be "
        f"loaded when allow_pickle=False. Received: {path!r}"
    )


def test_a_file_of_another_network(home):
    path = str(home / "w.npz")
    np.savez(path, kernel=np.ones(3))
    assert load_error(ValueError, path) == (
        "`weights` must hold VGG's convolutions, with names such as block1_conv1. "
        f"Received: {path!r}"
    )


def test_numbers_that_are_not_finite(home):
    layers = arrays()
    layers["block1_conv2"][0][0, 0, 0, 0] = np.nan
    path = write_npz(home / "nan.npz", layers)
    assert load_error(ValueError, path) == (
        "`weights` must hold finite numbers; the kernel of block1_conv2 doesn't. "
        f"Received: {path!r}"
    )
    # Too large for float32.
    kernel, bias = arrays()["block1_conv2"]
    layers["block1_conv2"] = (kernel, bias.astype("float64") * 1e300)
    path = write_npz(home / "large.npz", layers)
    assert load_error(ValueError, path) == (
        "`weights` must hold finite numbers; the bias of block1_conv2 doesn't. "
        f"Received: {path!r}"
    )


def test_wrong_shapes(monkeypatch, home):
    layers = arrays({**SHAPES, "block1_conv2": (3, 3, 64, 32)})
    path = write_npz(home / "w.npz", layers)
    expected = (
        "must hold a kernel of block1_conv2 of shape (3, 3, 64, 64). "
        f"Received: (3, 3, 64, 32) in {path!r}"
    )
    assert load_error(ValueError, path) == f"`weights` {expected}"
    monkeypatch.setenv("TFNST_WEIGHTS", path)
    assert load_error(ValueError, "imagenet") == f"`TFNST_WEIGHTS` {expected}"


def test_incomplete_and_doubled_layers(home):
    path = str(home / "w.npz")
    kernel = np.ones((3, 3, 3, 64), "float32")
    np.savez(path, block1_conv1__kernel=kernel)
    assert load_error(ValueError, path) == (
        "`weights` must hold one kernel and one bias of floats for block1_conv1. "
        f"Received: float32[3, 3, 3, 64] in {path!r}"
    )
    np.savez(path, block1_conv1__kernel=kernel, block1_conv1__bias=np.arange(64))
    assert load_error(ValueError, path) == (
        "`weights` must hold one kernel and one bias of floats for block1_conv1. "
        f"Received: float32[3, 3, 3, 64], int64[64] in {path!r}"
    )


def test_missing_layers(home):
    path = write_npz(home / "w.npz", arrays())
    assert load_error(ValueError, path, last_layer="block2_conv2") == (
        "`weights` must hold the convolutions of vgg19 up to block2_conv2; it lacks "
        f"block2_conv1, block2_conv2. Received: {path!r}"
    )


def test_files_of_the_other_backbone(home):
    tiny = dict.fromkeys(["block4_conv1"], (1, 1, 1, 1))
    path = write_npz(home / "16.npz", arrays(SHAPES | tiny))
    assert load_error(ValueError, path) == (
        "`weights` must hold the convolutions of vgg19 up to block1_conv2; its layers "
        f"are vgg16's: set `backbone` to 'vgg16'. Received: {path!r}"
    )
    path = write_npz(home / "19.npz", arrays({"block3_conv4": (1, 1, 1, 1)}))
    assert load_error(ValueError, path, name="vgg16") == (
        "`weights` must hold the convolutions of vgg16 up to block1_conv2; it lacks "
        "block1_conv1, block1_conv2; its layers are vgg19's: set `backbone` to "
        f"'vgg19'. Received: {path!r}"
    )
