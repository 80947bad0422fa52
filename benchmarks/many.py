"""Many pictures: share of the time of a batch, and of a server, that goes into steps.

Photos of `--megapixels` are painted at `--size` in two styles by `tfnst.stylize_batch`
and by `tfnst serve`. "Steps alone" are the same numbers of gradient steps at the same
sizes, with everything else done beforehand. The cases are measured alternately, and the
tables show medians of the rounds.

Processor time is summed over all cores and hardly depends on other load, so trust its
share rather than that of wall time on a busy machine. The share of wall time also shows
what runs at the same time as steps.

    python -m benchmarks.many [--size 256] [--steps 15] [--pictures 8] [--rounds 3]
        [--megapixels 12] [--batch-sizes 1,2,4] [--clients 1,2,4] [--runs 1]
        [--precision auto]
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import tfnst
from benchmarks.serving import Server, serving
from tfnst.client.client import StylizeClient

SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples" / "images"
PHOTOS = ("photo_cat.jpg", "photo_coffee.jpg", "photo_rocket.jpg", "photo_cat.jpg")
STYLES = [SAMPLES / "style_mosaic.jpg", SAMPLES / "style_swirls.jpg"]
# Width by height of the photos.
SHAPES = (4 / 3, 3 / 4, 3 / 2, 1)

# TensorFlow is imported in the functions that use it, so that --help doesn't load it.


class Times(NamedTuple):
    """Wall time, and processor time over all cores, in seconds."""

    wall: float
    processor: float


def measure(
    function: Callable[[], Any], processor: Callable[[], float] = time.process_time
) -> Times:
    """Returns the times that a call takes.

    Args:
        function: function to call.
        processor: clock of the process that does the work.
    """
    start, busy = time.perf_counter(), processor()
    function()
    return Times(time.perf_counter() - start, processor() - busy)


def median(rounds: list[Times]) -> Times:
    """The medians of several rounds."""
    return Times(*map(statistics.median, zip(*rounds, strict=True)))


def make_photos(
    folder: pathlib.Path, count: int, megapixels: float
) -> list[pathlib.Path]:
    """JPEG files like those of a camera: enlarged samples with some grain."""
    paths = []
    for index in range(count):
        kind = index % len(PHOTOS)
        height = (1e6 * megapixels / SHAPES[kind]) ** 0.5
        sides = round(height * SHAPES[kind]), round(height)
        with Image.open(SAMPLES / PHOTOS[kind]) as sample:
            photo = sample.convert("RGB").resize(sides, Image.Resampling.BICUBIC)
        grain = np.random.default_rng(index).integers(-6, 7, (*sides[::-1], 1))
        grainy = np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8)
        paths.append(folder / f"photo{index}.jpg")
        Image.fromarray(grainy).save(paths[-1], quality=92)
    return paths


def prepare_steps(
    contents: list[pathlib.Path], config: tfnst.StyleTransferConfig
) -> Callable[[], None]:
    """A function that takes the steps of all pictures, each in each style.

    It has taken one step at each scale, so nothing is left to trace.
    """
    import tensorflow as tf

    from tfnst.engines.engine import Knobs
    from tfnst.engines.loading import ScaleEngines
    from tfnst.limits import MAX_STEPS
    from tfnst.losses.objective import Targets
    from tfnst.transfer.style_transfer import load_content, load_style

    engines = ScaleEngines(config, pictures=1, regions=0)
    knobs = Knobs.from_config(config)
    prepared = []
    for style in STYLES:
        loaded = load_style(style, config)
        for path in contents:
            content = load_content(path, loaded, config)
            for scale in content.scales:
                engine = engines.for_scale(scale.sizes)
                style_sizes = np.array(scale.style_sizes, np.int32)
                canvas, state, activations = engine.enter_scale(
                    content.picture,
                    content.picture,
                    tf.constant(scale.sides),
                    knobs.content_weight,
                )
                targets = Targets(activations, loaded.targets(engine, style_sizes))
                prepared.append((engine, canvas, state, targets, scale.steps))

    def take(most: int = MAX_STEPS) -> None:
        for engine, canvas, state, targets, steps in prepared:
            count = tf.constant(min(steps, most))
            engine.run(canvas, state, targets, knobs, count)

    take(1)
    return take


def print_batches(
    contents: list[pathlib.Path],
    config: tfnst.StyleTransferConfig,
    batch_sizes: list[int],
    rounds: int,
) -> None:
    """Prints the times of batches, and the share of each that goes into steps."""

    def paint(contents: Any, styles: Any, batch_size: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            items = tfnst.stylize_batch(
                contents, styles, folder, config=config, batch_size=batch_size
            )
        if failed := [item.error for item in items if item.status != "painted"]:
            raise RuntimeError(f"not painted: {failed}")

    count = len(contents) * len(STYLES)
    first = measure(lambda: paint(contents[:1], STYLES[:1], 1))
    steps = prepare_steps(contents, config)
    alone: list[Times] = []
    batches: dict[int, list[Times]] = {size: [] for size in batch_sizes}
    for _ in range(rounds):
        for size, times in batches.items():
            times.append(measure(lambda size=size: paint(contents, STYLES, size)))
        alone.append(measure(steps))
    print(f"a batch of {count} pictures; the first in a process took")
    print(f"{first.wall:.1f} s, {first.processor:.1f} s of the processor")
    print(
        "batch size   pictures/h   s/picture   processor s   not steps   share  of wall"
    )
    print_row("steps alone", count, median(alone), alone)
    for size, times in batches.items():
        print_row(f"{size}", count, median(times), alone, times)


def print_row(
    name: str,
    count: int,
    times: Times,
    alone: list[Times],
    rounds: list[Times] | None = None,
) -> None:
    """Prints the times per picture, and the share of the steps.

    Args:
        name: name of the row.
        count: number of pictures.
        times: times of all pictures.
        alone: times of the steps alone, in each round.
        rounds: times of the row's own rounds; None for the steps alone.
    """
    shares = [
        Times(a.wall / b.wall, a.processor / b.processor)
        for a, b in zip(alone, rounds or alone, strict=True)
    ]
    share = median(shares)
    rest = (1 - share.processor) * times.processor / count
    print(
        f"{name:11}  {3600 * count / times.wall:10.0f}  {times.wall / count:10.2f}"
        f"  {times.processor / count:12.2f}  {rest:10.2f}"
        f"  {share.processor:6.3f}  {share.wall:7.3f}",
        flush=True,
    )


def print_server(
    contents: list[pathlib.Path],
    config: tfnst.StyleTransferConfig,
    clients: list[int],
    runs: int,
    rounds: int,
) -> None:
    """Prints the times of requests from several clients at once.

    Args:
        contents: the photos, each of which is painted in each style.
        config: the settings.
        clients: numbers of clients.
        runs: largest number of simultaneous runs on the server.
        rounds: number of measurements of each case.
    """
    steps = prepare_steps(contents, config)
    pairs = [(content, style) for style in STYLES for content in contents]
    alone: list[Times] = []
    cases: dict[int, list[Times]] = {count: [] for count in clients}
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch, "tfnst")
        tfnst.export_saved_model(directory, config=config)
        with serving(directory, "--max-concurrent", str(runs)) as server:
            ask(server, pairs[:1], 1)
            for _ in range(rounds):
                for count, times in cases.items():
                    times.append(
                        measure(
                            lambda count=count: ask(server, pairs, count),
                            server.core_seconds,
                        )
                    )
                alone.append(measure(steps))
    print(f"\na server, {runs} at a time of {len(pairs)} requests with files")
    print(
        "clients      pictures/h   s/picture   processor s   not steps   share  of wall"
    )
    print_row("steps alone", len(pairs), median(alone), alone)
    for count, times in cases.items():
        print_row(f"{count}", len(pairs), median(times), alone, times)


def ask(server: Server, pairs: list[tuple[Any, Any]], clients: int) -> None:
    """Sends requests from several clients, and waits for all answers."""
    connections = [
        StylizeClient(server.target, timeout=24 * 3600) for _ in range(clients)
    ]

    def work(index: int) -> None:
        for pair in pairs[index::clients]:
            connections[index].stylize(*pair)

    with futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    for connection in connections:
        connection.close()


def numbers(text: str) -> list[int]:
    """The numbers in `"1,2,4"`."""
    return [int(number) for number in text.split(",") if number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--steps", type=int, default=15, help="at the finer scales")
    parser.add_argument("--pictures", type=int, default=8, help="even number")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case")
    parser.add_argument("--megapixels", type=float, default=12, help="photo size")
    parser.add_argument(
        "--batch-sizes", type=numbers, default="1,2,4", help="pictures painted together"
    )
    parser.add_argument(
        "--clients", type=numbers, default="1,2,4", help='numbers; "" for none'
    )
    parser.add_argument(
        "--runs", type=int, default=1, help="largest number of simultaneous runs"
    )
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    arguments = parser.parse_args()

    from tfnst.engines.devices import choose_precision

    config = tfnst.StyleTransferConfig(
        size=arguments.size,
        steps=arguments.steps,
        # An export has no "auto".
        precision=choose_precision(arguments.precision, "auto"),
    )
    print(
        f"{config.backbone} in {config.precision}, {config.size} pixels, "
        f"{config.steps} steps, {os.cpu_count()} CPU cores"
    )
    with tempfile.TemporaryDirectory() as folder:
        contents = make_photos(
            pathlib.Path(folder), arguments.pictures // 2, arguments.megapixels
        )
        if arguments.batch_sizes:
            print_batches(contents, config, arguments.batch_sizes, arguments.rounds)
        if arguments.clients:
            print_server(
                contents,
                config,
                arguments.clients,
                arguments.runs,
                arguments.rounds,
            )


if __name__ == "__main__":
    main()
