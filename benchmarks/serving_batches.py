"""Pictures painted together in one request, compared with one request each.

Every case paints the same N pictures in the same style in three ways: one request after
another, all requests at once with as many simultaneous runs, and one request for all.
The three are measured alternately, and the table shows medians of each round's ratios,
because a machine's speed changes from minute to minute. Core seconds are summed over
all cores and hardly depend on other load. The last two columns show the largest
difference from the pictures of requests one after another, in 8-bit levels.

    python benchmarks/serving_batches.py [--sizes 128,256] [--counts 2,4] [--steps 2]
        [--rounds 3] [--weights none] [--precision float32] [--model DIRECTORY]
"""

from __future__ import annotations

import argparse
import os
import pathlib
import tempfile
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

import tfnst
from tfnst.server.runs import Cancellation
from tfnst.server.servables import Servable


def pictures(count: int, size: int, seed: int) -> np.ndarray:
    """Smooth square pictures [N, size, size, 3], each with its own noise."""
    rng = np.random.default_rng(seed)
    small = tf.constant(rng.random((count, 16, 16, 3), np.float32))
    smooth = tf.image.resize(small, (size, size), "bicubic").numpy()
    noise = rng.normal(0, 0.05, smooth.shape)
    return np.clip(smooth + noise, 0, 1).astype(np.float32)


class Painter:
    """A loaded model, its requests and their answers."""

    def __init__(self, path: str, slots: int, **settings: int) -> None:
        self._servable = Servable(path, slots=slots)
        self._settings = settings

    def paint(self, contents: np.ndarray, style: np.ndarray) -> np.ndarray:
        """The answer to one request for these pictures."""
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = "stylize"
        values = {"content_image": contents, "style_image": style}
        for name, value in self._settings.items():
            values[name] = np.int32(value)
        for name, value in values.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        checked = self._servable.check(request)
        result = self._servable.run(checked, None, Cancellation())
        return tf.make_ndarray(result.outputs["stylized_image"])

    def close(self) -> None:
        self._servable.close()


def compare(path: str, size: int, count: int, steps: int, rounds: int) -> str:
    """A line of the table."""
    painter = Painter(path, count, size=size, steps=steps)
    contents, style = pictures(count, size, 1), pictures(1, size, 2)
    alone = [contents[index : index + 1] for index in range(count)]

    def in_turn() -> np.ndarray:
        return np.concatenate([painter.paint(each, style) for each in alone])

    def at_once() -> np.ndarray:
        with futures.ThreadPoolExecutor(count) as pool:
            answers = pool.map(lambda each: painter.paint(each, style), alone)
            return np.concatenate(list(answers))

    def together() -> np.ndarray:
        return painter.paint(contents, style)

    ways: list[Callable[[], np.ndarray]] = [in_turn, at_once, together]
    own, parallel, batch = (way() for way in ways)  # Builds what later runs reuse.
    times = np.array([[measure(way) for way in ways] for _ in range(rounds)])
    painter.close()
    first = np.median(times[:, 0, 0])
    ratios = times / times[:, :1]
    slots, joint = np.median(ratios, axis=0)[1:]
    lowest, highest = ratios[:, 2, 1].min(), ratios[:, 2, 1].max()
    return (
        f"{size:4}  {count:8}  {first:9.2f}  {slots[0]:9.2f}  {slots[1]:6.2f}"
        f"  {joint[0]:10.2f}  {joint[1]:6.2f}  {lowest:.2f} to {highest:.2f}"
        f"  {255 * np.abs(parallel - own).max():11.2f}"
        f"  {255 * np.abs(batch - own).max():12.2f}"
    )


def measure(function: Callable[[], Any]) -> tuple[float, float]:
    """Wall seconds and core seconds of a call."""
    start, busy = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="128,256", help="long sides in pixels")
    parser.add_argument("--counts", default="2,4", help="numbers of pictures")
    parser.add_argument("--steps", type=int, default=2, help="steps of a request")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case")
    parser.add_argument("--weights", default="none", help="weights; any take as long")
    parser.add_argument("--precision", default="float32", help="float32 or bfloat16")
    parser.add_argument("--model", type=pathlib.Path, help="an export to measure")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        directory = arguments.model
        if directory is None:
            directory = pathlib.Path(scratch, "tfnst")
            tfnst.export_saved_model(
                directory,
                weights=None if arguments.weights == "none" else arguments.weights,
                precision=arguments.precision,
            )
        path = str(next(directory.glob("[0-9]*")))
        print(f"{arguments.steps} steps at the fine scales, {os.cpu_count()} CPU cores")
        print("at once and together: relative to in turn")
        print(
            "size  pictures  in turn s  at once s  core s  together s  core s"
            "  range         off at once  off together"
        )
        for size in map(int, arguments.sizes.split(",")):
            for count in map(int, arguments.counts.split(",")):
                line = compare(path, size, count, arguments.steps, arguments.rounds)
                print(line, flush=True)


if __name__ == "__main__":
    main()
