"""Devices of a run, and the floating point type of its features."""

from __future__ import annotations

import contextlib
import functools
import os

import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.processor import cpu_flags

# Environment variables that name a TPU on another machine.
_TPU_VARIABLES = ("TPU_NAME", "COLAB_TPU_ADDR")


def device_kind(device: str = "auto") -> str:
    """The kind of device that a run computes on.

    Args:
        device: `"cpu"`, `"gpu"`, `"tpu"`, or `"auto"` for the first available of TPU,
            GPUs and CPU.

    Returns:
        `"cpu"`, `"gpu"` or `"tpu"`.

    Raises:
        ValueError: if there is no such device.
    """
    found = [kind for kind, there in _look().items() if there]
    if device == "auto":
        return found[0]
    if device not in found:
        expected = f"one that TensorFlow finds here, {' or '.join(found)}, or auto"
        raise ArgumentError(expected, repr(device), argument="device")
    return device


def placement(device: str = "auto") -> contextlib.AbstractContextManager:
    """A context in which TensorFlow computes on the CPU, if `device` says so.

    Without it TensorFlow uses a GPU if it has one.

    Args:
        device: as for `device_kind`.
    """
    if device == "cpu" and tf.config.list_logical_devices("GPU"):
        return tf.device("/device:CPU:0")
    return contextlib.nullcontext()


def choose_strategy(device: str = "auto") -> tf.distribute.Strategy | None:
    """The strategy that spreads pictures over several devices.

    Args:
        device: as for `device_kind`.

    Returns:
        A TPUStrategy for a TPU; a MirroredStrategy for several GPUs, or for several
        logical CPUs if TensorFlow was told to have them; None for a single device.

    Raises:
        ValueError: if there is no such device.
    """
    kind = device_kind(device)
    if kind == "tpu":
        return _tpu_strategy()
    devices = tuple(d.name for d in tf.config.list_logical_devices(kind.upper()))
    return _mirrored_strategy(devices) if len(devices) > 1 else None


def _look() -> dict[str, bool]:
    """True for each kind of device that there is, fastest first."""
    return {
        "tpu": bool(
            tf.config.list_physical_devices("TPU")
            or any(os.environ.get(name) for name in _TPU_VARIABLES)
        ),
        "gpu": bool(tf.config.list_physical_devices("GPU")),
        "cpu": True,
    }


@functools.cache
def _tpu_strategy() -> tf.distribute.TPUStrategy:
    # "local" is the TPU of this machine, as on Kaggle.
    local = tf.config.list_physical_devices("TPU")
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(
        tpu="local" if local else None
    )
    return tf.distribute.TPUStrategy(resolver)


@functools.cache
def _mirrored_strategy(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    return tf.distribute.MirroredStrategy(devices)


# On CPUs with one of these, a bfloat16 convolution takes about half the time of a
# float32 one; on others it is emulated and takes longer.
BFLOAT16_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def choose_precision(precision: str = "auto", device: str = "auto") -> str:
    """The precision in which features are computed on this machine.

    The image, Gram matrices, moments, losses and the optimiser are always float32:
    bfloat16 has 8 significant bits, enough for an activation but too few for a sum over
    all positions.

    Args:
        precision: `"float32"`, `"bfloat16"`, or `"auto"`: bfloat16 on a TPU, on GPUs
            with bfloat16 units (compute capability 8.0 and up) and on CPUs with
            bfloat16 instructions; float32 otherwise.
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
