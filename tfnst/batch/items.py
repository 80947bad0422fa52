"""The pictures of a batch: which there are, their names, and what became of them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from tfnst.batch import storage
from tfnst.config import StyleTransferConfig
from tfnst.files import write_file
from tfnst.images.formats import SUFFIXES
from tfnst.images.manifest import describe_source, read_manifest, without_names
from tfnst.images.save_options import SaveOptions
from tfnst.images.style_images import describe_style, style_images
from tfnst.transfer.results import TransferResult

# Settings that don't change the picture, up to rounding.
_SAME_PICTURE = ("max_memory", "device")

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
    output: str | pathlib.Path | None = None
    status: str = LEFT
    error: str | None = None
    seconds: float = 0.0
    result: TransferResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """What is known, as plain values that JSON can hold; without the picture."""
        return {
            "content_image": shown(self.content_image),
            "style_image": shown(self.style_image),
            "output": None if self.output is None else str(self.output),
            "status": self.status,
            "error": self.error,
            "seconds": round(self.seconds, 3),
        }


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
    if suffix not in SUFFIXES:
        raise ValueError(
            f"`suffix` must be one of {', '.join(SUFFIXES)}. Received: {suffix!r}"
        )
    SaveOptions(bits=bits).check_format(suffix)
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
            path = storage.join(output, name)
            if name in taken:
                raise ValueError(
                    "`contents` and `styles` must have different names, since both "
                    f"{taken[name]} and {shown(contents[i])} in "
                    f"{shown(styles[j])} would be {path}"
                )
            taken[name] = f"{shown(contents[i])} in {shown(styles[j])}"
        items.append(BatchItem(contents[i], styles[j], path))
    return items


def find_pictures(paths: Iterable[str | os.PathLike[str]]) -> list[Any]:
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
    for path in paths:
        inside = storage.list_folder(path)
        if inside is None:
            found.append(path)
            continue
        inside = [file for file in inside if _is_picture(storage.file_name(file))]
        if not inside:
            raise ValueError(
                "`contents` must be pictures, or folders with files that end in "
                f"{', '.join(SUFFIXES)}. Received: {str(path)!r}, without any"
            )
        found += inside
    return found


def read_pairs(
    path: str | os.PathLike[str],
) -> tuple[list[Any], list[Any]]:
    """Contents and styles of a CSV file with the columns `content` and `style`.

    Args:
        path: of the file. What it names is looked for from the file's folder.

    Raises:
        ValueError: for a file that isn't like this.
        OSError: when it can't be read.
    """
    expected = "a CSV file with the columns content and style in its first line"
    try:
        text = storage.read_file(path, name="pairs").decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"`pairs` must be {expected}. Received: {path}") from error
    columns = []
    for column in ("content", "style"):
        values = [row.get(column) for row in rows]
        if not values or not all(values):
            raise ValueError(
                f"`pairs` must be {expected}, and a pair in each other. "
                f"Received: {str(path)!r}, where there is no {column}"
                + (f" in line {values.index(None) + 2}" if None in values[1:] else "")
            )
        folder = storage.parent(path)
        columns.append(
            [v if storage.is_url(v) else storage.join(folder, v) for v in values]
        )
    return columns[0], columns[1]


def read_source(source: Any, name: str) -> Any:
    """A picture as `stylize` takes it: what lies at a URL is fetched."""
    return storage.read_file(source, name=name) if storage.is_url(source) else source


def is_done(item: BatchItem, config: StyleTransferConfig) -> bool:
    """Whether the item's file holds the picture that it would be.

    Raises:
        ValueError: for a file that was not painted by tfnst and would be lost.
        OSError: when a file can't be read.
    """
    if item.output is None or not storage.exists(item.output):
        return False
    manifest = read_manifest(storage.read_file(item.output, name="output"))
    if manifest is None:
        raise ValueError(
            "`output` must be a folder without other files of these names. "
            f"Received: {str(item.output)!r}, which tfnst has not painted"
        )
    stopped = manifest.get("stopped") and manifest.get("stop_reason") != "max_time"
    if stopped or _essence(manifest["settings"]) != _essence(config.to_dict()):
        return False
    content = describe_source(read_source(item.content_image, "content_image"))
    parts = style_images(item.style_image)
    sources = [describe_source(read_source(p.image, "style_image")) for p in parts]
    for name, described, digests in (
        ("content_image", content, [content["sha256"]]),
        ("style_image", describe_style(parts, sources), [s["sha256"] for s in sources]),
    ):
        there = without_names(manifest.get(name))
        if None in digests or there != without_names(described):
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


def _name(source, number):
    """What a picture is called in the names of files."""
    if storage.is_path(source):
        return pathlib.PurePath(storage.file_name(source)).stem
    return f"{number:04}"


def shown(source):
    if storage.is_path(source):
        return os.fsdecode(source)
    return f"a value of type {type(source).__name__}"


def _essence(settings):
    """The settings that change the picture."""
    kept = {k: v for k, v in settings.items() if k not in _SAME_PICTURE}
    return json.loads(json.dumps(kept))


def _is_picture(name):
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
