"""Pictures of a batch, with their status."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from tfnst.batch.sources import show_source
from tfnst.checks import one_line
from tfnst.transfer.results import TransferResult

PAINTED, SKIPPED, FAILED, LEFT = "painted", "skipped", "failed", "left"


@dataclasses.dataclass
class BatchItem:
    """One picture of a batch.

    Attributes:
        content_image: picture to paint, as for `tfnst.stylize`.
        style_image: style to paint it in, as for `tfnst.stylize`.
        output: path of the painted picture; None to keep it in `result`.
        status: `"left"` until the batch is done with it; then `"painted"`, once it is
            written to `output`, `"skipped"` if it had been painted before, or
            `"failed"`.
        error: reason of the failure, in one line; None if there is none.
        seconds: seconds that painting took; pictures painted together share the time
            evenly.
        result: the painted picture, if there is no `output`.
    """

    content_image: Any
    style_image: Any
    output: str | pathlib.Path | None = None
    status: str = LEFT
    error: str | None = None
    seconds: float = 0.0
    result: TransferResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the picture, as plain values for JSON."""
        return {
            "content_image": show_source(self.content_image),
            "style_image": show_source(self.style_image),
            "output": None if self.output is None else str(self.output),
            "status": self.status,
            "error": self.error,
            "seconds": round(self.seconds, 3),
        }


def mark_failed(item: BatchItem, error: Exception) -> None:
    """Marks an item as failed, with the reason."""
    silent = "out of memory" if isinstance(error, MemoryError) else repr(error)
    item.status = FAILED
    item.error = one_line(error) if str(error).strip() else silent


def count_done(items: Sequence[BatchItem]) -> int:
    """Counts the items that are painted, skipped or failed."""
    return sum(item.status != LEFT for item in items)
