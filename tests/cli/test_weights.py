"""`tfnst weights`."""

import keras
import numpy as np
import pytest

from tfnst.networks import weight_sources
from tfnst.networks.vgg import kernel_shapes, layer_names, random_arrays
from tfnst.networks.weight_files import read_weights


def saved_weights(folder, name="vgg19"):
    """A backbone's convolutions, in a NumPy file."""
    arrays = random_arrays(kernel_shapes(layer_names(name)), seed=3)
    path = folder / f"{name}.npz"
    np.savez(
        path,
        **{
            f"{layer}__{part}": array
            for layer, pair in arrays.items()
            for part, array in zip(("kernel", "bias"), pair, strict=True)
        },
    )
    return path, arrays


@pytest.fixture(scope="module")
def vgg19(tmp_path_factory):
    """A file of VGG19's convolutions, and its contents."""
    return saved_weights(tmp_path_factory.mktemp("weights"))


def test_weights_are_listed(monkeypatch, tmp_path, vgg19, run):
    path, _ = vgg19
    monkeypatch.setenv("TFNST_WEIGHTS", str(path))
    code, out, _ = run("weights")
    assert code == 0
    assert out.splitlines()[0] == f"vgg19  TFNST_WEIGHTS: {path}"


def test_weights_are_saved_for_keras(monkeypatch, tmp_path, vgg19, run):
    path, arrays = vgg19
    monkeypatch.setenv("TFNST_WEIGHTS", str(path))
    code, out, _ = run("weights", "--save", "keras.h5")
    assert (code, out) == (0, "keras.h5: VGG19's convolutions, from TFNST_WEIGHTS\n")
    for layer, pair in read_weights(tmp_path / "keras.h5").items():
        for ours, theirs in zip(arrays[layer], pair, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    model = keras.applications.VGG19(include_top=False, weights=None)
    model.load_weights(tmp_path / "keras.h5")
    kernel, bias = model.get_layer("block4_conv2").get_weights()
    np.testing.assert_array_equal(kernel, arrays["block4_conv2"][0])
    np.testing.assert_array_equal(bias, arrays["block4_conv2"][1])


def test_only_vgg19s_weights_are_saved(monkeypatch, tmp_path, run):
    path, _ = saved_weights(tmp_path, "vgg16")
    monkeypatch.setenv("TFNST_WEIGHTS", str(path))
    code, _, err = run("weights", "--save", "a.h5")
    assert code == 2
    assert "its layers are vgg16's" in err
    assert not (tmp_path / "a.h5").exists()


def test_what_is_wrong_is_one_line(monkeypatch, tmp_path, vgg19, run):
    path, _ = vgg19
    monkeypatch.setenv("TFNST_WEIGHTS", str(path))
    code, _, err = run("weights", "--save", "a.png")
    assert code == 2
    assert err == (
        "tfnst: error: `save` must be a path that ends in .h5 or .hdf5. "
        "Received: 'a.png'\n"
    )

    (tmp_path / "whole.h5").symlink_to(path)
    before = path.read_bytes()
    code, _, err = run("weights", "--save", "whole.h5")
    assert code == 2
    assert err.startswith("tfnst: error: `save` must be a file other than `weights`")
    assert path.read_bytes() == before

    def nowhere(*_, **__):
        raise FileNotFoundError("`weights` must be available")

    monkeypatch.setattr(weight_sources, "locate_weights", nowhere)
    code, _, err = run("weights", "--fetch")
    assert (code, err) == (2, "tfnst: error: `weights` must be available\n")


def test_a_home_folder_that_cannot_be_written_to(monkeypatch, tmp_path, run):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file" / "keras"))
    monkeypatch.delenv("TFNST_WEIGHTS", raising=False)
    code, out, err = run("weights")
    assert (code, err) == (0, "")
    for name, line in zip(("vgg19", "vgg16"), out.splitlines(), strict=True):
        assert line.startswith(f"{name}  ")
        assert ".keras/models/vgg1" in line
