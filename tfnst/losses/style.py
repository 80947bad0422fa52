"""The base class of style losses, which compare a layer of two pictures."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class StyleLoss:
    """Base class of losses of a style layer.

    A loss of one's own derives from this class and has two methods, `describe` and
    `distance`; an object of it is the setting `style_loss`. Methods are pure functions
    of tensors. ::

        target = loss.target(loss.describe(style_activations))  # once for each scale
        measured = loss.measure(activations, target)  # in each step
        style_loss = loss.distance(measured, target)

    Descriptions and measurements of many losses are sums over positions. Such a loss
    sets `additive`, and can then be computed in tiles, with masks and regions, and in
    an exported model; `describe` gets `weights` and `place` for it.

    Attributes:
        additive: True if descriptions and measurements of the tiles of a picture,
            added up, are those of the picture.
        kept: copies of an activation, in float32, that the gradient holds in memory;
            with regions, as many for each of them.
    """

    additive = False
    kept = 0

    def describe(
        self,
        activations: tf.Tensor,
        weights: tf.Tensor | None = None,
        place: tf.Tensor | None = None,
    ) -> Any:
        """Statistics of the style image's activations.

        Args:
            activations: of one layer, [N, H, W, C].
            weights: weight of each position of a single picture in each of K regions,
                [K, H, W, 1]; the result has K in place of N. Only for additive losses.
            place: row and column of a tile's first position in its picture, and height
                and width of the whole layer, int32 [4]; None for a whole picture. Only
                for additive losses.

        Returns:
            A tensor or a structure of tensors.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `describe`")

    def target(self, description: Any) -> Any:
        """Tensors [N, ...] that stay of a description; by default the whole of it."""
        return description

    def measure(
        self, activations: tf.Tensor, target: Any, weights: tf.Tensor | None = None
    ) -> Any:
        """Statistics of the picture's activations; by default their description.

        Args:
            activations: of one layer, [N, H, W, C].
            target: from `target` or `blend`; a first dimension of 1 serves all N.
            weights: as for `describe`.
        """
        if weights is None:
            return self.describe(activations)
        return self.describe(activations, weights)

    def distance(self, measured: Any, target: Any) -> tf.Tensor:
        """The loss of the layer, [N]: dimensionless, 0 at the target.

        Args:
            measured: from `measure`.
            target: from `target` or `blend`; a first dimension of 1 serves all N.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `distance`")

    def blend(self, targets: Any, shares: tf.Tensor) -> Any:
        """Targets of pictures composed of several others; by default weighted means.

        Args:
            targets: of S pictures, tensors [S, ...].
            shares: share of each picture in each of K blends, [K, S]; rows sum to 1.

        Returns:
            The same structure with [K, ...].
        """
        return tf.nest.map_structure(
            lambda each: tf.tensordot(shares, each, axes=1), targets
        )


def require_additive(loss: StyleLoss) -> None:
    """Checks that a loss can be computed for parts of a picture.

    Raises:
        ValueError: if it can't.
    """
    if not loss.additive:
        kind = type(loss)
        raise ValueError(
            "`style_loss` must be `additive` for masks, regions, tiles and exports; "
            "see `tfnst.losses.StyleLoss`. "
            f"Received: {kind.__module__}.{kind.__qualname__}"
        )
