"""The feature extractor: pictures in, activations of named layers out.

Preprocessing (RGB in [0, 1] to what VGG was trained on) happens here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

# Mean of ImageNet's pixels, blue, green, red, in [0, 255], that VGG was trained on.
# Simonyan and Zisserman, arXiv 1409.1556; the values are those of
# keras.applications.vgg19.preprocess_input.
IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


class VGGPreprocessing(keras.layers.Layer):
    """RGB in [0, 1] to BGR in [0, 255] less ImageNet's mean, as VGG expects it."""

    def __init__(self, **kwargs):
        # float32 by name, so that a global mixed precision policy can't round pixels.
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def call(self, image):
        return tf.reverse(image, axis=[-1]) * 255.0 - tf.constant(IMAGENET_MEAN_BGR)

    def compute_output_shape(self, input_shape):
        return input_shape


class EdgePadding(keras.layers.Layer):
    """One pixel more on each side, a copy of the outermost one.

    It takes the place of the first convolution's zeros, which to VGG are a grey frame
    around the picture: the optimiser paints against that frame, and the picture gets
    a dark or bright border. github.com/crowsonkb/style-transfer-pytorch pads its first
    convolution in the same way.
    """

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def call(self, pixels):
        return tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        grown = (None if side is None else side + 2 for side in (height, width))
        return (batch, *grown, channels)


def deepest_layer(layers: Sequence[str], *, order: Sequence[str]) -> str:
    """The one of `layers` that comes last in `order`.

    Args:
        layers: layer names to look for.
        order: all layer names of a backbone, first to last.

    Raises:
        ValueError: when one of `layers` isn't in `order`.
    """
    for layer in layers:
        if layer not in order:
            raise ValueError(
                f"`content_layers` and `style_layers` must be layers of the backbone: "
                f"{', '.join(order)}. Received: {layer!r}"
            )
    return max(layers, key=list(order).index)


def build_feature_extractor(
    backbone: keras.Model, *, layers: Sequence[str], precision: str = "float32"
) -> keras.Model:
    """One model that gives the activations of several layers at once.

    Layers behind the deepest one asked for take no part in it. The first convolution
    sees the picture's outermost pixels repeated where VGG has zeros (`EdgePadding`).

    Args:
        backbone: a chain of layers on preprocessed pixels, as
            `tfnst.networks.backbones` builds it, the first of them a convolution.
        layers: names of the layers to look at.
        precision: what the layers compute in and what activations are, `"float32"`
            or `"bfloat16"`. Pictures are float32 in both cases.

    Returns:
        keras.Model that takes float32 RGB [N, H, W, 3] in [0, 1] and returns a dict
        from layer name to activation [N, h, w, C], in `precision`. It isn't trainable.

    Raises:
        ValueError: when the backbone lacks one of the layers.

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
        x = rebuild_layer(layer, precision, padded=layer is chain[0])(x)
        if layer.name in layers:
            outputs[layer.name] = x
    extractor = keras.Model(image, outputs, name="feature_extractor")
    extractor.trainable = False
    return extractor


def layer_strides(extractor: keras.Model) -> dict[str, int]:
    """Pixels of the picture, along a side, for one position of each layer's output."""
    stride, strides = 1, {}
    for layer in extractor.layers:
        if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
            stride *= 2
        if layer.name in extractor.output:
            strides[layer.name] = stride
    return strides


def split_feature_extractor(
    extractor: keras.Model, cut: str | None
) -> list[keras.Model]:
    """A feature extractor as two models, of which the second goes on after the first.

    Args:
        extractor: from `build_feature_extractor`; its layers are shared.
        cut: name of the layer that the first model ends with; None for no cut.

    Returns:
        The models before and behind the cut; one alone where there is no cut. Each
        returns a dict from layer name to activation, the first one that of `cut`, too.
    """
    if cut is None:
        return [extractor]
    # The chain is called anew: a layer's own output may belong to another model.
    x = start = keras.Input([None, None, 3], dtype="float32")
    models, outputs = [], {}
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
    layer: keras.layers.Layer, precision: str, *, padded: bool = False
) -> keras.layers.Layer:
    """A layer of a backbone in a precision, itself if it has that one already.

    Args:
        layer: convolution or pooling, with its weights.
        precision: what it is to compute in, `"float32"` or `"bfloat16"`.
        padded: whether what it sees is padded already; it then pads no more.
    """
    if not padded and layer.dtype_policy.name == precision:
        return layer
    settings = {**layer.get_config(), "dtype": precision}
    if padded:
        settings["padding"] = "valid"
    rebuilt = type(layer).from_config(settings)
    if layer.weights:
        rebuilt.build(layer.input.shape)
        rebuilt.set_weights(layer.get_weights())
    return rebuilt
