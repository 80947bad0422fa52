"""What paints the studio's orders: this process, or a server."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnst.checks import ArgumentError, rename_argument
from tfnst.client import ServingError, StylizeClient
from tfnst.config import StyleTransferConfig, setting_names
from tfnst.images import manifest
from tfnst.images.style_images import describe_style
from tfnst.studio.film_painter import paint_film
from tfnst.studio.history import Entry
from tfnst.studio.jobs import AbandonedError, Job, Progress, Unfinished
from tfnst.studio.limits import Limits
from tfnst.studio.orders import Order
from tfnst.studio.previews import PREVIEW_SIZE, Previews, encode_preview

if TYPE_CHECKING:
    from tfnst.transfer.progress import TransferProgress
    from tfnst.transfer.results import TransferResult

# Long side of what is painted to rehearse.
_REHEARSED = 64
Loading = Callable[[], contextlib.AbstractContextManager[None]]

# Points of the loss curves; beyond, every second one is dropped.
_MOST_POINTS = 240
_POLL_SECONDS = 0.1
_READY_SECONDS = 120.0


class LocalPainter:
    """Paints in this process.

    Args:
        config: of most runs, whose network is loaded at the start.
        loading: entered while TensorFlow is loaded, to keep what it prints away.
    """

    def __init__(
        self, config: StyleTransferConfig, loading: Loading = contextlib.nullcontext
    ) -> None:
        self._config = config
        self._loading = loading

    def prepare(self) -> None:
        """Loads TensorFlow and the network."""
        with self._loading():
            from tfnst.engines.devices import placement
            from tfnst.engines.loading import load_engine

        with placement(self._config.device):
            load_engine(self._config)

    def rehearse(self) -> None:
        """Paints a step of something small, by which TensorFlow traces its graphs."""
        from tfnst.transfer.style_transfer import stylize

        grey = np.full((_REHEARSED, _REHEARSED, 3), 0.5, np.float32)
        short = self._config.replace(
            size=_REHEARSED, min_size=_REHEARSED, steps=1, initial_steps=1
        )
        stylize(grey, grey, config=short)

    def paint(
        self, job: Job, order: Order, limits: Limits
    ) -> Entry | pathlib.Path | Unfinished | None:
        """Paints an order; see `tfnst.studio.jobs.Painter`."""
        from tfnst.transfer.results import NonFiniteLossError
        from tfnst.transfer.style_transfer import stylize

        if job.stopping:
            return None
        if order.film is not None:
            return paint_film(job, order, order.film, limits)
        try:
            result = stylize(
                order.content,
                list(order.styles),
                init_image=order.init_image,
                config=limits.bound(order.config),
                callback=Watcher(job),
            )
        except AbandonedError:
            return None
        except NonFiniteLossError as error:
            if len(error.result.losses):
                _keep(job, order, error.result)
            raise
        return _keep(job, order, result)


def _keep(job: Job, order: Order, result: TransferResult) -> Entry:
    """Adds what was painted to the history."""
    return job.history.add(order, partial(result.save, bits=order.bits))


class Watcher:
    """A callback that writes down how far a run is, and ends it when it is asked to.

    Args:
        job: where it writes; its visitor looks there.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._previews = Previews()
        self._losses: list[tuple[float, float, float, float]] = []
        self._stride, self._calls = 1, 0

    def __call__(self, progress: TransferProgress) -> None:
        """Takes a TransferProgress."""
        if self._job.abandoned:
            raise AbandonedError
        self._record(progress)
        self._previews.offer(
            lambda: progress.image(PREVIEW_SIZE), always=progress.step >= progress.steps
        )
        self._job.progress = Progress(
            step=progress.step,
            steps=progress.steps,
            size=progress.size,
            fraction=progress.fraction,
            seconds=progress.seconds,
            losses=tuple(self._losses),
            preview=self._previews.latest,
            previews=self._previews.count,
        )
        if self._job.stopping:
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
    """

    def __init__(self, target: str) -> None:
        self._target = target
        try:
            StylizeClient(target).close()
        except ArgumentError as error:
            rename_argument(error, "server")
            raise

    def prepare(self) -> None:
        """Looks whether the server is there.

        Raises:
            ServingError: when it isn't, or has no model ready.
        """
        with StylizeClient(self._target) as client:
            client.wait_until_ready(_READY_SECONDS)

    def rehearse(self) -> None:
        """Nothing: the server has warmed up by itself."""

    def paint(self, job: Job, order: Order, limits: Limits) -> Entry | None:
        """Has an order painted; see `tfnst.studio.jobs.Painter`.

        A server tells nothing on the way. When the job is to stop, the call is
        cancelled, and there is no picture.
        """
        names = setting_names(requested=True)
        settings = {name: getattr(order.config, name) for name in names}
        began, done = time.monotonic(), threading.Event()
        with (
            StylizeClient(self._target) as client,
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            call = pool.submit(
                client.stylize,
                order.content,
                list(order.styles),
                timeout=limits.max_seconds,
                **settings,
            )
            call.add_done_callback(lambda _: done.set())
            while not done.wait(_POLL_SECONDS):
                job.progress = Progress(seconds=time.monotonic() - began)
                if job.stopping:
                    client.close()
                    break
            try:
                response = call.result()
            except ServingError:
                if job.stopping:
                    return None
                raise
        preview = encode_preview(response.image)
        job.progress = dataclasses.replace(
            job.progress, fraction=1.0, preview=preview, previews=1
        )
        facts = _facts_of(order, settings, self._target, response.model_version)

        def save(path: Any) -> None:
            from tfnst.images.writing import save_image

            save_image(response.image, path, info=response.info, manifest=facts)

        return job.history.add(order, save)


def _facts_of(
    order: Order, settings: dict[str, Any], target: str, version: int
) -> dict[str, Any]:
    """The manifest of a picture that a server has painted."""
    sources = [manifest.describe_source(style.image) for style in order.styles]
    return manifest.build_manifest(
        content_image=manifest.describe_source(order.content),
        style_image=describe_style(list(order.styles), sources),
        settings=settings,
        server=target,
        model_version=version,
    )
