"""All recipes by name, and tfnst's own within a budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tfnst
from benchmarks.quality import crowson, johnson, nnst, tutorials
from benchmarks.quality.task import BudgetError, Painting, Task
from tfnst.config import StyleTransferConfig
from tfnst.limits import MAX_STEPS
from tfnst.ops import pyramid

Paint = Callable[[Task], Painting]

QUARTER = 0.25


def build_recipes(changes: dict[str, Any]) -> dict[str, Paint]:
    """The recipes by name.

    Args:
        changes: settings of tfnst to try instead of its defaults.
    """

    def paint_quarter(task: Task) -> Painting:
        return paint_tfnst(task, changes, share=QUARTER)

    return {
        "tfnst": lambda task: paint_tfnst(task, changes),
        "tfnst_quarter": paint_quarter,
        "tensorflow": tutorials.paint_tensorflow,
        "keras": tutorials.paint_keras,
        "johnson": johnson.paint_johnson,
        "crowson": crowson.paint_crowson,
        "nnst": nnst.paint_nnst,
    }


# The layers that the peers optimise; tfnst's are in its configuration. NNST's are left
# out: it optimises all of the first four blocks, and none would be left to judge.
PEERS_LAYERS = frozenset(
    {*tutorials.LAYERS, *johnson.STYLE_LAYERS, johnson.CONTENT_LAYER}
    | {*crowson.STYLE_LAYERS, crowson.CONTENT_LAYER}
)


def paint_tfnst(
    task: Task, changes: dict[str, Any] | None = None, *, share: float = 1.0
) -> Painting:
    """tfnst's defaults, with as many steps as the budget allows.

    Args:
        task: what to paint.
        changes: settings to use instead of the defaults.
        share: the share of the budget to use.
    """
    config = tfnst_config(task, changes)
    scales = pyramid.build_pyramid(
        task.content.shape[1:3],
        task.style.shape[1:3],
        config.size,
        config.min_size,
        config.style_scale,
    ).numpy()
    budget = share * task.budget

    def plan(steps: int) -> tuple[pyramid.Scale, ...]:
        initial = config.initial_steps_for(steps)
        counts = pyramid.scale_steps(scales, steps, initial).numpy()
        return pyramid.list_scales(scales, counts)

    def cost(steps: int) -> int:
        return sum(scale.steps * scale.pixels for scale in plan(steps))

    if cost(1) > budget:
        raise BudgetError("the budget is too small for a step at each scale")
    low, high = 1, MAX_STEPS
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= budget else (low, middle - 1)
    result = tfnst.stylize(task.content, task.style, config=config, steps=low)
    # Count what was done, not what was planned.
    pixels = {scale.long_side: scale.pixels for scale in plan(low)}
    spent = sum(pixels[int(size)] for size in result.losses["size"])
    settings = result.config.to_dict() | {"weights": result.weights.source}
    return Painting(result.array, spent, settings)


def tfnst_config(
    task: Task, changes: dict[str, Any] | None = None
) -> StyleTransferConfig:
    """tfnst's settings for a task, except for the steps."""
    config = StyleTransferConfig(
        backbone=task.backbone.name,
        weights=task.weights,
        size=task.size,
        precision=task.precision,
        seed=task.seed,
    ).replace(**(changes or {}))
    return config.replace(content_weight=config.content_weight * task.content_factor)
