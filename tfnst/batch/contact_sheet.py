"""The pictures of a batch on one sheet."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from tfnst.batch import storage
from tfnst.batch.items import PAINTED, SKIPPED, BatchItem
from tfnst.batch.sources import fetch
from tfnst.checks import argument
from tfnst.images import writing
from tfnst.images.formats import check_suffix
from tfnst.visualization.contact_sheet import LARGEST, Cell, contact_sheet

_NAME = "contact_sheet"


def check_contact_sheet(path: str | os.PathLike[str]) -> None:
    """Checks that a sheet can be written, before anything is painted.

    Raises:
        ValueError, OSError: as `write_contact_sheet`.
    """
    with argument(_NAME):
        if storage.is_url(path):
            check_suffix(path)
        else:
            writing.check_output_path(path)


def write_contact_sheet(
    items: Sequence[BatchItem], path: str | os.PathLike[str], *, size: int
) -> None:
    """Writes a sheet of each content, followed by its pictures in their styles.

    Args:
        items: items of the batch, from files into files; those that have no picture
            leave an empty cell, whose label says why.
        path: path or URL of the sheet.
        size: long side of the painted pictures; those on the sheet are no larger.

    Raises:
        ValueError, OSError: as `tfnst.save_image`.
    """
    groups: dict[str, list[Cell]] = {}
    for item in items:
        source = str(item.content_image)
        if source not in groups:
            groups[source] = [_cell(_name(source), item.content_image)]
        label, painted = _name(item.style_image), item.output
        if item.status not in (PAINTED, SKIPPED):
            label, painted = f"{label} ({item.status})", None
        groups[source].append(_cell(label, painted))
    page = contact_sheet(list(groups.values()), largest=min(size, LARGEST))
    with storage.local_copy(path) as local:
        writing.save_image(page, local, name=_NAME)


def _cell(label: str, source: str | os.PathLike[str] | None) -> Cell:
    load = functools.partial(fetch, source)
    return Cell(label, None if source is None else load)


def _name(source: Any) -> str:
    """Returns the name of a file without its suffix."""
    return pathlib.PurePath(storage.file_name(source)).stem
