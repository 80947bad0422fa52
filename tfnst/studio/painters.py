"""Painters of the studio's tasks: this process, or a server."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable
from concurrent import futures
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnst.checks import ArgumentError, rename_argument
from tfnst.client import ServingError, StylizeClient
from tfnst.config import StyleTransferConfig, setting_names
from tfnst.images import manifest
from tfnst.images.style_images import describe_style
from tfnst.studio.history import Entry
from tfnst.studio.limits import Limits
from tfnst.studio.previews import PREVIEW_SIZE, Previews, encode_preview
from tfnst.studio.run_queue import Progress, QueuedRun
from tfnst.studio.tasks import Task
from tfnst.studio.video_painter import paint_video

if TYPE_CHECKING:
    from tfnst.transfer.progress import TransferProgress
    from tfnst.transfer.results import TransferResult
    from tfnst.transfer.style_network import StyleNetwork

Loading = Callable[[], contextlib.AbstractContextManager[None]]

# Long sides of the pictures that are painted to rehearse: one for TensorFlow to trace
# its graphs, and one that tells how fast this machine is.
_TRACED, _MEASURED = 64, 256
# Steps of a run that take about as long as a network, per pixel.
_STEPS_AT_ONCE = 0.12
# Number of networks that are kept in memory.
_NETWORKS = 8
# Maximum number of points in a loss curve; beyond, every second one is dropped.
_MOST_POINTS = 240
_POLL_SECONDS = 0.1
_READY_SECONDS = 120.0


class LocalPainter:
    """Paints in this process.

    Args:
        config: usual settings, whose network is loaded at the start.
        loading: context in which TensorFlow is loaded, to suppress its output.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        loading: Loading = contextlib.nullcontext,
    ) -> None:
        self._config = config
        self._loading = loading
        # Seconds for a step of a pixel; None while unknown.
        self._rate: float | None = None

    def prepare(self) -> None:
        """Loads TensorFlow and the network."""
        with self._loading():
            from tfnst.engines.devices import placement
            from tfnst.engines.loading import load_engine

        with placement(self._config.device):
            load_engine(self._config)

    def rehearse(self) -> None:
        """Paints small pictures, so that graphs are traced and the speed is known."""
        self._paint_grey(_TRACED)
        self._measure(self._paint_grey(_MEASURED))

    def _paint_grey(self, size: int) -> TransferResult:
        from tfnst.transfer.style_transfer import stylize

        grey = np.full((size, size, 3), 0.5, np.float32)
        short = {"size": size, "min_size": size, "steps": 1, "initial_steps": 1}
        return stylize(grey, grey, config=self._config.replace(**short))

    def _measure(self, result: TransferResult) -> None:
        """Learns from a run how long a step of a pixel takes."""
        rows, (height, width) = result.losses, result.array.shape[:2]
        shape = height * width / max(height, width) ** 2
        if len(rows):
            work = shape * (rows["size"].astype(float) ** 2).sum()
            self._rate = rows["seconds"][-1] / work

    def expected_seconds(self, task: Task, sides: tuple[int, int]) -> float | None:
        """Returns how long a picture takes; see `tfnst.studio.run_queue.Painter`."""
        config = task.config
        if self._rate is None:
            return None
        if task.network is not None:
            shape = min(sides) / max(sides)
            return self._rate * shape * config.size**2 * _STEPS_AT_ONCE
        from tfnst.ops.pyramid import build_pyramid, scale_steps

        sizes = build_pyramid(sides, sides, config.size, config.min_size).numpy()
        steps = scale_steps(sizes, config.steps, config.initial_steps_for(config.steps))
        pixels = np.prod(sizes[:, 0], axis=1, dtype=float)
        return self._rate * float(pixels @ steps.numpy())

    def paint(
        self, run: QueuedRun, task: Task, limits: Limits
    ) -> Entry | pathlib.Path | None:
        """Paints a task; see `tfnst.studio.run_queue.Painter`."""
        from tfnst.transfer.results import NonFiniteLossError
        from tfnst.transfer.style_transfer import stylize

        if run.stopping:
            return None
        if task.video is not None:
            return paint_video(run, task, task.video, limits)
        if task.network is not None:
            return _paint_at_once(run, task, task.network)
        try:
            result = stylize(
                task.content,
                list(task.styles),
                config=limits.bound(task.config),
                callback=Watcher(run),
            )
        except NonFiniteLossError as error:
            if len(error.result.losses):
                _keep(run, task, error.result)
            raise
        self._measure(result)
        return None if run.abandoned else _keep(run, task, result)


def _paint_at_once(run: QueuedRun, task: Task, network: pathlib.Path) -> Entry:
    """Paints a picture by a network, which no run can stop."""
    result = _load_network(network).stylize(task.content, config=task.config)
    run.progress = Progress(fraction=1.0, seconds=result.seconds)
    # So that it can be painted again: the page shows the style by its picture.
    picture = manifest.describe_source(task.styles[0].image)
    facts = {**(result.network or {}), "picture": picture}
    return _keep(run, task, dataclasses.replace(result, network=facts))


@functools.lru_cache(_NETWORKS)
def _load_network(path: pathlib.Path) -> StyleNetwork:
    from tfnst.transfer.style_network import load_network

    return load_network(path)


def _keep(run: QueuedRun, task: Task, result: TransferResult) -> Entry:
    """Adds a painted picture to the history."""
    return run.history.add(task, partial(result.save, bits=task.bits))


class Watcher:
    """A callback that records a picture's progress, and stops it if its run is.

    Args:
        run: the run whose `progress` is set.
        clock: as for `Previews`.
    """

    def __init__(
        self, run: QueuedRun, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._run = run
        self._previews = Previews(clock=clock)
        self._losses: list[tuple[float, float, float, float]] = []
        self._stride, self._calls = 1, 0

    def __call__(self, progress: TransferProgress) -> None:
        """Records the progress after a step."""
        self._record(progress)
        self._previews.offer(
            lambda: progress.image(PREVIEW_SIZE), always=progress.step >= progress.steps
        )
        self._run.progress = Progress(
            step=progress.step,
            steps=progress.steps,
            size=progress.size,
            fraction=progress.fraction,
            seconds=progress.seconds,
            losses=tuple(self._losses),
            preview=self._previews.latest,
            first=self._run.progress.first or (progress.seconds, progress.fraction),
        )
        if self._run.stopping:
            progress.stop()

    def _record(self, progress: TransferProgress) -> None:
        self._calls += 1
        if self._calls % self._stride:
            return
        row = progress.losses
        names = ("content", "style", "total")
        content, style, total = (float(row[name]) for name in names)
        self._losses.append((progress.step, content, style, total))
        if len(self._losses) > _MOST_POINTS:
            self._losses, self._stride = self._losses[1::2], 2 * self._stride


class ServerPainter:
    """Has a server paint: `tfnst serve` or TensorFlow Serving.

    Args:
        target: the server's `HOST:PORT`.
        connect: makes a client of the server.
    """

    def __init__(
        self, target: str, connect: Callable[[str], StylizeClient] = StylizeClient
    ) -> None:
        self._target = target
        self._connect = connect
        try:
            connect(target).close()
        except ArgumentError as error:
            rename_argument(error, "server")
            raise

    def prepare(self) -> None:
        """Waits for the server.

        Raises:
            ServingError: when it doesn't answer, or has no model ready.
        """
        with self._connect(self._target) as client:
            client.wait_until_ready(_READY_SECONDS)

    def rehearse(self) -> None:
        """Does nothing: the server has warmed up by itself."""

    def expected_seconds(self, task: Task, sides: tuple[int, int]) -> None:
        """Returns None: how fast a server is isn't known."""

    def paint(self, run: QueuedRun, task: Task, limits: Limits) -> Entry | None:
        """Has a task painted; see `tfnst.studio.run_queue.Painter`.

        A server reports no progress. When the run is stopped, the call is cancelled,
        and there is no picture.
        """
        names = setting_names("requested")
        settings = {name: getattr(task.config, name) for name in names}
        began = time.monotonic()
        # In a thread, so that this one can cancel the call by closing the client.
        with (
            self._connect(self._target) as client,
            futures.ThreadPoolExecutor(1) as pool,
        ):
            call = pool.submit(
                client.stylize,
                task.content,
                list(task.styles),
                timeout=limits.max_seconds,
                **settings,
            )
            while not futures.wait([call], _POLL_SECONDS).done:
                run.progress = Progress(seconds=time.monotonic() - began)
                if run.stopping:
                    client.close()
                    break
            try:
                response = call.result()
            except ServingError:
                if run.stopping:
                    return None
                raise
        preview = encode_preview(response.image)
        run.progress = dataclasses.replace(run.progress, fraction=1.0, preview=preview)
        facts = _manifest(task, settings, self._target, response.model_version)

        def save(path: Any) -> None:
            from tfnst.images.writing import save_image

            save_image(response.image, path, info=response.info, manifest=facts)

        return run.history.add(task, save)


def _manifest(
    task: Task, settings: dict[str, Any], target: str, version: int
) -> dict[str, Any]:
    """The manifest of a picture painted by a server."""
    sources = [manifest.describe_source(style.image) for style in task.styles]
    return manifest.build_manifest(
        content_image=manifest.describe_source(task.content),
        style_image=describe_style(list(task.styles), sources),
        settings=settings,
        server=target,
        model_version=version,
    )
