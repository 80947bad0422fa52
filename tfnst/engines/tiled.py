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

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Knobs, TransferState
from tfnst.engines.tile_passes import Passes
from tfnst.engines.tiles import Segment
from tfnst.engines.whole import StyleTransferEngine
from tfnst.losses import statistics, terms
from tfnst.losses.objective import Targets
from tfnst.networks.features import split_feature_extractor
from tfnst.ops.masks import layer_weights, region_shares
from tfnst.ops.resizing import resize_image
from tfnst.optimizers.adam import AdamState

# Rows of a picture that are updated at once.
_STRIP = 256


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
                Passes(whole, *each, masked=masked)
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
    ) -> dict[str, tf.Tensor] | dict[str, statistics.Moments]:
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
    ) -> tuple[terms.Losses, np.ndarray]:
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
        total = terms.total_loss(
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
        return terms.Losses(content, style, variation, total), gradient

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


def _pairs(shape):
    """How many neighbours there are in a picture, downwards and to the right."""
    _, height, width, channels = shape
    return (height - 1) * width * channels, height * (width - 1) * channels


def _all_finite(array):
    return all(np.isfinite(row).all() for picture in array for row in picture)
