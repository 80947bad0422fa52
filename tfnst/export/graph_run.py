"""A whole run, coarse to fine, as one graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfnst.engines.engine import Knobs
from tfnst.engines.whole import WholeEngine
from tfnst.losses.objective import Targets
from tfnst.ops.masks import resize_mask


def paint(
    engine: WholeEngine,
    content_image: tf.Tensor,
    first_image: tf.Tensor,
    scales: tf.Tensor,
    knobs: Knobs,
    *,
    scale_steps: tf.Tensor,
    style_targets: Callable[[tf.Tensor], dict[str, Any]],
    masks: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Paints as `tfnst.stylize` does between its callbacks.

    Nothing is rolled back: a loss that isn't finite ends the run.

    Args:
        engine: engine that takes the steps.
        content_image: [N, H, W, 3] in [0, 1], at the size of the finest scale.
        first_image: picture to start from, [N, h, w, 3] in [0, 1].
        scales: height and width of each scale, int32 [scales, 2].
        knobs: scalars; `steps` is ignored.
        scale_steps: steps of each scale, int32 [scales].
        style_targets: function from the index of a scale to `Targets.style`.
        masks: masks of the regions, [K, H, W, 1]; None for no regions.

    Returns:
        (stylized image [N, H, W, 3], losses [4, N] of the last step: content, style,
        total variation, total). The total loss is NaN if the run ended early.
    """
    count = tf.shape(scales)[0]

    def unfinished(scale: tf.Tensor, finite: tf.Tensor, *_: Any) -> tf.Tensor:
        return finite & (scale < count)

    def body(
        scale: tf.Tensor, _: tf.Tensor, state: Any, measured: tf.Tensor
    ) -> tuple[Any, ...]:
        sides = scales[scale]
        image, state, content = engine.enter(
            state.average, content_image, sides, knobs.content_weight
        )
        regions = None
        if masks is not None:
            small = resize_mask(masks, *tf.unstack(sides))
            regions = engine.objective.see_regions(small)
        steps = scale_steps[scale]
        here = knobs._replace(steps=tf.cast(steps, tf.float32))
        targets = Targets(content, style_targets(scale), regions)
        _, state, history, _ = engine.run_compiled(
            image, state, targets, here, steps, rows=1
        )
        measured = history[0]
        finite = tf.reduce_all(tf.math.is_finite(measured))
        return scale + 1, finite, state, measured

    _, _, state, measured = tf.while_loop(
        unfinished,
        body,
        (
            tf.constant(0),
            tf.constant(True),
            engine.init_state(first_image),
            tf.zeros([4, tf.shape(first_image)[0]]),
        ),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([]),
            tf.nest.map_structure(lambda spec: spec.shape, engine.state_spec),
            tf.TensorShape([4, None]),
        ),
        parallel_iterations=1,
    )
    return state.average, measured
