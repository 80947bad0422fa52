"""Painting a batch: styles are loaded once, pictures of one size painted together.

Styles that networks have learned are painted at once, one picture after the other.
"""

from __future__ import annotations

import errno
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard, TypeVar

from tfnst.batch import storage
from tfnst.batch.beside import Ahead, Behind
from tfnst.batch.items import PAINTED, SKIPPED, BatchItem, count_done, mark_failed
from tfnst.batch.painted import find_painted
from tfnst.batch.progress import BatchCallback, BatchProgress
from tfnst.batch.sources import fetch, show_source
from tfnst.checks import argument
from tfnst.config import StyleTransferConfig, settings_within
from tfnst.engines import devices, memory, plans
from tfnst.engines.loading import load_engine
from tfnst.images import writing
from tfnst.images.formats import is_network
from tfnst.images.manifest import network_of
from tfnst.images.save_options import SaveOptions
from tfnst.limits import MAX_PIXELS
from tfnst.transfer.network_style import NetworkStyle
from tfnst.transfer.pictures import Content
from tfnst.transfer.progress import Callback, TransferProgress
from tfnst.transfer.results import NonFiniteLossError, TransferResult
from tfnst.transfer.run import Run
from tfnst.transfer.style_network import find_networks
from tfnst.transfer.style_transfer import load_content, load_style
from tfnst.transfer.styles import Style

# Pictures that each GPU or TPU core paints at a time.
_PICTURES_PER_ACCELERATOR = 4
# Pictures that may wait for others of their size, in batches.
_WAITING_BATCHES = 4
# Number of styles, and of networks, that are kept in memory.
_STYLES = 4
# Errors that concern a single picture of a batch.
_ITS_FAULT = (ValueError, OSError, MemoryError)
# Errors that would stop every other picture of the batch too.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# Bytes that reading the largest picture takes, or one with alpha a third as large, and
# that writing takes for each pixel; both measured.
_READING, _WRITING = 30 * MAX_PIXELS, 40

_Loaded = TypeVar("_Loaded")


def paint_contents(
    config: StyleTransferConfig, contents: list[Content], callback: Callback
) -> list[TransferResult]:
    """Paints pictures together."""
    return Run(config, contents, callback=callback).paint()


class BatchPainter:
    """Paints the items of batches, and keeps styles from one to the next.

    While pictures are painted, the next ones are loaded and the last ones written, if
    there is memory for it.

    Args:
        config: the settings.
        batch_size: as for `tfnst.stylize_batch`.
        saving: options for saving the pictures; SaveOptions() by default.
        callback: as for `tfnst.stylize_batch`.
        load: function that loads a picture, as `load_content`.
        paint: function that paints pictures together, as `paint_contents`.
        write: function that writes a result to a path, as `TransferResult.write`.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        *,
        batch_size: int | None = None,
        saving: SaveOptions | None = None,
        callback: BatchCallback | None = None,
        load: Callable[..., Content] = load_content,
        paint: Callable[..., list[TransferResult]] = paint_contents,
        write: Callable[..., None] = TransferResult.write,
    ) -> None:
        self._config = config
        # The settings of pictures that are painted by networks.
        self._at_once = settings_within("at_once", config)
        self._callback = callback
        self._load_content, self._paint_contents = load, paint
        self._write = write
        self._extractor: Any = None
        strategy = devices.choose_strategy(config.device)
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        if batch_size is None:
            on_cpu = devices.device_kind(config.device) == "cpu"
            batch_size = replicas * (1 if on_cpu else _PICTURES_PER_ACCELERATOR)
        self._batch_size = batch_size
        self._saving = saving or SaveOptions()
        # By path, URL or identity; errors, too, so that no bad style is read twice.
        self._styles: dict[str | int, Style | ValueError | OSError] = {}
        self._networks: dict[str | int, NetworkStyle | ValueError | OSError | None] = {}
        # State of a call of `paint`: its items, whether the callback has stopped it or
        # is running, the error of a full disk, and what threads do meanwhile.
        self._items: Sequence[BatchItem]
        self._stopped: bool
        self._calling_back: bool
        self._full: OSError | None
        self._ahead: Ahead[BatchItem, Content | NetworkStyle | Exception | None]
        self._behind: Behind

    def paint(self, items: Sequence[BatchItem]) -> None:
        """Paints items, and sets the status of each.

        Args:
            items: items of `tfnst.batch.planning.plan_items`.

        Raises:
            OSError: when no weights can be found, when a folder can't be made, and when
                the disk is full.
            Exception: any error that the callback raises.
        """
        self._items = items
        self._stopped = self._calling_back = False
        self._full = None
        for folder in {storage.parent(item.output) for item in items if item.output}:
            storage.make_folder(folder)
        with (
            Behind() as self._behind,
            Ahead(self._load, items, self._batch_size) as self._ahead,
        ):
            for batch in self._batches():
                if isinstance(batch, tuple):
                    self._paint_at_once(*batch)
                else:
                    self._paint(batch)
                if self._stopped or self._full is not None:
                    break
        if self._full is not None:
            raise self._full
        if not self._stopped:
            self._report([], None)

    def _batches(
        self,
    ) -> Iterator[list[tuple[BatchItem, Content]] | tuple[BatchItem, NetworkStyle]]:
        """Yields items painted together, with contents, or one with its network."""
        # By the sizes of their scales.
        waiting: dict[Any, list[tuple[BatchItem, Content]]] = {}
        for item in self._items:
            content = self._ahead.next()
            if isinstance(content, NetworkStyle):
                yield item, content
                continue
            if not isinstance(content, Content):
                if content is None:
                    item.status = SKIPPED
                else:
                    mark_failed(item, content)
                self._report([], None)
                if self._stopped:
                    return
                continue
            key = tuple(scale.sides for scale in content.scales)
            waiting.setdefault(key, []).append((item, content))
            if len(waiting[key]) >= self._batch_size:
                yield waiting.pop(key)
            elif sum(map(len, waiting.values())) > _WAITING_BATCHES * self._batch_size:
                yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
        yield from waiting.values()

    def _load(self, item: BatchItem) -> Content | NetworkStyle | Exception | None:
        """Loads an item: its content, or the network that paints it at once.

        Returns its error if it has one, and None if it is painted already.

        May be called in another thread, and leaves the item as it is.
        """
        try:
            network = self._load_network(item.style_image)
            if network is None:
                painted = find_painted(item, self._config)
            else:
                painted = find_painted(item, self._at_once, network.source)
            if painted is None:
                self._check_output(item)
        except _ITS_FAULT as error:
            if _is_full(error):
                raise
            return error
        if network is not None:
            return network if painted is None else None
        # Not in a try: without a network no picture can be painted, so an error here
        # isn't this item's fault, and ends the batch.
        engine, backbone = load_engine(self._config)
        self._extractor = engine.feature_extractor
        weights = backbone.name, backbone.weights.sha256
        if painted is not None and network_of(painted) == weights:
            return None
        try:
            style = self._load_style(item.style_image)
            with argument("content_image"):
                content = fetch(item.content_image)
            return self._load_content(
                content,
                style,
                self._config,
                file_name=storage.url_file_name(item.content_image),
            )
        except _ITS_FAULT as error:
            # Without the frames, which may hold a picture.
            return error.with_traceback(None)

    def _check_output(self, item: BatchItem) -> None:
        """Checks that a picture can be written, before it is painted."""
        if item.output is not None and not storage.is_url(item.output):
            with argument("output"):
                writing.check_output_path(
                    item.output, bits=self._saving.bits, size=self._config.size
                )

    def _load_style(self, source: Any) -> Style:
        def load() -> Style:
            name = storage.url_file_name(source)
            return load_style(fetch(source), self._config, file_name=name)

        return _load_once(self._styles, source, load)

    def _load_network(self, source: Any) -> NetworkStyle | None:
        """Loads the networks that a style is given by; None for pictures."""
        return _load_once(self._networks, source, lambda: _find_networks(source))

    def _paint_at_once(self, item: BatchItem, network: NetworkStyle) -> None:
        """Paints and saves an item by a network."""
        limit = memory.memory_limit(self._config.max_memory, self._config.device)
        if limit < _READING + self._config.size**2 * _WRITING:
            self._behind.settle()
        self._report([item], None)
        if self._stopped or self._full is not None:
            return
        started = time.perf_counter()
        try:
            with argument("content_image"):
                content = fetch(item.content_image)
            result = network.stylize(content, self._at_once)
        except _ITS_FAULT as error:
            mark_failed(item, error)
        else:
            item.seconds = time.perf_counter() - started
            self._behind.settle()  # No more than one picture is kept.
            self._keep(item, result)
        self._report([], None)

    def _paint(self, batch: list[tuple[BatchItem, Content]]) -> None:
        """Paints and saves items, all together if possible."""
        left = self._memory_left(batch)
        if len(batch) > 1 and left < 0:
            self._split(batch)
            return
        pixels = len(batch) * batch[0][1].scales[-1].pixels
        if left >= _READING + pixels * _WRITING:
            self._ahead.start()
        else:
            self._behind.settle()
        items, contents = [item for item, _ in batch], [each for _, each in batch]
        started = time.perf_counter()
        try:
            results = self._paint_contents(
                self._config, contents, lambda progress: self._report(items, progress)
            )
        except _ITS_FAULT as error:
            if self._calling_back:
                raise  # The callback's error is no picture's fault.
            if len(batch) > 1 and isinstance(error, NonFiniteLossError | MemoryError):
                # The cause may be one of them, or just their number.
                self._split(batch)
                return
            for item in items:
                mark_failed(item, error)
        else:
            if results[0].stop_reason != "callback":
                seconds = (time.perf_counter() - started) / len(items)
                self._behind.settle()  # No more than one batch is kept.
                for item, result in zip(items, results, strict=True):
                    item.seconds = seconds
                    self._keep(item, result)
        self._report([], None)

    def _split(self, batch: list[tuple[BatchItem, Content]]) -> None:
        """Paints the two halves of a batch one after the other."""
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            if not self._stopped and self._full is None:
                self._paint(half)

    def _memory_left(self, batch: list[tuple[BatchItem, Content]]) -> float:
        """Estimates the memory left while they are painted; -1 if they don't fit."""
        limit = memory.memory_limit(self._config.max_memory, self._config.device)
        try:
            plan = plans.build_plan(
                self._extractor,
                self._config,
                batch[0][1].scales[-1].sizes,
                limit,
                pictures=len(batch),
            )
        except (ValueError, MemoryError):
            return -1
        return limit - plan.peak

    def _report(self, items: list[BatchItem], run: TransferProgress | None) -> None:
        """Calls back, and stops if the callback asks for it, or the disk is full."""
        self._behind.settle(wait=False)
        if self._full is not None and run is not None:
            run.stop()
        if self._callback is None:
            return
        done = count_done(self._items)
        progress = BatchProgress(done, len(self._items), items, run)
        self._calling_back = True
        self._callback(progress)
        self._calling_back = False
        if progress.stopped:
            self._stopped = True
            if run is not None:
                run.stop()

    def _keep(self, item: BatchItem, result: TransferResult) -> None:
        """Writes a painted picture in a thread, or keeps it in its item."""
        output, saving = item.output, self._saving
        if output is None:
            item.result, item.status = result, PAINTED
            return

        def write() -> None:
            with argument("output"), storage.local_copy(output) as path:
                self._write(result, path, saving)

        def ended(error: Exception | None) -> None:
            if error is None:
                item.status = PAINTED
            elif _is_full(error):
                self._full = error
            elif isinstance(error, _ITS_FAULT):
                mark_failed(item, error)
            else:
                raise error

        self._behind.submit(write, ended)


def _find_networks(source: Any) -> NetworkStyle | None:
    """Loads the networks that a style is given by; None for pictures."""
    if not (storage.is_url(source) and is_network(source)):
        parts = find_networks(source)
        return None if parts is None else NetworkStyle(parts)
    with tempfile.TemporaryDirectory(prefix="tfnst-") as folder:
        copy = pathlib.Path(folder, storage.file_name(source))
        copy.write_bytes(fetch(source))
        return _find_networks(copy)


def _load_once(
    loaded: dict[str | int, _Loaded | ValueError | OSError],
    source: Any,
    load: Callable[[], _Loaded],
) -> _Loaded:
    """Loads a style unless it is there; raises its error again, too.

    Args:
        loaded: what has been loaded, by path, URL or identity.
        source: the style.
        load: function that loads it.
    """
    key = show_source(source) if storage.is_path(source) else id(source)
    if key not in loaded:
        if len(loaded) == _STYLES:
            loaded.pop(next(iter(loaded)))
        try:
            with argument("style_image"):
                loaded[key] = load()
        except (ValueError, OSError) as error:
            loaded[key] = error
    found = loaded[key]
    if isinstance(found, ValueError | OSError):
        raise found
    return found


def _is_full(error: Exception) -> TypeGuard[OSError]:
    """Returns whether an error would stop every other picture of the batch, too."""
    return isinstance(error, OSError) and error.errno in _FULL
