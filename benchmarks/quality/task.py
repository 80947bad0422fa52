"""The task that every recipe gets, and the painting that it returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.networks import backbones
from tfnst.ops import resizing

# A run of 1,000 steps at the full size, which is what the recipes of Crowson, Johnson
# and TensorFlow's tutorial spend at 512 pixels: 262 million pixel-evaluations for a
# square.
FULL_STEPS = 1000


class BudgetError(ValueError):
    """The budget is too small for a recipe."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A picture to paint.

    Attributes:
        content: float32 RGB [1, H, W, 3] in [0, 1], at its own size.
        style: as `content`.
        size: long side of the picture to paint, in pixels.
        fraction: pixel-evaluations that may be spent, as a share of 1,000 gradient
            evaluations at the full size.
        content_factor: a factor for the recipe's own content weight.
        backbone: the network; the recipe does the preprocessing.
        weights: path of the backbone's weights, for recipes that load it themselves.
        precision: precision of the network, `"float32"` or `"bfloat16"`.
        seed: seed of everything random.
    """

    content: np.ndarray
    style: np.ndarray
    size: int
    fraction: float
    content_factor: float
    backbone: backbones.Backbone
    weights: str | None
    precision: str = "float32"
    seed: int = 0

    @property
    def budget(self) -> float:
        """Pixel-evaluations: gradient evaluations times the number of pixels."""
        height, width = self.sides(self.size)
        return self.fraction * FULL_STEPS * height * width

    def sides(self, long_side: int) -> tuple[int, int]:
        """Height and width of the content image with a given long side."""
        return fit(self.content, long_side)

    def steps(self) -> int:
        """Gradient evaluations at the full size that the budget allows."""
        height, width = self.sides(self.size)
        steps = int(self.budget / (height * width) + 1e-9)
        if steps < 1:
            raise BudgetError("the budget is too small for a single step")
        return steps


@dataclasses.dataclass(frozen=True)
class Painting:
    """A recipe's result.

    Attributes:
        array: float32 RGB [H, W, 3] in [0, 1].
        spent: pixel-evaluations spent.
        settings: the settings actually used, for the record.
    """

    array: np.ndarray
    spent: int
    settings: dict[str, Any]


def fit(picture: np.ndarray, long_side: int) -> tuple[int, int]:
    """Height and width of a picture [1, H, W, 3] with a given long side."""
    height, width = picture.shape[1:3]
    ratio = long_side / max(height, width)
    return round(height * ratio), round(width * ratio)


def resized(picture: np.ndarray, sides: tuple[int, int]) -> tf.Tensor:
    """A picture at another size, as a tensor; all recipes resize by this method."""
    return tf.convert_to_tensor(resizing.resize_image(picture, *sides))
