"""Forward and backward pass of one tile, compiled for a segment of the network.

This is reverse-mode differentiation by hand. The loss of a picture follows from
statistics, sums over positions, which are the statistics of its tiles added up. The
forward pass finds the statistics of a tile. Those of the picture give the losses and
the cotangents, the gradient of the total loss with respect to the statistics. From
these the backward pass finds the gradient with respect to a tile's pixels.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import tensorflow as tf

from tfnst.engines.compiling import compiled, output_spec
from tfnst.engines.engine import MASKS_SPEC
from tfnst.engines.tiles import NetworkSegment
from tfnst.losses.distance import relative
from tfnst.losses.objective import Objective
from tfnst.losses.terms import LossWeights
from tfnst.ops.cropping import crop
from tfnst.ops.masks import masks_at_stride


class View(NamedTuple):
    """A tile as a segment of the network sees it.

    `regions` is a tuple because TensorFlow's signatures have no None.
    """

    seen: Any  # pixels or activations of the tile with its halo, [N, H, W, C]
    # Top, left, height and width within the tile of its core and of what counts of it,
    # int32 [4].
    core: Any
    counted: Any
    # Of what counts: targets by content layer, [N, h, w, C]; the masks of the regions,
    # [K, h, w, 1], if there are any.
    content: dict[str, Any]
    regions: tuple[Any, ...]


class Statistics(NamedTuple):
    """Sums that the losses follow from; those of tiles add up to those of a picture."""

    style: dict[str, Any]  # by style layer, from `StyleLoss.measure`
    content: dict[str, Any]  # squared distance to the target by content layer, [N]


class TilePasses:
    """The compiled passes over a tile of one segment.

    Args:
        objective: the loss and its targets.
        segment: the part of the network.
        cut: the layer whose activations go to the next segment; None for the last one.
        style_spec: shapes of the style targets by layer.
        masked: True for passes with the masks of regions or style images.
    """

    def __init__(
        self,
        objective: Objective,
        segment: NetworkSegment,
        cut: str | None,
        style_spec: dict[str, Any],
        *,
        masked: bool,
    ) -> None:
        self._objective = objective
        self._segment = segment
        self._cut = cut
        self.style_layers = [k for k in objective.style_layers if k in segment.strides]
        self.content_layers = [
            k for k in objective.content_layers if k in segment.strides
        ]
        seen = segment.model.input
        self._view_spec = View(
            tf.TensorSpec(seen.shape, seen.dtype),
            tf.TensorSpec([4], tf.int32),
            tf.TensorSpec([4], tf.int32),
            {layer: self._activations_spec(layer) for layer in self.content_layers},
            (MASKS_SPEC,) if masked else (),
        )
        self._style_spec = {layer: style_spec[layer] for layer in self.style_layers}
        self._at_cut_spec = {cut: self._activations_spec(cut)} if cut else {}
        place = tf.TensorSpec([4], tf.int32)
        self.describe = compiled(self._describe, self._view_spec, place)
        self.content = compiled(self._content, self._view_spec)
        self.forward = compiled(self._forward, self._view_spec, self._style_spec)
        self.cotangents = tf.function(self._cotangents, autograph=False)
        scalar, numbers = tf.TensorSpec([]), tf.TensorSpec([None])
        self.both_passes = compiled(
            self._both_passes,
            self._view_spec,
            (numbers,) if masked else (),
            dict.fromkeys(self.content_layers, numbers),
            self._style_spec,
            LossWeights(scalar, scalar, scalar),
        )

    @functools.cached_property
    def statistics_spec(self) -> Statistics:
        """The shapes of the statistics, with None for N or K."""
        return output_spec(self.forward)[0]

    @functools.cached_property
    def backward(self) -> Any:
        """`_backward`, compiled."""
        return self._compiled_backward(self._backward)

    @functools.cached_property
    def forward_and_backward(self) -> Any:
        """`_forward_and_backward`, compiled."""
        return self._compiled_backward(self._forward_and_backward)

    def _compiled_backward(self, function: Any) -> Any:
        return compiled(
            function,
            self._view_spec,
            self._style_spec,
            self.statistics_spec,
            self._at_cut_spec,
        )

    def _activations_spec(self, layer: str) -> tf.TensorSpec:
        output = self._segment.model.output[layer]
        return tf.TensorSpec([None, None, None, output.shape[-1]], output.dtype)

    def _forward(
        self, view: View, style: dict[str, Any]
    ) -> tuple[Statistics, dict[str, tf.Tensor]]:
        """The statistics of a tile.

        Args:
            view: the tile.
            style: style targets by layer.

        Returns:
            (statistics, activations of the core at the cut by layer).
        """
        counted, at_cut = self._activations(view)
        losses = self._objective.style_losses
        statistics = Statistics(
            {
                layer: losses[layer].measure(
                    counted[layer], style[layer], self._weights(view, layer)
                )
                for layer in self.style_layers
            },
            {
                layer: tf.reduce_sum(
                    tf.math.squared_difference(
                        tf.cast(counted[layer], tf.float32),
                        tf.cast(view.content[layer], tf.float32),
                    ),
                    axis=[1, 2, 3],
                )
                for layer in self.content_layers
            },
        )
        return statistics, at_cut

    def _content(
        self, view: View
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """The content targets of a tile.

        Returns:
            (content activations by layer, their energies by layer, activations at the
            cut by layer).
        """
        counted, at_cut = self._activations(view)
        content = {layer: counted[layer] for layer in self.content_layers}
        energies = {
            layer: tf.reduce_sum(
                tf.square(tf.cast(activations, tf.float32)), axis=[1, 2, 3]
            )
            for layer, activations in content.items()
        }
        return content, energies, at_cut

    def _describe(
        self, view: View, place: tf.Tensor
    ) -> tuple[dict[str, Any], dict[str, tf.Tensor]]:
        """The description of a tile of a style image.

        Args:
            view: the tile.
            place: row and column of the core's first position in the picture, and
                height and width of the picture, int32 [4].

        Returns:
            (descriptions by layer, activations at the cut by layer).
        """
        counted, at_cut = self._activations(view)
        losses, strides = self._objective.style_losses, self._segment.strides
        described = {
            layer: losses[layer].describe(
                counted[layer], self._weights(view, layer), place // strides[layer]
            )
            for layer in self.style_layers
        }
        return described, at_cut

    def _cotangents(
        self,
        statistics: Statistics,
        shares: tuple[tf.Tensor, ...],
        energies: dict[str, tf.Tensor],
        style: dict[str, Any],
        weights: LossWeights,
    ) -> tuple[tf.Tensor, tf.Tensor, Statistics]:
        """The losses that follow from statistics, and their gradient.

        Args:
            statistics: statistics of a whole picture.
            shares: share of the picture that each region covers, [K]; empty without
                regions.
            energies: energies of the content targets by layer, [N].
            style: style targets by layer.
            weights: weights of the losses.

        Returns:
            (content loss [N], style loss [N], gradient of the weighted total loss with
            respect to the statistics).
        """
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([statistics.style, statistics.content])
            style_loss = tf.constant(0.0)
            if self.style_layers:
                style_loss = self._objective.style_loss(statistics.style, style)
                for share in shares:
                    style_loss = tf.reduce_sum(share * style_loss, keepdims=True)
            content_loss = tf.constant(0.0)
            for layer in self.content_layers:
                weight = self._objective.content_layers[layer]
                share = relative(statistics.content[layer], energies[layer])
                content_loss += weight * share
            total = weights.content * content_loss + weights.style * style_loss
        zero = tf.UnconnectedGradients.ZERO
        by_style, by_content = tape.gradient(
            total,
            [statistics.style, statistics.content],
            unconnected_gradients=zero,
        )
        return content_loss, style_loss, Statistics(by_style, by_content)

    def _backward(
        self,
        view: View,
        style: dict[str, Any],
        cotangents: Statistics,
        at_cut: dict[str, tf.Tensor],
    ) -> tf.Tensor:
        """The gradient of what a tile's core adds to the total loss.

        Args:
            view: the tile.
            style: style targets by layer.
            cotangents: gradient of the total loss with respect to the statistics.
            at_cut: the same with respect to the core's activations at the cut.

        Returns:
            Gradient with respect to `view.seen`.
        """
        # TensorFlow leaves out the statistics, which nothing depends on.
        return self._forward_and_backward(view, style, cotangents, at_cut)[1]

    def _forward_and_backward(
        self,
        view: View,
        style: dict[str, Any],
        cotangents: Statistics,
        at_cut: dict[str, tf.Tensor],
    ) -> tuple[Statistics, tf.Tensor]:
        """As `_backward`, with the statistics of the tile."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(view.seen)
            statistics, cut = self._forward(view, style)
        gradient = tape.gradient(
            _flat(statistics, cut),
            view.seen,
            output_gradients=_flat(cotangents, at_cut),
        )
        return statistics, gradient

    def _both_passes(
        self,
        view: View,
        shares: tuple[tf.Tensor, ...],
        energies: dict[str, tf.Tensor],
        style: dict[str, Any],
        weights: LossWeights,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Losses and gradient of a picture that is a single tile of the last segment.

        Returns:
            (content loss [N], style loss [N], gradient with respect to `view.seen`).
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(view.seen)
            statistics, _ = self._forward(view, style)
        content_loss, style_loss, cotangents = self._cotangents(
            statistics, shares, energies, style, weights
        )
        gradient = tape.gradient(
            _flat(statistics, {}), view.seen, output_gradients=_flat(cotangents, {})
        )
        return content_loss, style_loss, gradient

    def _activations(
        self, view: View
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """The activations that count of a tile, and its core's at the cut, by layer."""
        seen, strides = self._segment.model(view.seen), self._segment.strides
        counted = {k: _crop(seen[k], view.counted, strides[k]) for k in seen}
        if self._cut is None:
            return counted, {}
        at_cut = _crop(seen[self._cut], view.core, strides[self._cut])
        return counted, {self._cut: at_cut}

    def _weights(self, view: View, layer: str) -> tf.Tensor | None:
        """The masks of the regions on a layer's grid, if there are regions."""
        if not view.regions:
            return None
        return masks_at_stride(view.regions[0], self._segment.strides[layer])


def _flat(statistics: Statistics, at_cut: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    """Everything that has a gradient, as a list."""
    return [*tf.nest.flatten(statistics), *at_cut.values()]


def _crop(activations: tf.Tensor, part: tf.Tensor, stride: int) -> tf.Tensor:
    """A part of a tile's activations, one for each `stride` positions."""
    top, left = part[0] // stride, part[1] // stride
    bottom, right = (part[0] + part[2]) // stride, (part[1] + part[3]) // stride
    return crop(activations, top, left, bottom - top, right - left)
