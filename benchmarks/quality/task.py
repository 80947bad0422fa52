"""What every recipe is given, and what it gives back."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfnst.networks import backbones
from tfnst.ops import resizing

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
        precision: what the network computes in, `"float32"` or `"bfloat16"`.
        seed: of everything random.
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
    return resizing.resize_image(picture, *sides)
