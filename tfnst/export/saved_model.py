"""Painting as a SavedModel that TensorFlow Serving runs."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import pathlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfnst.checks import ArgumentError, argument, check_integer, check_number
from tfnst.config import StyleTransferConfig, build_config
from tfnst.eager import eagerly
from tfnst.export.requests import RequestLimits
from tfnst.export.served_model import ServedStyleTransfer
from tfnst.export.served_network import ServedNetwork
from tfnst.export.signatures import build_signatures
from tfnst.export.warmup import WARMUP, write_warmup
from tfnst.files import check_path
from tfnst.limits import MAX_PIXELS, MAX_SIZE, MAX_STEPS, MIN_SIDE
from tfnst.transfer.style_network import StyleNetwork, need_network
from tfnst.version import __version__

_logger = logging.getLogger(__name__)

MANIFEST = "tfnst.json"


@eagerly
def export_saved_model(
    directory: str | os.PathLike[str],
    *,
    network: Any = None,
    config: StyleTransferConfig | None = None,
    version: int | None = None,
    max_steps: int = 1000,
    max_size: int = 2048,
    max_pixels: int = 2**25,
    max_memory: float | None = None,
    **settings: Any,
) -> pathlib.Path:
    """Writes `<directory>/<version>/`, which TensorFlow Serving can serve.

    The SavedModel holds the whole run, coarse to fine, with the weights of the network
    as variables; or a network that has learned a style, which paints at once.
    `tfnst.export.signatures` describes the signatures: `serving_default` for image
    files, `stylize` for arrays and, unless a network paints, `blend` for several
    styles.

    Args:
        directory: base path of the model; created if it is missing.
        network: a `tfnst.StyleNetwork`, or whatever else stands for one as the
            `style_image` of `tfnst.stylize`; None for the optimisation.
        config: settings; requests may override some of them. `precision="auto"` means
            float32 here, because the server may be another machine; `"bfloat16"` is
            about twice as fast on servers that support it.
        version: number of the version; the next free one by default.
        max_steps: largest `steps` of a request, up to 100,000; a network has none.
        max_size: largest `size` of a request, up to 16,384. All pictures of a request
            to a network together have at most the pixels of a square of this size.
        max_pixels: most pixels of each picture that is sent.
        max_memory: largest memory that a request may take on a server, in GiB, as
            predicted from `size`, `max_pixels`, and the numbers of pictures, styles
            and regions. It lowers `max_size` to what one style leaves room for. The
            default is what 8 styles in 8 regions take at `max_size`.
        **settings: fields of StyleTransferConfig that override those of `config`.

    Returns:
        Path of the version's folder.

    Raises:
        ValueError: for bad settings, limits below the defaults, or a version that
            already exists.
        OSError: when the folder can't be written or the weights can't be found.
            Nothing half-written is left behind.

    Reference:
        https://www.tensorflow.org/tfx/serving/serving_basic
    """
    config = build_config(config, None, settings)
    limits = RequestLimits(
        max_steps=check_integer("max_steps", max_steps, config.steps, MAX_STEPS),
        max_size=check_integer("max_size", max_size, config.size, MAX_SIZE),
        max_pixels=check_integer("max_pixels", max_pixels, MIN_SIDE**2, MAX_PIXELS),
    )
    if max_memory is not None:
        expected = "a number of GiB above 0"
        max_memory = check_number("max_memory", max_memory, expected, above=0)
        limits = dataclasses.replace(limits, max_memory=max_memory)
    with argument("directory"):
        check_path(directory)
    load: Callable[[], ServedStyleTransfer | ServedNetwork]
    if network is not None:
        style = _load_network(network, max_steps)
        load = functools.partial(ServedNetwork, style, config, limits)
    else:
        if config.precision == "auto":
            config = config.replace(precision="float32")
        load = functools.partial(ServedStyleTransfer, config, limits)
    return write_version(
        pathlib.Path(directory), version, lambda folder: write_model(load(), folder)
    )


def write_version(
    base: pathlib.Path, version: int | None, write: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """Writes the folder of a version, whole or not at all.

    Args:
        base: base path of the model; created if it is missing.
        version: number of the version; the next free one if it is None.
        write: fills the folder that it is given.

    Returns:
        Path of the version's folder.

    Raises:
        ValueError: for a version that already exists.
        OSError: when the folder can't be written.
    """
    began = time.perf_counter()
    target = base / str(_choose_version(base, version))
    base.mkdir(parents=True, exist_ok=True)
    # Servers look for folders with integer names, so this one is invisible to them
    # until it is complete.
    partial = base / f".tfnst-{uuid.uuid4().hex}"
    try:
        partial.mkdir()
        write(partial)
        partial.rename(target)
        _logger.info("wrote %s in %.1f s", target, time.perf_counter() - began)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def write_model(
    model: ServedStyleTransfer | ServedNetwork,
    folder: pathlib.Path,
    names: Sequence[str] = (),
) -> None:
    """Writes the SavedModel, its manifest and its warm-up requests.

    Args:
        model: the model.
        folder: folder to write to.
        names: names of the signatures to write; all of them by default.
    """
    served = model.served
    signatures = build_signatures({name: served[name] for name in names or served})
    # Called as attributes, they fill in the defaults; TensorFlow's own callables in
    # `signatures` of a loaded model don't.
    for name, function in signatures.items():
        setattr(model, name, function)
    with tempfile.TemporaryDirectory() as scratch:
        manifest = pathlib.Path(scratch, MANIFEST)
        versions = {"tfnst": __version__, "tensorflow": tf.__version__}
        manifest.write_text(json.dumps(versions | model.facts, indent=2) + "\n")
        model.manifest = tf.saved_model.Asset(str(manifest))
        tf.saved_model.save(model, str(folder), signatures=signatures)
    write_warmup(folder / WARMUP, model.warm_up)


def _load_network(network: Any, max_steps: int) -> StyleNetwork:
    """The network to export, if the limits suit it."""
    if max_steps != 1000:  # The default.
        raise ArgumentError(
            "left out with `network`, which takes no steps",
            str(max_steps),
            argument="max_steps",
        )
    expected = "a network that `tfnst train` has written"
    return need_network(network, expected, name="network")


def _choose_version(base: pathlib.Path, version: int | None) -> int:
    """The given version, or the next free one."""
    if version is not None:
        version = check_integer("version", version, 1, 2**63 - 1)
    names = [path.name for path in base.iterdir()] if base.is_dir() else []
    taken = [int(name) for name in names if name.isdecimal()]
    if version is None:
        return max(taken, default=0) + 1
    if version in taken:
        raise ArgumentError(
            f"one that {str(base)!r} doesn't hold yet", str(version), argument="version"
        )
    return version
