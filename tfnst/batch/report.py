"""The report of a batch: what became of each picture, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from tfnst.batch.items import FAILED, LEFT, PAINTED, SKIPPED, BatchItem
from tfnst.files import write_file


def count(items: Sequence[BatchItem]) -> dict[str, int]:
    """The number of items of each status."""
    return {
        status: sum(item.status == status for item in items)
        for status in (PAINTED, SKIPPED, FAILED, LEFT)
    }


def write_report(items: Sequence[BatchItem], path: str | os.PathLike[str]) -> None:
    """Writes what became of each picture as JSON, whole or not at all.

    Args:
        items: the items of the batch.
        path: path of the file.

    Raises:
        OSError: when the file can't be written.
    """
    document = count(items) | {"items": [item.to_dict() for item in items]}
    write_file(path, json.dumps(document, indent=1).encode(), name="report")
