"""Which backend Keras will use."""

import json
import os
import subprocess
import sys

import keras
import pytest

from tests.helpers import ROOT, message
from tfnst.keras_backend import require_tensorflow

EXPECTED = (
    "tfnst needs Keras' TensorFlow backend: set the environment variable KERAS_BACKEND "
    "to tensorflow. Received: {!r}"
)


def test_another_backend_is_refused(monkeypatch):
    require_tensorflow()
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    assert message(ImportError, require_tensorflow) == EXPECTED.format("jax")


def test_keras_need_not_be_loaded(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    for text in (None, "no JSON", "[]", "{}", json.dumps({"backend": "tensorflow"})):
        if text is not None:
            (tmp_path / "keras.json").write_text(text)
        require_tensorflow()
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    assert message(ImportError, require_tensorflow) == EXPECTED.format("torch")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    require_tensorflow()
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    assert message(ImportError, require_tensorflow) == EXPECTED.format("numpy")


@pytest.mark.parametrize("package", ["networks.vgg", "engines.plans", "evaluation"])
def test_packages_say_so_before_keras_is_loaded(package):
    done = subprocess.run(
        [sys.executable, "-c", f"import tfnst.{package}"],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == f"ImportError: {EXPECTED.format('numpy')}"
