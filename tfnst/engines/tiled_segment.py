"""What the passes over tiles give for a whole picture, for one segment of the network.

The parts of the loss that are found in tiles are added up, and so are the gradients of
tiles, which overlap. Whatever grows with the picture lies in NumPy arrays, which are
changed in place; only tiles become tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Knobs
from tfnst.engines.tile_passes import Parts, Passes, View
from tfnst.engines.tiles import Segment, Tile
from tfnst.losses.objective import Objective, Targets
from tfnst.ops.borders import Border
from tfnst.ops.masks import region_shares


class TiledContent(NamedTuple):
    """`Targets.content` of pictures in tiles."""

    activations: dict[str, np.ndarray]  # by layer, [N, h, w, C]
    energies: dict[str, tf.Tensor]  # sums of their squares by layer, [N]


class TiledSegment:
    """A segment that looks at pictures of any size.

    Its methods share these arguments:

    - seen: what it sees, pixels with the border of pictures or the activations at the
      cut, [N, H, W, C].
    - targets: of the pictures.
    - regions: the masks of `Targets.regions` on the grid of what it sees.
    - cut: where to write the activations at the cut; None for nowhere.

    Args:
        objective: the loss.
        segment: the part of the network.
        cut: the layer whose activations go to the next segment; None for the last one.
        side: rough side of a tile, in positions of what it sees; None for one tile.
        input_stride: pixels along a side for one position of what it sees.
        masked: whether regions have styles of their own.
    """

    def __init__(
        self,
        objective: Objective,
        segment: Segment,
        cut: str | None = None,
        *,
        side: int | None,
        input_stride: int = 1,
        masked: bool = False,
    ) -> None:
        self._objective = objective
        self._passes = Passes(objective, segment, cut, masked=masked)
        self._segment = segment
        self._cut = cut
        self._side = side
        self.input_stride = input_stride

    @property
    def parts_spec(self) -> Parts:
        """The shapes of what `look` gives."""
        return self._passes.parts_spec

    def tiles(self, seen: np.ndarray, side: int | None = None) -> list[Tile]:
        """The tiles of a picture; of the segment's own side by default."""
        return self._tiles(seen, side or self._side, self._objective.border)

    def empty_content(self, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Room for the content activations by layer; `shape` is that of `seen`."""
        layers = self._passes.content_layers
        return {layer: self._passes.room(layer, shape) for layer in layers}

    def empty_cut(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Room for the activations at the cut; None if there is no cut."""
        return None if self._cut is None else self._passes.room(self._cut, shape)

    def describe(
        self,
        seen: np.ndarray,
        regions: tuple[np.ndarray, ...],
        cut: np.ndarray | None,
    ) -> dict[str, Any]:
        """The description of a style image, by layer."""

        def describe(tile: Tile, view: View) -> tuple[Any, dict[str, tf.Tensor]]:
            top, left = tile.top + tile.counted[0], tile.left + tile.counted[1]
            place = np.array([top, left, *seen.shape[1:3]], np.int32)
            return self._passes.describe(view, place)

        nothing = self.empty_content(seen.shape)
        tiles = self._tiles(seen, self._side, self._objective.style_border)
        return self._add_up(describe, tiles, seen, nothing, regions, cut)

    def keep_content(
        self,
        seen: np.ndarray,
        content: dict[str, np.ndarray],
        cut: np.ndarray | None,
    ) -> dict[str, tf.Tensor]:
        """Writes content activations by layer; returns their energies."""

        def keep(tile: Tile, view: View) -> tuple[Any, dict[str, tf.Tensor]]:
            found, energies, at_cut = self._passes.look_at_content(view)
            for layer in found:
                view.content[layer][...] = found[layer].numpy()
            return energies, at_cut

        return self._add_up(keep, self.tiles(seen), seen, content, (), cut)

    def look(
        self,
        seen: np.ndarray,
        targets: Targets,
        regions: tuple[np.ndarray, ...] = (),
        cut: np.ndarray | None = None,
        *,
        tiles: list[Tile] | None = None,
    ) -> Parts:
        """The parts of the loss of a picture, or of some of its tiles."""
        style = self._style_of(targets)
        return self._add_up(
            lambda tile, view: self._passes.look(view, style),
            self.tiles(seen) if tiles is None else tiles,
            seen,
            targets.content.activations,
            regions,
            cut,
        )

    def weigh(
        self, parts: Parts, targets: Targets, knobs: Knobs
    ) -> tuple[tf.Tensor, tf.Tensor, Parts]:
        """The losses that follow from the parts of a picture.

        Returns:
            (content loss, style loss, gradient of their weighted sum with respect to
            the parts).
        """
        return self._passes.weigh(parts, *self._weighed_with(targets), knobs)

    def gradient(
        self,
        seen: np.ndarray,
        targets: Targets,
        regions: tuple[np.ndarray, ...],
        upstream: Parts,
        at_cut: np.ndarray | None = None,
    ) -> np.ndarray:
        """The gradient of the total loss, like `seen`.

        Args:
            upstream: the same with respect to the parts.
            at_cut: the same with respect to the activations at the cut.
        """
        style, gradient = self._style_of(targets), np.zeros_like(seen)
        for tile in self.tiles(seen):
            above = {}
            if self._cut is not None and at_cut is not None:
                stride = self._segment.strides[self._cut]
                above[self._cut] = tile.core_of(at_cut, stride)
            view = self._view(tile, seen, targets.content.activations, regions)
            share = self._passes.gradient(view, style, upstream, above)
            tile.of(gradient)[...] += share.numpy()
        return gradient

    def parts_and_gradient(
        self, seen: np.ndarray, targets: Targets, upstream: Parts
    ) -> tuple[Parts, np.ndarray]:
        """What `look` and `gradient` give, without regions, by looking once."""
        style, gradient = self._style_of(targets), np.zeros_like(seen)

        def look(tile: Tile, view: View) -> tuple[Parts, dict[str, tf.Tensor]]:
            found, share = self._passes.parts_and_gradient(view, style, upstream, {})
            tile.of(gradient)[...] += share.numpy()
            return found, {}

        content = targets.content.activations
        parts = self._add_up(look, self.tiles(seen), seen, content, (), None)
        return parts, gradient

    def losses_and_gradient(
        self,
        seen: np.ndarray,
        targets: Targets,
        regions: tuple[np.ndarray, ...],
        knobs: Knobs,
    ) -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
        """The losses of the last segment and the gradient of their weighted sum.

        A single tile is looked at once, several are twice.

        Returns:
            (content loss, style loss, gradient like `seen`).
        """
        tiles = self.tiles(seen)
        if len(tiles) == 1:
            view = self._view(tiles[0], seen, targets.content.activations, regions)
            *losses, gradient = self._passes.look_and_gradient(
                view, *self._weighed_with(targets), knobs
            )
            return *losses, gradient.numpy()
        parts = self.look(seen, targets, regions)
        *losses, upstream = self.weigh(parts, targets, knobs)
        return *losses, self.gradient(seen, targets, regions, upstream)

    def _tiles(self, seen: np.ndarray, side: int | None, border: Border) -> list[Tile]:
        _, height, width, _ = seen.shape
        before, behind = (pixels // self.input_stride for pixels in border.margins)
        return self._segment.tiles(height, width, side, (before, behind))

    def _style_of(self, targets: Targets) -> dict[str, Any]:
        """The style targets of this segment."""
        return {layer: targets.style[layer] for layer in self._passes.style_layers}

    def _weighed_with(
        self, targets: Targets
    ) -> tuple[tuple[tf.Tensor, ...], dict[str, tf.Tensor], dict[str, Any]]:
        """Shares of the regions, energies of the content and style targets."""
        inside, energies = self._objective.border.inside, targets.content.energies
        return (
            tuple(region_shares(inside(masks)) for masks in targets.regions),
            {layer: energies[layer] for layer in self._passes.content_layers},
            self._style_of(targets),
        )

    def _add_up(
        self,
        look: Callable[[Tile, View], tuple[Any, dict[str, tf.Tensor]]],
        tiles: list[Tile],
        seen: np.ndarray,
        content: dict[str, np.ndarray],
        regions: tuple[np.ndarray, ...],
        cut: np.ndarray | None,
    ) -> Any:
        """What is found in tiles of a picture, added up.

        Args:
            look: gives what it finds in a tile, and the core's activations at the cut
                by layer.
            tiles: of the picture.
            seen: what the segment sees.
            content: content targets by layer.
            regions: masks on the grid of what it sees.
            cut: where to write the activations at the cut.
        """
        total = None
        for tile in tiles:
            found, at_cut = look(tile, self._view(tile, seen, content, regions))
            if cut is not None:
                for layer, activations in at_cut.items():
                    core = tile.core_of(cut, self._segment.strides[layer])
                    core[...] = activations.numpy()
            if total is not None:
                found = tf.nest.map_structure(tf.add, total, found)
            total = found
        return total

    def _view(
        self,
        tile: Tile,
        seen: np.ndarray,
        content: dict[str, np.ndarray],
        regions: tuple[np.ndarray, ...],
    ) -> View:
        """What belongs to a tile; views of the arrays."""
        return View(
            tile.of(seen),
            np.array(tile.core, np.int32),
            np.array(tile.counted, np.int32),
            {
                layer: tile.counted_of(content[layer], self._segment.strides[layer])
                for layer in self._passes.content_layers
            },
            tuple(tile.counted_of(masks) for masks in regions),
        )
