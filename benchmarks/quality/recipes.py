"""All recipes by name, and tfnst's own at a given budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tfnst
from benchmarks.quality import crowson, johnson, tutorials
from benchmarks.quality.task import BudgetError, Painting, Task
from tfnst.config import StyleTransferConfig
from tfnst.limits import MAX_STEPS
from tfnst.ops import pyramid

Paint = Callable[[Task], Painting]

QUARTER = 0.25


def build_recipes(changes: dict[str, Any]) -> dict[str, Paint]:
    """Recipes by name.

    Args:
        changes: settings of tfnst to try in place of the defaults.
    """

    def paint_quarter(task):
        return paint_tfnst(task, changes, share=QUARTER)

    return {
        "tfnst": lambda task: paint_tfnst(task, changes),
        "tfnst_quarter": paint_quarter,
        "tensorflow": tutorials.paint_tensorflow,
        "keras": tutorials.paint_keras,
        "johnson": johnson.paint_johnson,
        "crowson": crowson.paint_crowson,
    }


# What the peers optimise; the layers of tfnst are those of its configuration.
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
        changes: settings in place of the defaults.
        share: of the budget that is used.
    """
    config = tfnst_config(task, changes)
    scales = pyramid.build_pyramid(
        task.content.shape[1:3],
        task.style.shape[1:3],
        config.size,
        config.min_size,
        config.style_scale,
    ).numpy()
    pixels = scales[:, 0].astype(np.int64).prod(axis=1)
    budget = share * task.budget

    def cost(steps):
        initial = config.initial_steps_for(steps)
        return int(pyramid.scale_steps(scales, steps, initial).numpy() @ pixels)

    if cost(1) > budget:
        raise BudgetError("not one step a scale fits into the budget")
    low, high = 1, MAX_STEPS
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= budget else (low, middle - 1)
    result = tfnst.stylize(task.content, task.style, config=config, steps=low)
    # Counted from what was done, not from what was planned.
    of_size = dict(zip(scales[:, 0].max(axis=1), pixels, strict=True))
    spent = sum(int(of_size[size]) for size in result.losses["size"])
    settings = result.config.to_dict() | {"weights": result.weights.source}
    return Painting(result.array, spent, settings)


def tfnst_config(
    task: Task, changes: dict[str, Any] | None = None
) -> StyleTransferConfig:
    """tfnst's settings for a task, but for the steps."""
    config = StyleTransferConfig(
        backbone=task.backbone.name,
        weights=task.weights,
        size=task.size,
        precision=task.precision,
        seed=task.seed,
    ).replace(**(changes or {}))
    return config.replace(content_weight=config.content_weight * task.content_factor)
