"""Keras' backend, checked before Keras is loaded."""

from __future__ import annotations

import contextlib
import json
import os
import sys


def require_tensorflow() -> None:
    """Checks that Keras runs on TensorFlow.

    With a backend that isn't installed, Keras can't even be imported, and its error
    doesn't say what would help.

    Raises:
        ImportError: for another backend.

    Reference:
        https://keras.io/getting_started/#configuring-your-backend
    """
    backend = _backend()
    if backend != "tensorflow":
        raise ImportError(
            "tfnst needs Keras' TensorFlow backend: set the environment variable "
            f"KERAS_BACKEND to tensorflow. Received: {backend!r}"
        )


def _backend() -> str:
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return keras.config.backend()
    if named := os.environ.get("KERAS_BACKEND"):
        return named
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    path = os.path.join(os.path.expanduser(home), "keras.json")
    unknown = contextlib.suppress(OSError, ValueError, TypeError, KeyError)
    with unknown, open(path, encoding="utf-8") as file:
        return str(json.load(file)["backend"])
    return "tensorflow"
