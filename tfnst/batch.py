"""stylize_batch(): many pictures, each content in each style or pair by pair."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tfnst import devices, images, memory
from tfnst.config import StyleTransferConfig
from tfnst.files import os_error, show_path, write_file
from tfnst.loading import load_engine
from tfnst.manifest import describe_source, read_manifest
from tfnst.results import NonFiniteLossError, TransferProgress, TransferResult
from tfnst.run import Job, Run
from tfnst.transfer import load_job, load_style

# Pictures that a GPU or TPU core gets at a time.
_PICTURES_PER_ACCELERATOR = 4
# Pictures that may wait for others of their size, in batches.
_WAITING_BATCHES = 4
# Styles that are held at a time.
_STYLES = 4
# Settings that don't change the picture, up to rounding.
_SAME_PICTURE = ("max_memory", "device")
# What no other picture of the batch would fare better with.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

PAINTED, SKIPPED, FAILED, LEFT = "painted", "skipped", "failed", "left"


@dataclasses.dataclass
class BatchItem:
    """One picture of a batch.

    Attributes:
        content_image: what to paint, as `stylize` takes it.
        style_image: whose style.
        output: where the picture goes; None to keep it in `result`.
        status: `"left"` until it is known: `"painted"`, `"skipped"` since it was there
            already, or `"failed"`.
        error: why it failed, in one line.
        seconds: that painting took; those of a batch are shared evenly.
        result: the picture, where it has no `output`.
    """

    content_image: Any
    style_image: Any
    output: pathlib.Path | None = None
    status: str = LEFT
    error: str | None = None
    seconds: float = 0.0
    result: TransferResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """What is known, as plain values that JSON can hold; without the picture."""
        return {
            "content_image": _shown(self.content_image),
            "style_image": _shown(self.style_image),
            "output": None if self.output is None else str(self.output),
            "status": self.status,
            "error": self.error,
            "seconds": round(self.seconds, 3),
        }


@dataclasses.dataclass
class BatchProgress:
    """How far a batch is; handed to the callback.

    Attributes:
        done: pictures painted, skipped or failed.
        total: pictures in all.
        items: those that are being painted.
        run: how far these are; None between two runs.
    """

    done: int
    total: int
    items: list[BatchItem]
    run: TransferProgress | None
    _stopped: bool = dataclasses.field(default=False, repr=False)

    def stop(self) -> None:
        """Ends the batch after this callback; pictures that aren't done are left."""
        self._stopped = True


BatchCallback = Callable[[BatchProgress], None]


def stylize_batch(
    contents: Iterable[Any],
    styles: Iterable[Any],
    output: str | os.PathLike[str] | None = None,
    *,
    pairs: bool = False,
    suffix: str = ".png",
    batch_size: int | None = None,
    bits: int = 8,
    keep_gps: bool = False,
    config: StyleTransferConfig | None = None,
    callback: BatchCallback | None = None,
    **settings: Any,
) -> list[BatchItem]:
    """Paints every content image in every style, or pairs of them.

    What is known of a style is worked out once. A picture that can't be read or
    painted doesn't stop the others: its item says why. With an `output` folder the
    pictures are written as they are done, each whole or not at all, and those that
    are there already, from the same pictures by the same settings, are not painted
    again: a batch that was killed can just be started anew.

    Args:
        contents: what to paint; each as for `tfnst.stylize`.
        styles: in which styles; each as for `tfnst.stylize`.
        output: folder for the pictures, made where it is missing; they are called
            `CONTENT_STYLE.png`, after the files' names, or numbers from 1 for what is
            no file. None keeps the pictures in memory.
        pairs: the first content in the first style, the second in the second and so
            on, instead of each in each.
        suffix: of the files, which says their format. Default `".png"`.
        batch_size: most pictures of the same size to paint together, 1 or more; None
            for what suits the device. Memory may allow fewer.
        bits: of the files, as for `TransferResult.save`, and so is `keep_gps`.
            Pictures that are there already are not written anew for either.
        keep_gps: whether the files may say where the photos were taken.
        config: the settings; StyleTransferConfig() by default.
        callback: called with a BatchProgress as each run goes on and between them. It
            may call `progress.stop()`.
        **settings: fields of StyleTransferConfig that replace those of `config`.

    Returns:
        One BatchItem a picture: for each style all contents, in their order.

    Raises:
        ValueError: for bad settings, or two pictures of the same name.
        OSError: when no weights can be had, or the folder can't be made.
    """
    config = (config or StyleTransferConfig()).replace(**settings)
    if config.init_image == "given":
        raise ValueError(
            "`init_image` must be 'content', 'style' or 'noise' for a batch. "
            "Received: 'given'"
        )
    if batch_size is not None and (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, int)
        or batch_size < 1
    ):
        raise ValueError(
            f"`batch_size` must be an integer, 1 or more. Received: {batch_size!r}"
        )
    items = plan_items(contents, styles, output, pairs=pairs, suffix=suffix, bits=bits)
    paint_items(
        items,
        config,
        batch_size=batch_size,
        bits=bits,
        keep_gps=keep_gps,
        callback=callback,
    )
    return items


def plan_items(
    contents: Iterable[Any],
    styles: Iterable[Any],
    output: str | os.PathLike[str] | None,
    *,
    pairs: bool = False,
    suffix: str = ".png",
    bits: int = 8,
) -> list[BatchItem]:
    """The items of a batch; the arguments are those of `stylize_batch`.

    Raises:
        ValueError: for lists that don't fit, a bad suffix, or two pictures of the
            same name.
    """
    contents, styles = list(contents), list(styles)
    for name, given in (("contents", contents), ("styles", styles)):
        if not given:
            raise ValueError(f"`{name}` must hold one picture or more. Received: none")
    if suffix not in images.SUFFIXES:
        raise ValueError(
            f"`suffix` must be one of {', '.join(images.SUFFIXES)}. "
            f"Received: {suffix!r}"
        )
    images.check_bits(bits, suffix)
    content_names = [_name(source, i) for i, source in enumerate(contents, 1)]
    style_names = [_name(source, i) for i, source in enumerate(styles, 1)]
    if pairs:
        if len(contents) != len(styles):
            raise ValueError(
                "`styles` must be as many as `contents` for pairs. "
                f"Received: {len(styles)} styles and {len(contents)} contents"
            )
        indices = [(i, i) for i in range(len(contents))]
    else:
        indices = [(i, j) for j in range(len(styles)) for i in range(len(contents))]
    items, taken = [], {}
    for i, j in indices:
        path = None
        if output is not None:
            name = f"{content_names[i]}_{style_names[j]}{suffix}"
            path = pathlib.Path(output, name)
            if name in taken:
                raise ValueError(
                    "`contents` and `styles` must have different names, since both "
                    f"{taken[name]} and {_shown(contents[i])} in "
                    f"{_shown(styles[j])} would be {path}"
                )
            taken[name] = f"{_shown(contents[i])} in {_shown(styles[j])}"
        items.append(BatchItem(contents[i], styles[j], path))
    return items


def find_pictures(paths: Iterable[str | os.PathLike[str]]) -> list[pathlib.Path]:
    """The files among the paths, and the pictures in the folders among them.

    Args:
        paths: of files, which are taken as they are, and of folders, of which all
            files with the suffix of a picture are, by name, but hidden ones and
            those in folders within.

    Raises:
        ValueError: for a folder without pictures.
        OSError: when a folder can't be read.
    """
    found = []
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        inside = [
            file
            for file in sorted(path.iterdir())
            if file.suffix.lower() in images.SUFFIXES and not file.name.startswith(".")
        ]
        if not inside:
            raise ValueError(
                "`contents` must be pictures, or folders with files that end in "
                f"{', '.join(images.SUFFIXES)}. Received: {str(path)!r}, without any"
            )
        found += inside
    return found


def read_pairs(
    path: str | os.PathLike[str],
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Contents and styles of a CSV file with the columns `content` and `style`.

    Args:
        path: of the file. What it names is looked for from the file's folder.

    Raises:
        ValueError: for a file that isn't like this.
        OSError: when it can't be read.
    """
    path = pathlib.Path(path)
    expected = "a CSV file with the columns content and style in its first line"
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"`pairs` must be {expected}. Received: {path}") from error
    except OSError as error:
        raise os_error(
            error, "pairs", "a file that can be read", show_path(path)
        ) from error
    columns = []
    for column in ("content", "style"):
        values = [row.get(column) for row in rows]
        if not values or not all(values):
            raise ValueError(
                f"`pairs` must be {expected}, and a pair in each other. "
                f"Received: {str(path)!r}, where there is no {column}"
                + (f" in line {values.index(None) + 2}" if None in values[1:] else "")
            )
        columns.append([path.parent / value for value in values])
    return columns[0], columns[1]


def paint_items(
    items: Sequence[BatchItem],
    config: StyleTransferConfig,
    *,
    batch_size: int | None = None,
    bits: int = 8,
    keep_gps: bool = False,
    callback: BatchCallback | None = None,
) -> None:
    """Paints the items of a batch, and notes in each what became of it.

    Args:
        items: from `plan_items`.
        config: the settings.
        batch_size: as for `stylize_batch`, and so are the others.
        bits: of the files.
        keep_gps: whether the files may say where the photos were taken.
        callback: called as the batch goes on.

    Raises:
        OSError: when no weights can be had, or a folder can't be made or is full.
    """
    saving = {"bits": bits, "keep_gps": keep_gps}
    _Batch(items, config, batch_size, saving, callback).paint()


def is_done(item: BatchItem, config: StyleTransferConfig) -> bool:
    """Whether the item's file holds the picture that it would be.

    Raises:
        ValueError: for a file that was not painted by tfnst and would be lost.
        OSError: when a file can't be read.
    """
    if item.output is None or not item.output.exists():
        return False
    manifest = read_manifest(item.output)
    if manifest is None:
        raise ValueError(
            "`output` must be a folder without other files of these names. "
            f"Received: {str(item.output)!r}, which tfnst has not painted"
        )
    if manifest.get("stopped") or _essence(manifest["settings"]) != _essence(
        config.to_dict()
    ):
        return False
    for name in ("content_image", "style_image"):
        digest = describe_source(getattr(item, name))["sha256"]
        if digest is None or manifest.get(name, {}).get("sha256") != digest:
            return False
    return True


def count(items: Sequence[BatchItem]) -> dict[str, int]:
    """How many items there are of each status."""
    return {
        status: sum(item.status == status for item in items)
        for status in (PAINTED, SKIPPED, FAILED, LEFT)
    }


def write_report(items: Sequence[BatchItem], path: str | os.PathLike[str]) -> None:
    """Writes what became of each picture as JSON, whole or not at all.

    Args:
        items: of the batch.
        path: of the file.

    Raises:
        OSError: when the file can't be written.
    """
    document = count(items) | {"items": [item.to_dict() for item in items]}
    write_file(path, json.dumps(document, indent=1).encode(), name="report")


class _Batch:
    """The items, the styles that are loaded and the pictures that wait for others."""

    def __init__(self, items, config, batch_size, saving, callback):
        self._items = items
        self._config = config
        self._saving = saving
        self._callback = callback
        self._extractor = None
        strategy = devices.choose_strategy(config.device)
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        if batch_size is None:
            on_cpu = devices.device_kind(config.device) == "cpu"
            batch_size = replicas * (1 if on_cpu else _PICTURES_PER_ACCELERATOR)
        self._batch_size = batch_size
        self._styles = {}
        self._stopped = False

    def paint(self):
        for folder in {item.output.parent for item in self._items if item.output}:
            folder.mkdir(parents=True, exist_ok=True)
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
            key = job.scales[:, 0].tobytes()
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
            _fail(item, error)
            return None
        # Where there is no network, no picture can be painted: that is no item's fault.
        self._extractor = load_engine(self._config)[0].feature_extractor
        try:
            style = self._load_style(item.style_image)
            return load_job(item.content_image, style, self._config)
        except (ValueError, OSError) as error:
            _fail(item, error)
        return None

    def _load_style(self, source):
        key = _shown(source) if _is_path(source) else id(source)
        if key not in self._styles:
            if len(self._styles) == _STYLES:
                self._styles.pop(next(iter(self._styles)))
            try:
                self._styles[key] = load_style(source, self._config)
            except (ValueError, OSError) as error:
                # It is not read again for each content.
                self._styles[key] = error
        if isinstance(self._styles[key], Exception):
            raise self._styles[key]
        return self._styles[key]

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
            _fail(items[0], error)
        except (ValueError, OSError) as error:
            for item in items:
                _fail(item, error)
        else:
            if not results[0].stopped:
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
            memory.build_plan(
                self._extractor,
                self._config,
                batch[0][1].scales[-1],
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
        if progress._stopped:
            self._stopped = True
            if run is not None:
                run.stop()


def _keep(item, result, saving):
    if item.output is None:
        item.result = result
    else:
        try:
            result.save(item.output, name="output", **saving)
        except OSError as error:
            if error.errno in _FULL:
                raise
            _fail(item, error)
            return
    item.status = PAINTED


def _fail(item, error):
    item.status, item.error = FAILED, " ".join(str(error).split())


def _name(source, number):
    """What a picture is called in the names of files."""
    if _is_path(source):
        return pathlib.Path(os.fsdecode(source)).stem
    return f"{number:04}"


def _is_path(source):
    return isinstance(source, str | os.PathLike)


def _shown(source):
    if _is_path(source):
        return os.fsdecode(source)
    return f"a value of type {type(source).__name__}"


def _essence(settings):
    """The settings that change the picture."""
    kept = {k: v for k, v in settings.items() if k not in _SAME_PICTURE}
    return json.loads(json.dumps(kept))
