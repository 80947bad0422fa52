"""Time of a gradient step, and the share of the machine's speed that it reaches.

For each precision and size: the median time of one step of the default configuration
in the compiled loop; the GFLOP of its convolutions, forward and backward to the input;
and the ratio of its GFLOP/s to those of a large matrix product in the same precision.
The border that the network sees around a picture has its own columns: its GFLOP, and
the ratio including it. Steps and products of all precisions are measured alternately in
one run, because a machine's speed changes from minute to minute.

    ONEDNN_MAX_CPU_ISA=AVX2 TF_ENABLE_ONEDNN_OPTS=0 python benchmarks/step_time.py

This computes as processors with AVX2 but without AVX-512 do by default.

    python benchmarks/step_time.py [--sizes 256,512] [--backbone vgg19] [--rounds 7]
        [--steps 1] [--precisions float32,bfloat16] [--processor-time] [--profile]

With `--processor-time`, times are processor times divided by the number of cores; use
it on a busy machine. With `--profile`, the time of a step is also printed by operation,
and on a GPU by kernel. A call of the loop costs a few milliseconds on a GPU:
`--steps 20` takes 20 steps per call, and prints the time of one.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfnst import StyleTransferConfig
from tfnst.processor import ONEDNN_VARIABLE, instructions, uses_onednn

if TYPE_CHECKING:
    import keras

    from tfnst.engines.engine import Knobs
    from tfnst.engines.whole import WholeEngine

# Large enough for a CPU, or a GPU, to be as fast as it gets.
PRODUCT_SIDES = {"cpu": 2048, "gpu": 8192}

# TensorFlow is imported in the functions that use it, so that --help doesn't load it.


def convolution_flops(model: keras.Model, height: int, width: int) -> float:
    """Floating-point operations of a model's convolutions in one step on a picture.

    A convolution takes 2 * h * w * k * k * C_in * C_out forward, and as many again for
    the gradient with respect to its input; its weights need no gradient.
    """
    import keras

    flops = 0.0
    for layer in model.layers:
        if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
            height, width = height // 2, width // 2
        elif isinstance(layer, keras.layers.Conv2D):
            *kernel, channels_in, channels_out = layer.kernel.shape
            taps = kernel[0] * kernel[1]
            flops += 2 * 2.0 * height * width * taps * channels_in * channels_out
    return flops


def seconds(function: Callable[[], object], *, processor: bool = False) -> float:
    """Wall seconds of a call, or processor seconds per core."""
    clock = time.process_time if processor else time.perf_counter
    start = clock()
    function()
    cores = len(os.sched_getaffinity(0)) if processor else 1
    return (clock() - start) / cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="256,512", help="sides of the pictures")
    parser.add_argument("--backbone", default="vgg19", help="vgg19 or vgg16")
    parser.add_argument("--rounds", type=int, default=7, help="calls to time")
    parser.add_argument("--steps", type=int, default=1, help="steps of each call")
    parser.add_argument(
        "--precisions", default="float32,bfloat16", help="float32, bfloat16 or both"
    )
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="print processor seconds per core",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also print the time of a step by operation",
    )
    arguments = parser.parse_args()

    from tfnst.engines import devices, engine, loading

    side = PRODUCT_SIDES.get(devices.device_kind(), PRODUCT_SIDES["cpu"])
    # Times don't depend on the weights, and random ones need no file.
    config = StyleTransferConfig(backbone=arguments.backbone, weights=None)
    precisions = arguments.precisions.split(",")
    sizes = list(map(int, arguments.sizes.split(",")))
    cases = []
    for precision in precisions:
        loop, backbone = loading.load_engine(config.replace(precision=precision))
        border = loop.objective.border
        product = build_product(precision, side)
        for size in sizes:
            knobs = engine.Knobs.from_config(config)
            step = build_step(loop, knobs, size, arguments.steps)
            step(), product()
            cases.append((precision, size, step, product, []))
    for _ in range(arguments.rounds):
        for *_, step, product, times in cases:
            times.append(
                tuple(
                    seconds(each, processor=arguments.processor_time)
                    for each in (step, product)
                )
            )

    print(f"{arguments.backbone} to {backbone.model.layers[-1].name}; {kernels()}")
    print(
        "precision  size       s/step   GFLOP   GFLOP/s   product GFLOP/s   ratio"
        "   border GFLOP   ratio with it"
    )
    for precision, size, _, _, times in cases:
        step_time, product_time = map(statistics.median, zip(*times, strict=True))
        step_time /= arguments.steps
        flops = convolution_flops(backbone.model, size, size)
        seen = size + sum(border.widths(size))
        of_border = convolution_flops(backbone.model, seen, seen) - flops
        speed = flops / step_time / 1e9
        peak = 2.0 * side**3 / product_time / 1e9
        print(
            f"{precision:9}  {size:4}^2  {step_time:9.3f}  {flops / 1e9:6.0f}"
            f"  {speed:8.0f}  {peak:16.0f}  {speed / peak:6.2f}"
            f"  {of_border / 1e9:13.0f}  {speed / peak * (1 + of_border / flops):14.2f}"
        )
    if arguments.profile:
        for precision, size, step, *_ in cases:
            print(f"\n{precision}, {size}^2:")
            print_profile(step, arguments.steps)


def kernels() -> str:
    """The processor's instructions, and what limits their use."""
    limits = [
        f"{name}={os.environ[name]}"
        for name in ("ONEDNN_MAX_CPU_ISA", ONEDNN_VARIABLE)
        if name in os.environ
    ]
    found = instructions()
    named = "instructions unknown" if found is None else " ".join(found)
    return ", ".join([named, "oneDNN" if uses_onednn() else "Eigen", *limits])


def print_profile(
    step: Callable[[], object], steps: int, *, calls: int = 3, most: int = 15
) -> None:
    """Prints the operations that take longest, by TensorFlow's profiler.

    Times of operations that run at the same time add up to more than the step.

    Args:
        step: function that takes steps.
        steps: number of steps per call.
        calls: number of calls to average over.
        most: number of kinds of operations to print.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(calls):
            step()
        tf.profiler.experimental.stop()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    milliseconds: collections.Counter[str] = collections.Counter()
    times: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # Operations are called "name:kind", and nothing else is.
                name = plane.event_metadata[event.metadata_id].name
                _, colon, kind = name.partition(":")
                if "GPU" in plane.name and line.name.startswith("Stream"):
                    kind = f"kernel: {name[:100]}"
                elif not (colon and kind.isidentifier()):
                    continue
                milliseconds[kind] += event.duration_ps / 1e9 / calls / steps
                times[kind] += 1
    print("      ms   calls  operation")
    for kind, time_ in milliseconds.most_common(most):
        print(f"{time_:8.1f}  {times[kind] / calls / steps:6.0f}  {kind}")


def build_step(
    loop: WholeEngine, knobs: Knobs, size: int, steps: int
) -> Callable[[], object]:
    """A function that takes steps on a square picture and waits for them."""
    import tensorflow as tf

    from tfnst.ops import pyramid

    picture = pyramid.noise_image([1, size, size, 3], 0)
    targets = loop.targets(picture, pyramid.noise_image([1, size, size, 3], 1))
    state = loop.init_state(picture)
    count = tf.constant(steps)
    # It waits for the losses: a GPU's picture would have to be copied.
    return lambda: loop.run_steps(picture, state, targets, knobs, count)[2].numpy()


def build_product(precision: str, side: int) -> Callable[[], object]:
    """A function that multiplies two large matrices and waits for the product."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal([side, side], [0, 0])
    matrix = tf.cast(matrix, precision)
    product = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])
    return lambda: product().numpy()


if __name__ == "__main__":
    main()
