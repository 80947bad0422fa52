"""The exact loss and gradient of a picture of any size, tile by tile.

All that couples distant pixels is a sum over positions: Gram matrices, means, squared
differences. So a first pass adds the sums up over tiles, the loss and its gradient by
these sums follow, and a second pass gives each tile the gradient of its pixels. A tile
is looked at with a halo as wide as a feature can see, and only features of its core
count, so that the result is that of the whole picture, up to rounding.

The network is cut in two at a pooling layer, and the activations there are kept whole.
A halo that reaches through all of VGG would be 96 pixels wide; through its first blocks
it is 16 or 32, and behind the cut, where 4 or 8 pixels are one position, tiles are so
large that theirs costs little. Where all that lies behind the cut, the tail, fits into
memory as one tile, it is run once, not twice.

What grows with the picture lies in NumPy arrays, which are changed in place; only tiles
become tensors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfnst import losses
from tfnst.engine import (
    KNOBS_SPEC,
    MASKS_SPEC,
    Knobs,
    StyleTransferEngine,
    Targets,
    TransferState,
)
from tfnst.features import split_feature_extractor
from tfnst.optimizers import AdamState
from tfnst.pyramid import resize_image
from tfnst.regions import layer_weights, region_shares

# Rows of a picture that are updated at once.
_STRIP = 256


class Tile(NamedTuple):
    """A part of a picture or of an activation, in positions of its own grid."""

    top: int  # of the tile with its halo
    left: int
    bottom: int
    right: int
    core: tuple[int, int, int, int]  # top, left, height, width within the tile

    def of(self, array: np.ndarray) -> np.ndarray:
        """The tile's part of an array [N, H, W, C], a view."""
        return array[:, self.top : self.bottom, self.left : self.right]

    def core_of(self, array: np.ndarray, stride: int = 1) -> np.ndarray:
        """The core's part of an array whose positions are `stride` of the tile's."""
        top, left, height, width = self.core
        top, left = self.top + top, self.left + left
        rows = slice(top // stride, (top + height) // stride)
        columns = slice(left // stride, (left + width) // stride)
        return array[:, rows, columns]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A part of the network, and how far its features see.

    Attributes:
        model: takes [N, H, W, C], returns a dict from layer name to activation.
        strides: positions of the input for one of each layer in the dict.
        before: positions of the input that a feature sees above and left of its own,
            rounded up to a multiple of the longest stride.
        after: the same below and right.
    """

    model: keras.Model
    strides: dict[str, int]
    before: int
    after: int

    @classmethod
    def from_model(cls, model: keras.Model) -> Segment:
        """Follows the strides through a chain of 3 x 3 convolutions and poolings."""
        stride, before, after, strides = 1, 0, 0, {}
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                reach = layer.kernel_size[0] // 2 * stride
                before, after = before + reach, after + reach
            elif isinstance(
                layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
            ):
                after += stride
                stride *= 2
            if layer.name in model.output:
                strides[layer.name] = stride
        return cls(model, strides, *(-(-r // stride) * stride for r in (before, after)))

    @property
    def stride(self) -> int:
        """The longest stride."""
        return max(self.strides.values())

    def tiles(self, height: int, width: int, side: int | None) -> list[Tile]:
        """Tiles whose cores cover [height, width], each about `side` long; None: one.

        Cores begin at multiples of the longest stride, so that poolings group the
        same positions as in the whole.
        """
        return [
            Tile(top, left, bottom, right, (y - top, x - left, y_end - y, x_end - x))
            for y, y_end, top, bottom in self._spans(height, side)
            for x, x_end, left, right in self._spans(width, side)
        ]

    def _spans(self, length, side) -> Iterator[tuple[int, int, int, int]]:
        count = 1 if side is None else -(-length // side)
        step = -(-length // (count * self.stride)) * self.stride
        for start in range(0, length, step):
            end = min(start + step, length)
            yield (
                start,
                end,
                max(start - self.before, 0),
                min(end + self.after, length),
            )


class Parts(NamedTuple):
    """What the loss is made of; that of a picture is the sum of that of its tiles.

    Of each layer: sums of a style layer, and squared distance of a content layer's
    core to its target, [N]. `variation` holds the sums of squared differences between
    neighbouring pixels, downwards and to the right, each [N].
    """

    sums: dict[str, losses.ActivationSums]
    distances: dict[str, tf.Tensor]
    variation: tuple[tf.Tensor, ...]


class _Passes:
    """The compiled passes over a segment's tiles.

    Args:
        whole: the engine that the losses are those of.
        segment: what is looked through.
        cut: the layer whose activations are handed on; None for none.
        masked: whether positions count by masks.
    """

    def __init__(self, whole, segment, cut, *, masked=False):
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
        self.look = tf.function(self._look, input_signature=signature)
        self.gradient = tf.function(
            self._gradient, input_signature=[*signature, *self._upstream_spec()]
        )
        self.look_and_gradient = tf.function(
            self._look_and_gradient,
            input_signature=[
                *signature,
                [tf.TensorSpec([None])] if masked else [],
                {layer: tf.TensorSpec([None]) for layer in self.content_layers},
                {layer: whole.style_spec(layer) for layer in self.style_layers},
                KNOBS_SPEC,
            ],
        )
        self.weigh = tf.function(self._weigh)

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
                layer: losses.ActivationSums(
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
                layer: losses.activation_sums(
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
                share = losses.relative(parts.distances[layer], energies[layer])
                content_loss += weight * share
            total = (
                knobs.content_weight * content_loss + knobs.style_weight * style_loss
            )
        zero = tf.UnconnectedGradients.ZERO
        sums, distances = tape.gradient(
            total, [parts.sums, parts.distances], unconnected_gradients=zero
        )
        return content_loss, style_loss, Parts(sums, distances, ())


class TiledContent(NamedTuple):
    """What takes the place of `Targets.content`: by layer."""

    activations: dict[str, np.ndarray]  # [N, h, w, C]
    energies: dict[str, tf.Tensor]  # sums of their squares, [N]


class TiledEngine:
    """What `StyleTransferEngine` does, in bounded memory.

    Args:
        whole: the engine of which this one gives the results.
        cut: pooling layer behind which the network is cut; None for no cut.
        head_side: side of the tiles before the cut, in pixels.
        tail_side: side of the tiles behind the cut, in positions there; None for one
            tile, which is looked at once.
    """

    def __init__(
        self,
        whole: StyleTransferEngine,
        *,
        cut: str | None,
        head_side: int,
        tail_side: int | None = None,
    ) -> None:
        self._whole = whole
        models = split_feature_extractor(whole.feature_extractor, cut)
        segments = [Segment.from_model(model) for model in models]
        cuts = [None] if cut is None else [cut, None]
        # Before and behind the cut; with masks and without.
        self._passes = {
            masked: [
                _Passes(whole, *each, masked=masked)
                for each in zip(segments, cuts, strict=True)
            ]
            for masked in (False, True)
        }
        self._head, *tail = self._passes[False]
        self._tail = tail[0] if tail else None
        self._head_side, self._tail_side = head_side, tail_side

    def enter_scale(
        self,
        average: tf.Tensor | np.ndarray,
        content_image: tf.Tensor,
        sides: tf.Tensor,
        content_weight: tf.Tensor,
    ) -> tuple[np.ndarray, TransferState, TiledContent]:
        """What a scale starts with; as that of `StyleTransferEngine`.

        Returns:
            (image, state, content targets), arrays that `run` changes in place.
        """
        content_image = np.asarray(resize_image(content_image, *map(int, sides)))
        image = self._enlarge(average, content_image, content_weight)
        content = self.content_targets(content_image)
        return image, self._init_state(image), content

    def _enlarge(self, average, content_image, content_weight):
        """As that of `StyleTransferEngine`, a strip at a time."""
        height = len(content_image[0])
        if average.shape == content_image.shape:
            return np.array(average)
        average = tf.convert_to_tensor(average)
        blurred = resize_image(content_image, *average.shape[1:3])
        image = np.empty_like(content_image)
        for top in range(0, height, _STRIP):
            rows = slice(top, top + _STRIP)
            image[:, rows] = self._whole.enlarge_rows(
                average,
                blurred,
                content_image[:, rows],
                content_weight,
                height=height,
                top=top,
            ).numpy()
        return image

    def _init_state(self, image):
        """As that of `StyleTransferEngine`, in arrays."""
        state = self._whole.init_state(tf.zeros([len(image), 1, 1, 3]))
        if not isinstance(state.optimizer, AdamState):
            state = self._whole.init_state(tf.convert_to_tensor(image))
            return tf.nest.map_structure(np.array, state)
        moments = np.zeros_like(image), np.zeros_like(image)
        optimizer = AdamState(np.array(state.optimizer.step), *moments)
        return TransferState(np.array(state.step), optimizer, image.copy())

    def content_targets(self, content_image: tf.Tensor) -> TiledContent:
        """Activations of a picture [N, H, W, 3] in [0, 1]."""
        activations = self._empty_content(content_image.shape)
        energies = {}
        for parts in self._first_pass(
            np.asarray(content_image), activations, keep=True
        ):
            # The distance to nothing is the energy.
            energies |= parts.distances
        return TiledContent(activations, energies)

    def style_targets(
        self, style_image: tf.Tensor, sides: tf.Tensor, *mask: np.ndarray
    ) -> dict[str, tf.Tensor] | dict[str, losses.Moments]:
        """`Targets.style`; as that of `StyleTransferEngine`."""
        style_image = np.asarray(resize_image(style_image, *map(int, sides)))
        nothing = self._empty_content(style_image.shape)
        return {
            layer: self._whole.style_statistics(sums)
            for parts in self._first_pass(style_image, nothing, masks=mask)
            for layer, sums in parts.sums.items()
        }

    masked_style_targets = style_targets

    def run(
        self,
        image: np.ndarray,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor | int,
    ) -> tuple[np.ndarray, TransferState, np.ndarray]:
        """`steps` steps at one scale; as that of `StyleTransferEngine`."""
        history = []
        for _ in range(int(steps)):
            measured, gradient = self.losses_and_gradient(image, targets, knobs)
            finite = np.isfinite(measured.total).all() and _all_finite(gradient)
            if not finite:
                nan = tf.fill(tf.shape(measured.total), float("nan"))
                measured = measured._replace(total=nan)
            history.append(np.stack(measured))
            if not finite:
                break
            state = self._update(image, measured, gradient, state, knobs)
        return image, state, np.stack(history)

    def losses_and_gradient(
        self, image: np.ndarray, targets: Targets, knobs: Knobs
    ) -> tuple[losses.Losses, np.ndarray]:
        """The losses of a picture [N, H, W, 3] and the gradient of their total."""
        cut = self._empty_cut(image.shape)
        head, *tail = self._passes[bool(targets.regions)]
        parts = self._look(
            head, image, targets.content.activations, targets.regions, cut=cut
        )
        variation, pairs = parts.variation, _pairs(image.shape)
        content, style, upstream = self._weigh(head, parts, targets, knobs)
        at_cut = None
        if tail:
            more_content, more_style, at_cut = self._behind(*tail, cut, targets, knobs)
            content, style = content + more_content, style + more_style
        variation = sum(s / n for s, n in zip(variation, pairs, strict=True))
        total = losses.total_loss(
            content,
            style,
            variation,
            content_weight=knobs.content_weight,
            style_weight=knobs.style_weight,
            total_variation_weight=knobs.total_variation_weight,
        )
        weight = tf.fill([len(image)], knobs.total_variation_weight)
        upstream = upstream._replace(variation=tuple(weight / n for n in pairs))
        gradient = self._gradient(
            head, image, targets, targets.regions, upstream, at_cut
        )
        return losses.Losses(content, style, variation, total), gradient

    def _behind(self, tail, cut, targets, knobs):
        """Losses behind the cut, and the gradient of their weighted sum there."""
        masks = self._masks_behind(targets.regions)
        tiles = self._tiles(tail, cut)
        if len(tiles) == 1:
            wanted = {
                layer: targets.content.activations[layer]
                for layer in tail.content_layers
            }
            content, style, gradient = tail.look_and_gradient(
                cut, tiles[0].core, wanted, masks, *_of_segment(tail, targets), knobs
            )
            return content, style, gradient.numpy()
        parts = self._look(tail, cut, targets.content.activations, masks)
        content, style, upstream = self._weigh(tail, parts, targets, knobs)
        gradient = self._gradient(tail, cut, targets, masks, upstream, None)
        return content, style, gradient

    def _masks_behind(self, masks):
        """Masks in positions of the cut."""
        stride = self._head.segment.strides[self._head.cut]
        return [layer_weights(mask, stride).numpy() for mask in masks]

    def _weigh(self, passes, parts, targets, knobs):
        parts = parts._replace(variation=())
        return passes.weigh(parts, *_of_segment(passes, targets), knobs)

    def _look(self, passes, seen, content, masks, *, keep=False, cut=None):
        """The parts of a whole picture.

        Args:
            passes: the segment.
            seen: what it sees, [N, H, W, C].
            content: content targets by layer.
            masks: in positions of what it sees, a list of one or none.
            keep: whether to write content activations over the targets.
            cut: where to write the activations at the cut; None for nowhere.
        """
        strides = passes.segment.strides
        total = None
        for tile in self._tiles(passes, seen):
            wanted = {
                layer: tile.core_of(content[layer], strides[layer])
                for layer in passes.content_layers
            }
            parts, found, at_cut = passes.look(
                tile.of(seen), tile.core, wanted, _cores(tile, masks)
            )
            if keep:
                for layer in found:
                    wanted[layer][...] = found[layer].numpy()
            if cut is not None:
                tile.core_of(cut, strides[passes.cut])[...] = at_cut[0].numpy()
            if total is not None:
                parts = tf.nest.map_structure(tf.add, total, parts)
            total = parts
        return total

    def _gradient(self, passes, seen, targets, masks, upstream, at_cut):
        """The gradient of the total loss by what a segment sees."""
        strides = passes.segment.strides
        gradient = np.zeros_like(seen)
        for tile in self._tiles(passes, seen):
            content = {
                layer: tile.core_of(targets.content.activations[layer], strides[layer])
                for layer in passes.content_layers
            }
            above = [tile.core_of(at_cut, strides[passes.cut])] if passes.cut else []
            share = passes.gradient(
                tile.of(seen),
                tile.core,
                content,
                _cores(tile, masks),
                upstream,
                above,
            ).numpy()
            tile.of(gradient)[...] += share
        return gradient

    def _first_pass(self, image, content, *, masks=(), keep=False):
        """The parts of a picture that each segment sees."""
        cut = self._empty_cut(image.shape)
        head, *tail = self._passes[bool(masks)]
        yield self._look(head, image, content, masks, keep=keep, cut=cut)
        for passes in tail:
            masks = self._masks_behind(masks)
            yield self._look(passes, cut, content, masks, keep=keep)

    def _tiles(self, passes, seen):
        side = self._head_side if passes.sees_pixels else self._tail_side
        return passes.segment.tiles(*seen.shape[1:3], side)

    def _empty_cut(self, shape):
        """Room for the activations at the cut; None where there is none."""
        return None if self._tail is None else self._head.room(self._head.cut, shape)

    def _empty_content(self, shape):
        """Room for the content activations, by layer; all zeros."""
        room = {k: self._head.room(k, shape) for k in self._head.content_layers}
        if self._tail is not None:
            shape = self._empty_cut(shape).shape
            room |= {k: self._tail.room(k, shape) for k in self._tail.content_layers}
        return room

    def _update(self, image, measured, gradient, state, knobs):
        """Takes a step, in place; Adam's in strips, which needs little room."""
        adam = isinstance(state.optimizer, AdamState)
        rows = _STRIP if adam else len(image[0])
        for top in range(0, len(image[0]), rows):

            def strip(array, rows=slice(top, top + rows)):
                return array[:, rows] if array.shape == image.shape else array

            here = tf.nest.map_structure(strip, state) if adam else state
            updated, after, _ = self._whole.update(
                strip(image), measured, strip(gradient), here, knobs
            )
            strip(image)[...] = updated.numpy()
            if adam:
                for array, new in zip(
                    tf.nest.flatten(here), tf.nest.flatten(after), strict=True
                ):
                    if array.ndim:
                        array[...] = new.numpy()
        if not adam:
            return after
        # The counts, which all strips agree on.
        return tf.nest.map_structure(
            lambda old, new: old if old.ndim else new.numpy(), state, after
        )


def _of_segment(passes, targets):
    energies = {
        layer: targets.content.energies[layer] for layer in passes.content_layers
    }
    style = {layer: targets.style[layer] for layer in passes.style_layers}
    return [region_shares(masks) for masks in targets.regions], energies, style


def _cores(tile, masks):
    return [tile.core_of(mask) for mask in masks]


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


def _pairs(shape):
    """How many neighbours there are in a picture, downwards and to the right."""
    _, height, width, channels = shape
    return (height - 1) * width * channels, height * (width - 1) * channels


def _all_finite(array):
    return all(np.isfinite(row).all() for picture in array for row in picture)
