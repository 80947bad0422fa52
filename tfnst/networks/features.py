"""The feature extractor: pictures in, activations of named layers out.

Preprocessing (RGB in [0, 1] to what VGG was trained on) happens here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfnst.networks.layers import PORTABLE_LAYERS, LayerKinds
from tfnst.networks.vgg import deepest_layer
from tfnst.ops.borders import Border

# The mean of ImageNet's pixels (blue, green, red, in [0, 255]), subtracted when VGG was
# trained: Simonyan and Zisserman, arXiv 1409.1556. The values are the ones in
# keras.applications.vgg19.preprocess_input.
IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)

Shape = tuple[int | None, ...]


class VGGPreprocessing(keras.layers.Layer):
    """Converts RGB in [0, 1] to BGR in [0, 255] minus ImageNet's mean, VGG's input."""

    def __init__(self, **kwargs: Any) -> None:
        # float32 explicitly: a global mixed precision policy must not round pixels.
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def call(self, image: tf.Tensor) -> tf.Tensor:
        return tf.reverse(image, axis=[-1]) * 255.0 - tf.constant(IMAGENET_MEAN_BGR)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


class EdgePadding(keras.layers.Layer):
    """Adds one pixel on each side, a copy of the outermost one.

    It replaces the first convolution's zero padding, which VGG sees as a grey frame
    around the picture: the optimiser paints against that frame, and the picture gets a
    dark or bright border. github.com/crowsonkb/style-transfer-pytorch pads its first
    convolution in the same way.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        return tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        grown = (None if side is None else side + 2 for side in (height, width))
        return (batch, *grown, channels)


def build_feature_extractor(
    backbone: keras.Model,
    *,
    layers: Sequence[str],
    precision: str = "float32",
    kinds: LayerKinds = PORTABLE_LAYERS,
) -> keras.Model:
    """Builds one model that returns the activations of several layers.

    Layers after the deepest one asked for are left out. The first convolution sees the
    picture's outermost pixels repeated where VGG pads with zeros (`EdgePadding`).

    Args:
        backbone: a chain of layers on preprocessed pixels, as built by
            `tfnst.networks.backbones`, starting with a convolution.
        layers: names of the layers whose activations to return.
        precision: type in which the layers compute and of their activations,
            `"float32"` or `"bfloat16"`. Pictures are float32 either way.
        kinds: classes of the layers, by the classes of the backbone's layers; see
            `tfnst.networks.layers`.

    Returns:
        keras.Model that takes float32 RGB [N, H, W, 3] in [0, 1] and returns a dict
        from layer name to activation [N, h, w, C], in `precision`. It isn't trainable.

    Raises:
        ValueError: if the backbone lacks one of the layers.

    Reference:
        https://keras.io/api/applications/#extract-features-from-an-arbitrary-intermediate-layer
    """
    chain = backbone.layers[1:]
    names = [layer.name for layer in chain]
    last = deepest_layer(layers, order=names)
    image = keras.Input([None, None, 3], dtype="float32", name="image")
    x = EdgePadding(name="edge_padding")(VGGPreprocessing(name="preprocessing")(image))
    outputs = {}
    for layer in chain[: names.index(last) + 1]:
        x = rebuild_layer(layer, precision, kinds, padded=layer is chain[0])(x)
        if layer.name in layers:
            outputs[layer.name] = x
    extractor = keras.Model(image, outputs, name="feature_extractor")
    extractor.trainable = False
    return extractor


def layer_strides(extractor: keras.Model) -> dict[str, int]:
    """Pixels of the picture, along a side, per position of each layer's output."""
    stride, strides = 1, {}
    for layer in extractor.layers:
        if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
            stride *= 2
        if layer.name in extractor.output:
            strides[layer.name] = stride
    return strides


def layer_reach(extractor: keras.Model) -> tuple[int, int]:
    """Number of positions of the input that the features see beyond their own.

    Args:
        extractor: a chain of 3 x 3 convolutions and poolings.

    Returns:
        (above and to the left, below and to the right), both rounded up to a multiple
        of the longest stride.
    """
    stride, before, behind = 1, 0, 0
    for layer in extractor.layers:
        if isinstance(layer, keras.layers.Conv2D):
            reach = layer.kernel_size[0] // 2 * stride
            before, behind = before + reach, behind + reach
        elif isinstance(
            layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
        ):
            behind += stride
            stride *= 2
    longest = max(layer_strides(extractor).values())
    return -(-before // longest) * longest, -(-behind // longest) * longest


def picture_border(extractor: keras.Model, *, seamless: bool = False) -> Border:
    """The border through which an extractor sees pictures.

    Args:
        extractor: model from `build_feature_extractor`.
        seamless: True if the pictures continue at their opposite edges.
    """
    stride = max(layer_strides(extractor).values())
    if not seamless:
        return Border.mirrored(stride)
    return Border(stride, *layer_reach(extractor), wrap=True)


def split_feature_extractor(
    extractor: keras.Model, cut: str | None
) -> list[keras.Model]:
    """Splits a feature extractor in two: the second model continues the first.

    Args:
        extractor: model from `build_feature_extractor`; its layers are shared.
        cut: name of the first model's last layer, or None for no cut.

    Returns:
        The models before and after the cut, or just one if there is no cut. Each
        returns a dict from layer name to activation; the first one's includes `cut`.
    """
    if cut is None:
        return [extractor]
    # The layers are called again: a layer's own output may belong to another model.
    x = start = keras.Input([None, None, 3], dtype="float32")
    models: list[keras.Model] = []
    outputs = {}
    for layer in extractor.layers[1:]:
        x = layer(x)
        if layer.name in extractor.output or layer.name == cut:
            outputs[layer.name] = x
        if layer.name == cut:
            models.append(keras.Model(start, outputs))
            x = start = keras.Input(x.shape[1:], dtype=x.dtype)
            outputs = {}
    return [*models, keras.Model(start, outputs)]


def rebuild_layer(
    layer: keras.layers.Layer,
    precision: str,
    kinds: LayerKinds = PORTABLE_LAYERS,
    *,
    padded: bool = False,
) -> keras.layers.Layer:
    """A copy of a backbone's layer.

    Args:
        layer: a convolution or pooling layer with its weights.
        precision: type in which it computes, `"float32"` or `"bfloat16"`.
        kinds: as for `build_feature_extractor`.
        padded: True if its input is already padded; the copy then doesn't pad.
    """
    settings = {**layer.get_config(), "dtype": precision}
    if padded:
        settings["padding"] = "valid"
    rebuilt = kinds.get(type(layer), type(layer)).from_config(settings)
    if layer.weights:
        rebuilt.build(keras.ops.shape(layer.input))
        rebuilt.set_weights(layer.get_weights())
    return rebuilt
