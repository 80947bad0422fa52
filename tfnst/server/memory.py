"""Returning unused memory to the operating system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys


def release_memory() -> None:
    """Frees unused graphs, and returns free memory to the system.

    The objects of a TensorFlow graph refer to each other in cycles, which only Python's
    garbage collector frees; and the C library keeps freed memory until it is trimmed.
    """
    gc.collect()
    trim_memory()


def trim_memory() -> None:
    """Returns free memory to the system."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # Another C library than GNU's.
            ctypes.CDLL(None).malloc_trim(0)
