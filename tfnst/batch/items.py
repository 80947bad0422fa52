"""The pictures of a batch, and what becomes of them."""

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
        content_image: what to paint, as `stylize` takes it.
        style_image: the style to paint it in, as `stylize` takes it.
        output: where to write the picture; None to keep it in `result`.
        status: `"left"` until the batch is done with it; then `"painted"`, once it is
            written where it is to be, `"skipped"` if it had been painted before, or
            `"failed"`.
        error: why it failed, in one line.
        seconds: how long it took to paint; pictures painted together share the time
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
        """Everything but the picture, as plain values that JSON can hold."""
        return {
            "content_image": show_source(self.content_image),
            "style_image": show_source(self.style_image),
            "output": None if self.output is None else str(self.output),
            "status": self.status,
            "error": self.error,
            "seconds": round(self.seconds, 3),
        }


def mark_failed(item: BatchItem, error: Exception) -> None:
    """Notes in an item that it failed, and why."""
    silent = "out of memory" if isinstance(error, MemoryError) else repr(error)
    item.status = FAILED
    item.error = one_line(error) if str(error).strip() else silent


def count_done(items: Sequence[BatchItem]) -> int:
    """The number of items that are painted, skipped or failed."""
    return sum(item.status != LEFT for item in items)
