"""Loss and gradient of a whole picture, summed over tiles, for one network segment.

The statistics of tiles are added up, and so are the gradients of tiles, which overlap.
Whatever grows with the picture lies in NumPy arrays, which are changed in place; only
tiles become tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.tile_passes import Statistics, TilePasses, View
from tfnst.engines.tiles import NetworkSegment, Tile
from tfnst.losses.objective import Objective, Targets
from tfnst.losses.terms import LossWeights
from tfnst.ops.borders import Border
from tfnst.ops.masks import masks_at_stride, region_shares


class TiledContent(NamedTuple):
    """`Targets.content` of pictures in tiles."""

    activations: dict[str, np.ndarray]  # by layer, [N, h, w, C]
    energies: dict[str, tf.Tensor]  # sums of their squares by layer, [N]


class Seen(NamedTuple):
    """A picture as a segment of the network sees it, with its targets there."""

    array: np.ndarray  # padded pixels or activations at the cut, [N, H, W, C]
    regions: tuple[np.ndarray, ...]  # masks on its grid, [K, H, W, 1], if there are any
    content: dict[str, np.ndarray]  # content targets by layer, [N, h, w, C]
    style: dict[str, Any]  # style targets by layer
    # Share of the picture that each region covers, [K], if there are any; energies of
    # the content targets by layer, [N].
    shares: tuple[tf.Tensor, ...]
    energies: dict[str, tf.Tensor]


class TiledSegment:
    """A segment of the network that sees pictures of any size.

    Args:
        objective: the loss and its targets.
        segment: the part of the network.
        cut: the layer whose activations go to the next segment; None for the last one.
        style_spec: shapes of the style targets by layer.
        side: rough side of a tile, in positions of its input; None for one tile.
        input_stride: pixels along a side for one position of its input.
    """

    def __init__(
        self,
        objective: Objective,
        segment: NetworkSegment,
        cut: str | None = None,
        *,
        style_spec: dict[str, Any],
        side: int | None,
        input_stride: int = 1,
    ) -> None:
        self._objective = objective
        self._segment = segment
        self._cut = cut
        self._side = side
        self.input_stride = input_stride
        # Without masks and with them.
        self._plain, self._masked = (
            TilePasses(objective, segment, cut, style_spec, masked=masked)
            for masked in (False, True)
        )

    @property
    def statistics_spec(self) -> Statistics:
        """The shapes of the statistics of pictures without regions."""
        return self._plain.statistics_spec

    def tiles(self, array: np.ndarray, side: int | None = None) -> list[Tile]:
        """The tiles of a picture; of the segment's own side by default."""
        return self._tiles(array, side or self._side, self._objective.border)

    def see(self, array: np.ndarray, targets: Targets) -> Seen:
        """A picture [N, H, W, C], padded or as activations at the cut."""
        shares: tuple[tf.Tensor, ...] = ()
        if targets.regions is not None:
            inside = self._objective.border.inside(np.asarray(targets.regions))
            shares = (region_shares(inside),)
        content: TiledContent = targets.content
        layers = self._plain.content_layers
        return Seen(
            array,
            self._on_grid(targets.regions),
            {layer: content.activations[layer] for layer in layers},
            {layer: targets.style[layer] for layer in self._plain.style_layers},
            shares,
            {layer: content.energies[layer] for layer in layers},
        )

    def empty_cut(self, array: np.ndarray) -> np.ndarray | None:
        """Room for a picture's activations at the cut; None if there is no cut."""
        return None if self._cut is None else self._room(self._cut, array)

    def describe(
        self, array: np.ndarray, mask: Any, cut: np.ndarray | None
    ) -> dict[str, Any]:
        """The description of a style image, by layer.

        Args:
            array: [1, H, W, C], padded or as activations at the cut.
            mask: weights of the padded pixels, [1, H, W, 1]; None for all of them.
            cut: array for the activations at the cut; None if there is no cut.
        """
        seen = Seen(array, self._on_grid(mask), self._empty_content(array), {}, (), {})
        tiles = self._tiles(array, self._side, self._objective.style_border)

        def describe(tile: Tile, view: View) -> Any:
            top, left = tile.top + tile.counted[0], tile.left + tile.counted[1]
            place = np.array([top, left, *array.shape[1:3]], np.int32)
            described, at_cut = self._passes(seen).describe(view, place)
            self._write_cut(cut, tile, at_cut)
            return described

        return _total(describe(*each) for each in self._views(seen, tiles))

    def content_targets(
        self, array: np.ndarray, cut: np.ndarray | None
    ) -> TiledContent:
        """The content targets of a picture.

        Args:
            array: [N, H, W, C], padded or as activations at the cut.
            cut: array for the activations at the cut; None if there is no cut.
        """
        seen = Seen(array, (), self._empty_content(array), {}, (), {})

        def keep(tile: Tile, view: View) -> dict[str, tf.Tensor]:
            found, energies, at_cut = self._plain.content(view)
            for layer in found:
                view.content[layer][...] = found[layer].numpy()
            self._write_cut(cut, tile, at_cut)
            return energies

        energies = _total(keep(*each) for each in self._views(seen))
        return TiledContent(seen.content, energies)

    def statistics(
        self,
        seen: Seen,
        *,
        tiles: list[Tile] | None = None,
        cut: np.ndarray | None = None,
    ) -> Statistics:
        """The statistics of a picture, or of some of its tiles.

        Args:
            seen: the picture.
            tiles: the tiles; all of them by default.
            cut: array for the activations at the cut; None if there is no cut.
        """

        def forward(tile: Tile, view: View) -> Statistics:
            statistics, at_cut = self._passes(seen).forward(view, seen.style)
            self._write_cut(cut, tile, at_cut)
            return statistics

        return _total(forward(*each) for each in self._views(seen, tiles))

    def cotangents(
        self, seen: Seen, statistics: Statistics, weights: LossWeights
    ) -> tuple[tf.Tensor, tf.Tensor, Statistics]:
        """The losses that follow from the statistics of a picture, and their gradient.

        Returns:
            (content loss, style loss, gradient of their weighted sum with respect to
            the statistics).
        """
        return self._passes(seen).cotangents(
            statistics, seen.shares, seen.energies, seen.style, weights
        )

    def gradient(
        self, seen: Seen, cotangents: Statistics, at_cut: np.ndarray | None = None
    ) -> np.ndarray:
        """The gradient of the total loss, like the picture.

        Args:
            seen: the picture.
            cotangents: the same with respect to the statistics.
            at_cut: the same with respect to the activations at the cut.
        """
        gradient = np.zeros_like(seen.array)
        for tile, view in self._views(seen):
            above = {}
            if self._cut is not None and at_cut is not None:
                above[self._cut] = self._core(tile, at_cut)
            share = self._passes(seen).backward(view, seen.style, cotangents, above)
            tile.of(gradient)[...] += share.numpy()
        return gradient

    def statistics_and_gradient(
        self, seen: Seen, cotangents: Statistics
    ) -> tuple[Statistics, np.ndarray]:
        """Statistics and gradient of the last segment, by looking at each tile once."""
        gradient = np.zeros_like(seen.array)

        def forward_and_backward(tile: Tile, view: View) -> Statistics:
            found, share = self._passes(seen).forward_and_backward(
                view, seen.style, cotangents, {}
            )
            tile.of(gradient)[...] += share.numpy()
            return found

        found = _total(forward_and_backward(*each) for each in self._views(seen))
        return found, gradient

    def losses_and_gradient(
        self, seen: Seen, weights: LossWeights
    ) -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
        """The losses of the last segment and the gradient of their weighted sum.

        A single tile is looked at once, several are twice.

        Returns:
            (content loss, style loss, gradient like the picture).
        """
        (_, view), *others = self._views(seen)
        if not others:
            *losses, gradient = self._passes(seen).both_passes(
                view, seen.shares, seen.energies, seen.style, weights
            )
            return *losses, gradient.numpy()
        statistics = self.statistics(seen)
        *losses, cotangents = self.cotangents(seen, statistics, weights)
        return *losses, self.gradient(seen, cotangents)

    def _passes(self, seen: Seen) -> TilePasses:
        return self._masked if seen.regions else self._plain

    def _tiles(self, array: np.ndarray, side: int | None, border: Border) -> list[Tile]:
        _, height, width, _ = array.shape
        before, behind = (pixels // self.input_stride for pixels in border.margins)
        return self._segment.tiles(height, width, side, (before, behind))

    def _views(
        self, seen: Seen, tiles: list[Tile] | None = None
    ) -> Iterator[tuple[Tile, View]]:
        """The tiles of a picture, and views of its arrays there."""
        strides = self._segment.strides
        for tile in self.tiles(seen.array) if tiles is None else tiles:
            yield (
                tile,
                View(
                    tile.of(seen.array),
                    np.array(tile.core, np.int32),
                    np.array(tile.counted, np.int32),
                    {
                        layer: tile.counted_of(activations, strides[layer])
                        for layer, activations in seen.content.items()
                    },
                    tuple(tile.counted_of(masks) for masks in seen.regions),
                ),
            )

    def _on_grid(self, masks: Any) -> tuple[np.ndarray, ...]:
        """Masks of padded pixels on the grid of the segment's input, if there are any.

        The mean of a mask over a position of the input is its weight there.
        """
        if masks is None:
            return ()
        return (np.asarray(masks_at_stride(np.asarray(masks), self.input_stride)),)

    def _room(self, layer: str, array: np.ndarray) -> np.ndarray:
        """Zeros for a layer's activations of a picture."""
        count, *sides, _ = array.shape
        sides = [side // self._segment.strides[layer] for side in sides]
        output = self._segment.model.output[layer]
        dtype = tf.as_dtype(output.dtype).as_numpy_dtype
        return np.zeros([count, *sides, output.shape[-1]], dtype)

    def _empty_content(self, array: np.ndarray) -> dict[str, np.ndarray]:
        """Room for a picture's content activations by layer."""
        return {k: self._room(k, array) for k in self._plain.content_layers}

    def _core(self, tile: Tile, at_cut: np.ndarray) -> np.ndarray:
        """The part of an array at the cut that belongs to a tile's core."""
        assert self._cut is not None
        return tile.core_of(at_cut, self._segment.strides[self._cut])

    def _write_cut(
        self, cut: np.ndarray | None, tile: Tile, at_cut: dict[str, tf.Tensor]
    ) -> None:
        """Writes the activations at the cut of a tile's core."""
        if cut is not None:
            for activations in at_cut.values():
                self._core(tile, cut)[...] = activations.numpy()


def _total(each: Iterable[Any]) -> Any:
    """The sum of structures of tensors."""
    return functools.reduce(
        lambda total, found: tf.nest.map_structure(tf.add, total, found), each
    )
