"""The engine that paints a picture of any size in tiles.

Distant pixels are coupled by nothing but sums over positions: Gram matrices, means,
squared differences, distances to the nearest of the style's activations. So a first
pass adds these sums up over the tiles, the loss and its gradient with respect to the
sums follow, and a second pass gives each tile the gradient of its pixels. A tile has a
halo as wide as a feature can see, and only the features of its core count, so the
result equals that of the whole picture, up to rounding.

That looks at each tile twice. So from the second step of a scale on, the first pass
looks at a sample of the picture, and the sums of the rest are taken to have changed
since the step before as those of the sample have. (Taken as they were, they are too
late: Adam swings to and fro.) The second pass finds the sums that count for the losses
and for the next step. Optimisers that compare losses with gradients, such as L-BFGS,
get exact gradients at each step, and so do regions, which a sample may miss.

The network is cut in two at a pooling layer, and the activations there are kept whole.
A halo that reaches through all of VGG would be 96 pixels wide. Through the first blocks
it is 16 or 32, and behind the cut, where one position stands for 4 or 8 pixels, tiles
are so large that their halo costs little. What lies before the cut is always looked at
twice, because the gradient at the cut comes from behind it. If everything behind the
cut (the tail) fits into memory as one tile, one look gives the exact gradient.

Whatever grows with the picture lies in NumPy arrays, which are changed in place; only
tiles become tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Knobs, TransferState, split_state
from tfnst.engines.enlarging import enlarge_rows
from tfnst.engines.pixel_terms import add_pixel_terms
from tfnst.engines.tile_passes import Parts, Passes, View
from tfnst.engines.tiles import Segment, Tile
from tfnst.engines.whole import WholeEngine, gradient_unit
from tfnst.losses import terms
from tfnst.losses.objective import Objective, Targets
from tfnst.networks.features import split_feature_extractor
from tfnst.ops.borders import Border
from tfnst.ops.masks import masks_at_stride, region_shares
from tfnst.ops.resizing import resize_image
from tfnst.optimizers.optimizer import Optimizer

# The sample: a dozen tiles of this side in pixels, but at most one in eight.
_SAMPLES, _SPACING, _SAMPLE_SIDE = 12, 8, 256
# Rows of a picture that are updated at once.
_STRIP = 256


class TiledContent(NamedTuple):
    """`Targets.content` of this engine."""

    activations: dict[str, np.ndarray]  # by layer, [N, h, w, C]
    energies: dict[str, tf.Tensor]  # sums of their squares by layer, [N]


class Carried(NamedTuple):
    """What a step passes on, so that the next one looks at most tiles once."""

    parts: Parts  # of the whole picture
    sample: Parts  # of the tiles in the sample


class TiledEngine:
    """Does what `WholeEngine` does, in bounded memory; it is an `Engine`, too.

    Args:
        whole: the engine whose results this one gives.
        cut: pooling layer behind which the network is cut; None for no cut.
        head_side: side of the tiles before the cut, in pixels.
        tail_side: side of the tiles behind the cut, in positions there; None for one
            tile.
    """

    def __init__(
        self,
        whole: WholeEngine,
        *,
        cut: str | None,
        head_side: int,
        tail_side: int | None = None,
    ) -> None:
        self._whole = whole
        models = split_feature_extractor(whole.feature_extractor, cut)
        segments = [Segment.from_model(model) for model in models]

        def passes(masked: bool) -> tuple[Passes, Passes | None]:
            head = Passes(whole.objective, segments[0], cut, masked=masked)
            if cut is None:
                return head, None
            return head, Passes(whole.objective, segments[1], None, masked=masked)

        # Before and behind the cut; with masks and without.
        self._passes = {masked: passes(masked) for masked in (False, True)}
        self._head, self._tail = self._passes[False]
        self._head_side: int | None = head_side
        self._tail_side = tail_side

    @property
    def objective(self) -> Objective:
        return self._whole.objective

    @property
    def optimizer(self) -> Optimizer:
        return self._whole.optimizer

    @property
    def ema_momentum(self) -> float:
        return self._whole.ema_momentum

    def style_targets(
        self,
        style_image: tf.Tensor,
        sides: tf.Tensor,
        mask: tf.Tensor | None = None,
    ) -> dict[str, Any]:
        """As `Engine.style_targets`."""
        border = self.objective.style_border
        style_image = resize_image(style_image, *map(int, sides))
        style_image = border.pad_array(np.asarray(style_image))
        regions = () if mask is None else (border.pad_array(np.asarray(mask)),)
        cut = self._empty_cut(style_image.shape)
        head, tail = self._passes[bool(regions)]
        described = self._describe(head, style_image, regions, cut)
        if tail is not None and cut is not None:
            described |= self._describe(tail, cut, self._regions_behind(regions), None)
        statistics = self.objective.statistics
        return {k: statistics[k].targets(each) for k, each in described.items()}

    def content_targets(self, content_image: tf.Tensor | np.ndarray) -> TiledContent:
        """The targets of a picture [N, H, W, 3] in [0, 1]."""
        seen = self.objective.border.pad_array(np.asarray(content_image))
        activations = self._empty_content(seen.shape)
        cut = self._empty_cut(seen.shape)
        energies = self._keep_content(self._head, seen, activations, cut)
        if self._tail is not None and cut is not None:
            energies |= self._keep_content(self._tail, cut, activations, None)
        return TiledContent(activations, energies)

    def enter_scale(
        self,
        average: tf.Tensor | np.ndarray,
        content_image: tf.Tensor,
        sides: tf.Tensor,
        content_weight: tf.Tensor,
    ) -> tuple[np.ndarray, TransferState, TiledContent]:
        """As `Engine.enter_scale`; canvas and state are arrays."""
        content_image = resize_image(
            content_image, *map(int, sides), wrap=self.objective.seamless
        )
        content_image = np.asarray(content_image)
        image = self._enlarge(average, content_image, content_weight)
        content = self.content_targets(content_image)
        return image, self._init_state(image), content

    def run(
        self,
        canvas: np.ndarray,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor | int,
    ) -> tuple[np.ndarray, TransferState, np.ndarray]:
        """As `Engine.run`."""
        history = []
        carried, state = state.carried, state._replace(carried=())
        for _ in range(int(steps)):
            measured, gradient, carried = self.losses_and_gradient(
                canvas, targets, knobs.relative(), carried
            )
            gradient *= gradient_unit(canvas).numpy()
            total = measured.total * knobs.excess()
            measured = measured._replace(total=total)
            finite = np.isfinite(measured.total).all() and _all_finite(gradient)
            if not finite:
                nan = tf.fill(tf.shape(measured.total), float("nan"))
                measured = measured._replace(total=nan)
            history.append(np.stack(measured))
            if not finite:
                break
            state = self._update(canvas, measured, gradient, state, knobs)
        return canvas, state._replace(carried=carried), np.stack(history)

    def go_back(
        self, canvas: np.ndarray, good: Any, state: TransferState, step: int
    ) -> tuple[np.ndarray, TransferState]:
        """As `Engine.go_back`."""
        image = np.array(good)
        fresh = self._init_state(image)
        return image, fresh._replace(
            step=np.array(step, np.int32), average=state.average
        )

    def restore(
        self,
        canvas: np.ndarray,
        state: TransferState,
        image: np.ndarray,
        arrays: list[np.ndarray],
    ) -> tuple[np.ndarray, TransferState]:
        """As `Engine.restore`."""
        own, carried = split_state(state, arrays)
        state = tf.nest.pack_sequence_as(state, own)
        return image, state._replace(carried=self._as_carried(carried))

    def _as_carried(self, arrays: list[np.ndarray]) -> Carried | tuple[()]:
        """What tiles like these carried over; nothing if others did."""
        for head, tail in self._passes.values():
            spec = Carried(*2 * [(tail or head).parts_spec])
            wanted = tf.nest.flatten(spec)
            if len(wanted) == len(arrays) and all(
                each.dtype == array.dtype and each.shape.is_compatible_with(array.shape)
                for each, array in zip(wanted, arrays, strict=True)
            ):
                return tf.nest.pack_sequence_as(spec, arrays)
        return ()

    def losses_and_gradient(
        self,
        image: np.ndarray,
        targets: Targets,
        knobs: Knobs,
        carried: Carried | tuple[()] = (),
    ) -> tuple[terms.Losses, np.ndarray, Carried | tuple[()]]:
        """The losses of a picture and the gradient of their total.

        Args:
            image: [N, H, W, 3] in [0, 1].
            targets: of the same size.
            knobs: scalars.
            carried: what this function returned for the picture of the step before;
                nothing for an exact gradient.

        Returns:
            (losses, gradient like `image`, what to carry over to the next step).
        """
        border = self.objective.border
        seen = border.pad_array(image)
        targets = targets._replace(regions=tuple(map(np.asarray, targets.regions)))
        cut = self._empty_cut(seen.shape)
        head, tail = self._passes[bool(targets.regions)]
        if tail is None or cut is None:
            content, style, gradient, carried = self._last(
                head, seen, targets, targets.regions, knobs, carried
            )
        else:
            parts = self._look(head, seen, targets, targets.regions, cut)
            content, style, upstream = self._weigh(head, parts, targets, knobs)
            regions = self._regions_behind(targets.regions)
            more_content, more_style, at_cut, carried = self._last(
                tail, cut, targets, regions, knobs, carried
            )
            content, style = content + more_content, style + more_style
            gradient = self._gradient(
                head, seen, targets, targets.regions, upstream, at_cut
            )
        gradient = border.fold(gradient, *image.shape[1:3])
        variation, temporal = add_pixel_terms(
            gradient,
            image,
            targets.temporal,
            knobs.total_variation_weight,
            rows=_STRIP,
            wrap=self.objective.seamless,
        )
        total = terms.total_loss(content, style, variation, **knobs.loss_weights())
        losses = terms.Losses(content, style, variation, total + temporal)
        return losses, gradient, carried

    def _last(
        self,
        passes: Passes,
        seen: np.ndarray,
        targets: Targets,
        regions: tuple[np.ndarray, ...],
        knobs: Knobs,
        carried: Carried | tuple[()],
    ) -> tuple[tf.Tensor, tf.Tensor, np.ndarray, Carried | tuple[()]]:
        """The losses of the last segment and the gradient of their weighted sum.

        Args:
            passes: the segment.
            seen: what it sees, [N, H, W, C].
            targets: of the picture.
            regions: masks on the grid of what it sees.
            knobs: scalars.
            carried: as for `losses_and_gradient`.

        Returns:
            (content loss, style loss, gradient like `seen`, what to carry over).
        """
        tiles = self._tiles(passes, seen, self.objective.border)
        content = targets.content.activations
        if len(tiles) == 1:
            view = _view(passes, tiles[0], seen, content, regions)
            content_loss, style_loss, share = passes.look_and_gradient(
                view, *self._of_segment(passes, targets), knobs
            )
            return content_loss, style_loss, share.numpy(), ()
        exact = regions or not self.optimizer.elementwise
        if exact or not carried:
            parts = self._look(passes, seen, targets, regions, None)
        if exact:
            *losses, upstream = self._weigh(passes, parts, targets, knobs)
            gradient = self._gradient(passes, seen, targets, regions, upstream, None)
            return *losses, gradient, ()
        sample, weight = self._sample(passes, seen)
        sampled = self._look(passes, seen, targets, regions, None, sample)
        if carried:
            parts = tf.nest.map_structure(
                lambda all_then, then, now: all_then + weight * (now - then),
                *carried,
                sampled,
            )
        *_, upstream = self._weigh(passes, parts, targets, knobs)
        style, gradient = _style_of(passes, targets), np.zeros_like(seen)

        def look(tile: Tile, view: View) -> tuple[Parts, dict[str, tf.Tensor]]:
            found, share = passes.parts_and_gradient(view, style, upstream, {})
            tile.of(gradient)[...] += share.numpy()
            return found, {}

        parts = self._add_up(passes, seen, content, regions, None, look, tiles)
        *losses, _ = self._weigh(passes, parts, targets, knobs)
        return *losses, gradient, Carried(parts, sampled)

    def _sample(self, passes: Passes, seen: np.ndarray) -> tuple[list[Tile], float]:
        """Tiles spread over a picture, and how much larger the picture is than they."""
        side = _SAMPLE_SIDE
        if not passes.sees_pixels:
            side //= self._head.segment.stride
        tiles = self._tiles(passes, seen, self.objective.border, side)
        spacing = max(_SPACING, len(tiles) // _SAMPLES)
        # Any of so many in a row, the same in each step.
        random = np.random.default_rng(0)
        sample = [
            tiles[random.integers(first, min(first + spacing, len(tiles)))]
            for first in range(0, len(tiles), spacing)
        ]
        return sample, sum(map(_area, tiles)) / sum(map(_area, sample))

    def _regions_behind(
        self, regions: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, ...]:
        """Masks on the grid of the cut."""
        stride = self._head.segment.stride
        return tuple(masks_at_stride(masks, stride).numpy() for masks in regions)

    def _weigh(
        self, passes: Passes, parts: Parts, targets: Targets, knobs: Knobs
    ) -> tuple[tf.Tensor, tf.Tensor, Parts]:
        return passes.weigh(parts, *self._of_segment(passes, targets), knobs)

    def _of_segment(
        self, passes: Passes, targets: Targets
    ) -> tuple[tuple[tf.Tensor, ...], dict[str, tf.Tensor], dict[str, Any]]:
        """Shares of the regions, energies of the content and style targets."""
        energies = {
            layer: targets.content.energies[layer] for layer in passes.content_layers
        }
        inside = self.objective.border.inside
        shares = tuple(region_shares(inside(masks)) for masks in targets.regions)
        return shares, energies, _style_of(passes, targets)

    def _look(
        self,
        passes: Passes,
        seen: np.ndarray,
        targets: Targets,
        regions: tuple[np.ndarray, ...],
        cut: np.ndarray | None,
        tiles: list[Tile] | None = None,
    ) -> Parts:
        """The parts of a whole picture, or of some tiles.

        Args:
            passes: the segment.
            seen: what it sees, [N, H, W, C].
            targets: of the picture.
            regions: masks on the grid of what it sees.
            cut: where to write the activations at the cut; None for nowhere.
            tiles: what to look at; everything by default.
        """
        style = _style_of(passes, targets)
        if tiles is None:
            tiles = self._tiles(passes, seen, self.objective.border)
        return self._add_up(
            passes,
            seen,
            targets.content.activations,
            regions,
            cut,
            lambda tile, view: passes.look(view, style),
            tiles,
        )

    def _describe(
        self,
        passes: Passes,
        seen: np.ndarray,
        regions: tuple[np.ndarray, ...],
        cut: np.ndarray | None,
    ) -> dict[str, Any]:
        """The description of a style image, by layer; arguments as for `_look`."""

        def describe(tile: Tile, view: View) -> tuple[Any, dict[str, tf.Tensor]]:
            top, left = tile.top + tile.counted[0], tile.left + tile.counted[1]
            place = np.array([top, left, *seen.shape[1:3]], np.int32)
            return passes.describe(view, place)

        nothing = self._empty_content_of(passes, seen.shape)
        tiles = self._tiles(passes, seen, self.objective.style_border)
        return self._add_up(passes, seen, nothing, regions, cut, describe, tiles)

    def _keep_content(
        self,
        passes: Passes,
        seen: np.ndarray,
        content: dict[str, np.ndarray],
        cut: np.ndarray | None,
    ) -> dict[str, tf.Tensor]:
        """Writes content activations by layer; returns their energies."""

        def keep(tile: Tile, view: View) -> tuple[Any, dict[str, tf.Tensor]]:
            found, energies, at_cut = passes.look_at_content(view)
            for layer in found:
                view.content[layer][...] = found[layer].numpy()
            return energies, at_cut

        tiles = self._tiles(passes, seen, self.objective.border)
        return self._add_up(passes, seen, content, (), cut, keep, tiles)

    def _add_up(
        self,
        passes: Passes,
        seen: np.ndarray,
        content: dict[str, np.ndarray],
        regions: tuple[np.ndarray, ...],
        cut: np.ndarray | None,
        look: Callable[[Tile, View], tuple[Any, dict[str, tf.Tensor]]],
        tiles: list[Tile],
    ) -> Any:
        """What is found in tiles of a picture, added up.

        Args:
            passes: the segment.
            seen: what it sees, [N, H, W, C].
            content: content targets by layer.
            regions: masks on the grid of what it sees.
            cut: where to write the activations at the cut; None for nowhere.
            look: gives what it finds in a tile, and the core's activations at the cut
                by layer.
            tiles: of the picture.
        """
        strides, total = passes.segment.strides, None
        for tile in tiles:
            found, at_cut = look(tile, _view(passes, tile, seen, content, regions))
            if cut is not None:
                for layer, activations in at_cut.items():
                    tile.core_of(cut, strides[layer])[...] = activations.numpy()
            if total is not None:
                found = tf.nest.map_structure(tf.add, total, found)
            total = found
        return total

    def _gradient(
        self,
        passes: Passes,
        seen: np.ndarray,
        targets: Targets,
        regions: tuple[np.ndarray, ...],
        upstream: Parts,
        at_cut: np.ndarray | None,
    ) -> np.ndarray:
        """The gradient of the total loss with respect to what a segment sees."""
        strides, style = passes.segment.strides, _style_of(passes, targets)
        gradient = np.zeros_like(seen)
        for tile in self._tiles(passes, seen, self.objective.border):
            above = {}
            if passes.cut is not None and at_cut is not None:
                above[passes.cut] = tile.core_of(at_cut, strides[passes.cut])
            view = _view(passes, tile, seen, targets.content.activations, regions)
            share = passes.gradient(view, style, upstream, above).numpy()
            tile.of(gradient)[...] += share
        return gradient

    def _tiles(
        self,
        passes: Passes,
        seen: np.ndarray,
        border: Border,
        side: int | None = None,
    ) -> list[Tile]:
        """The tiles of what a segment sees; of the planned sides by default."""
        _, height, width, _ = seen.shape
        stride = 1 if passes.sees_pixels else self._head.segment.stride
        side = side or (self._head_side if passes.sees_pixels else self._tail_side)
        before, behind = border.margins
        margins = before // stride, behind // stride
        return passes.segment.tiles(height, width, side, margins)

    def _empty_cut(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Room for the activations at the cut; None if there is no cut."""
        if self._head.cut is None:
            return None
        return self._head.room(self._head.cut, shape)

    def _empty_content(self, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Room for the content activations, by layer; all zeros."""
        room = self._empty_content_of(self._head, shape)
        cut = self._empty_cut(shape)
        if self._tail is not None and cut is not None:
            room |= self._empty_content_of(self._tail, cut.shape)
        return room

    @staticmethod
    def _empty_content_of(
        passes: Passes, shape: tuple[int, ...]
    ) -> dict[str, np.ndarray]:
        return {layer: passes.room(layer, shape) for layer in passes.content_layers}

    def _enlarge(
        self,
        average: tf.Tensor | np.ndarray,
        content_image: np.ndarray,
        content_weight: tf.Tensor,
    ) -> np.ndarray:
        """As `enlarge`, a strip at a time."""
        height = len(content_image[0])
        if average.shape == content_image.shape:
            return np.array(average)
        average = tf.convert_to_tensor(average)
        wrap = self.objective.seamless
        blurred = resize_image(content_image, *average.shape[1:3], wrap=wrap)
        image = np.empty_like(content_image)
        for top in range(0, height, _STRIP):
            rows = slice(top, top + _STRIP)
            image[:, rows] = enlarge_rows(
                average,
                blurred,
                content_image[:, rows],
                content_weight,
                content_detail=self._whole.content_detail,
                height=height,
                top=top,
                wrap=wrap,
            ).numpy()
        return image

    def _init_state(self, image: np.ndarray) -> TransferState:
        """As `WholeEngine.init_state`, in arrays."""
        if not self.optimizer.elementwise:
            state = self._whole.init_state(tf.convert_to_tensor(image))
            return tf.nest.map_structure(np.array, state)
        one = tf.zeros([len(image), 1, 1, 3])

        def enlarged(tensor: tf.Tensor) -> np.ndarray:
            shape = image.shape if tensor.shape == one.shape else tensor.shape
            return np.array(np.broadcast_to(tensor, shape))

        state = tf.nest.map_structure(enlarged, self._whole.init_state(one))
        return state._replace(average=image.copy())

    def _update(
        self,
        image: np.ndarray,
        measured: terms.Losses,
        gradient: np.ndarray,
        state: TransferState,
        knobs: Knobs,
    ) -> TransferState:
        """Takes a step in place; in strips, which need little room, where it can."""
        elementwise = self.optimizer.elementwise
        rows = _STRIP if elementwise else len(image[0])
        for top in range(0, len(image[0]), rows):

            def strip(array: Any, rows: slice = slice(top, top + rows)) -> Any:
                return array[:, rows] if array.shape == image.shape else array

            here = tf.nest.map_structure(strip, state) if elementwise else state
            updated, after, _ = self._whole.update(
                strip(image), measured, strip(gradient), here, knobs
            )
            strip(image)[...] = updated.numpy()
            if elementwise:
                for array, new in zip(
                    tf.nest.flatten(here), tf.nest.flatten(after), strict=True
                ):
                    if array.ndim:
                        array[...] = new.numpy()
        if not elementwise:
            return after
        # The counts, on which all strips agree.
        return tf.nest.map_structure(
            lambda old, new: old if old.ndim else new.numpy(), state, after
        )


def _view(
    passes: Passes,
    tile: Tile,
    seen: np.ndarray,
    content: dict[str, np.ndarray],
    regions: tuple[np.ndarray, ...],
) -> View:
    """What belongs to a tile; views of the arrays."""
    strides = passes.segment.strides
    return View(
        tile.of(seen),
        np.array(tile.core, np.int32),
        np.array(tile.counted, np.int32),
        {
            layer: tile.counted_of(content[layer], strides[layer])
            for layer in passes.content_layers
        },
        tuple(tile.counted_of(masks) for masks in regions),
    )


def _area(tile: Tile) -> int:
    """How many positions of a tile count."""
    return tile.counted[2] * tile.counted[3]


def _style_of(passes: Passes, targets: Targets) -> dict[str, Any]:
    """The style targets of a segment."""
    return {layer: targets.style[layer] for layer in passes.style_layers}


def _all_finite(array: np.ndarray) -> bool:
    return all(np.isfinite(row).all() for picture in array for row in picture)
