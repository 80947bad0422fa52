"""Time that recipes take to reach the quality of a reference.

Each recipe is a set of tfnst's settings. It paints each pair of pictures with the full
number of steps and with shares of it. The pictures are measured as by `tfnst.evaluate`,
on layers that no run optimises, and through a network with random weights. A picture is
as good as the reference's if its style and content distances are at most 3% larger, and
its colour distance at most 10% larger: two runs that differ only in rounding differ by
that much. Times are processor times in seconds, summed over all cores, of the steps
alone.

    python -m benchmarks.time_to_quality [--size 256] [--pairs all] [--shares 1]
        [--recipe NAME:SETTING=VALUE,...]... [--out time_to_quality]

Run it from the repository's root. The first recipe is the reference.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import tfnst
from benchmarks.quality.__main__ import choose, present_pairs, setting
from tfnst.config import PRESETS

if TYPE_CHECKING:
    from benchmarks.quality.judge import Judge

# The defaults and the fast preset before steps became fewer and longer.
_BEFORE: dict[str, Any] = {"steps": 25, "learning_rate": 0.015, "ema_momentum": 0.95}
RECIPES: dict[str, dict[str, Any]] = {
    "before": _BEFORE,
    "fast_before": _BEFORE | {"steps": 10},
    "default": {},
    "fast": PRESETS["fast"],
}

# Measures of `tfnst.evaluate`, and how much larger than the reference's each may be.
MEASURES = {
    "style": (("style_gram", "style_swd"), 1.03),
    "content": (("content_cosine", "content_self_similarity"), 1.03),
    "colour": (("color_swd",), 1.1),
}

# TensorFlow is imported in the functions that use it, so that --help doesn't load it.


class Painted(NamedTuple):
    """A picture that a recipe painted.

    Attributes:
        share: share of the recipe's steps.
        seconds: processor time of the steps.
        evaluations: gradient evaluations, each counted by its share of the full size.
        measured: distances by name, as in `MEASURES`.
    """

    share: float
    seconds: float
    evaluations: float
    measured: dict[str, float]


def main() -> None:
    pairs = present_pairs()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument(
        "--pairs", default="all", help=f"all, or some of {','.join(pairs)}"
    )
    parser.add_argument(
        "--shares", default="1", help="shares of the steps to paint with, such as 0.5,1"
    )
    parser.add_argument(
        "--recipe",
        type=recipe,
        action="append",
        default=[],
        metavar="NAME[:SETTING=VALUE,...]",
        help=f"a recipe; by default {', '.join(RECIPES)}",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("time_to_quality"),
        help="folder for the pictures",
    )
    arguments = parser.parse_args()
    compare(
        {name: pairs[name] for name in choose("pairs", arguments.pairs, pairs)},
        dict(arguments.recipe) or RECIPES,
        sorted(map(float, arguments.shares.split(","))),
        arguments.size,
        arguments.out,
    )


def recipe(text: str) -> tuple[str, dict[str, Any]]:
    """A recipe's name and settings, from `NAME:SETTING=VALUE,...` or a known name."""
    name, _, settings = text.partition(":")
    if settings:
        return name, dict(map(setting, settings.split(",")))
    if name not in RECIPES:
        raise argparse.ArgumentTypeError(
            f"a recipe without settings must be one of {', '.join(RECIPES)}. "
            f"Received: {name}"
        )
    return name, RECIPES[name]


def compare(
    pairs: Mapping[str, tuple[pathlib.Path, pathlib.Path]],
    recipes: Mapping[str, dict[str, Any]],
    shares: list[float],
    size: int,
    out: pathlib.Path,
) -> None:
    """Paints, measures, and prints a table of the recipes."""
    from benchmarks.quality import judge
    from tfnst.networks import backbones

    base = tfnst.StyleTransferConfig(size=size)
    backbone = backbones.load_backbone(base.backbone, last_layer="block4_conv3")
    optimized = frozenset({*base.content_layers, *base.style_layers})
    judges = judge.build_judges(backbone, optimized)
    for each in judges:
        print(f"{each.name}: {', '.join(each.layers)}")
    painted: dict[str, dict[str, list[Painted]]] = {}
    for name, settings in recipes.items():
        config = base.replace(**settings)
        content, style = next(iter(pairs.values()))
        # Compiles what is compiled once.
        tfnst.stylize(content, style, config=config, steps=1, initial_steps=1)
        painted[name] = {
            pair: [
                paint(pair, paths, config, share, judges, out / f"{pair}_{name}.png")
                for share in (shares if name != next(iter(recipes)) else [1.0])
            ]
            for pair, paths in pairs.items()
        }
    report(painted)


def paint(
    pair: str,
    paths: tuple[pathlib.Path, pathlib.Path],
    config: tfnst.StyleTransferConfig,
    share: float,
    judges: list[Judge],
    path: pathlib.Path,
) -> Painted:
    """A picture by a recipe, with a share of its steps; saved with all of them."""
    steps = max(round(config.steps * share), 1)
    config = config.replace(steps=steps)
    began = time.process_time()
    result = tfnst.stylize(*paths, config=config)
    seconds = time.process_time() - began
    if share == 1:
        path.parent.mkdir(parents=True, exist_ok=True)
        result.save(path)
    scores = [judge.measure(*paths, result.array) for judge in judges]
    measured = {
        name: statistics.geometric_mean(
            max(values[part], 1e-9) for values in scores for part in parts
        )
        for name, (parts, _) in MEASURES.items()
    }
    sizes = result.losses["size"] / config.size
    print(f"{path.stem} x{share:g}: {seconds:.1f} s, {measured}", flush=True)
    return Painted(share, seconds, float((sizes**2).sum()), measured)


def report(painted: Mapping[str, Mapping[str, list[Painted]]]) -> None:
    """Prints medians over the pairs, with quartiles, relative to the first recipe."""
    reference = {pair: each[0] for pair, each in next(iter(painted.values())).items()}
    print(
        "\nMedians over the pairs, and the quartiles, relative to the first recipe:\n"
        "| recipe | share of steps | evaluations | processor time | "
        + " | ".join(MEASURES)
        + " | as good on |\n| --- | --- | --- | --- |"
        + " --- |" * (len(MEASURES) + 1)
    )
    for name, pairs in painted.items():
        for index, first in enumerate(next(iter(pairs.values()))):
            runs = {pair: each[index] for pair, each in pairs.items()}
            ratios = {
                measure: [
                    run.measured[measure] / reference[pair].measured[measure]
                    for pair, run in runs.items()
                ]
                for measure in MEASURES
            }
            good = sum(
                all(ratios[m][i] <= most for m, (_, most) in MEASURES.items())
                for i in range(len(runs))
            )
            cells = [
                spread(
                    [
                        getattr(run, what) / getattr(reference[pair], what)
                        for pair, run in runs.items()
                    ]
                )
                for what in ("evaluations", "seconds")
            ] + [spread(values) for values in ratios.values()]
            print(
                f"| {name} | {first.share:g} | {' | '.join(cells)} | "
                f"{good} of {len(runs)} |"
            )


def spread(values: list[float]) -> str:
    """The median, and the quartiles if there are enough values."""
    middle = f"{statistics.median(values):.2f}"
    if len(values) < 4:
        return middle
    low, _, high = statistics.quantiles(values, n=4)
    return f"{middle} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
