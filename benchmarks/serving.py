"""Overhead of serving a run, and the time and memory that a server needs.

One model is exported, and servers run in their own processes on this machine. The
tables are:

- the same work in this process and on a server, alternately: once with `--size` and
  `--steps`, and once with one step at 64 pixels, which is nearly all overhead;
- the first request after a start, with and without the export's warm-up requests;
- requests per second from 1, 2, 4 and 8 clients at once, and the server's peak memory;
- with `--network`, only this table: requests per second, median and 95th percentile of
  their seconds, core seconds of each, and the server's peak memory, by `--sizes`
  (256,512 by default) and `--clients`;
- with `--sizes` otherwise, only this table: time of a request and peak memory of a
  fresh server by image size. Core seconds are summed over all cores and hardly depend
  on other load.

With `--sizes`, requests use the defaults except for the steps. Otherwise the work is
`--steps` steps at the full size, without the coarser scales before it.

    python benchmarks/serving.py [--size 256] [--steps 50] [--rounds 3]
        [--clients 1,2,4,8] [--backbone vgg19] [--precision float32] [--sizes 256,512]
    python benchmarks/serving.py --network starry.keras --clients 1,16
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import numpy as np
from PIL import Image

import tfnst
from tfnst.client.client import StylizeClient
from tfnst.images import writing

SMALL_SIZE = 64
QUEUE = 64


class Server:
    """A running `tfnst serve`: its address, its memory and its processor time."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self._process = process
        self.target = f"127.0.0.1:{port}"

    def peak_memory(self) -> float:
        """Peak memory in MiB; NaN if the system doesn't report it."""
        return self._status("VmHWM")

    def memory(self) -> float:
        """Current memory in MiB; NaN if the system doesn't report it."""
        return self._status("VmRSS")

    def _status(self, name: str) -> float:
        path = pathlib.Path(f"/proc/{self._process.pid}/status")
        if not path.exists():
            return float("nan")
        (line,) = (x for x in path.read_text().splitlines() if x.startswith(name))
        return int(line.split()[1]) / 1024

    def core_seconds(self) -> float:
        """Processor time since the start; NaN if the system doesn't report it."""
        path = pathlib.Path(f"/proc/{self._process.pid}/stat")
        if not path.exists():
            return float("nan")
        # utime and stime; the name before them may contain spaces.
        fields = path.read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(directory: pathlib.Path, *options: str) -> Iterator[Server]:
    """Starts a server, waits until it is ready, and ends it afterwards.

    Args:
        directory: directory of the model.
        options: more arguments of `tfnst serve`.
    """
    log = directory.with_suffix(".log")
    command = "from tfnst.cli.command import main; main()"
    arguments = ["serve", str(directory), "--port", "0", "--max-queue", str(QUEUE)]
    arguments += options
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", command, *arguments], stderr=file
        )
    try:
        while " is available after " not in (text := log.read_text()):
            if process.poll() is not None:
                sys.exit(f"the server failed to start:\n{text}")
            time.sleep(0.05)
        yield Server(process, int(text.split(" on 127.0.0.1:")[1].split()[0]))
    finally:
        process.terminate()
        process.wait()


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def picture(size: int, seed: int) -> bytes:
    """A PNG file of a square picture."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    file = io.BytesIO()
    small.resize((size, size), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def print_overhead(
    server: Server,
    config: tfnst.StyleTransferConfig,
    *,
    size: int,
    steps: int,
    rounds: int,
) -> None:
    print("in this process and by a server, in turn (medians)")
    print("size   steps   in-process s   served s   added s   ratio   of each round")
    with StylizeClient(server.target, timeout=3600) as client:
        for side, count, repeats in (
            (SMALL_SIZE, 1, 3 * rounds),
            (size, steps, rounds),
        ):
            files = picture(side, 1), picture(side, 2)
            settings = {"size": side, "steps": count}

            def alone(files: Any = files, settings: Any = settings) -> None:
                result = tfnst.stylize(*files, config=config, **settings)
                writing.to_pil(result.array).save(io.BytesIO(), "PNG", compress_level=1)

            def served(files: Any = files, settings: Any = settings) -> None:
                client.stylize(*files, **settings)

            if count == 1:  # the first call, which builds what later ones reuse
                alone(), served()
            times = [(seconds(alone), seconds(served)) for _ in range(repeats)]
            one, other = map(statistics.median, zip(*times, strict=True))
            ratios = sorted(b / a for a, b in times)
            lowest, middle, highest = ratios[0], statistics.median(ratios), ratios[-1]
            print(
                f"{side:4}  {count:6}  {one:13.3f}  {other:9.3f}  {other - one:8.3f}"
                f"  {middle:6.3f}   {lowest:.3f} to {highest:.3f}"
            )


def print_first_requests(directory: pathlib.Path, rounds: int) -> None:
    bare = directory.with_name("bare")
    shutil.copytree(directory, bare)
    shutil.rmtree(bare / "1" / "assets.extra")
    files = picture(SMALL_SIZE, 1), picture(SMALL_SIZE, 2)
    print("\nthe first request after a start, 2 steps at 64 pixels (medians)")
    print("warm-up   start s   first s   second s")
    rows: dict[str, list] = {"yes": [], "no": []}
    for _ in range(rounds):
        for name, path in (("yes", directory), ("no", bare)):
            start = time.perf_counter()
            with serving(path) as server, StylizeClient(server.target) as client:
                ready = time.perf_counter() - start

                def ask(client: StylizeClient = client) -> None:
                    client.stylize(*files, size=SMALL_SIZE, steps=2)

                rows[name].append((ready, seconds(ask), seconds(ask)))
    for name, times in rows.items():
        ready, first, second = map(statistics.median, zip(*times, strict=True))
        print(f"{name:7}  {ready:8.1f}  {first:8.2f}  {second:9.2f}")


def print_throughput(server: Server, clients: list[int], size: int) -> None:
    steps, requests = 10, max(clients)
    files = [picture(size, 1), picture(size, 2)]
    print(f"\nrequests of {steps} steps at {size} pixels")
    print("clients   requests/s   slowest s   peak memory MiB")
    for count in clients:
        rate, times = load(server, count, requests, files, size=size, steps=steps)
        memory = server.peak_memory()
        print(f"{count:7}  {rate:11.2f}  {max(times):10.2f}  {memory:16.0f}")


def load(
    server: Server, clients: int, requests: int, files: list[bytes], **settings: int
) -> tuple[float, list[float]]:
    """Requests per second from several clients at once, and the seconds of each."""
    connections = [StylizeClient(server.target, timeout=3600) for _ in range(clients)]

    def work(client: StylizeClient) -> list[float]:
        return [
            seconds(lambda: client.stylize(*files, **settings))
            for _ in range(requests // clients)
        ]

    start = time.perf_counter()
    with futures.ThreadPoolExecutor(clients) as pool:
        times = [t for each in pool.map(work, connections) for t in each]
    rate = len(times) / (time.perf_counter() - start)
    for connection in connections:
        connection.close()
    return rate, times


def print_network(
    directory: pathlib.Path, sizes: list[int], clients: list[int], requests: int
) -> None:
    print(f"{requests} requests, {os.cpu_count()} CPU cores")
    print("size   clients   requests/s   median s   95% s   core s   peak memory MiB")
    for size in sizes:
        files = [picture(size, 1)]
        with serving(directory) as server:
            load(server, 1, 2, files, size=size)  # Builds what later ones reuse.
            for count in clients:
                before = server.core_seconds()
                rate, times = load(server, count, requests, files, size=size)
                used = (server.core_seconds() - before) / requests
                middle, high = np.percentile(times, [50, 95])
                print(
                    f"{size:4}  {count:8}  {rate:11.2f}  {middle:9.3f}  {high:6.3f}"
                    f"  {used:7.3f}  {server.peak_memory():16.0f}",
                    flush=True,
                )


def print_sizes(directory: pathlib.Path, sizes: list[int], steps: int) -> None:
    print(f"fresh servers; {steps} steps at the fine scales")
    print("size   idle MiB   peak MiB   seconds   core seconds   per step")
    for size in sizes:
        files = picture(size, 1), picture(size, 2)
        with serving(directory) as server:
            idle, before = server.peak_memory(), server.core_seconds()
            start = time.perf_counter()
            with StylizeClient(server.target, timeout=24 * 3600) as client:
                client.stylize(*files, size=size, steps=steps)
            taken = time.perf_counter() - start
            used = server.core_seconds() - before
            peak = server.peak_memory()
        print(
            f"{size:4}  {idle:9.0f}  {peak:9.0f}  {taken:8.1f}  {used:13.1f}"
            f"  {used / steps:9.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--steps", type=int, default=50, help="steps of a request")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case")
    parser.add_argument("--clients", default="1,2,4,8", help="numbers of clients")
    parser.add_argument("--backbone", default="vgg19", help="vgg19 or vgg16")
    parser.add_argument(
        "--precision", default="float32", help="float32, bfloat16 or auto"
    )
    parser.add_argument("--sizes", help="print only the table of these image sizes")
    parser.add_argument("--network", help="file of a network to serve in place of it")
    parser.add_argument("--requests", type=int, default=128, help="requests to it")
    arguments = parser.parse_args()

    # Times don't depend on the weights, and random ones need no file.
    config = tfnst.StyleTransferConfig(
        backbone=arguments.backbone, weights=None, precision=arguments.precision
    )
    clients = [int(count) for count in arguments.clients.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch, "tfnst")
        if arguments.network:
            tfnst.export_saved_model(directory, network=arguments.network)
            sizes = [int(size) for size in (arguments.sizes or "256,512").split(",")]
            print_network(directory, sizes, clients, arguments.requests)
            return
        print(f"{config.backbone} in {config.precision}, {os.cpu_count()} CPU cores\n")
        if arguments.sizes:
            sizes = [int(size) for size in arguments.sizes.split(",")]
            tfnst.export_saved_model(
                directory, config=config, max_size=max(2048, *sizes)
            )
            print_sizes(directory, sizes, arguments.steps)
            return
        config = config.replace(min_size=16_384)  # a single scale
        tfnst.export_saved_model(directory, config=config)
        with serving(directory) as server:
            print_overhead(
                server,
                config,
                size=arguments.size,
                steps=arguments.steps,
                rounds=arguments.rounds,
            )
        print_first_requests(directory, min(arguments.rounds, 2))
        with serving(directory) as server:
            print_throughput(server, clients, 128)


if __name__ == "__main__":
    main()
