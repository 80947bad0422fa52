"""The engine that paints a picture of any size in tiles.

Distant pixels are coupled by nothing but sums over positions: Gram matrices, means,
squared differences, distances to the nearest of the style's activations. So these
statistics are added up over the tiles in a forward pass, the loss and its gradient with
respect to them follow, and a backward pass gives each tile the gradient of its pixels:
reverse-mode differentiation, a tile at a time. A tile has a halo as wide as a feature
can see, and only the features of its core count, so the result equals that of the whole
picture, up to rounding.

That looks at each tile twice. From the second step of a scale on, the forward pass
looks at a sample of the picture only; see `tfnst.engines.sampling`. Optimisers that
compare losses with gradients, such as L-BFGS, get exact gradients at each step, and so
do regions, which a sample may miss.

The network is cut in two at a pooling layer, and the activations there are kept whole.
A halo that reaches through all of VGG would be 96 pixels wide. Through the first blocks
it is 16 or 32, and behind the cut, where one position stands for 4 or 8 pixels, tiles
are so large that their halo costs little. The part before the cut always takes both
passes, because the gradient at the cut comes from behind it. If everything behind the
cut (the tail) fits into memory as one tile, one look gives the exact gradient.

Whatever grows with the picture lies in NumPy arrays, which are changed in place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Knobs, TransferState, split_state
from tfnst.engines.enlarging import enlarge_rows
from tfnst.engines.pixel_terms import add_pixel_terms
from tfnst.engines.plans import SAMPLE_SIDE, STRIP
from tfnst.engines.sampling import Carried, pack_carried, sampled_step
from tfnst.engines.tiled_segment import Seen, TiledContent, TiledSegment
from tfnst.engines.tiles import NetworkSegment
from tfnst.engines.whole import WholeEngine, gradient_unit
from tfnst.losses.objective import Targets
from tfnst.losses.style import require_additive
from tfnst.losses.terms import Losses, LossWeights
from tfnst.networks.features import split_feature_extractor
from tfnst.ops.resizing import resize_image


class TiledState(NamedTuple):
    """A `TransferState` in arrays, with what `sampled_step` carries over."""

    step: Any
    optimizer: Any
    average: Any
    carried: Carried | None = None


class TiledEngine:
    """Does what `WholeEngine` does, in bounded memory; it is an `Engine`, too.

    Args:
        whole: the engine whose results this one gives.
        cut: pooling layer behind which the network is cut; None for no cut.
        head_side: side of the tiles before the cut, in pixels.
        tail_side: side of the tiles behind the cut, in positions there; None for one
            tile.
        strip: rows of a picture that are updated at once.
        sample_side: side of the tiles of a sample, in pixels.

    Raises:
        ValueError: if a style loss can't be computed in tiles.
    """

    def __init__(
        self,
        whole: WholeEngine,
        *,
        cut: str | None,
        head_side: int,
        tail_side: int | None = None,
        strip: int = STRIP,
        sample_side: int = SAMPLE_SIDE,
    ) -> None:
        for loss in whole.objective.style_losses.values():
            require_additive(loss)
        self._whole = whole
        self.objective = whole.objective
        self.optimizer = whole.optimizer
        self.ema_momentum = whole.ema_momentum
        self._strip = strip
        self._sample_side = sample_side
        models = split_feature_extractor(whole.feature_extractor, cut)
        head, *tail = (NetworkSegment.from_model(model) for model in models)
        spec = whole.style_spec
        self._head = TiledSegment(
            whole.objective, head, cut, style_spec=spec, side=head_side
        )
        # Behind the cut.
        self._tail = None
        if tail:
            self._tail = TiledSegment(
                whole.objective,
                tail[0],
                style_spec=spec,
                side=tail_side,
                input_stride=head.stride,
            )

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
        if mask is not None:
            mask = border.pad_array(np.asarray(mask))
        cut = self._head.empty_cut(style_image)
        described = self._head.describe(style_image, mask, cut)
        if self._tail is not None and cut is not None:
            described |= self._tail.describe(cut, mask, None)
        losses = self.objective.style_losses
        return {layer: losses[layer].target(each) for layer, each in described.items()}

    def content_targets(self, content_image: tf.Tensor | np.ndarray) -> TiledContent:
        """The targets of a picture [N, H, W, 3] in [0, 1]."""
        padded = self.objective.border.pad_array(np.asarray(content_image))
        cut = self._head.empty_cut(padded)
        content = self._head.content_targets(padded, cut)
        if self._tail is not None and cut is not None:
            more = self._tail.content_targets(cut, None)
            content = TiledContent(
                content.activations | more.activations, content.energies | more.energies
            )
        return content

    def enter_scale(
        self,
        average: tf.Tensor | np.ndarray,
        content_image: tf.Tensor,
        sides: tf.Tensor,
        content_weight: tf.Tensor,
    ) -> tuple[np.ndarray, TiledState, TiledContent]:
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
        state: TiledState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor | int,
    ) -> tuple[np.ndarray, TiledState, np.ndarray]:
        """As `Engine.run`."""
        history = []
        weights = knobs.relative_weights()
        carried, plain = state.carried, _plain(state)
        for _ in range(int(steps)):
            measured, gradient, carried = self.losses_and_gradient(
                canvas, targets, weights, carried
            )
            gradient *= gradient_unit(canvas).numpy()
            measured = knobs.reported(measured)
            finite = np.isfinite(measured.total).all() and _all_finite(gradient)
            if not finite:
                nan = tf.fill(tf.shape(measured.total), float("nan"))
                measured = measured._replace(total=nan)
            history.append(np.stack(measured))
            if not finite:
                break
            plain = self._update(canvas, measured, gradient, plain, knobs)
        return canvas, _in_tiles(plain)._replace(carried=carried), np.stack(history)

    def go_back(
        self, canvas: np.ndarray, good: Any, state: TiledState, step: int
    ) -> tuple[np.ndarray, TiledState]:
        """As `Engine.go_back`."""
        image = np.array(good)
        fresh = self._init_state(image)
        return image, fresh._replace(
            step=np.array(step, np.int32), average=state.average
        )

    def restore(
        self,
        canvas: np.ndarray,
        state: TiledState,
        image: np.ndarray,
        arrays: list[np.ndarray],
    ) -> tuple[np.ndarray, TiledState]:
        """As `Engine.restore`."""
        plain = _plain(state)
        own, rest = split_state(plain, arrays)
        restored = _in_tiles(tf.nest.pack_sequence_as(plain, own))
        carried = pack_carried(self._tail or self._head, rest)
        return image, restored._replace(carried=carried)

    def losses_and_gradient(
        self,
        image: np.ndarray,
        targets: Targets,
        weights: LossWeights,
        carried: Carried | None = None,
    ) -> tuple[Losses, np.ndarray, Carried | None]:
        """The losses of a picture and the gradient of their total.

        Args:
            image: [N, H, W, 3] in [0, 1].
            targets: targets of the same size.
            weights: weights of the losses.
            carried: from the picture of the step before; None for an exact gradient.

        Returns:
            (losses, gradient like `image`, what to carry over to the next step).
        """
        border, head = self.objective.border, self._head
        seen = head.see(border.pad_array(image), targets)
        cut = head.empty_cut(seen.array)
        if self._tail is None or cut is None:
            content, style, gradient, carried = self._last(head, seen, weights, carried)
        else:
            statistics = head.statistics(seen, cut=cut)
            content, style, cotangents = head.cotangents(seen, statistics, weights)
            behind = self._tail.see(cut, targets)
            more_content, more_style, at_cut, carried = self._last(
                self._tail, behind, weights, carried
            )
            content, style = content + more_content, style + more_style
            gradient = head.gradient(seen, cotangents, at_cut)
        gradient = border.fold(gradient, *image.shape[1:3])
        variation, temporal = add_pixel_terms(
            gradient,
            image,
            targets.temporal,
            weights.total_variation,
            rows=self._strip,
            wrap=self.objective.seamless,
        )
        total = weights.total(content, style, variation)
        losses = Losses(content, style, variation, total + temporal)
        return losses, gradient, carried

    def _last(
        self,
        segment: TiledSegment,
        seen: Seen,
        weights: LossWeights,
        carried: Carried | None,
    ) -> tuple[tf.Tensor, tf.Tensor, np.ndarray, Carried | None]:
        """As `losses_and_gradient`, of the last segment alone and without pixel terms.

        Returns:
            (content loss, style loss, gradient like the picture that it sees, what to
            carry over).
        """
        exact = seen.regions or not self.optimizer.elementwise
        if exact or len(segment.tiles(seen.array)) == 1:
            return *segment.losses_and_gradient(seen, weights), None
        return sampled_step(segment, seen, weights, carried, side=self._sample_side)

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
        for top in range(0, height, self._strip):
            rows = slice(top, top + self._strip)
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

    def _init_state(self, image: np.ndarray) -> TiledState:
        """As `WholeEngine.init_state`, in arrays."""
        if not self.optimizer.elementwise:
            state = self._whole.init_state(tf.convert_to_tensor(image))
            return _in_tiles(tf.nest.map_structure(np.array, state))
        one = tf.zeros([len(image), 1, 1, 3])

        def enlarged(tensor: tf.Tensor) -> np.ndarray:
            shape = image.shape if tensor.shape == one.shape else tensor.shape
            return np.array(np.broadcast_to(tensor, shape))

        state = tf.nest.map_structure(enlarged, self._whole.init_state(one))
        return _in_tiles(state._replace(average=image.copy()))

    def _update(
        self,
        image: np.ndarray,
        measured: Losses,
        gradient: np.ndarray,
        state: TransferState,
        knobs: Knobs,
    ) -> TransferState:
        """Takes a step in place; in strips, which need little room, where it can."""
        elementwise = self.optimizer.elementwise
        rows = self._strip if elementwise else len(image[0])
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


def _in_tiles(state: TransferState) -> TiledState:
    """The state of tiles that carry nothing over."""
    return TiledState(state.step, state.optimizer, state.average)


def _plain(state: TiledState) -> TransferState:
    return TransferState(state.step, state.optimizer, state.average)


def _all_finite(array: np.ndarray) -> bool:
    return all(np.isfinite(row).all() for picture in array for row in picture)
