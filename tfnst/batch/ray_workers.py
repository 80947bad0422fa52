"""A batch on several machines: Ray Data hands the pictures to workers.

Reference:
    https://docs.ray.io/en/latest/data/data.html
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any

from tfnst.batch import storage
from tfnst.batch.items import FAILED, LEFT, BatchItem
from tfnst.batch.painter import BatchCallback, BatchPainter, BatchProgress
from tfnst.config import StyleTransferConfig

# A block is what a worker gets at a time, and what is done again if it dies: one
# picture, unless there are very many.
_MOST_BLOCKS = 10_000
# What failed may have done so for what passes, such as a network, and is tried again.
_ATTEMPTS = 2


def paint_items(
    items: Sequence[BatchItem],
    config: StyleTransferConfig,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    saving: dict[str, Any] | None = None,
    callback: BatchCallback | None = None,
) -> None:
    """Paints the items of a batch on a Ray cluster, and notes what became of each.

    Each worker is a process with a network of its own, which paints one picture after
    the other. What a worker that dies was painting is given to another one; what is
    written already is not painted again. All workers must see the files: on several
    machines they lie in a shared folder or at URLs that fsspec opens.

    Args:
        items: from `tfnst.batch.items.plan_items`, with `output`.
        config: the settings.
        address: of the cluster, such as `"auto"` or `"ray://host:10001"`; None for
            one on this machine, which ends with the batch.
        workers: most at a time; None for as many as the cluster has room for.
        cpus: CPUs of each worker, which may be a fraction.
        gpus: GPUs of each worker, which may be a fraction.
        saving: arguments of `TransferResult.save`.
        callback: called with a BatchProgress as pictures are done.

    Raises:
        ValueError: for pictures that have no path, or bad numbers.
        ImportError: when Ray isn't installed.
        ConnectionError: when there is no cluster at the address.
    """
    _check(items, workers, cpus, gpus)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError("Ray is not installed; pip install 'tfnst[ray]'") from error

    # Its notes on each stage would tear the bar; what goes wrong is in the items.
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        options = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is None:
            options["include_dashboard"] = False
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        ray.init(address, **options)
    try:
        if workers is None:
            workers = _room(ray.cluster_resources(), cpus, gpus)
        for _ in range(_ATTEMPTS):
            rows = [
                _row(index, item)
                for index, item in enumerate(items)
                if item.status in (LEFT, FAILED)
            ]
            if not rows:
                break
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            done = ray.data.from_items(
                rows, override_num_blocks=min(len(rows), _MOST_BLOCKS)
            ).map(
                _Worker,
                fn_constructor_kwargs={
                    "config": _portable(config),
                    "cpus": cpus,
                    "saving": saving,
                },
                compute=ray.data.ActorPoolStrategy(
                    min_size=1, max_size=min(workers, len(rows))
                ),
                num_cpus=cpus,
                num_gpus=gpus or None,
            )
            if _follow(done.iter_rows(), items, callback):
                break
    finally:
        if ours:
            ray.shutdown()


def _check(items, workers, cpus, gpus):
    for item in items:
        if not all(
            map(storage.is_path, (item.content_image, item.style_image, item.output))
        ):
            raise ValueError(
                "`contents`, `styles` and `output` must be paths or URLs for Ray. "
                f"Received: {item.to_dict()}"
            )
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise ValueError(f"`workers` must be 1 or more. Received: {workers!r}")
    if not cpus >= 0 or not gpus >= 0 or cpus + gpus == 0:
        raise ValueError(
            "`cpus` and `gpus` must be numbers, 0 or more, and not both 0. "
            f"Received: {cpus!r} and {gpus!r}"
        )


def _room(resources, cpus, gpus):
    """How many workers a cluster has room for."""
    rooms = [
        resources.get(name, 0) / each
        for name, each in (("CPU", cpus), ("GPU", gpus))
        if each
    ]
    return max(1, int(min(rooms)))


def _row(index, item):
    return {
        "index": index,
        "content_image": storage.absolute(item.content_image),
        "style_image": storage.absolute(item.style_image),
        "output": storage.absolute(item.output),
    }


def _portable(config):
    """The settings as plain values, for a process that works in another folder."""
    settings = config.to_dict()
    if config.weights is not None and os.path.exists(config.weights):
        settings["weights"] = os.path.abspath(config.weights)
    return settings


def _follow(rows, items, callback):
    """Notes what workers report as they do; returns whether it was stopped."""
    for row in rows:
        item = items[row["index"]]
        item.status, item.seconds = row["status"], row["seconds"]
        item.error = row["error"] or None
        if callback is not None:
            done = sum(item.status != LEFT for item in items)
            progress = BatchProgress(done, len(items), [item], None)
            callback(progress)
            if progress.stopped:
                return True
    return False


class _Worker:
    """A process of the cluster that paints one picture after the other."""

    def __init__(
        self, config: dict[str, Any], cpus: float, saving: dict[str, Any] | None
    ) -> None:
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            # Workers may share one.
            tf.config.experimental.set_memory_growth(gpu, True)
        if cpus:
            tf.config.threading.set_intra_op_parallelism_threads(max(1, round(cpus)))
        self._painter = BatchPainter(
            StyleTransferConfig(**config), batch_size=1, saving=saving
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        item = BatchItem(row["content_image"], row["style_image"], row["output"])
        try:
            self._painter.paint([item])
        except (ValueError, OSError) as error:
            item = dataclasses.replace(
                item, status=FAILED, error=" ".join(str(error).split())
            )
        return {
            "index": row["index"],
            "status": item.status,
            "error": item.error or "",
            "seconds": item.seconds,
        }
