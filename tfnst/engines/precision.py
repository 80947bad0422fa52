"""Which floating point type the network computes in."""

from __future__ import annotations

import functools
import pathlib

import tensorflow as tf

from tfnst.engines.devices import device_kind

# On CPUs with one of these a bfloat16 convolution takes about half the time of a
# float32 one; on others it is emulated and takes longer.
BFLOAT16_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def choose_precision(precision: str = "auto", device: str = "auto") -> str:
    """The precision that features are computed in on this machine.

    Image, Gram matrices, moments, losses and optimizer are float32 whatever it is:
    bfloat16 has 8 bits for the digits, enough for an activation and too few for a sum
    over all positions.

    Args:
        precision: `"float32"`, `"bfloat16"`, or `"auto"`: bfloat16 on a TPU, on GPUs
            with bfloat16 units (compute capability 8.0 and up) and on CPUs with
            bfloat16 instructions, float32 on anything else.
        device: as for `tfnst.engines.devices.device_kind`.

    Returns:
        `"float32"` or `"bfloat16"`.
    """
    if precision != "auto":
        return precision
    kind = device_kind(device)
    if kind == "tpu":
        return "bfloat16"
    if kind == "gpu":
        gpus = tf.config.list_physical_devices("GPU")
        details = map(tf.config.experimental.get_device_details, gpus)
        modern = all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details)
        return "bfloat16" if modern else "float32"
    flags = cpu_flags() or ()
    return "bfloat16" if set(BFLOAT16_CPU_FLAGS) & set(flags) else "float32"


@functools.lru_cache
def cpu_flags() -> tuple[str, ...] | None:
    """The CPU's features as Linux names them; None where they can't be read."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    for line in text.splitlines():
        # Arm calls them Features.
        if line.startswith(("flags", "Features")):
            return tuple(line.partition(":")[2].split())
    return None
