"""Painting a batch on several machines: Ray Data passes the pictures to workers.

Reference:
    https://docs.ray.io/en/latest/data/data.html
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tfnst.batch import storage
from tfnst.batch.items import FAILED, LEFT, BatchItem, count_done, mark_failed
from tfnst.batch.painter import BatchPainter
from tfnst.batch.progress import BatchCallback, BatchProgress
from tfnst.checks import check_integer, check_number
from tfnst.config import StyleTransferConfig
from tfnst.images.save_options import SaveOptions

# A worker gets one block at a time, and a block is done again if its worker dies: one
# picture, unless there are very many.
_MAX_BLOCKS = 10_000
# Failed pictures are tried again, as the reason may pass, such as a network's fault.
_ATTEMPTS = 2


def paint_items(
    items: Sequence[BatchItem],
    config: StyleTransferConfig,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    saving: SaveOptions | None = None,
    callback: BatchCallback | None = None,
) -> None:
    """Paints the items of a batch on a Ray cluster, and sets the status of each.

    Each worker is a process with its own network, which paints one picture after the
    other. If a worker dies, another one gets the picture it was painting; pictures
    that have been written are not painted again. All workers must see the files: on
    several machines, put them in a shared folder or at URLs that fsspec can open.

    Args:
        items: items of `tfnst.batch.planning.plan_items`, with an `output`.
        config: settings of the batch.
        address: address of the cluster, such as `"auto"` or `"ray://host:10001"`; None
            starts one on this machine, which ends with the batch.
        workers: largest number of workers at a time; None for as many as the cluster
            has room for.
        cpus: number of CPUs for each worker, which may be a fraction.
        gpus: number of GPUs for each worker, which may be a fraction.
        saving: options for saving the pictures; SaveOptions() by default.
        callback: function called with a BatchProgress as pictures are done.

    Raises:
        ValueError: for pictures without a path, or bad numbers.
        ImportError: when Ray isn't installed.
        ConnectionError: when there is no cluster at the address.
    """
    _check(items, workers, cpus, gpus)
    with _cluster(address) as resources:
        if workers is None:
            workers = _room(resources, cpus, gpus)
        for _ in range(_ATTEMPTS):
            rows = [
                _row(index, item)
                for index, item in enumerate(items)
                if item.status in (LEFT, FAILED)
            ]
            if not rows:
                break
            arguments = {"config": _portable(config), "cpus": cpus, "saving": saving}
            painted = _paint_rows(rows, workers, cpus, gpus, arguments)
            if _follow(painted, items, callback):
                break


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[Mapping[str, float]]:
    """Connects to a cluster, and gives its resources: its numbers of CPUs and GPUs."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError("Ray is not installed; pip install 'tfnst[ray]'") from error

    # Its messages would break up the progress bar; errors are noted in the items.
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is None:
            options["include_dashboard"] = False
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        ray.init(address, **options)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray.cluster_resources()
    finally:
        if ours:
            ray.shutdown()


def _paint_rows(
    rows: list[dict[str, Any]],
    workers: int,
    cpus: float,
    gpus: float,
    arguments: dict[str, Any],
) -> Iterable[dict[str, Any]]:
    """Paints rows in workers, and yields a report of each as it is done.

    Args:
        rows: items, from `_row`.
        workers: largest number of workers at a time.
        cpus: number of CPUs for each worker.
        gpus: number of GPUs for each worker.
        arguments: arguments of `_Worker`.
    """
    import ray.data

    blocks = min(len(rows), _MAX_BLOCKS)
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=min(workers, len(rows)))
    dataset = ray.data.from_items(rows, override_num_blocks=blocks)
    return dataset.map(
        _Worker,  # pyright: ignore[reportArgumentType] (a class is fine too)
        fn_constructor_kwargs=arguments,
        compute=pool,
        num_cpus=cpus,
        num_gpus=gpus or None,
    ).iter_rows()


def _check(
    items: Sequence[BatchItem], workers: int | None, cpus: float, gpus: float
) -> None:
    for item in items:
        if not all(
            map(storage.is_path, (item.content_image, item.style_image, item.output))
        ):
            raise ValueError(
                "`contents`, `styles` and `output` must be paths or URLs for Ray. "
                f"Received: {item.to_dict()}"
            )
    if workers is not None:
        check_integer("workers", workers, 1)
    for name, value in (("cpus", cpus), ("gpus", gpus)):
        check_number(name, value, "a number, 0 or more", low=0)
    if cpus + gpus == 0:
        raise ValueError(
            f"`cpus` and `gpus` must not both be 0. Received: {cpus!r} and {gpus!r}"
        )


def _room(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Returns the number of workers that a cluster has room for, at least 1."""
    rooms = [
        resources.get(name, 0) / each
        for name, each in (("CPU", cpus), ("GPU", gpus))
        if each
    ]
    return max(1, int(min(rooms)))


def _row(index: int, item: BatchItem) -> dict[str, Any]:
    """Converts an item to plain values, for a worker."""
    assert item.output is not None  # `_check` has seen to that.
    style = item.style_image
    return {
        "index": index,
        "content_image": storage.absolute(item.content_image),
        # Anything else is a URL, or the name of a built-in style.
        "style_image": storage.absolute(style) if os.path.exists(style) else style,
        "output": storage.absolute(item.output),
    }


def _portable(config: StyleTransferConfig) -> dict[str, Any]:
    """Converts settings to a dict, for a process that runs in another folder."""
    settings = dict(vars(config))
    if config.weights is not None and os.path.exists(config.weights):
        settings["weights"] = os.path.abspath(config.weights)
    return settings


def _follow(
    rows: Iterable[dict[str, Any]],
    items: Sequence[BatchItem],
    callback: BatchCallback | None,
) -> bool:
    """Copies reports of workers to items; returns whether the callback stopped."""
    for row in rows:
        item = items[row["index"]]
        item.status, item.seconds = row["status"], row["seconds"]
        item.error = row["error"] or None
        if callback is not None:
            progress = BatchProgress(count_done(items), len(items), [item], None)
            callback(progress)
            if progress.stopped:
                return True
    return False


class _Worker:
    """A process of the cluster that paints one picture after the other."""

    def __init__(
        self, config: dict[str, Any], cpus: float, saving: SaveOptions | None
    ) -> None:
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            # Workers may share a GPU.
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
        except (ValueError, OSError, MemoryError) as error:
            mark_failed(item, error)
        return {
            "index": row["index"],
            "status": item.status,
            "error": item.error or "",
            "seconds": item.seconds,
        }
