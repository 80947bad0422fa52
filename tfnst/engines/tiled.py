"""The engine that paints a picture of any size in tiles.

Distant pixels are coupled by nothing but sums over positions: Gram matrices, means,
squared differences, distances to the nearest of the style's activations. So a first
pass adds these sums up over the tiles, the loss and its gradient with respect to the
sums follow, and a second pass gives each tile the gradient of its pixels. A tile has a
halo as wide as a feature can see, and only the features of its core count, so the
result equals that of the whole picture, up to rounding.

That looks at each tile twice. From the second step of a scale on, the first pass looks
at a sample of the picture only; see `tfnst.engines.sampling`. Optimisers that compare
losses with gradients, such as L-BFGS, get exact gradients at each step, and so do
regions, which a sample may miss.

The network is cut in two at a pooling layer, and the activations there are kept whole.
A halo that reaches through all of VGG would be 96 pixels wide. Through the first blocks
it is 16 or 32, and behind the cut, where one position stands for 4 or 8 pixels, tiles
are so large that their halo costs little. What lies before the cut is always looked at
twice, because the gradient at the cut comes from behind it. If everything behind the
cut (the tail) fits into memory as one tile, one look gives the exact gradient.

Whatever grows with the picture lies in NumPy arrays, which are changed in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Knobs, TransferState, split_state
from tfnst.engines.enlarging import enlarge_rows
from tfnst.engines.pixel_terms import add_pixel_terms
from tfnst.engines.sampling import Carried, pack_carried, sampled_step
from tfnst.engines.tiled_segment import TiledContent, TiledSegment
from tfnst.engines.tiles import Segment
from tfnst.engines.whole import WholeEngine, gradient_unit
from tfnst.losses import terms
from tfnst.losses.objective import Objective, Targets
from tfnst.networks.features import split_feature_extractor
from tfnst.ops.masks import masks_at_stride
from tfnst.ops.resizing import resize_image
from tfnst.optimizers.optimizer import Optimizer

# Rows of a picture that are updated at once.
_STRIP = 256


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
        pieces = [Segment.from_model(model) for model in models]

        def segments(masked: bool) -> tuple[TiledSegment, TiledSegment | None]:
            head = TiledSegment(
                whole.objective, pieces[0], cut, side=head_side, masked=masked
            )
            if cut is None:
                return head, None
            return head, TiledSegment(
                whole.objective,
                pieces[1],
                side=tail_side,
                input_stride=pieces[0].stride,
                masked=masked,
            )

        # Before and behind the cut; with masks and without.
        self._segments = {masked: segments(masked) for masked in (False, True)}
        self._head, self._tail = self._segments[False]

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
        head, tail = self._segments[bool(regions)]
        cut = head.empty_cut(style_image.shape)
        described = head.describe(style_image, regions, cut)
        if tail is not None and cut is not None:
            described |= tail.describe(cut, _at_stride(regions, tail), None)
        statistics = self.objective.statistics
        return {k: statistics[k].targets(each) for k, each in described.items()}

    def content_targets(self, content_image: tf.Tensor | np.ndarray) -> TiledContent:
        """The targets of a picture [N, H, W, 3] in [0, 1]."""
        seen = self.objective.border.pad_array(np.asarray(content_image))
        activations = self._head.empty_content(seen.shape)
        cut = self._head.empty_cut(seen.shape)
        energies = self._head.keep_content(seen, activations, cut)
        if self._tail is not None and cut is not None:
            activations |= self._tail.empty_content(cut.shape)
            energies |= self._tail.keep_content(cut, activations, None)
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
        last = self._tail or self._head
        return image, state._replace(carried=pack_carried(last, carried))

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
        regions = targets.regions
        head, tail = self._segments[bool(regions)]
        cut = head.empty_cut(seen.shape)
        if tail is None or cut is None:
            content, style, gradient, carried = self._last(
                head, seen, targets, regions, knobs, carried
            )
        else:
            parts = head.look(seen, targets, regions, cut)
            content, style, upstream = head.weigh(parts, targets, knobs)
            more_content, more_style, at_cut, carried = self._last(
                tail, cut, targets, _at_stride(regions, tail), knobs, carried
            )
            content, style = content + more_content, style + more_style
            gradient = head.gradient(seen, targets, regions, upstream, at_cut)
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
        segment: TiledSegment,
        seen: np.ndarray,
        targets: Targets,
        regions: tuple[np.ndarray, ...],
        knobs: Knobs,
        carried: Carried | tuple[()],
    ) -> tuple[tf.Tensor, tf.Tensor, np.ndarray, Carried | tuple[()]]:
        """As `losses_and_gradient`, of the last segment alone and without pixel terms.

        Args:
            segment: the last one, which may be the whole network.
            seen: what it sees, [N, H, W, C].
            targets: of the picture.
            regions: masks on the grid of what it sees.
            knobs: scalars.
            carried: as for `losses_and_gradient`.

        Returns:
            (content loss, style loss, gradient like `seen`, what to carry over).
        """
        exact = regions or not self.optimizer.elementwise
        if exact or len(segment.tiles(seen)) == 1:
            return *segment.losses_and_gradient(seen, targets, regions, knobs), ()
        return sampled_step(segment, seen, targets, knobs, carried)

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


def _at_stride(
    regions: tuple[np.ndarray, ...], segment: TiledSegment
) -> tuple[np.ndarray, ...]:
    """Masks of pixels on the grid of what a segment sees."""
    stride = segment.input_stride
    return tuple(masks_at_stride(masks, stride).numpy() for masks in regions)


def _all_finite(array: np.ndarray) -> bool:
    return all(np.isfinite(row).all() for picture in array for row in picture)
