"""Attacks and load on `tfnst serve`, and how it holds up, in one table.

A tiny model is exported, its server runs in its own process, and everything goes over
the loopback interface. Each row is one kind of load; meanwhile another client checks
the server's health 20 times a second. The columns are:

- right, refused, wrong: answers equal to the one that the same request got alone;
  errors that say what to do; and everything else, which must be 0;
- req/s, p50, p99: right answers per second, and percentiles of their seconds;
- health: the slowest 1% and the slowest of the health checks, in seconds;
- MiB: the server's memory before and after, which must return to within 10%.

The exit status is 1 if any answer was wrong, a health check took a second, or memory
wasn't freed. It takes a few minutes.

    python benchmarks/serving_campaign.py [--seconds 4] [--clients 1,4,16,64]
        [--stages floods,bombs]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import io
import json
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import psutil
from PIL import Image

import tfnst
from tfnst.client import ServerBusyError, ServingError, StylizeClient
from tfnst.client.messages import messages
from tfnst.client.requests import ModelChoice, build_request
from tfnst.client.responses import read_response
from tfnst.images.metadata import PictureInfo

MODEL = tfnst.StyleTransferConfig(
    weights=None,
    precision="float32",
    content_layers=("block2_conv1",),
    style_layers=("block1_conv1", "block2_conv1"),
    size=32,
    min_size=32,
    steps=2,
    initial_steps=2,
)
PREDICT = "/tensorflow.serving.PredictionService/Predict"
MESSAGE_BYTES = 8 * 2**20
PENDING_BYTES = 32 * MESSAGE_BYTES
SLOW_BYTES_PER_SECOND = 100_000
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
# What a server may answer under attack; anything else is a defect.
REFUSALS = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
}


class Server:
    """`tfnst serve` in its own process, which can be killed and started again."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.target = f"127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = "from tfnst.cli.command import main; main()"
        options = {
            "port": self.port,
            "max-queue": 32,
            "max-message-bytes": MESSAGE_BYTES,
            "max-pending-bytes": PENDING_BYTES,
            "poll-seconds": 0.2,
            "max-memory": 8,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", command, "serve", str(self._directory)]
            + [
                word
                for name, value in options.items()
                for word in (f"--{name}", str(value))
            ],
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        with StylizeClient(self.target) as client:
            client.wait_until_ready(180)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(60)

    def memory(self) -> float:
        """Memory in MiB, after a moment to free what is no longer needed."""
        time.sleep(1)
        return psutil.Process(self._process.pid).memory_info().rss / 2**20


class Health:
    """Checks the server's health continuously, from its own process."""

    SCRIPT = """
import json, sys, threading, time
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
ended, seconds = threading.Event(), []
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
with grpc.insecure_channel(sys.argv[1]) as channel:
    check = health_pb2_grpc.HealthStub(channel).Check
    while not ended.wait(0.05):
        start = time.monotonic()
        try:
            check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.RpcError:
            pass
        seconds.append(time.monotonic() - start)
print(json.dumps(seconds))
"""

    def __init__(self, target: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def stop(self) -> list[float]:
        """Ends it, and returns the seconds that each check took."""
        printed, _ = self._process.communicate(b"", timeout=30)
        return json.loads(printed)


@dataclasses.dataclass
class Tally:
    """Results of a stage's requests; threads share it."""

    right: list[float] = dataclasses.field(default_factory=list)
    refused: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)


class Asker:
    """Requests pictures, and knows the right answers."""

    def __init__(self, target: str) -> None:
        self.target = target
        rng = np.random.default_rng(0)
        self.files = [
            _png(rng.integers(0, 256, (40, 48, 3), np.uint8)) for _ in range(2)
        ]
        with StylizeClient(target) as client:
            self.expected = [
                client.stylize(*self.files, seed=seed).image_bytes for seed in range(4)
            ]

    def ask(self, client: StylizeClient, tally: Tally, number: int) -> None:
        seed, start = number % 4, time.monotonic()
        try:
            answer = client.stylize(*self.files, seed=seed).image_bytes
        except ServingError as error:
            if isinstance(error, ServerBusyError) or error.code in REFUSALS:
                tally.refused += 1
            else:
                tally.wrong.append(str(error))
        else:
            if answer == self.expected[seed]:
                tally.right.append(time.monotonic() - start)
            else:
                tally.wrong.append("another picture")

    def keep_asking(
        self, tally: Tally, until: Callable[[], bool], **options: Any
    ) -> None:
        with StylizeClient(self.target, **options) as client:
            number = 0
            while not until():
                self.ask(client, tally, number)
                number += 1

    @contextlib.contextmanager
    def asking(self, tally: Tally, clients: int, **options: Any) -> Iterator[None]:
        """Context in which clients send requests, each one after another."""
        done = threading.Event()
        with futures.ThreadPoolExecutor(clients) as pool:
            for _ in range(clients):
                pool.submit(self.keep_asking, tally, done.is_set, **options)
            try:
                yield
            finally:
                done.set()


def load(asker: Asker, tally: Tally, clients: int, seconds: float) -> None:
    with asker.asking(tally, clients, max_attempts=1):
        time.sleep(seconds)


def slow_links(asker: Asker, tally: Tally) -> None:
    """40 clients with photos of 400 KB on links of 100 KB per second."""
    noise = np.random.default_rng(1).integers(0, 256, (370, 370, 3), np.uint8)
    photo = _png(noise)
    with StylizeClient(asker.target) as client:
        expected = client.stylize(photo, asker.files[1]).image_bytes

    def ask(port: int) -> None:
        start = time.monotonic()
        try:
            with StylizeClient(f"127.0.0.1:{port}", max_attempts=5) as client:
                answer = client.stylize(photo, asker.files[1]).image_bytes
        except ServingError as error:
            tally.refused += error.code in REFUSALS
            if error.code not in REFUSALS:
                tally.wrong.append(str(error))
        else:
            if answer == expected:
                tally.right.append(time.monotonic() - start)
            else:
                tally.wrong.append("another picture")

    # A port each: clients in one process share their connections to one address.
    with slow_proxy(asker.target, 40) as ports, futures.ThreadPoolExecutor(40) as pool:
        list(pool.map(ask, ports))


def floods(asker: Asker, tally: Tally) -> None:
    """200 connections, each with a request that never arrives, and 500 idle ones."""
    ended = threading.Event()

    def nothing() -> Iterator[bytes]:
        ended.wait(60)
        yield from ()

    with contextlib.ExitStack() as stack:
        address = tuple(asker.target.split(":"))
        for _ in range(500):
            stack.enter_context(socket.create_connection(address, 10))
        for _ in range(200):
            channel = grpc.insecure_channel(asker.target, options=OWN_CONNECTION)
            stack.enter_context(channel)
            channel.stream_unary(PREDICT).future(nothing())
        with asker.asking(tally, 2, max_attempts=1):
            time.sleep(4)
        ended.set()


def bombs(asker: Asker, tally: Tally) -> None:
    """Small requests that would become large."""
    numbers = b"\x08\x01" + _dims(1, 6000, 6000, 3)
    strings = b"\x08\x07" + _dims(250_000) + _field(8, b"a" * 20_000)
    attacks = {
        "entries": _field(2, b"") * 2**21,
        "strings": _inputs(b"style_bytes", _field(8, b"") * 2**21),
        "integers": _inputs(b"size", _field(10, b"\0" * (MESSAGE_BYTES - 100))),
        "numbers": _inputs(b"content_image", numbers),
        "long strings": _inputs(b"style_bytes", strings),
        "too long": b"\0" * (MESSAGE_BYTES + 1),
        "noise": random.Random(0).randbytes(100_000),
        "gzip": b"\0" * (300 * 2**20),
    }
    for name, data in attacks.items():
        zipped = grpc.Compression.Gzip if name == "gzip" else None
        for _ in range(1 if zipped else 5):
            with grpc.insecure_channel(asker.target, options=OWN_CONNECTION) as channel:
                try:
                    channel.unary_unary(PREDICT)(data, timeout=60, compression=zipped)
                except grpc.RpcError as error:
                    tally.refused += error.code() in REFUSALS
                    if error.code() not in REFUSALS:
                        tally.wrong.append(f"{name}: {error.code().name}")
                else:
                    tally.wrong.append(f"{name}: answered")
    # A picture that is right, in a file that takes seconds to decode with its texts.
    content = asker.files[0]
    text = _chunk(b"zTXt", b"C\0\0" + zlib.compress(b"a" * 7 * 2**20, 9))
    message = build_request(ModelChoice("tfnst"), *asker.files, {"seed": 0}).message
    for entry in message.inputs:
        if entry.key == "content_bytes":
            entry.value.string_val[0] = content[:33] + text * 140 + content[33:]
    with grpc.insecure_channel(asker.target, options=OWN_CONNECTION) as channel:
        for _ in range(5):
            start = time.monotonic()
            data = channel.unary_unary(PREDICT)(message.SerializeToString(), timeout=60)
            answer = read_response(
                messages["PredictResponse"].FromString(data),
                PictureInfo(),
                target=asker.target,
                model="tfnst",
            )
            if answer.image_bytes == asker.expected[0]:
                tally.right.append(time.monotonic() - start)
            else:
                tally.wrong.append("PNG with texts: another picture")


def cancel_storm(asker: Asker, tally: Tally) -> None:
    """400 requests that are cancelled, or whose deadline passes, within 0.2 seconds."""
    message = build_request(ModelChoice("tfnst"), *asker.files, {}).message
    data = message.SerializeToString()
    rng = random.Random(0)
    with asker.asking(tally, 1), grpc.insecure_channel(asker.target) as channel:
        predict = channel.unary_unary(PREDICT)
        for number in range(400):
            wait = rng.uniform(0.001, 0.2)
            call = predict.future(data, timeout=wait if number % 2 else 60)
            if number % 2 == 0:
                threading.Timer(wait, call.cancel).start()
            time.sleep(0.01)
        time.sleep(0.5)


def roll_overs(
    asker: Asker, tally: Tally, directory: pathlib.Path, seconds: float
) -> None:
    """Two new versions while four clients send requests, each within a time limit."""
    with (
        asker.asking(tally, 4, max_attempts=1),
        StylizeClient(asker.target) as client,
    ):
        newest = max(int(path.name) for path in directory.iterdir())
        for number in range(newest + 1, newest + 3):
            hidden = directory / f".{number}"
            shutil.copytree(directory / str(newest), hidden)
            hidden.rename(directory / str(number))
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                states = {v.version: v.state for v in client.status()}
                if states.get(number) == "AVAILABLE" and states[number - 1] == "END":
                    break
                time.sleep(0.2)
            else:
                tally.wrong.append(f"version {number} isn't served: {states}")


def kill(asker: Asker, tally: Tally, server: Server) -> None:
    """The server is killed under load and restarted; its clients try again."""
    with asker.asking(tally, 4, max_attempts=5):
        time.sleep(1)
        server.kill()
        server.start()
        server.wait()
        time.sleep(2)


@contextlib.contextmanager
def watching(target: str) -> Iterator[None]:
    """A client that watches the server's health, and must not keep it from ending."""
    with grpc.insecure_channel(target, options=OWN_CONNECTION) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=3600)
        with contextlib.suppress(grpc.RpcError):  # It may have ended by itself.
            next(watch)
        yield


@contextlib.contextmanager
def slow_proxy(target: str, count: int) -> Iterator[list[int]]:
    """Ports of proxies that pass on 100 KB per second of each connection."""
    host, port = target.split(":")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause * len(data))
        writer.close()

    async def connect(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(
            copy(reader, back, 1 / SLOW_BYTES_PER_SECOND), copy(there, writer, 0)
        )

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(connect, "127.0.0.1", 0)

    servers = [
        asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
        for _ in range(count)
    ]
    try:
        yield [server.sockets[0].getsockname()[1] for server in servers]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def _png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + check


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + _varint(number >> 7)


def _field(number: int, data: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes or a message."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _dims(*sizes: int) -> bytes:
    dims = b"".join(_field(2, b"\x08" + _varint(size)) for size in sizes)
    return _field(2, dims)


def _inputs(name: bytes, tensor: bytes) -> bytes:
    """A request with one input."""
    return _field(1, _field(1, b"tfnst")) + _field(
        2, _field(1, name) + _field(2, tensor)
    )


def quantile(seconds: list[float], share: float) -> float:
    if not seconds:
        return float("nan")
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4, help="per load")
    parser.add_argument("--clients", default="1,4,16,64", help="numbers of clients")
    parser.add_argument("--stages", help="names in the table of the loads to run")
    arguments = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch, "tfnst")
        tfnst.export_saved_model(directory, config=MODEL, max_size=64, max_memory=2)
        start = time.monotonic()
        server = Server(directory)
        try:
            server.wait()
            # Beside requests, loading takes several times as long as alone.
            longest = 30 * (time.monotonic() - start)
            asker = Asker(server.target)
            load(asker, Tally(), 8, arguments.seconds)  # Until its memory has settled.
            stages: list[tuple[str, Callable[[Tally], None]]] = [
                (
                    f"{count} clients",
                    lambda tally, count=count: load(
                        asker, tally, count, arguments.seconds
                    ),
                )
                for count in map(int, arguments.clients.split(","))
            ]
            stages += [
                ("slow links", lambda tally: slow_links(asker, tally)),
                ("floods", lambda tally: floods(asker, tally)),
                ("bombs", lambda tally: bombs(asker, tally)),
                ("cancel storm", lambda tally: cancel_storm(asker, tally)),
                (
                    "roll-overs",
                    lambda tally: roll_overs(asker, tally, directory, longest),
                ),
                ("kill", lambda tally: kill(asker, tally, server)),
            ]
            if arguments.stages:
                wanted = arguments.stages.split(",")
                stages = [each for each in stages if each[0] in wanted]
            print(
                "stage          right  refused  wrong   req/s     p50     p99"
                "  health p99     max  MiB before  after"
            )
            for name, stage in stages:
                failures += run_stage(name, stage, server)
        finally:
            with watching(server.target):
                status = server.stop()
    if status:
        failures.append(f"the server ended with status {status}")
    for failure in failures:
        print(failure)
    sys.exit(bool(failures))


def run_stage(name: str, stage: Callable[[Tally], None], server: Server) -> list[str]:
    """Runs a stage, prints its row, and returns the failures."""
    tally, before = Tally(), server.memory()
    health, start = Health(server.target), time.monotonic()
    stage(tally)
    seconds = time.monotonic() - start
    checks = health.stop()
    after = server.memory()
    slowest = max(checks, default=0)
    print(
        f"{name:13}  {len(tally.right):5}  {tally.refused:7}  {len(tally.wrong):5}"
        f"  {len(tally.right) / seconds:6.1f}"
        f"  {statistics.median(tally.right or [float('nan')]):6.2f}"
        f"  {quantile(tally.right, 0.99):6.2f}"
        f"  {quantile(checks, 0.99):10.3f}  {slowest:6.3f}"
        f"  {before:10.0f}  {after:5.0f}",
        flush=True,
    )
    failures = [f"{name}: {text}" for text in sorted(set(tally.wrong))[:5]]
    if not tally.right:
        failures.append(f"{name}: no answer was right")
    if name == "kill":  # Another process, and none for a while.
        return failures
    if slowest > 1:
        failures.append(f"{name}: a health check took {slowest:.1f} seconds")
    if after > 1.1 * before:
        failures.append(f"{name}: memory grew from {before:.0f} to {after:.0f} MiB")
    return failures


if __name__ == "__main__":
    main()
