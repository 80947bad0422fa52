"""Paints pairs of pictures by several recipes with one budget, and measures them.

    python -m benchmarks.quality [--size 256] [--budget 0.1] [--pairs all]
        [--recipes all] [--sweep-content] [--out quality]

README.md in this folder describes the recipes and how to read the numbers.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Iterable
from typing import Any

from tfnst.config import StyleTransferConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "examples" / "images"
SHARED = ROOT.parent / "shared"

# Content and style, of nine kinds of style. Pairs with missing pictures are left out.
PAIRS = {
    f"{content}_{style}": (
        SHARED / "images" / f"photo_{content}.jpg",
        SHARED / "images" / f"{style}.jpg",
    )
    for content, style in (
        ("lake", "drawing_ruin"),
        ("night_tower", "painting_woman_with_hat"),
        ("golden_gate", "painting_scream"),
        ("tubingen", "painting_starry_night"),
        ("tubingen", "painting_shipwreck"),
    )
} | {
    f"{content}_{style}": (
        SAMPLES / f"photo_{content}.jpg",
        SAMPLES / f"style_{style}.jpg",
    )
    for content, style in (
        ("rocket", "swirls"),
        ("rocket", "mosaic"),
        ("cat", "ink_hatching"),
        ("cat", "stained_glass"),
    )
}

# The names of recipes.build_recipes, which can't be imported without TensorFlow.
RECIPES = (
    "tfnst", "tfnst_quarter", "tensorflow", "keras", "johnson", "crowson", "nnst",
)  # fmt: skip


def present_pairs() -> dict[str, tuple[pathlib.Path, pathlib.Path]]:
    """The pairs whose pictures are there."""
    return {n: p for n, p in PAIRS.items() if all(path.exists() for path in p)}


def main() -> None:
    pairs = present_pairs()
    arguments = _parse(pairs)
    # Imported here, so that --help doesn't load TensorFlow.
    from benchmarks.quality import run

    run.run(arguments, {name: pairs[name] for name in arguments.pairs})


def _parse(pairs: Iterable[str]) -> argparse.Namespace:
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
    parser.add_argument(
        "--pairs", default="all", help=f"all, or some of {','.join(pairs)}"
    )
    parser.add_argument(
        "--recipes", default="all", help=f"all, or some of {','.join(RECIPES)}"
    )
    parser.add_argument(
        "--sweep-content",
        action="store_true",
        help="also paint with other content weights, 1/4 to 16 times as large, to get "
        "the fronts",
    )
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of tfnst to try instead of its default; can be repeated",
    )
    parser.add_argument(
        "--backbone",
        default=StyleTransferConfig.backbone,
        help="the network for all recipes, vgg19 or vgg16",
    )
    parser.add_argument(
        "--weights",
        default=StyleTransferConfig.weights,
        help="its weights: imagenet, none, or a file that reaches to block5_conv2",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        help="what the network computes in for all recipes: float32, bfloat16 or auto",
    )
    parser.add_argument(
        "--repaint",
        default="",
        help="recipes to paint again even if --out already has their pictures, painted "
        "with the same settings",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("quality"),
        help="the folder for the pictures and tables",
    )
    arguments = parser.parse_args()
    arguments.set = dict(arguments.set)
    arguments.pairs = choose("pairs", arguments.pairs, pairs)
    arguments.recipes = choose("recipes", arguments.recipes, RECIPES)
    if arguments.repaint:
        arguments.repaint = choose("repaint", arguments.repaint, RECIPES)
    return arguments


def setting(text: str) -> tuple[str, Any]:
    """The name and the value of `NAME=VALUE`."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def choose(option: str, text: str, known: Iterable[str]) -> list[str]:
    """The names in an option's text: all, or some of the known ones."""
    names = list(known) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(
            f"`--{option}` must be all or some of {','.join(known)}. "
            f"Received: {','.join(unknown)}"
        )
    return names


if __name__ == "__main__":
    main()
