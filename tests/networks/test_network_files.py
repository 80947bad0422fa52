"""Files of networks: what they hold, and what strangers may put into them."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tests.helpers import picture
from tfnst.networks.network_files import (
    load_network_file,
    round_weights,
    save_network,
)
from tfnst.networks.painting_network import PaintingNetwork


@pytest.fixture(scope="module")
def network():
    network = PaintingNetwork(width=4, blocks=1)
    network.initialize(seed=3)
    round_weights(network)
    return network


@pytest.fixture
def path(network, tmp_path):
    path = tmp_path / "style.keras"
    save_network(network, {"style_image": "a style"}, path)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, **changed):
    """Replaces members of a file; dots are written as double underscores."""
    changed = {name.replace("__", "."): data for name, data in changed.items()}
    contents = members(path) | changed
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            if data is not None:
                archive.writestr(name, data)


def test_a_loaded_network_paints_the_same(network, path):
    loaded, facts, sha256 = load_network_file(path)
    assert facts == {"style_image": "a style", "width": 4, "blocks": 1}
    assert len(sha256) == 64
    image = picture(32, 40)[np.newaxis]
    np.testing.assert_array_equal(loaded(image), network(image))


def test_keras_loads_the_file(network, path):
    loaded = keras.models.load_model(path)
    image = picture(32, 40)[np.newaxis]
    np.testing.assert_array_equal(loaded(image), network(image))


def test_weights_take_16_bits(network, path):
    assert all(
        np.array_equal(each, each.astype(np.float16).astype(np.float32))
        for each in network.get_weights()
    )
    with zipfile.ZipFile(path) as archive:
        weights = archive.getinfo("model.weights.h5")
    assert weights.compress_size < 0.75 * weights.file_size


def test_only_arrays_are_read(path):
    """What the file says of classes and layers is ignored."""
    rewrite(path, config__json=b'{"class_name": "Lambda", "module": "os"}')
    load_network_file(path)


def test_weights_that_lie_elsewhere_are_refused(path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(10_000))

    def linked(make):
        data = io.BytesIO(members(path)["model.weights.h5"])
        with h5py.File(data, "r+") as file:
            make(file)
        return data.getvalue()

    def external_link(file):
        file["more"] = h5py.ExternalLink(str(secret), "/")

    def soft_link(file):
        file["more"] = h5py.SoftLink("/layers")

    def external_data(file):
        file.create_dataset(
            "more", (4,), "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        )

    for make in (external_link, soft_link, external_data):
        broken = path.with_name(f"{make.__name__}.keras")
        broken.write_bytes(path.read_bytes())
        rewrite(broken, model__weights__h5=linked(make))
        with pytest.raises(ValueError, match=r"is a link|lies in another file"):
            load_network_file(broken)


def test_data_that_unfolds_is_refused(path):
    data = io.BytesIO(members(path)["model.weights.h5"])
    with h5py.File(data, "r+") as file:
        # A gigabyte of zeros in a few bytes.
        file.create_dataset("more", (2**28,), "f4", chunks=(2**16,), compression="gzip")
    rewrite(path, model__weights__h5=data.getvalue())
    with pytest.raises(ValueError, match="more is larger than"):
        load_network_file(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"tfnst__json": None},
        {"tfnst__json": b"[]"},
        {"tfnst__json": b"{}"},
        {"tfnst__json": b'{"width": 4'},
        {"tfnst__json": json.dumps({"width": 4, "blocks": 10**6}).encode()},
        {"tfnst__json": json.dumps({"width": True, "blocks": 1}).encode()},
        {"tfnst__json": json.dumps({"width": 8, "blocks": 1}).encode()},
        {"tfnst__json": b" " * 2**21},
        {"model__weights__h5": None},
        {"model__weights__h5": b"no HDF5"},
    ],
)
def test_other_files_are_refused_in_one_line(path, changed):
    rewrite(path, **changed)
    with pytest.raises(ValueError, match="a network that `tfnst train` has written"):
        load_network_file(path)


def test_weights_that_are_not_finite_are_refused(network, tmp_path):
    broken = PaintingNetwork(width=4, blocks=1)
    weights = network.get_weights()
    weights[0] = np.full_like(weights[0], np.nan)
    broken.set_weights(weights)
    save_network(broken, {}, tmp_path / "nan.keras")
    with pytest.raises(ValueError, match="aren't finite"):
        load_network_file(tmp_path / "nan.keras")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "text.keras"
    path.write_text("hello")
    with pytest.raises(ValueError, match="not a zip file"):
        load_network_file(path)
    with pytest.raises(FileNotFoundError):
        load_network_file(tmp_path / "missing.keras")


@pytest.mark.slow
def test_the_widest_network_can_be_read_again(tmp_path):
    widest = PaintingNetwork(width=128)
    round_weights(widest)
    save_network(widest, {}, tmp_path / "widest.keras")
    loaded, _, _ = load_network_file(tmp_path / "widest.keras")
    for one, other in zip(loaded.weights, widest.weights, strict=True):
        np.testing.assert_array_equal(one, other)
