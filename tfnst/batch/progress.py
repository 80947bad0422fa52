"""Progress of a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tfnst.batch.items import BatchItem
from tfnst.transfer.progress import TransferProgress


@dataclasses.dataclass
class BatchProgress:
    """Progress of a batch; passed to the callback.

    Attributes:
        done: number of pictures that are painted and written, skipped, or failed.
        total: number of pictures in the batch.
        items: pictures that are being painted.
        run: progress of their run; None between two runs.
        stopped: whether the callback has asked the batch to stop.
    """

    done: int
    total: int
    items: list[BatchItem]
    run: TransferProgress | None
    stopped: bool = dataclasses.field(default=False, repr=False)

    def stop(self) -> None:
        """Ends the batch after this callback; unfinished pictures are left."""
        self.stopped = True


BatchCallback = Callable[[BatchProgress], None]
