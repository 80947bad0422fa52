"""The loss of a tile and its gradient: two passes, compiled for a part of the network.

The loss of a picture follows from sums over positions, which are the sums of its tiles
added up. The first pass finds the sums of a tile. Those of all tiles give the loss and
its gradient with respect to the sums, from which the second pass finds the gradient
with respect to a tile's pixels; it can find the sums again on the way. Another one
describes the tiles of style images.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import KNOBS_SPEC, MASKS_SPEC, Knobs
from tfnst.engines.tiles import Segment
from tfnst.losses.distance import relative
from tfnst.losses.objective import Objective
from tfnst.ops.cropping import crop
from tfnst.ops.masks import masks_at_stride


class View(NamedTuple):
    """A tile as a segment of the network sees it."""

    seen: Any  # pixels or activations of the tile with its halo, [N, H, W, C]
    # Top, left, height and width within the tile of its core and of what counts of it,
    # int32 [4].
    core: Any
    counted: Any
    # Of what counts: targets by content layer, [N, h, w, C]; masks as in
    # `Targets.regions`.
    content: dict[str, Any]
    regions: tuple[Any, ...]


class Parts(NamedTuple):
    """What a loss is computed from; the parts of tiles add up to those of a picture."""

    style: dict[str, Any]  # by style layer, from `StyleStatistic.measure`
    distances: dict[str, Any]  # squared distance to the target by content layer, [N]


class Passes:
    """The compiled passes over the tiles of one segment.

    Args:
        objective: the loss.
        segment: the part of the network that looks at the tiles.
        cut: the layer whose activations go to the next segment; None for the last one.
        masked: whether regions have styles of their own.
    """

    def __init__(
        self,
        objective: Objective,
        segment: Segment,
        cut: str | None,
        *,
        masked: bool = False,
    ) -> None:
        self._objective = objective
        self._masked = masked
        self.segment = segment
        self.cut = cut
        outputs = segment.model.output
        self.style_layers = [k for k in objective.style_layers if k in outputs]
        self.content_layers = [k for k in objective.content_layers if k in outputs]
        self.channels = {k: tensor.shape[-1] for k, tensor in outputs.items()}
        self.dtypes = {k: tf.as_dtype(tensor.dtype) for k, tensor in outputs.items()}

        view = View(
            tf.TensorSpec(segment.model.input.shape, segment.model.input.dtype),
            tf.TensorSpec([4], tf.int32),
            tf.TensorSpec([4], tf.int32),
            {layer: self._activations_spec(layer) for layer in self.content_layers},
            (MASKS_SPEC,) if masked else (),
        )
        style = {layer: objective.style_spec()[layer] for layer in self.style_layers}
        place = tf.TensorSpec([4], tf.int32)
        self.look = tf.function(
            self._look, autograph=False, input_signature=[view, style]
        )
        self.look_at_content = tf.function(
            self._look_at_content, autograph=False, input_signature=[view]
        )
        self.describe = tf.function(
            self._describe, autograph=False, input_signature=[view, place]
        )
        self.parts_spec = self._build_parts_spec()
        at_cut = {self.cut: self._activations_spec(self.cut)} if self.cut else {}
        self.gradient = tf.function(
            self._gradient,
            autograph=False,
            input_signature=[view, style, self.parts_spec, at_cut],
        )
        self.parts_and_gradient = tf.function(
            self._parts_and_gradient,
            autograph=False,
            input_signature=[view, style, self.parts_spec, at_cut],
        )
        self.look_and_gradient = tf.function(
            self._look_and_gradient,
            autograph=False,
            input_signature=[
                view,
                (tf.TensorSpec([None]),) if masked else (),
                {layer: tf.TensorSpec([None]) for layer in self.content_layers},
                style,
                KNOBS_SPEC,
            ],
        )
        self.weigh = tf.function(self._weigh, autograph=False)

    def room(self, layer: str, shape: tuple[int, ...]) -> np.ndarray:
        """Zeros for a layer's activations of inputs of a shape [N, H, W, C]."""
        count, *sides, _ = shape
        sides = [side // self.segment.strides[layer] for side in sides]
        dtype = self.dtypes[layer].as_numpy_dtype
        return np.zeros([count, *sides, self.channels[layer]], dtype)

    def _activations_spec(self, layer: str) -> tf.TensorSpec:
        shape = [None, None, None, self.channels[layer]]
        return tf.TensorSpec(shape, self.dtypes[layer])

    def _build_parts_spec(self) -> Parts:
        return Parts(
            {
                layer: self._objective.statistics[layer].measured_spec(
                    self.channels[layer], regions=self._masked
                )
                for layer in self.style_layers
            },
            {layer: tf.TensorSpec([None]) for layer in self.content_layers},
        )

    def _look(
        self, view: View, style: dict[str, Any]
    ) -> tuple[Parts, dict[str, tf.Tensor]]:
        """The parts of the loss that a tile contributes.

        Args:
            view: the tile.
            style: style targets by layer.

        Returns:
            (parts, activations of the core at the cut by layer).
        """
        seen = self.segment.model(view.seen)
        counted = self._crop_all(seen, view.counted)
        statistics = self._objective.statistics
        parts = Parts(
            {
                layer: statistics[layer].measure(
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
        return parts, self._at_cut(seen, view)

    def _look_at_content(
        self, view: View
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """What a tile contributes to the content targets.

        Returns:
            (content activations by layer, their energies by layer, activations at the
            cut by layer).
        """
        seen = self.segment.model(view.seen)
        counted = self._crop_all(seen, view.counted)
        content = {layer: counted[layer] for layer in self.content_layers}
        energies = {
            layer: tf.reduce_sum(
                tf.square(tf.cast(activations, tf.float32)), axis=[1, 2, 3]
            )
            for layer, activations in content.items()
        }
        return content, energies, self._at_cut(seen, view)

    def _describe(
        self, view: View, place: tf.Tensor
    ) -> tuple[dict[str, Any], dict[str, tf.Tensor]]:
        """What a tile contributes to the description of a style image.

        Args:
            view: the tile.
            place: row and column of the core's first position in the picture, and
                height and width of the picture, int32 [4].

        Returns:
            (descriptions by layer, activations at the cut by layer).
        """
        seen, strides = self.segment.model(view.seen), self.segment.strides
        counted = self._crop_all(seen, view.counted)
        described = {}
        for layer in self.style_layers:
            described[layer] = self._objective.statistics[layer].describe(
                counted[layer], self._weights(view, layer), place // strides[layer]
            )
        return described, self._at_cut(seen, view)

    def _crop_all(
        self, seen: dict[str, tf.Tensor], part: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The activations of a part of a tile, by layer."""
        strides = self.segment.strides
        return {layer: _crop(seen[layer], part, strides[layer]) for layer in seen}

    def _at_cut(self, seen: dict[str, tf.Tensor], view: View) -> dict[str, tf.Tensor]:
        """The activations of a tile's core at the cut, by layer."""
        if not self.cut:
            return {}
        stride = self.segment.strides[self.cut]
        return {self.cut: _crop(seen[self.cut], view.core, stride)}

    def _weights(self, view: View, layer: str) -> tf.Tensor | None:
        """The masks of the regions on a layer's grid, if there are regions."""
        if not view.regions:
            return None
        return masks_at_stride(view.regions[0], self.segment.strides[layer])

    def _gradient(
        self,
        view: View,
        style: dict[str, Any],
        upstream: Parts,
        at_cut: dict[str, tf.Tensor],
    ) -> tf.Tensor:
        """The gradient of what a tile's core adds to the total loss.

        Args:
            view: the tile.
            style: style targets by layer.
            upstream: gradient of the total loss with respect to the parts.
            at_cut: the same with respect to the core's activations at the cut.

        Returns:
            Gradient with respect to `view.seen`.
        """
        # The parts themselves aren't computed where nobody asks for them.
        return self._parts_and_gradient(view, style, upstream, at_cut)[1]

    def _parts_and_gradient(
        self,
        view: View,
        style: dict[str, Any],
        upstream: Parts,
        at_cut: dict[str, tf.Tensor],
    ) -> tuple[Parts, tf.Tensor]:
        """As `_gradient`, with the parts of the loss that the tile contributes."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(view.seen)
            parts, cut = self._look(view, style)
        gradient = tape.gradient(
            _flat(parts, cut), view.seen, output_gradients=_flat(upstream, at_cut)
        )
        return parts, gradient

    def _look_and_gradient(
        self,
        view: View,
        shares: tuple[tf.Tensor, ...],
        energies: dict[str, tf.Tensor],
        style: dict[str, Any],
        knobs: Knobs,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Both passes at once, for a last segment that sees everything in one tile.

        Returns:
            (content loss [N], style loss [N], gradient with respect to `view.seen`).
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(view.seen)
            parts, _ = self._look(view, style)
        content_loss, style_loss, upstream = self._weigh(
            parts, shares, energies, style, knobs
        )
        gradient = tape.gradient(
            _flat(parts, {}), view.seen, output_gradients=_flat(upstream, {})
        )
        return content_loss, style_loss, gradient

    def _weigh(
        self,
        parts: Parts,
        shares: tuple[tf.Tensor, ...],
        energies: dict[str, tf.Tensor],
        style: dict[str, Any],
        knobs: Knobs,
    ) -> tuple[tf.Tensor, tf.Tensor, Parts]:
        """The losses that follow from the parts of a whole picture.

        Args:
            parts: of this segment's layers.
            shares: of the picture that regions cover, [K]; empty without regions.
            energies: of the content targets, by layer, [N].
            style: style targets by layer.
            knobs: scalars.

        Returns:
            (content loss [N], style loss [N], gradient of the weighted total loss with
            respect to the parts).
        """
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([parts.style, parts.distances])
            style_loss = tf.constant(0.0)
            if self.style_layers:
                style_loss = self._objective.style_loss(parts.style, style)
                for share in shares:
                    style_loss = tf.reduce_sum(share * style_loss, keepdims=True)
            content_loss = tf.constant(0.0)
            for layer in self.content_layers:
                weight = self._objective.content_layers[layer]
                share = relative(parts.distances[layer], energies[layer])
                content_loss += weight * share
            total = (
                knobs.content_weight * content_loss + knobs.style_weight * style_loss
            )
        zero = tf.UnconnectedGradients.ZERO
        measured, distances = tape.gradient(
            total, [parts.style, parts.distances], unconnected_gradients=zero
        )
        return content_loss, style_loss, Parts(measured, distances)


def _flat(parts: Parts, at_cut: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    """Everything that has a gradient, as a list."""
    return [*tf.nest.flatten(parts), *at_cut.values()]


def _crop(activations: tf.Tensor, part: tf.Tensor, stride: int) -> tf.Tensor:
    """A part of a tile's activations, one for each `stride` positions."""
    top, left = part[0] // stride, part[1] // stride
    bottom, right = (part[0] + part[2]) // stride, (part[1] + part[3]) // stride
    return crop(activations, top, left, bottom - top, right - left)
