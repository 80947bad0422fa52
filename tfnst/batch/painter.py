"""Painting a batch: what is loaded once, what is painted together, what goes wrong."""

from __future__ import annotations

import dataclasses
import errno
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfnst.batch import storage
from tfnst.batch.items import (
    FAILED,
    LEFT,
    PAINTED,
    SKIPPED,
    BatchItem,
    is_done,
    read_source,
    shown,
)
from tfnst.config import StyleTransferConfig
from tfnst.engines import devices, memory, plans
from tfnst.engines.loading import load_engine
from tfnst.transfer.progress import TransferProgress
from tfnst.transfer.results import NonFiniteLossError
from tfnst.transfer.run import Job, Run
from tfnst.transfer.style_transfer import load_job, load_style

# Pictures that a GPU or TPU core gets at a time.
_PICTURES_PER_ACCELERATOR = 4
# Pictures that may wait for others of their size, in batches.
_WAITING_BATCHES = 4
# Styles that are held at a time.
_STYLES = 4
# What no other picture of the batch would fare better with.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclasses.dataclass
class BatchProgress:
    """How far a batch is; handed to the callback.

    Attributes:
        done: pictures painted, skipped or failed.
        total: pictures in all.
        items: those that are being painted.
        run: how far these are; None between two runs.
        stopped: whether the callback has asked for the end.
    """

    done: int
    total: int
    items: list[BatchItem]
    run: TransferProgress | None
    stopped: bool = dataclasses.field(default=False, repr=False)

    def stop(self) -> None:
        """Ends the batch after this callback; pictures that aren't done are left."""
        self.stopped = True


BatchCallback = Callable[[BatchProgress], None]


class BatchPainter:
    """Paints the items of batches, and holds styles from one to the next.

    Args:
        config: the settings.
        batch_size: as for `tfnst.stylize_batch`, and so is the callback.
        saving: arguments of `TransferResult.save`.
        callback: called as a batch goes on.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        *,
        batch_size: int | None = None,
        saving: dict[str, Any] | None = None,
        callback: BatchCallback | None = None,
    ) -> None:
        self._config = config
        self._callback = callback
        self._extractor = None
        strategy = devices.choose_strategy(config.device)
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        if batch_size is None:
            on_cpu = devices.device_kind(config.device) == "cpu"
            batch_size = replicas * (1 if on_cpu else _PICTURES_PER_ACCELERATOR)
        self._batch_size = batch_size
        self._saving = saving or {}
        self._styles = {}
        self._items = []
        self._stopped = False

    def paint(self, items: Sequence[BatchItem]) -> None:
        """Paints items, and notes in each what became of it.

        Args:
            items: from `tfnst.batch.items.plan_items`.

        Raises:
            OSError: when no weights can be had, or a folder can't be made or is full.
        """
        self._items = items
        for folder in {storage.parent(item.output) for item in items if item.output}:
            storage.make_folder(folder)
        for batch in self._batches():
            self._paint(batch)
            if self._stopped:
                return
        self._report([], None)

    def _batches(self) -> Iterator[list[tuple[BatchItem, Job]]]:
        """Items and jobs to be painted together."""
        waiting = {}
        for item in self._items:
            job = self._load(item)
            if self._stopped:
                return
            if job is None:
                self._report([], None)
                continue
            key = tuple(level.sides for level in job.levels)
            waiting.setdefault(key, []).append((item, job))
            if len(waiting[key]) >= self._batch_size:
                yield waiting.pop(key)
            elif sum(map(len, waiting.values())) > _WAITING_BATCHES * self._batch_size:
                yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
        yield from waiting.values()

    def _load(self, item):
        """The job of an item; None where there is nothing to paint."""
        try:
            if is_done(item, self._config):
                item.status = SKIPPED
                return None
        except (ValueError, OSError) as error:
            fail(item, error)
            return None
        # Where there is no network, no picture can be painted: that is no item's fault.
        self._extractor = load_engine(self._config)[0].feature_extractor
        try:
            style = self._load_style(item.style_image)
            return self._load_job(item.content_image, style)
        except (ValueError, OSError) as error:
            fail(item, error)
        return None

    def _load_style(self, source):
        key = shown(source) if storage.is_path(source) else id(source)
        if key not in self._styles:
            if len(self._styles) == _STYLES:
                self._styles.pop(next(iter(self._styles)))
            try:
                self._styles[key] = self._read_style(source)
            except (ValueError, OSError) as error:
                # It is not read again for each content.
                self._styles[key] = error
        if isinstance(self._styles[key], Exception):
            raise self._styles[key]
        return self._styles[key]

    def _read_style(self, source):
        style = load_style(read_source(source, "style_image"), self._config)
        if storage.is_url(source):
            style.source["name"] = storage.file_name(source)
        return style

    def _load_job(self, source, style):
        job = load_job(read_source(source, "content_image"), style, self._config)
        if storage.is_url(source):
            job.source["name"] = storage.file_name(source)
        return job

    def _paint(self, batch):
        """Paints and writes items, all together where that can be done."""
        if len(batch) > 1 and not self._fits(batch):
            self._split(batch)
            return
        items, jobs = map(list, zip(*batch, strict=True))
        started = time.perf_counter()
        try:
            run = Run(self._config, jobs, callback=lambda p: self._report(items, p))
            del jobs
            results = run.paint()
        except (NonFiniteLossError, MemoryError) as error:
            if len(batch) > 1:
                # The fault may lie with one of them, or only with their number.
                self._split(batch)
                return
            fail(items[0], error)
        except (ValueError, OSError) as error:
            for item in items:
                fail(item, error)
        else:
            if results[0].stop_reason != "callback":
                seconds = (time.perf_counter() - started) / len(items)
                for item, result in zip(items, results, strict=True):
                    item.seconds = seconds
                    _keep(item, result, self._saving)
        self._report([], None)

    def _split(self, batch):
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            if not self._stopped:
                self._paint(half)

    def _fits(self, batch):
        try:
            plans.build_plan(
                self._extractor,
                self._config,
                batch[0][1].levels[-1].sizes,
                memory.memory_limit(self._config.max_memory, self._config.device),
                pictures=len(batch),
            )
        except (ValueError, MemoryError):
            return False
        return True

    def _report(self, items, run):
        if self._callback is None:
            return
        done = sum(item.status != LEFT for item in self._items)
        progress = BatchProgress(done, len(self._items), items, run)
        self._callback(progress)
        if progress.stopped:
            self._stopped = True
            if run is not None:
                run.stop()


def _keep(item, result, saving):
    if item.output is None:
        item.result = result
    else:
        try:
            with storage.LocalCopy(item.output) as path:
                result.save(path, name="output", **saving)
        except OSError as error:
            if error.errno in _FULL:
                raise
            fail(item, error)
            return
    item.status = PAINTED


def fail(item, error):
    item.status, item.error = FAILED, " ".join(str(error).split())
