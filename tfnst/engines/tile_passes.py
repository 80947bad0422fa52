"""The loss of a tile and its gradient: two passes, compiled for a part of the network.

The loss of a picture follows from sums over positions, which are the sums of its tiles
added up. The first pass finds the sums of a tile. Those of all tiles give the loss and
its gradient with respect to the sums, from which the second pass finds the gradient
with respect to a tile's pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import KNOBS_SPEC, MASKS_SPEC, Knobs
from tfnst.engines.tiles import Segment
from tfnst.losses.distance import relative
from tfnst.losses.objective import Objective
from tfnst.losses.sums import ActivationSums, activation_sums
from tfnst.ops.masks import masks_at_stride


class View(NamedTuple):
    """A tile as a segment of the network sees it."""

    seen: Any  # pixels or activations of the tile with its halo, [N, H, W, C]
    core: Any  # top, left, height and width of the core within the tile, int32 [4]
    content: dict[str, Any]  # targets of the core, by content layer, [N, h, w, C]
    regions: tuple[Any, ...]  # masks of the core, as in `Targets.regions`


class Parts(NamedTuple):
    """What a loss is computed from; the parts of tiles add up to those of a picture."""

    sums: dict[str, ActivationSums]  # by style layer
    distances: dict[str, Any]  # squared distance to the target by content layer, [N]
    # Sums of squared differences to the pixel below and to the pixel on the right,
    # each [N]; empty for a segment that doesn't see pixels.
    variation: tuple[Any, ...]


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
        # Only the first segment sees pixels.
        self.sees_pixels = segment.model.input.shape[-1] == 3

        view = View(
            tf.TensorSpec(segment.model.input.shape, segment.model.input.dtype),
            tf.TensorSpec([4], tf.int32),
            {layer: self._activations_spec(layer) for layer in self.content_layers},
            (MASKS_SPEC,) if masked else (),
        )
        style = {layer: objective.style_spec()[layer] for layer in self.style_layers}
        self.look = tf.function(self._look, autograph=False, input_signature=[view])
        self.gradient = tf.function(
            self._gradient,
            autograph=False,
            input_signature=[view, *self._upstream_spec()],
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

    def _upstream_spec(self) -> list[Any]:
        upstream = Parts(
            {
                layer: ActivationSums(
                    tf.TensorSpec([None] if self._masked else []),
                    tf.TensorSpec([None, self.channels[layer]]),
                    tf.TensorSpec([None] + [self.channels[layer]] * 2),
                )
                for layer in self.style_layers
            },
            {layer: tf.TensorSpec([None]) for layer in self.content_layers},
            (tf.TensorSpec([None]),) * 2 if self.sees_pixels else (),
        )
        at_cut = {self.cut: self._activations_spec(self.cut)} if self.cut else {}
        return [upstream, at_cut]

    def _look(
        self, view: View
    ) -> tuple[Parts, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """The parts of the loss that a tile's core contributes.

        Returns:
            (parts, content activations of the core by layer, activations of the core
            at the cut by layer).
        """
        seen = self.segment.model(view.seen)
        strides = self.segment.strides
        cores = {layer: _crop(seen[layer], view.core, strides[layer]) for layer in seen}
        content = {layer: cores[layer] for layer in self.content_layers}
        parts = Parts(
            {
                layer: activation_sums(
                    cores[layer],
                    *(masks_at_stride(m, strides[layer]) for m in view.regions),
                )
                for layer in self.style_layers
            },
            {
                layer: tf.reduce_sum(
                    tf.math.squared_difference(
                        tf.cast(content[layer], tf.float32),
                        tf.cast(view.content[layer], tf.float32),
                    ),
                    axis=[1, 2, 3],
                )
                for layer in self.content_layers
            },
            _variation(view.seen, view.core) if self.sees_pixels else (),
        )
        return parts, content, {self.cut: cores[self.cut]} if self.cut else {}

    def _gradient(
        self, view: View, upstream: Parts, at_cut: dict[str, tf.Tensor]
    ) -> tf.Tensor:
        """The gradient of what a tile's core adds to the total loss.

        Args:
            view: the tile.
            upstream: gradient of the total loss with respect to the parts.
            at_cut: the same with respect to the core's activations at the cut.

        Returns:
            Gradient with respect to `view.seen`.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(view.seen)
            parts, _, cut = self._look(view)
        return tape.gradient(
            _flat(parts, cut), view.seen, output_gradients=_flat(upstream, at_cut)
        )

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
            parts, _, _ = self._look(view)
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
            parts: of this segment's layers; without the variation.
            shares: of the picture that regions cover, [K]; empty without regions.
            energies: of the content targets, by layer, [N].
            style: style targets by layer.
            knobs: scalars.

        Returns:
            (content loss [N], style loss [N], gradient of the weighted total loss with
            respect to the parts).
        """
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([parts.sums, parts.distances])
            style_loss = tf.constant(0.0)
            if self.style_layers:
                style_loss = self._objective.style_loss(parts.sums, style)
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
        sums, distances = tape.gradient(
            total, [parts.sums, parts.distances], unconnected_gradients=zero
        )
        return content_loss, style_loss, Parts(sums, distances, ())


def _flat(parts: Parts, at_cut: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    """Everything that has a gradient, as a list."""
    sums = [
        s for each in parts.sums.values() for s in (each.activations, each.products)
    ]
    return [*sums, *parts.distances.values(), *parts.variation, *at_cut.values()]


def _crop(activations: tf.Tensor, core: tf.Tensor, stride: int) -> tf.Tensor:
    """The core's part of a tile's activations, one for each `stride` positions."""
    top, left = core[0] // stride, core[1] // stride
    bottom, right = (core[0] + core[2]) // stride, (core[1] + core[3]) // stride
    return activations[:, top:bottom, left:right]


def _variation(tile: tf.Tensor, core: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Sums of squared differences of the core's pixels to those below and right."""
    top, left, height, width = tf.unstack(core)
    below = tile[:, top : top + height + 1, left : left + width]
    right = tile[:, top : top + height, left : left + width + 1]
    return tuple(
        tf.reduce_sum(tf.square(differences), axis=[1, 2, 3])
        for differences in (
            below[:, 1:] - below[:, :-1],
            right[:, :, 1:] - right[:, :, :-1],
        )
    )
