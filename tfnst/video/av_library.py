"""PyAV, which is optional: imported when a film needs it."""

from __future__ import annotations

import importlib
import os
from typing import Any

from tfnst.checks import argument_error
from tfnst.files import os_error, show_path


def import_av(name: str, path: str | os.PathLike[str]) -> Any:
    """The module `av`.

    Args:
        name: of the argument that needs it.
        path: which that argument is.

    Raises:
        ImportError: when PyAV isn't installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise ImportError(
            f"`{name}` needs PyAV: pip install 'tfnst[video]'. "
            f"Received: {show_path(path)}"
        ) from error


def describe(error: Exception) -> str:
    """What FFmpeg says is wrong, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def film_error(name: str, expected: str, shown: str, error: Exception) -> Exception:
    """The error to raise when FFmpeg could not open or read a film.

    Args:
        name: of the argument.
        expected: what it must be.
        shown: the film, as errors show it.
        error: FFmpeg's.
    """
    if isinstance(error, OSError):
        return os_error(error, name, expected, shown)
    return argument_error(
        name, expected, f"{shown}, which FFmpeg refuses: {describe(error)}"
    )
