"""What every recipe is given, and what it gives back."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfnst import backbones, engine, features

# A run of 1,000 steps at the full size: what Crowson's, the TensorFlow tutorial's and
# Johnson's recipes spend at 512 pixels, 262 million pixel-evaluations of a square.
FULL_STEPS = 1000


class BudgetError(ValueError):
    """A recipe can't be run within so few evaluations."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A picture to paint.

    Attributes:
        content: float32 RGB [1, H, W, 3] in [0, 1], at its own size.
        style: as `content`.
        size: long side of the picture to paint, in pixels.
        fraction: pixel-evaluations that may be spent, as a share of 1,000 gradient
            evaluations at the full size.
        content_factor: what the recipe's own content weight is multiplied by.
        backbone: the network, its preprocessing to be done by the recipe.
        weights: where the backbone came from, for who loads it again.
        seed: of everything random.
    """

    content: np.ndarray
    style: np.ndarray
    size: int
    fraction: float
    content_factor: float
    backbone: backbones.Backbone
    weights: str | None
    seed: int = 0

    @property
    def budget(self) -> float:
        """Pixel-evaluations: gradient evaluations times their number of pixels."""
        height, width = self.sides(self.size)
        return self.fraction * FULL_STEPS * height * width

    def sides(self, long_side: int) -> tuple[int, int]:
        """Height and width of the content image at a long side."""
        return fit(self.content, long_side)

    def steps(self) -> int:
        """Gradient evaluations at the full size that the budget allows."""
        height, width = self.sides(self.size)
        steps = int(self.budget / (height * width) + 1e-9)
        if steps < 1:
            raise BudgetError("not one step fits into the budget")
        return steps


@dataclasses.dataclass(frozen=True)
class Painting:
    """What a recipe has painted.

    Attributes:
        array: float32 RGB [H, W, 3] in [0, 1].
        spent: pixel-evaluations.
        settings: what was really set, for the record.
    """

    array: np.ndarray
    spent: int
    settings: dict


def fit(picture: np.ndarray, long_side: int) -> tuple[int, int]:
    """Height and width of a picture [1, H, W, 3] at a long side."""
    height, width = picture.shape[1:3]
    ratio = long_side / max(height, width)
    return round(height * ratio), round(width * ratio)


def resized(picture: np.ndarray, sides: tuple[int, int]) -> tf.Tensor:
    """A picture at another size; all recipes resize by the same method."""
    return engine.resize_image(picture, *sides)


def zero_padded_extractor(
    backbone: backbones.Backbone, layers: tuple[str, ...]
) -> keras.Model:
    """Pixels as VGG was trained on (BGR, 0 to 255, less the mean) to activations.

    Unlike `tfnst.features.build_feature_extractor` it pads with zeros at the border,
    as everybody but Crowson and tfnst does.
    """
    model = backbone.model
    return keras.Model(model.input, {n: model.get_layer(n).output for n in layers})


def to_caffe(image: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """RGB in [0, 1] to BGR in [0, scale] less ImageNet's mean."""
    return tf.reverse(image, axis=[-1]) * scale - tf.constant(
        features.IMAGENET_MEAN_BGR
    )


def from_caffe(pixels: tf.Tensor, scale: float = 255.0) -> tf.Tensor:
    """The other way round, clipped to [0, 1]."""
    image = tf.reverse(pixels + tf.constant(features.IMAGENET_MEAN_BGR), axis=[-1])
    return tf.clip_by_value(image / scale, 0.0, 1.0)
