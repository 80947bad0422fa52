"""Memory that a process no longer needs, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys


def release_memory() -> None:
    """Frees graphs that nothing uses, and returns free memory to the system.

    A TensorFlow graph is a ring of objects, which Python frees when it next looks for
    rings; and the C library keeps what is freed, unless it is told to let go.
    """
    gc.collect()
    trim_memory()


def trim_memory() -> None:
    """Returns free memory to the system."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # Another C library than GNU's.
            ctypes.CDLL(None).malloc_trim(0)
