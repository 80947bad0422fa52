"""Time that tfnst takes to match the quality of TensorFlow's tutorial.

The tutorial's recipe runs for its 1,000 steps. tfnst then paints the same pair with
more and more steps, until its picture is at least as close to both style and content as
the tutorial's. The distances are those of `tfnst.evaluate`, through the network that
both recipes paint with, but on layers that neither optimises. Each recipe is compiled
before it is timed.

    python -m benchmarks.versus_tutorial [--size 512] [--tutorial-steps 1000]
        [--tutorial-precision float32] [--out versus_tutorial]

Run it from the repository's root. With fewer tutorial steps, the tutorial's time is
scaled up to 1,000 steps, but its picture is worse.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import tfnst

if TYPE_CHECKING:
    import numpy as np

    from benchmarks.quality.task import Task

SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples" / "images"
STEPS = (1, 2, 4, 8, 15, 25, 50, 100)
TUTORIAL_STEPS = 1000

_Result = TypeVar("_Result")

# TensorFlow is imported in the functions that use it, so that --help doesn't load it.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--content", default=SAMPLES / "photo_rocket.jpg", help="content image"
    )
    parser.add_argument(
        "--style", default=SAMPLES / "style_swirls.jpg", help="style image"
    )
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument(
        "--tutorial-steps",
        type=int,
        default=TUTORIAL_STEPS,
        help="steps of the tutorial's recipe; its time is scaled up to 1,000",
    )
    parser.add_argument(
        "--tutorial-precision",
        default="float32",
        help="precision of the tutorial's network: float32 or bfloat16",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("versus_tutorial"),
        help="folder for the pictures",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Times both recipes and prints a row for each picture."""
    from benchmarks.quality import judge
    from benchmarks.quality.recipes import PEERS_LAYERS
    from benchmarks.quality.task import FULL_STEPS, Task
    from tfnst.images import reading, writing
    from tfnst.networks import backbones

    content, style = map(reading.load_image, (arguments.content, arguments.style))
    config = tfnst.StyleTransferConfig(size=arguments.size)
    backbone = backbones.load_backbone(config.backbone, last_layer="block5_conv2")
    own = {*PEERS_LAYERS, *config.content_layers, *config.style_layers}
    look = judge.build_judges(backbone, frozenset(own))[0]
    measures = judge.STYLE_MEASURES + judge.CONTENT_MEASURES
    print(f"{look.name}: {', '.join(look.layers)}")
    print("recipe            seconds  " + "  ".join(f"{m:>23}" for m in measures))

    def report(name: str, seconds: float, picture: np.ndarray) -> dict[str, float]:
        writing.save_image(picture, arguments.out / f"{name}.png")
        measured = look.measure(content, style, picture)
        values = "  ".join(f"{measured[m]:23.3f}" for m in measures)
        print(f"{name:16}  {seconds:7.1f}  {values}", flush=True)
        return measured

    task = Task(
        content=content,
        style=style,
        size=arguments.size,
        fraction=arguments.tutorial_steps / FULL_STEPS,
        content_factor=1.0,
        backbone=backbone,
        weights=backbone.weights.path,
        precision=arguments.tutorial_precision,
    )
    picture, theirs = time_tutorial(task)
    wanted = report("tutorial", theirs, picture)

    tfnst.stylize(content, style, config=config, steps=1, initial_steps=1)
    for steps in STEPS:
        result, seconds = timed(
            lambda steps=steps: tfnst.stylize(
                content, style, config=config, steps=steps
            )
        )
        reached = report(f"tfnst_{steps}_steps", seconds, result.array)
        if all(reached[m] <= wanted[m] for m in measures):
            print(f"reached in 1/{theirs / seconds:.0f} of the tutorial's time")
            return
    print("not reached")


def time_tutorial(task: Task) -> tuple[np.ndarray, float]:
    """The tutorial's picture, and the seconds that its 1,000 steps take."""
    from benchmarks.quality import tutorials
    from benchmarks.quality.task import FULL_STEPS

    # What comes before the steps, such as compiling, isn't counted. It takes longer the
    # first time, so the one-step run that measures it is the second.
    one_step = dataclasses.replace(task, fraction=1 / FULL_STEPS)
    tutorials.paint_tensorflow(one_step)
    _, before = timed(lambda: tutorials.paint_tensorflow(one_step))
    painting, seconds = timed(lambda: tutorials.paint_tensorflow(task))
    return painting.array, (seconds - before) * TUTORIAL_STEPS / max(
        task.steps() - 1, 1
    )


def timed(function: Callable[[], _Result]) -> tuple[_Result, float]:
    """A function's result, and the seconds that the call takes."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
