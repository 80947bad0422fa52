"""The loss of a tile and its gradient: two passes, compiled for each part of a network.

What a picture's loss is made of are sums over positions, which tiles add up to. The
first pass finds those of a tile; from those of all tiles follow the loss and its
gradient by them, from which the second pass finds the gradient by a tile's pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import KNOBS_SPEC, MASKS_SPEC
from tfnst.engines.tiles import Segment
from tfnst.engines.whole import StyleTransferEngine
from tfnst.losses import statistics, terms
from tfnst.ops.masks import layer_weights


class Parts(NamedTuple):
    """What the loss is made of; that of a picture is the sum of that of its tiles.

    Of each layer: sums of a style layer, and squared distance of a content layer's
    core to its target, [N]. `variation` holds the sums of squared differences between
    neighbouring pixels, downwards and to the right, each [N].
    """

    sums: dict[str, statistics.ActivationSums]
    distances: dict[str, tf.Tensor]
    variation: tuple[tf.Tensor, ...]


class Passes:
    """The compiled passes over a segment's tiles.

    Args:
        whole: the engine that the losses are those of.
        segment: what is looked through.
        cut: the layer whose activations are handed on; None for none.
        masked: whether positions count by masks.
    """

    def __init__(
        self,
        whole: StyleTransferEngine,
        segment: Segment,
        cut: str | None,
        *,
        masked: bool = False,
    ) -> None:
        self._whole = whole
        self._masked = masked
        self.segment = segment
        self.cut = cut
        outputs = segment.model.output
        config = whole.config
        self.style_layers = [k for k in config.style_layers if k in outputs]
        self.content_layers = [k for k in config.content_layers if k in outputs]
        self.channels = {k: tensor.shape[-1] for k, tensor in outputs.items()}
        self.dtypes = {k: tf.as_dtype(tensor.dtype) for k, tensor in outputs.items()}
        # Only the first segment sees pixels.
        self.sees_pixels = segment.model.input.shape[-1] == 3

        signature = [
            tf.TensorSpec(segment.model.input.shape, segment.model.input.dtype),
            tf.TensorSpec([4], tf.int32),
            {layer: self._activations_spec(layer) for layer in self.content_layers},
            [MASKS_SPEC] if masked else [],
        ]
        self.look = tf.function(self._look, autograph=False, input_signature=signature)
        self.gradient = tf.function(
            self._gradient,
            autograph=False,
            input_signature=[*signature, *self._upstream_spec()],
        )
        self.look_and_gradient = tf.function(
            self._look_and_gradient,
            autograph=False,
            input_signature=[
                *signature,
                [tf.TensorSpec([None])] if masked else [],
                {layer: tf.TensorSpec([None]) for layer in self.content_layers},
                {layer: whole.style_spec(layer) for layer in self.style_layers},
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

    def _activations_spec(self, layer):
        shape = [None, None, None, self.channels[layer]]
        return tf.TensorSpec(shape, self.dtypes[layer])

    def _upstream_spec(self):
        upstream = Parts(
            {
                layer: statistics.ActivationSums(
                    tf.TensorSpec([None] if self._masked else []),
                    tf.TensorSpec([None, self.channels[layer]]),
                    tf.TensorSpec([None] + [self.channels[layer]] * 2),
                )
                for layer in self.style_layers
            },
            {layer: tf.TensorSpec([None]) for layer in self.content_layers},
            (tf.TensorSpec([None]),) * 2 if self.sees_pixels else (),
        )
        return [upstream, [self._activations_spec(self.cut)] if self.cut else []]

    def _look(self, tile, core, targets, masks):
        """The parts of the loss that a tile's core makes up.

        Args:
            tile: what the segment sees, with its halo.
            core: int32 [4], top, left, height and width within the tile.
            targets: content activations of the core.
            masks: of the core, in positions of what the segment sees, a list of one
                [K, h, w, 1] or none.

        Returns:
            (parts, content activations of the core by layer, those at the cut as a
            list of one or none).
        """
        seen = self.segment.model(tile)
        strides = self.segment.strides
        cores = {layer: _crop(seen[layer], core, strides[layer]) for layer in seen}
        content = {layer: cores[layer] for layer in self.content_layers}
        parts = Parts(
            {
                layer: statistics.activation_sums(
                    cores[layer], *(layer_weights(m, strides[layer]) for m in masks)
                )
                for layer in self.style_layers
            },
            {
                layer: tf.reduce_sum(
                    tf.math.squared_difference(
                        tf.cast(content[layer], tf.float32),
                        tf.cast(targets[layer], tf.float32),
                    ),
                    axis=[1, 2, 3],
                )
                for layer in self.content_layers
            },
            _variation(tile, core) if self.sees_pixels else (),
        )
        return parts, content, [cores[self.cut]] if self.cut else []

    def _gradient(self, tile, core, targets, masks, upstream, at_cut):
        """The gradient by a tile's inputs of what its core adds to the total loss.

        Args:
            tile: as for `_look`.
            core: as for `_look`.
            targets: as for `_look`.
            masks: as for `_look`.
            upstream: gradient of the total loss by the parts.
            at_cut: that by the activations at the cut, a list of one or none.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tile)
            parts, _, cut = self._look(tile, core, targets, masks)
        return tape.gradient(
            _flat(parts, cut), tile, output_gradients=_flat(upstream, at_cut)
        )

    def _look_and_gradient(
        self, tile, core, targets, masks, shares, energies, style, knobs
    ):
        """Both passes at once, for a segment at the end that is one tile.

        Returns:
            (content loss [N], style loss [N], gradient by the tile).
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tile)
            parts, _, _ = self._look(tile, core, targets, masks)
        content, style, upstream = self._weigh(parts, shares, energies, style, knobs)
        return (
            content,
            style,
            tape.gradient(_flat(parts, []), tile, output_gradients=_flat(upstream, [])),
        )

    def _weigh(self, parts, shares, energies, style, knobs):
        """The losses that the parts of a whole picture add up to.

        Args:
            parts: of this segment's layers; without the variation.
            shares: of the picture, that regions cover, a list of one [K] or none.
            energies: of the content targets, [N] by layer.
            style: style targets by layer.
            knobs: scalars.

        Returns:
            (content loss [N], style loss [N], gradient of the weighted total loss by
            the parts).
        """
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([parts.sums, parts.distances])
            style_loss = tf.constant(0.0)
            if self.style_layers:
                style_loss = self._whole.style_loss(parts.sums, style)
                for share in shares:
                    style_loss = tf.reduce_sum(share * style_loss, keepdims=True)
            content_loss = tf.constant(0.0)
            for layer in self.content_layers:
                weight = self._whole.content_layer_weights[layer]
                share = terms.relative(parts.distances[layer], energies[layer])
                content_loss += weight * share
            total = (
                knobs.content_weight * content_loss + knobs.style_weight * style_loss
            )
        zero = tf.UnconnectedGradients.ZERO
        sums, distances = tape.gradient(
            total, [parts.sums, parts.distances], unconnected_gradients=zero
        )
        return content_loss, style_loss, Parts(sums, distances, ())


def _flat(parts, at_cut):
    """The parts that have a gradient, as a list."""
    sums = [
        s for each in parts.sums.values() for s in (each.activations, each.products)
    ]
    return [*sums, *parts.distances.values(), *parts.variation, *at_cut]


def _crop(activations, core, stride):
    """The core's part of a tile's activations of which each stands for `stride`."""
    top, left = core[0] // stride, core[1] // stride
    bottom, right = (core[0] + core[2]) // stride, (core[1] + core[3]) // stride
    return activations[:, top:bottom, left:right]


def _variation(tile, core):
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
