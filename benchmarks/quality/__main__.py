"""Paints pairs of pictures by several recipes at one budget, and measures them.

    python -m benchmarks.quality [--size 256] [--budget 0.1] [--pairs all]
        [--recipes all] [--sweep-content] [--out quality]

README.md beside this file says what the recipes are and how to read the numbers.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time

import numpy as np

from benchmarks.quality import report
from benchmarks.quality.judge import build_judges, style_as_picture
from benchmarks.quality.recipes import PEERS_LAYERS, build_recipes, tfnst_config
from benchmarks.quality.task import BudgetError, Task, fit, resized
from tfnst.config import StyleTransferConfig
from tfnst.engines.devices import choose_precision
from tfnst.images import reading, writing
from tfnst.networks import backbones

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "examples" / "images"
SHARED = ROOT.parent / "shared"
SECOND_NETWORK = SHARED / "weights" / "vgg19_to_block4_conv1.npz"
SWEEP = (0.25, 1.0, 4.0, 16.0)
# To be compared with peers that hardly paint.
TFNST_SWEEP = (*SWEEP, 64.0)

# Content and style; the first ones only where those pictures are there.
PAIRS = {
    "tubingen_starry_night": (
        SHARED / "images" / "photo_tubingen.jpg",
        SHARED / "images" / "painting_starry_night.jpg",
    ),
    "tubingen_shipwreck": (
        SHARED / "images" / "photo_tubingen.jpg",
        SHARED / "images" / "painting_shipwreck.jpg",
    ),
} | {
    f"{content}_{style}": (
        SAMPLES / f"photo_{content}.jpg",
        SAMPLES / f"style_{style}.jpg",
    )
    for content, style in (
        ("rocket", "swirls"),
        ("cat", "ink_hatching"),
        ("rocket", "mosaic"),
        ("cat", "stained_glass"),
        ("rocket", "stained_glass"),
        ("cat", "swirls"),
    )
}


def main() -> None:
    pairs = {n: p for n, p in PAIRS.items() if all(path.exists() for path in p)}
    arguments = _parse(pairs)
    recipes = build_recipes(arguments.set)
    chosen = _choose("recipes", arguments.recipes, recipes)
    pairs = {n: pairs[n] for n in _choose("pairs", arguments.pairs, pairs)}
    backbone = backbones.load_backbone(
        arguments.backbone,
        weights=None if arguments.weights == "none" else arguments.weights,
        last_layer="block5_conv2",
    )
    optimized = frozenset(PEERS_LAYERS) | _tfnst_layers(arguments.set)
    judges = build_judges(backbone, optimized, SECOND_NETWORK)
    factors = SWEEP if arguments.sweep_content else (1.0,)
    tfnst_factors = TFNST_SWEEP if arguments.sweep_content else (1.0,)
    print(
        f"{len(pairs)} pairs, {len(chosen)} recipes, content weights times "
        f"{', '.join(f'{f:g}' for f in factors)}; {arguments.size} pixels, "
        f"{arguments.budget:g} of 1,000 evaluations; {backbone.name}, weights from "
        f"{backbone.weights.source}"
    )
    for judge in judges:
        print(f"  {judge.name}: {', '.join(judge.layers)}")

    rows = []
    for pair, (content_path, style_path) in pairs.items():
        content, style = (reading.load_image(p) for p in (content_path, style_path))
        folder = arguments.out / pair
        folder.mkdir(parents=True, exist_ok=True)
        references = {
            "photo": resized(content, fit(content, arguments.size)).numpy(),
            "style": style_as_picture(content, style, arguments.size),
        }
        for name, picture in references.items():
            path = folder / f"{name}.png"
            writing.save_image(picture, path)
            record = _judged({}, judges, content, style, picture)
            rows += _rows(pair, name, 1.0, record)
        for name in chosen:
            for factor in tfnst_factors if name.startswith("tfnst") else factors:
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
    report.write(rows, arguments.out, title=_title(arguments, backbone))


def _parse(pairs):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument(
        "--budget",
        type=float,
        default=0.1,
        metavar="X",
        help="pixel-evaluations, as a share of 1,000 gradient evaluations at --size",
    )
    parser.add_argument("--pairs", default="all", help=f"all, or of {','.join(pairs)}")
    parser.add_argument(
        "--recipes", default="all", help=f"all, or of {','.join(build_recipes({}))}"
    )
    parser.add_argument(
        "--sweep-content",
        action="store_true",
        help="also paint with content weights times 1/4 to 16, for the fronts",
    )
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of tfnst to try in place of its default; may be repeated",
    )
    parser.add_argument(
        "--backbone",
        default=StyleTransferConfig.backbone,
        help="network of all recipes, vgg19 or vgg16",
    )
    parser.add_argument(
        "--weights",
        default=StyleTransferConfig.weights,
        help="its weights: imagenet, none or a file that reaches to block5_conv2",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        help="what the network of all recipes computes in: float32, bfloat16 or auto",
    )
    parser.add_argument(
        "--repaint",
        default="",
        help="recipes to paint again; pictures that are in --out already, by the same "
        "settings, are else kept",
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("quality"))
    arguments = parser.parse_args()
    arguments.set = dict(arguments.set)
    if arguments.repaint:
        arguments.repaint = _choose("repaint", arguments.repaint, build_recipes({}))
    return arguments


def _setting(text):
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _choose(option, text, known):
    names = list(known) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"--{option}: no {', '.join(unknown)}; of {', '.join(known)}")
    return names


def _tfnst_layers(changes):
    config = StyleTransferConfig().replace(**changes)
    return frozenset(config.content_layers) | frozenset(config.style_layers)


def _painted(path, task, name, paint, changes, *, again):
    """The record of a picture, which is painted unless it is there; None if it can't
    be painted."""
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


def _judged(record, judges, content, style, picture):
    """The record with every judge's measures."""
    measured = record.get("measured", {})
    for judge in judges:
        old = measured.get(judge.name)
        if old is None or old["key"] != judge.key():
            values = judge.measure(content, style, picture)
            measured[judge.name] = {"key": judge.key(), "values": values}
    return record | {"measured": measured}


def _rows(pair, recipe, factor, record):
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


def _title(arguments, backbone):
    changes = "".join(f", {name}={value}" for name, value in arguments.set.items())
    return (
        f"{arguments.size} pixels, {arguments.budget:g} of 1,000 evaluations, "
        f"{backbone.name} ({backbone.weights.source}){changes}"
    )


if __name__ == "__main__":
    main()
