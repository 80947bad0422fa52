"""Style statistics by name: how the activations of two pictures are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import tensorflow as tf

from tfnst.losses.channel_moments import MomentsStatistic
from tfnst.losses.gram_matrices import GramStatistic
from tfnst.losses.neighbors import NeighborsStatistic
from tfnst.losses.sums import is_present

# From this stride on, `"neighbors"` looks at neighbours. A position of the layers
# before sees less than a stroke, and there are many of them.
_LEAST_STRIDE = 4


class StyleStatistic(Protocol):
    """How the activations of a style layer are compared with the style image's.

    The style image is described, and targets are made of the description. The picture
    is measured, and has a distance to the targets. All methods are pure functions of
    tensors. A large picture is looked at in tiles: the descriptions and the
    measurements of its tiles, added up, are those of the picture.
    """

    @property
    def kept(self) -> int:
        """How many copies of an activation, in float32, its gradient needs.

        With regions, it needs as many for each of them.
        """
        ...

    def describe(
        self,
        activations: tf.Tensor,
        weights: tf.Tensor | None = None,
        place: tf.Tensor | None = None,
    ) -> Any:
        """What the targets are made of.

        Args:
            activations: of one layer, [N, H, W, C].
            weights: how much each position of a single picture counts, [1, H, W, 1].
            place: of a tile in its picture: the row and column of its first position,
                and height and width of the whole layer, int32 [4]. None for a whole
                picture.
        """
        ...

    def targets(self, described: Any) -> Any:
        """What is kept of the style image: tensors [N, ...]."""
        ...

    def measure(
        self, activations: tf.Tensor, targets: Any, weights: tf.Tensor | None = None
    ) -> Any:
        """What the distance is computed from.

        Args:
            activations: of one layer, [N, H, W, C].
            targets: from `targets` or `blend`; a first dimension of 1 serves all N.
            weights: how much each position of a single picture counts in each of K
                regions, [K, H, W, 1]; the result then has K in place of N.
        """
        ...

    def distance(self, measured: Any, targets: Any) -> tf.Tensor:
        """The style loss of the layer, [N]: dimensionless, 0 at the targets."""
        ...

    def blend(self, targets: Any, shares: tf.Tensor) -> Any:
        """Targets of pictures that are composed of several others.

        Args:
            targets: of S pictures, tensors [S, ...].
            shares: of each picture in each of K blends, [K, S]; rows sum to 1.

        Returns:
            The same structure with [K, ...].
        """
        ...

    def spec(self, channels: int) -> Any:
        """The shapes of the targets of a layer, with None for N."""
        ...

    def measured_spec(self, channels: int, *, regions: bool) -> Any:
        """The shapes of what `measure` gives for a layer, with None for N or K."""
        ...


# From the stride of a layer to its statistic.
_STATISTICS: dict[str, Callable[[int], StyleStatistic]] = {
    "gram": lambda _: GramStatistic(),
    "moments": lambda _: MomentsStatistic(),
    "neighbors": lambda stride: (
        NeighborsStatistic() if stride >= _LEAST_STRIDE else MomentsStatistic()
    ),
}


def build_statistics(
    style_loss: str, strides: Mapping[str, int]
) -> dict[str, StyleStatistic]:
    """The statistic of each style layer.

    Args:
        style_loss: the setting of that name.
        strides: pixels of the picture, along a side, per position of each style layer.
    """
    return {layer: _STATISTICS[style_loss](s) for layer, s in strides.items()}


def blend_targets(
    statistics: Mapping[str, StyleStatistic],
    targets: Mapping[str, Any],
    shares: tf.Tensor,
    speaking: Mapping[str, tf.Tensor] | None = None,
) -> dict[str, Any]:
    """Targets of S pictures, by layer, blended by their shares.

    A picture of which a mask leaves nothing at a layer has no share in that layer.

    Args:
        statistics: by layer.
        targets: of the pictures, [S, ...].
        shares: of each picture in each of K blends, [K, S]; rows sum to 1.
        speaking: by layer, which of the pictures have a share in it, bool [S]; all of
            them by default.
    """

    def present(layer: str) -> tf.Tensor:
        found = is_present(targets[layer])
        return found if speaking is None else found & speaking[layer]

    return {
        layer: statistics[layer].blend(each, shares_of_some(shares, present(layer)))
        for layer, each in targets.items()
    }


def shares_of_some(shares: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """The shares [K, S] without those of absent pictures.

    Rows sum to 1, or to 0 if all are absent. The shares are returned as they are if no
    picture is absent.

    Args:
        shares: [K, S]; rows sum to 1.
        present: which of the pictures are present, bool [S].
    """
    left = shares * tf.cast(present, shares.dtype)
    total = tf.reduce_sum(left, axis=1, keepdims=True)
    scaled = tf.math.divide_no_nan(left, total)
    return tf.where(tf.reduce_all(present), shares, scaled)
