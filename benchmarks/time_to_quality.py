"""How long tfnst takes to reach the quality of TensorFlow's tutorial.

The tutorial's recipe runs its 1,000 steps. Then tfnst paints the same pair with more
and more steps, until neither style nor content is farther away than in the tutorial's
picture, by the measures of `tfnst.evaluate` through the painters' own network, on
layers that neither recipe optimises. Each recipe is compiled before it is timed.

    python -m benchmarks.time_to_quality [--size 512] [--tutorial-steps 1000]
        [--tutorial-precision float32] [--out time_to_quality]

Run it from the repository's root. With fewer tutorial steps its time is scaled up to
1,000, and its picture is a worse one.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time

import tfnst
from benchmarks.quality import judge, tutorials
from benchmarks.quality.recipes import PEERS_LAYERS
from benchmarks.quality.task import FULL_STEPS, Task
from tfnst.images import reading, writing
from tfnst.networks import backbones

SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples" / "images"
STEPS = (1, 2, 4, 8, 15, 25, 50, 100)
MEASURES = judge.STYLE_MEASURES + judge.CONTENT_MEASURES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--content", default=SAMPLES / "photo_rocket.jpg")
    parser.add_argument("--style", default=SAMPLES / "style_swirls.jpg")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--tutorial-steps", type=int, default=FULL_STEPS)
    parser.add_argument("--tutorial-precision", default="float32")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("time_to_quality")
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    content, style = map(reading.load_image, (arguments.content, arguments.style))
    config = tfnst.StyleTransferConfig(size=arguments.size)
    backbone = backbones.load_backbone(config.backbone, last_layer="block5_conv2")
    own = {*PEERS_LAYERS, *config.content_layers, *config.style_layers}
    look = judge.build_judges(backbone, frozenset(own), pathlib.Path("/none"))[0]
    print(f"{look.name}: {', '.join(look.layers)}")
    print("recipe            seconds  " + "  ".join(f"{m:>23}" for m in MEASURES))

    def report(name, seconds, picture):
        writing.save_image(picture, arguments.out / f"{name}.png")
        measured = look.measure(content, style, picture)
        values = "  ".join(f"{measured[m]:23.3f}" for m in MEASURES)
        print(f"{name:16}  {seconds:7.1f}  {values}", flush=True)
        return measured

    steps = arguments.tutorial_steps
    task = Task(
        content=content,
        style=style,
        size=arguments.size,
        fraction=1 / FULL_STEPS,
        content_factor=1.0,
        backbone=backbone,
        weights=backbone.weights.path,
        precision=arguments.tutorial_precision,
    )
    # What comes before the steps, compiling among it, is not counted; at the first
    # time there is more of it.
    tutorials.paint_tensorflow(task)
    _, first = timed(lambda: tutorials.paint_tensorflow(task))
    task = dataclasses.replace(task, fraction=steps / FULL_STEPS)
    painting, seconds = timed(lambda: tutorials.paint_tensorflow(task))
    theirs = (seconds - first) * FULL_STEPS / max(steps - 1, 1)
    wanted = report("tutorial", theirs, painting.array)

    tfnst.stylize(content, style, config=config, steps=1, initial_steps=1)
    for steps in STEPS:
        result, seconds = timed(
            lambda steps=steps: tfnst.stylize(
                content, style, config=config, steps=steps
            )
        )
        reached = report(f"tfnst_{steps}_steps", seconds, result.array)
        if all(reached[m] <= wanted[m] for m in MEASURES):
            print(f"reached in 1/{theirs / seconds:.0f} of the tutorial's time")
            return
    print("not reached")


def timed(function):
    """What a function returns, and the seconds that it takes."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
