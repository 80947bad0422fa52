"""Reading a backbone's weights, also ahead of time.

A command knows its settings seconds before TensorFlow is imported. The weights need
NumPy alone, so a thread can read them meanwhile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from concurrent import futures
from typing import NamedTuple

from tfnst.checks import argument
from tfnst.config import StyleTransferConfig
from tfnst.networks.vgg import (
    Arrays,
    deepest_layer,
    kernel_shapes,
    layer_names,
    random_arrays,
)
from tfnst.networks.weight_files import check_arrays, read_convolutions
from tfnst.networks.weight_sources import (
    WEIGHTS_VARIABLE,
    WeightsInfo,
    argument_of,
    locate_weights,
)


class _Wanted(NamedTuple):
    """A request for weights; `file` is the file that `"imagenet"` stands for."""

    name: str
    weights: str | os.PathLike | None
    file: str | None
    layers: tuple[str, ...]


# Weights that a thread of `reading_ahead` reads, until they are asked for.
_ahead: dict[_Wanted, futures.Future[tuple[WeightsInfo, Arrays]]] = {}


def read_backbone(
    name: str,
    weights: str | os.PathLike | None,
    layers: tuple[str, ...],
    *,
    seed: int = 0,
) -> tuple[WeightsInfo, Arrays]:
    """The weights of the first layers of a backbone, with their source.

    Args:
        name: name of the backbone.
        weights: as for `tfnst.networks.load_backbone`.
        layers: names of its first layers.
        seed: seed of random weights.

    Raises:
        ValueError, OSError: as `tfnst.networks.load_backbone`.
    """
    begun = _ahead.pop(_wanted(name, weights, layers), None) if _ahead else None
    if begun is not None:
        # An error there is raised again here, unless a download helps.
        with contextlib.suppress(Exception):
            return begun.result()
    if weights is not None:
        return _read(name, weights, layers, download=True)
    info = locate_weights(name, weights, download=False)
    arrays = random_arrays(kernel_shapes(layers), seed)
    source = f"random numbers, seed {seed}"
    return dataclasses.replace(info, source=source, sha256=_digest(arrays)), arrays


@contextlib.contextmanager
def reading_ahead(config: StyleTransferConfig) -> Iterator[None]:
    """Context in which a thread reads the weights that a run will ask for.

    They are kept until `read_backbone` is called for them or the context ends. Nothing
    is downloaded, and no error is raised before `read_backbone` raises it.

    Args:
        config: settings of the run.
    """
    order = layer_names(config.backbone)
    try:
        last = deepest_layer(config.content_layers + config.style_layers, order=order)
    except ValueError:
        last = None  # the run will say what is wrong
    if last is None or config.weights is None:
        yield
        return
    wanted = _wanted(config.backbone, config.weights, order[: order.index(last) + 1])
    with futures.ThreadPoolExecutor(1, thread_name_prefix="tfnst-weights") as pool:
        _ahead[wanted] = pool.submit(
            _read, wanted.name, config.weights, wanted.layers, download=False
        )
        try:
            yield
        finally:
            _ahead.pop(wanted, None)


def _read(
    name: str, weights: str | os.PathLike, layers: tuple[str, ...], *, download: bool
) -> tuple[WeightsInfo, Arrays]:
    """Finds, reads and checks a file of weights."""
    info = locate_weights(name, weights, download=download)
    shapes = kernel_shapes(layers)
    assert info.path is not None  # only random numbers have none
    with argument(argument_of(info)):
        arrays, found = read_convolutions(info.path, shapes)
        check_arrays(arrays, shapes, found, backbone=name, path=info.path)
    return info, arrays


def _wanted(
    name: str, weights: str | os.PathLike | None, layers: tuple[str, ...]
) -> _Wanted:
    return _Wanted(name, weights, os.environ.get(WEIGHTS_VARIABLE), layers)


def _digest(arrays: Arrays) -> str:
    """The SHA-256 of arrays, as hex digits."""
    digest = hashlib.sha256()
    for pair in arrays.values():
        for array in pair:
            digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()
