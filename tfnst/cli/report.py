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


def facts() -> dict[str, Any]:
    """The facts, in plain values that JSON can hold. It doesn't use the network."""
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
        "weights": {name: weights_facts(name) for name in BACKBONES},
    }


def report(facts: dict[str, Any]) -> str:
    """The facts in words, one a line."""
    versions = facts["versions"]
    python = f"{versions['python']} on {facts['platform']}"
    lines = [
        ("tfnst", versions["tfnst"]),
        ("python", python),
        *((name, versions[name] or "not installed") for name in _PACKAGES),
        *(("device", device) for device in facts["devices"]),
        ("cpu cores", str(facts["cpu_cores"])),
        *(("cpu", feature) for feature in _cpu_features(facts["cpu_features"])),
        ("kernels", "oneDNN" if facts["onednn"] else "Eigen"),
        ("precision", facts["precision"]),
        *(
            (f"weights {name}", describe_weights(found))
            for name, found in facts["weights"].items()
        ),
    ]
    width = max(len(key) for key, _ in lines)
    return "\n".join(f"{key:{width}}  {value}" for key, value in lines)


def weights_facts(backbone: str) -> dict[str, str | None]:
    """The weights that a backbone would have, or the error for the lack of them."""
    found = failure = None
    try:
        found = weight_sources.find_weights(backbone, download=False)
    except (OSError, ValueError) as error:
        failure = one_line(error)
    names = ("source", "path", "sha256")
    return {name: getattr(found, name, None) for name in names} | {"error": failure}


def describe_weights(facts: dict[str, str | None]) -> str:
    """The facts about the weights of a backbone in a line."""
    return facts["error"] or f"{facts['source']}: {facts['path']}"


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


def _cpu_features(there: list[str] | None) -> Iterator[str]:
    if there is None:
        yield "features unknown on this system"
        return
    for name, meaning in INSTRUCTIONS.items():
        yield f"{name}: {'yes' if name in there else 'no'} ({meaning})"
