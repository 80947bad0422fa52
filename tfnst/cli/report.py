"""The report of `tfnst info`: versions, devices, CPU features and weights."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from typing import Any

from tfnst.checks import one_line
from tfnst.config import BACKBONES
from tfnst.engines.devices import choose_precision
from tfnst.networks import weight_sources
from tfnst.processor import INSTRUCTIONS, instructions, uses_onednn
from tfnst.version import __version__

_PACKAGES = (
    "tensorflow",
    "keras",
    "tensorflow-serving-api",
    "grpcio",
    "numpy",
    "pillow",
)


def report() -> str:
    """The whole report, one fact per line. It doesn't use the network."""
    lines = [
        ("tfnst", __version__),
        ("python", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *((name, _version(name) or "not installed") for name in _PACKAGES),
        *(("device", device) for device in _devices()),
        ("cpu cores", str(_cores())),
        *(("cpu", feature) for feature in _cpu_features()),
        ("kernels", "oneDNN" if uses_onednn() else "Eigen"),
        ("precision", choose_precision()),
        *((f"weights {name}", describe_weights(name)) for name in BACKBONES),
    ]
    width = max(len(key) for key, _ in lines)
    return "\n".join(f"{key:{width}}  {value}" for key, value in lines)


def facts() -> dict[str, Any]:
    """The facts of the report as plain values that JSON can hold."""
    return {
        "versions": {
            "tfnst": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "platform": platform.platform(terse=True),
        "devices": list(_devices()),
        "cpu_cores": _cores(),
        "cpu_features": instructions(),
        "onednn": uses_onednn(),
        "precision": choose_precision(),
        "weights": {name: _weights_facts(name) for name in BACKBONES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[str]:
    import tensorflow as tf

    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        name = details.get("device_name", device.device_type)
        yield f"{device.name.removeprefix('/physical_device:')} {name}"


def _cores() -> int | None:
    # A process in a container often may not use all cores of the machine.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _cpu_features() -> Iterator[str]:
    there = instructions()
    if there is None:
        yield "features unknown on this system"
        return
    for name, meaning in INSTRUCTIONS.items():
        yield f"{name}: {'yes' if name in there else 'no'} ({meaning})"


def describe_weights(name: str) -> str:
    """The weights of a backbone that would be used, or the reason why none can be."""
    try:
        found = weight_sources.find_weights(name, download=False)
    except (OSError, ValueError) as error:
        return one_line(error)
    return f"{found.source}: {found.path}"


def _weights_facts(name: str) -> dict[str, str | None]:
    try:
        found = weight_sources.find_weights(name, download=False)
    except (OSError, ValueError) as error:
        failure = {"source": None, "path": None, "sha256": None}
        return failure | {"error": one_line(error)}
    return {
        "source": found.source,
        "path": found.path,
        "sha256": found.sha256,
        "error": None,
    }
