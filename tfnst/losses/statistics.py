"""Style losses by name, and blends of their targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfnst.losses.channel_moments import MomentsLoss
from tfnst.losses.gram_matrices import GramLoss
from tfnst.losses.neighbors import NeighborsLoss
from tfnst.losses.style import StyleLoss
from tfnst.losses.sums import is_present

# From this stride on, `"neighbors"` compares neighbours. A position of the layers
# before sees less than a stroke, and there are many of them.
_LEAST_STRIDE = 4

_STYLE_LOSSES: dict[str, StyleLoss] = {
    "gram": GramLoss(),
    "moments": MomentsLoss(),
    "neighbors": NeighborsLoss(),
}


def style_loss_of_layer(setting: str | StyleLoss, stride: int) -> StyleLoss:
    """The style loss of a layer.

    Args:
        setting: the setting `style_loss`, a name or an object.
        stride: pixels of the picture, along a side, per position of the layer.
    """
    if not isinstance(setting, str):
        return setting
    if setting == "neighbors" and stride < _LEAST_STRIDE:
        return _STYLE_LOSSES["moments"]
    return _STYLE_LOSSES[setting]


def blend_targets(
    losses: Mapping[str, StyleLoss],
    targets: Mapping[str, Any],
    shares: tf.Tensor,
    with_layer: Mapping[str, tf.Tensor] | None = None,
) -> dict[str, Any]:
    """Targets of S pictures, by layer, blended by their shares.

    A picture whose mask is empty at a layer has no share in that layer.

    Args:
        losses: style losses by layer.
        targets: targets of the pictures by layer, [S, ...].
        shares: share of each picture in each of K blends, [K, S]; rows sum to 1.
        with_layer: True for the pictures with a share in a layer, by layer, bool [S];
            all of them by default.
    """

    def present(layer: str) -> tf.Tensor:
        found = is_present(targets[layer])
        return found if with_layer is None else found & with_layer[layer]

    return {
        layer: losses[layer].blend(each, shares_of_some(shares, present(layer)))
        for layer, each in targets.items()
    }


def shares_of_some(shares: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """The shares [K, S] without those of absent pictures.

    Rows sum to 1, or to 0 if all are absent. The shares are returned as they are if no
    picture is absent.

    Args:
        shares: shares [K, S]; rows sum to 1.
        present: True for the pictures that are present, bool [S].
    """
    left = shares * tf.cast(present, shares.dtype)
    total = tf.reduce_sum(left, axis=1, keepdims=True)
    scaled = tf.math.divide_no_nan(left, total)
    return tf.where(tf.reduce_all(present), shares, scaled)
