"""VGG19 and VGG16 without their dense layers, as Keras models.

References:
    Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
        Recognition", arXiv 1409.1556: the networks.
    https://keras.io/api/applications/vgg/: the layers' names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnst.checks import ArgumentError, check_choice

if TYPE_CHECKING:
    import keras

# The number of convolutions in each block, and of filters in each of those.
VGG_BLOCKS = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
VGG_FILTERS = (64, 128, 256, 512, 512)
CONVOLUTION = re.compile(r"block\d_conv\d")

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # layer name: (kernel, bias)
Shapes = dict[str, tuple[int, int, int, int]]  # layer name: shape of the kernel


def layer_names(name: str) -> tuple[str, ...]:
    """Keras' names of all layers of a backbone, first to last.

    Raises:
        ValueError: if there is no such backbone.
    """
    check_choice("name", name, tuple(VGG_BLOCKS))
    names = []
    for block, depth in enumerate(VGG_BLOCKS[name], start=1):
        names += [f"block{block}_conv{i}" for i in range(1, depth + 1)]
        names.append(f"block{block}_pool")
    return tuple(names)


def deepest_layer(layers: Sequence[str], *, order: Sequence[str]) -> str:
    """The layer that comes last in `order`.

    Args:
        layers: names of layers, at least one.
        order: the names of all layers of a backbone, first to last.

    Raises:
        ValueError: if one of `layers` isn't in `order`.
    """
    for layer in layers:
        if layer not in order:
            raise ArgumentError(
                f"layers of the backbone: {', '.join(order)}",
                repr(layer),
                argument="content_layers",
                verb="and `style_layers` must be",
            )
    return max(layers, key=list(order).index)


def check_layer(name: str, last_layer: str | None) -> None:
    """Raises ValueError if `last_layer` is neither None nor a layer of the backbone."""
    names = layer_names(name)
    if last_layer is not None and last_layer not in names:
        raise ArgumentError(
            f"None or a layer of {name}: {', '.join(names)}",
            repr(last_layer),
            argument="last_layer",
        )


def kernel_shapes(names: Sequence[str]) -> Shapes:
    """The kernel shapes of the convolutions among the first layers of a backbone."""
    shapes, channels = {}, 3
    for layer in names:
        if CONVOLUTION.match(layer):
            filters = VGG_FILTERS[int(layer[5]) - 1]
            shapes[layer] = (3, 3, channels, filters)
            channels = filters
    return shapes


def random_arrays(shapes: Shapes, seed: int) -> Arrays:
    """He initialisation: kernels with deviation sqrt(2 / inputs), and biases of 0.

    Reference:
        He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", arXiv 1502.01852.
    """
    # The sum of four uniform integers is close enough to normal. Unlike NumPy's normal
    # numbers it takes only integer arithmetic: the same on every machine and version.
    bits = np.random.PCG64(seed)
    arrays = {}
    for layer, shape in shapes.items():
        drawn = bits.random_raw(math.prod(shape)).view(np.uint16).reshape(-1, 4)
        unit = (drawn.sum(axis=1, dtype=np.int64) - 2 * 65535) / (65536 / math.sqrt(3))
        kernel = unit.reshape(shape) * math.sqrt(2 / math.prod(shape[:3]))
        arrays[layer] = kernel.astype("float32"), np.zeros(shape[3], "float32")
    return arrays


def build_vgg(
    name: str, names: Sequence[str], shapes: Shapes, pooling: str
) -> keras.Model:
    """Builds a network whose weights are all 0.

    Args:
        name: name of the model.
        names: names of its layers, in order.
        shapes: kernel shapes of its convolutions; its other layers are pooling.
        pooling: `"max"` or `"average"`.
    """
    import keras  # which brings TensorFlow; all else here needs neither

    # Given to every layer, so that no global setting of Keras changes the network.
    fixed: dict[str, Any] = {"dtype": "float32", "data_format": "channels_last"}
    pools = {"max": keras.layers.MaxPool2D, "average": keras.layers.AvgPool2D}
    pixels = keras.Input([None, None, 3], dtype="float32", name="preprocessed_image")
    x = pixels
    for layer in names:
        if layer in shapes:
            x = keras.layers.Conv2D(
                shapes[layer][-1],
                3,
                padding="same",
                activation="relu",
                kernel_initializer="zeros",  # which uses none of Keras' random numbers
                name=layer,
                **fixed,
            )(x)
        else:
            x = pools[pooling](2, strides=2, name=layer, **fixed)(x)
    model = keras.Model(pixels, x, name=name)
    model.trainable = False
    return model
