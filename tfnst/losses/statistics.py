"""Style statistics by name: how the activations of two pictures are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from tfnst.losses.channel_moments import MomentsStatistic
from tfnst.losses.gram_matrices import GramStatistic
from tfnst.losses.sums import is_present


class StyleStatistic(Protocol):
    """How the activations of a style layer are compared with the style image's.

    The objective measures the activations of each style layer, turns what it measured
    of the style image into targets, and minimises the distance between the two. All
    methods are pure functions of tensors.
    """

    @property
    def additive(self) -> bool:
        """Whether `measure` gives `tfnst.losses.sums.ActivationSums`.

        The sums of tiles add up to those of the whole picture, so only additive
        statistics can be painted in tiles.
        """
        ...

    def measure(self, activations: tf.Tensor, weights: tf.Tensor | None = None) -> Any:
        """What the distance is computed from.

        Args:
            activations: of one layer, [N, H, W, C].
            weights: how much each position of a single picture counts in each of K
                regions, [K, H, W, 1]; the result then has K in place of N.
        """
        ...

    def targets(self, measured: Any) -> Any:
        """What is kept of the style image, from `measure`: tensors [N, ...]."""
        ...

    def distance(
        self,
        measured: Sequence[Any],
        targets: Sequence[Any],
        *,
        layer_weights: Sequence[float],
    ) -> tf.Tensor:
        """The style loss [N]: dimensionless, 0 at the targets.

        Args:
            measured: one result of `measure` per layer.
            targets: one result of `targets` per layer; a first dimension of 1 serves
                all N.
            layer_weights: one weight per layer.
        """
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


_STATISTICS: dict[str, StyleStatistic] = {
    "gram": GramStatistic(),
    "moments": MomentsStatistic(),
}


def build_statistic(name: str) -> StyleStatistic:
    """The statistic that the setting `style_loss` names."""
    return _STATISTICS[name]


def blend_targets(
    statistic: StyleStatistic, targets: Mapping[str, Any], shares: tf.Tensor
) -> dict[str, Any]:
    """Targets of S pictures, by layer, blended by their shares [K, S].

    A picture of which a mask leaves nothing at a layer has no share in that layer.
    """
    return {
        layer: statistic.blend(each, _shares_of_present(each, shares))
        for layer, each in targets.items()
    }


def _shares_of_present(targets: Any, shares: tf.Tensor) -> tf.Tensor:
    """The shares without those of absent pictures; rows sum to 1, or to 0 if all are.

    They are returned as they are if no picture is absent.
    """
    present = is_present(targets)
    left = shares * tf.cast(present, shares.dtype)
    total = tf.reduce_sum(left, axis=1, keepdims=True)
    scaled = tf.math.divide_no_nan(left, total)
    return tf.where(tf.reduce_all(present), shares, scaled)
