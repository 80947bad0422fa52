"""Paints pairs of pictures by the recipes, and has the judges measure them."""

from __future__ import annotations

import argparse
import json
import pathlib
import time
from typing import Any

import numpy as np

from benchmarks.quality import report
from benchmarks.quality.judge import Judge, build_judges, style_as_picture
from benchmarks.quality.recipes import (
    PEERS_LAYERS,
    Paint,
    build_recipes,
    tfnst_config,
)
from benchmarks.quality.task import BudgetError, Task, fit, resized
from tfnst.config import StyleTransferConfig
from tfnst.engines.devices import choose_precision
from tfnst.images import reading, writing
from tfnst.networks import backbones

SWEEP = (0.25, 1.0, 4.0, 16.0)
# One more for tfnst, to compare it with peers that hardly paint.
TFNST_SWEEP = (*SWEEP, 64.0)

Row = dict[str, Any]  # a line of measures.csv
Record = dict[str, Any]  # the JSON file beside a picture


def run(
    arguments: argparse.Namespace, pairs: dict[str, tuple[pathlib.Path, pathlib.Path]]
) -> None:
    """Paints, measures and reports as the command's arguments say.

    Args:
        arguments: of the command, see `benchmarks.quality.__main__`.
        pairs: paths of content and style by the pair's name.
    """
    backbone = backbones.load_backbone(
        arguments.backbone,
        weights=None if arguments.weights == "none" else arguments.weights,
        last_layer="block5_conv2",
    )
    optimized = frozenset(PEERS_LAYERS) | _tfnst_layers(arguments.set)
    judges = build_judges(backbone, optimized)
    factors = SWEEP if arguments.sweep_content else (1.0,)
    print(
        f"pairs: {len(pairs)}, recipes: {len(arguments.recipes)}, content weights "
        f"times {', '.join(f'{f:g}' for f in factors)}; {arguments.size} pixels, "
        f"{arguments.budget:g} of 1,000 evaluations; {backbone.name}, weights from "
        f"{backbone.weights.source}"
    )
    for judge in judges:
        print(f"  {judge.name}: {', '.join(judge.layers)}")
    rows = []
    for pair, paths in pairs.items():
        rows += _measure_pair(pair, paths, arguments, backbone, judges)
    report.write(rows, arguments.out, title=_title(arguments, backbone))


def _measure_pair(
    pair: str,
    paths: tuple[pathlib.Path, pathlib.Path],
    arguments: argparse.Namespace,
    backbone: backbones.Backbone,
    judges: list[Judge],
) -> list[Row]:
    """Paints a pair by all recipes and measures the pictures."""
    content, style = map(reading.load_image, paths)
    folder = arguments.out / pair
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    references = {
        "photo": resized(content, fit(content, arguments.size)).numpy(),
        "style": style_as_picture(content, style, arguments.size),
    }
    for name, picture in references.items():
        writing.save_image(picture, folder / f"{name}.png")
        record = _judged({}, judges, content, style, picture)
        rows += _rows(pair, name, 1.0, record)

    recipes = build_recipes(arguments.set)
    for name in arguments.recipes:
        for factor in _content_factors(name, arguments.sweep_content):
            task = Task(
                content=content,
                style=style,
                size=arguments.size,
                fraction=arguments.budget,
                content_factor=factor,
                backbone=backbone,
                weights=backbone.weights.path,
                precision=choose_precision(arguments.precision),
            )
            path = folder / f"{name}_x{factor:g}.png"
            record = _painted(
                path, task, name, recipes[name], arguments.set,
                again=name in arguments.repaint,
            )  # fmt: skip
            if record is None:
                continue
            record = _judged(record, judges, content, style, path)
            path.with_suffix(".json").write_text(json.dumps(record, indent=1))
            rows += _rows(pair, name, factor, record)
    return rows


def _content_factors(recipe: str, sweep: bool) -> tuple[float, ...]:
    """The factors of a recipe's content weight, in turn."""
    if not sweep:
        return (1.0,)
    return TFNST_SWEEP if recipe.startswith("tfnst") else SWEEP


def _tfnst_layers(changes: dict[str, Any]) -> frozenset[str]:
    config = StyleTransferConfig().replace(**changes)
    return frozenset(config.content_layers) | frozenset(config.style_layers)


def _painted(
    path: pathlib.Path,
    task: Task,
    name: str,
    paint: Paint,
    changes: dict[str, Any],
    *,
    again: bool,
) -> Record | None:
    """Paints a picture, unless it exists, and returns its record.

    None if the recipe can't paint it.
    """
    key = {
        "size": task.size,
        "budget": task.fraction,
        "content_factor": task.content_factor,
        "weights": task.backbone.weights.sha256,
        "precision": task.precision,
    }
    if name.startswith("tfnst"):
        key["config"] = tfnst_config(task, changes).to_dict()
    sidecar = path.with_suffix(".json")
    if not again and path.exists() and sidecar.exists():
        record = json.loads(sidecar.read_text())
        if record["key"] == key:
            return record
    started = time.perf_counter()
    label = f"{path.parent.name} {path.stem}"
    try:
        painting = paint(task)
    except BudgetError as error:
        print(f"{label}: left out, {error}", flush=True)
        return None
    seconds = time.perf_counter() - started
    if not np.isfinite(painting.array).all():
        print(f"{label}: left out, the picture isn't finite", flush=True)
        return None
    writing.save_image(painting.array, path)
    share = painting.spent / task.budget
    print(f"{label}: {share:.0%} of the budget in {seconds:.0f} s", flush=True)
    return {
        "key": key,
        "settings": painting.settings,
        "spent": painting.spent,
        "budget": task.budget,
        "seconds": seconds,
        "measured": {},
    }


def _judged(
    record: Record,
    judges: list[Judge],
    content: np.ndarray,
    style: np.ndarray,
    picture: np.ndarray | pathlib.Path,
) -> Record:
    """The record, with every judge's measures."""
    measured = record.get("measured", {})
    for judge in judges:
        old = measured.get(judge.name)
        if old is None or old["key"] != judge.key():
            values = judge.measure(content, style, picture)
            measured[judge.name] = {"key": judge.key(), "values": values}
    return record | {"measured": measured}


def _rows(pair: str, recipe: str, factor: float, record: Record) -> list[Row]:
    return [
        {
            "pair": pair,
            "recipe": recipe,
            "content_factor": factor,
            "judge": judge,
            "spent": record.get("spent", 0),
            "budget": record.get("budget", 0.0),
            "seconds": record.get("seconds", 0.0),
            **measured["values"],
        }
        for judge, measured in record["measured"].items()
    ]


def _title(arguments: argparse.Namespace, backbone: backbones.Backbone) -> str:
    changes = "".join(f", {name}={value}" for name, value in arguments.set.items())
    return (
        f"{arguments.size} pixels, {arguments.budget:g} of 1,000 evaluations, "
        f"{backbone.name} ({backbone.weights.source}){changes}"
    )
