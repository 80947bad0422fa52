"""The network as the peers expect it: their pixels and their padding."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tfnst.networks import backbones, features

Extractor = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def build_extractor(
    backbone: backbones.Backbone,
    layers: tuple[str, ...],
    *,
    precision: str = "float32",
    scale: float = 1.0,
    repeat_edge: bool = False,
) -> Extractor:
    """Builds a function from pixels to activations.

    Args:
        backbone: the network.
        layers: names of its layers.
        precision: precision of the layers; activations are float32 either way.
        scale: a factor for all activations.
        repeat_edge: whether the first convolution sees the outermost pixels repeated
            around the picture, instead of the zeros that VGG was trained with.

    Returns:
        Function from pixels [1, H, W, 3] to a dict from layer to activation. It takes
        VGG's pixels (see `to_caffe`) or, with `repeat_edge`, RGB in [0, 1].
    """
    if repeat_edge:
        model = features.build_feature_extractor(
            backbone.model, layers=layers, precision=precision
        )
    else:
        model = _plain(backbone, layers, precision)

    def extract(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        seen = model(pixels)
        return {layer: scale * tf.cast(seen[layer], tf.float32) for layer in layers}

    return extract


def to_caffe(image: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """Converts RGB in [0, 1] to BGR in [0, scale] minus ImageNet's mean."""
    pixels = tf.reverse(image, axis=[-1]) * scale
    return pixels - tf.constant(features.IMAGENET_MEAN_BGR)


def from_caffe(pixels: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """The inverse of `to_caffe`, clipped to [0, 1]."""
    image = tf.reverse(pixels + tf.constant(features.IMAGENET_MEAN_BGR), axis=[-1])
    return tf.clip_by_value(image / scale, 0.0, 1.0)


def _plain(
    backbone: backbones.Backbone, layers: tuple[str, ...], precision: str
) -> keras.Model:
    """A model of the backbone as it is, with zeros around the picture."""
    pixels = x = keras.Input([None, None, 3])
    outputs = {}
    for layer in backbone.model.layers[1:]:
        x = features.rebuild_layer(layer, precision)(x)
        if layer.name in layers:
            outputs[layer.name] = x
    return keras.Model(pixels, outputs)
