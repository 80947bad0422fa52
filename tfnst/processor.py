"""The machine's processor, and the TensorFlow kernels that it is given."""

from __future__ import annotations

import functools
import os
import pathlib
import platform

# Environment variable that turns oneDNN in TensorFlow on or off: 1 or 0.
ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"

# Instructions that convolutions and matrix products use, with their benefits.
INSTRUCTIONS = {
    "avx2": "8 floats at once",
    "fma": "multiply and add in one",
    "avx512f": "16 floats at once",
    "avx512_bf16": "bfloat16 products",
    "amx_bf16": "bfloat16 matrix tiles",
}


@functools.lru_cache
def cpu_flags() -> tuple[str, ...] | None:
    """The CPU's features, as Linux names them; None if they can't be read."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    for line in text.splitlines():
        # Arm calls them Features.
        if line.startswith(("flags", "Features")):
            return tuple(line.partition(":")[2].split())
    return None


def instructions() -> list[str] | None:
    """The `INSTRUCTIONS` that the CPU has; None if its features can't be read."""
    flags = cpu_flags()
    return None if flags is None else [name for name in INSTRUCTIONS if name in flags]


def is_x86() -> bool:
    """Returns whether the CPU is an x86: Intel's, AMD's or one like theirs."""
    return platform.machine() in ("x86_64", "AMD64")


def prefer_onednn() -> None:
    """Makes TensorFlow, which must not be loaded yet, compute by oneDNN.

    By default it does so only on CPUs with instructions for neural networks. But with
    AVX2 alone, too, a step takes four fifths of the time with the layers of
    `tfnst.networks.layers.fastest_layers`. A value that the variable has already stays.
    """
    if is_x86() and "avx2" in (cpu_flags() or ()):
        os.environ.setdefault(ONEDNN_VARIABLE, "1")


def uses_onednn() -> bool:
    """Returns whether TensorFlow computes by oneDNN on the CPU, or else by Eigen.

    TensorFlow decides that by the processor, or by `ONEDNN_VARIABLE`.
    """
    # TensorFlow has no public name for it; its own tests ask here.
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())
