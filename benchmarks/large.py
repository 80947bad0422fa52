"""Large pictures: seconds per megapixel and step, and predicted and measured memory.

Each size runs in its own process, at a single scale, through `tfnst.stylize`. The first
step of a scale, which takes half as long again in tiles, has its own column, together
with the content and style targets. Times are also given relative to the first size.

    python benchmarks/large.py [--pixels 1,2,4,8.3,16,33] [--max-memory 6] [--steps 3]
        [--precision auto] [--processor-time]

With `--processor-time`, times are processor times divided by the number of cores; use
it on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

ASPECT = 16 / 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pixels", default="1,2,4,8.3,16,33", help="sizes of the pictures, megapixels"
    )
    parser.add_argument(
        "--max-memory", default="6", help="memory limit in GiB, or none for no limit"
    )
    parser.add_argument("--steps", type=int, default=3, help="steps to take and time")
    parser.add_argument("--precision", default="auto", help="float32, bfloat16 or auto")
    parser.add_argument("--backbone", default="vgg19", help="vgg19 or vgg16")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="print processor seconds per core",
    )
    parser.add_argument("--run", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(**arguments.run)))
        return
    print(f"{arguments.backbone}, limit {arguments.max_memory} GiB, {ASPECT:.2f} : 1")
    print(
        "megapixels  s/megapixel/step  relative  until first   peak GiB  predicted  "
        "cut          head  tail   arithmetic"
    )
    first = None
    for megapixels in map(float, arguments.pixels.split(",")):
        settings = {
            "megapixels": megapixels,
            "max_memory": None
            if arguments.max_memory == "none"
            else float(arguments.max_memory),
            "steps": arguments.steps,
            "precision": arguments.precision,
            "backbone": arguments.backbone,
            "processor": arguments.processor_time,
        }
        child = subprocess.run(
            [sys.executable, __file__, "--run", json.dumps(settings)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        measured = json.loads(child.stdout.splitlines()[-1])
        first = first or measured["seconds"]
        print(row(measured, first), flush=True)


def row(measured: dict[str, Any], first: float) -> str:
    """One row of the table, relative to the seconds of the first."""
    plan = measured["plan"]
    return (
        f"{measured['megapixels']:10.2f}  {measured['seconds']:16.2f}  "
        f"{measured['seconds'] / first:8.2f}  {measured['until_first']:11.2f}  "
        f"{measured['peak']:9.2f}  {measured['predicted']:9.2f}  "
        f"{plan['cut'] or '-':11}  {plan['head_side'] or '-':>4}  "
        f"{plan['tail_side'] or '-':>4}  {plan['cost']:11.2f}"
    )


def run(
    *,
    megapixels: float,
    max_memory: float | None,
    steps: int,
    precision: str,
    backbone: str,
    processor: bool = False,
) -> dict[str, Any]:
    """Paints and measures a picture of one size."""
    # Imported here, so that neither --help nor the parent process loads TensorFlow.
    import dataclasses
    import tempfile
    from unittest import mock

    import numpy as np
    from PIL import Image

    import tfnst
    from tfnst.engines import memory, plans
    from tfnst.ops import pyramid

    width = round(math.sqrt(megapixels * 1e6 * ASPECT))
    height = round(width / ASPECT)
    clock = time.process_time if processor else time.perf_counter
    cores = len(os.sched_getaffinity(0)) if processor else 1
    found: list[plans.TilingPlan] = []
    times: list[float] = []
    build_plan = plans.build_plan

    def spy(*arguments: Any, **settings: Any) -> plans.TilingPlan:
        found.append(build_plan(*arguments, **settings))
        return found[-1]

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(plans, "build_plan", spy),
    ):
        path = pathlib.Path(folder, "noise.jpg")
        # Memory and time don't depend on what the picture shows.
        coarse = pyramid.noise_image([1, height // 64, width // 64, 3], 0)
        Image.fromarray(np.uint8(coarse[0] * 255)).resize((width, height)).save(path)
        times.append(clock())
        # Random weights need no file.
        tfnst.stylize(
            path,
            path,
            backbone=backbone,
            weights=None,
            precision=precision,
            size=width,
            min_size=width,
            initial_steps=steps,
            steps=steps,
            max_memory=max_memory,
            callback=lambda _: times.append(clock()),
            callback_steps=1,
        )
    until_first, *seconds = np.diff(times) / cores / (width * height / 1e6)
    (plan,) = found
    return {
        "megapixels": width * height / 1e6,
        "seconds": float(np.median(seconds)),
        "until_first": float(until_first),
        "peak": peak_gib(),
        "predicted": plan.peak / memory.GIB,
        "plan": dataclasses.asdict(plan),
    }


def peak_gib() -> float:
    """The peak memory of this process, in GiB."""
    # Not getrusage, whose figure starts at the parent process's.
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**20
    raise RuntimeError("/proc/self/status must have VmHWM: this needs Linux")


if __name__ == "__main__":
    main()
