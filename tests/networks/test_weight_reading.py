"""Weights that a thread reads ahead of time."""

import subprocess
import sys
import threading

import pytest

from tests.helpers import message
from tests.networks.helpers import CUT, SHAPES, arrays, assert_same, write_npz
from tfnst.config import StyleTransferConfig
from tfnst.networks import backbones, weight_reading

pytestmark = pytest.mark.usefixtures("home")

LAYERS = tuple(SHAPES)


def config(path, **settings):
    layers = {"content_layers": LAYERS[:1], "style_layers": LAYERS}
    return StyleTransferConfig(weights=path, **layers | settings)


@pytest.fixture
def readings(monkeypatch):
    """The names of the threads that read files of weights."""
    names = []
    real = weight_reading.read_convolutions

    def read(*arguments):
        names.append(threading.current_thread().name)
        return real(*arguments)

    monkeypatch.setattr(weight_reading, "read_convolutions", read)
    return names


def weight_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tfnst-weights")]


def test_a_thread_reads_what_the_backbone_asks_for(home, readings):
    path = write_npz(home / "w.npz", arrays())
    with weight_reading.reading_ahead(config(path)):
        info, read = weight_reading.read_backbone("vgg19", path, LAYERS)
    assert readings == ["tfnst-weights_0"]
    assert not weight_threads()
    assert_same(read, arrays())
    again = backbones.load_backbone(weights=path, **CUT)
    assert again.weights == info
    assert readings[1:] == ["MainThread"]


@pytest.mark.parametrize("other", ["weights", "variable", "layers"])
def test_other_weights_are_read_as_ever(home, readings, monkeypatch, other):
    path = write_npz(home / "w.npz", arrays())
    second = write_npz(home / "second.npz", arrays(seed=2))
    given = "imagenet" if other == "variable" else path
    if other == "variable":
        monkeypatch.setenv("TFNST_WEIGHTS", path)
    with weight_reading.reading_ahead(config(given)):
        if other == "variable":
            monkeypatch.setenv("TFNST_WEIGHTS", second)
        layers = LAYERS[:1] if other == "layers" else LAYERS
        wanted = second if other == "weights" else given
        _, read = weight_reading.read_backbone("vgg19", wanted, layers)
    assert sorted(readings) == ["MainThread", "tfnst-weights_0"]
    expected = arrays(seed=1 if other == "layers" else 2)
    assert_same(read, {layer: expected[layer] for layer in layers})


def test_nothing_is_kept_beyond_the_context(home, readings):
    path = write_npz(home / "w.npz", arrays())
    with weight_reading.reading_ahead(config(path)):
        pass
    write_npz(path, arrays(seed=2))
    _, read = weight_reading.read_backbone("vgg19", path, LAYERS)
    assert_same(read, arrays(seed=2))


def test_errors_are_raised_where_they_would_be(home):
    path = str(home / "none.npz")
    (home / "w.npz").write_text("text")
    for path, error in (
        (str(home / "none.npz"), FileNotFoundError),
        (str(home / "w.npz"), ValueError),
    ):
        expected = message(error, backbones.load_backbone, weights=path, **CUT)
        with weight_reading.reading_ahead(config(path)):
            got = message(error, backbones.load_backbone, weights=path, **CUT)
        assert got == expected
    # Neither is there anything to read for these.
    for settings in (
        config(path, content_layers=("block9_conv1",)),
        config(None),
    ):
        with weight_reading.reading_ahead(settings):
            assert not weight_threads()


def test_nothing_is_downloaded_ahead(home, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "tfnst.networks.weight_sources._download", lambda *a: asked.append(a)
    )
    with weight_reading.reading_ahead(config("imagenet")):
        pass
    assert not asked


def test_needs_no_tensorflow():
    code = (
        "import sys, tfnst.networks.weight_reading; "
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
