"""JSON report of a batch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from tfnst.batch import storage
from tfnst.batch.items import FAILED, LEFT, PAINTED, SKIPPED, BatchItem
from tfnst.checks import ArgumentError, argument
from tfnst.files import show_path, write_file


def count(items: Sequence[BatchItem]) -> dict[str, int]:
    """Counts the items of each status."""
    return {
        status: sum(item.status == status for item in items)
        for status in (PAINTED, SKIPPED, FAILED, LEFT)
    }


def check_report(path: str | os.PathLike[str]) -> None:
    """Checks that a report would replace nothing but another report.

    Args:
        path: path or URL of the file.

    Raises:
        ValueError: when the file holds something else.
        OSError: when it can't be read.
    """
    if not storage.is_file(path):
        return
    with argument("report"):
        data = storage.read_file(path)
    try:
        known = not data or "items" in json.loads(data)
    except (ValueError, TypeError):
        known = False
    if not known:
        expected = "a new file or a report of tfnst"
        received = f"{show_path(path)}, which is something else"
        raise ArgumentError(expected, received, argument="report")


def write_report(items: Sequence[BatchItem], path: str | os.PathLike[str]) -> None:
    """Writes the JSON report of a batch, whole or not at all.

    Args:
        items: items of the batch.
        path: path or URL of the file.

    Raises:
        OSError: when the file can't be written.
    """
    document = count(items) | {"items": [item.to_dict() for item in items]}
    with argument("report"), storage.local_copy(path) as local:
        write_file(local, json.dumps(document, indent=1).encode())
