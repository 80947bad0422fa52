"""Free memory, and the share of it that a run may take."""

from __future__ import annotations

import contextlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import NoReturn

import psutil
import tensorflow as tf

from tfnst.checks import ArgumentError, attach_refusal
from tfnst.engines.devices import device_kind

GIB = 2**30

# Share of the free memory that a run takes if no limit is set.
_SHARE_OF_FREE = 0.8


@contextlib.contextmanager
def memory_errors(size: int) -> Iterator[None]:
    """Turns TensorFlow's errors for want of memory into Python's, with advice.

    Args:
        size: long side of the picture in pixels.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        refusal = ArgumentError(
            "too large for this machine's memory; choose a smaller one, or set "
            "`max_memory` to paint in tiles",
            str(size),
            argument="size",
            verb="is",
        )
        raise attach_refusal(MemoryError(), refusal) from error


def refuse_memory(
    needed: int,
    limit: float,
    sides: Sequence[int],
    max_memory: float | None,
    also: str = "",
) -> NoReturn:
    """Raises the error for a picture that needs more memory than there is.

    Args:
        needed: bytes that the process would hold at least.
        limit: bytes that it may hold, from `memory_limit`.
        sides: height and width of the picture.
        max_memory: setting of that name.
        also: words for what else needs the memory.

    Raises:
        ValueError: if `max_memory` is set.
        MemoryError: if it is None.
    """
    height, width = sides
    refusal = ArgumentError(
        f"{math.ceil(needed / GIB * 10) / 10:g} GiB or more for a picture of "
        f"{width}x{height} pixels{also}; choose a smaller `size`",
        f"{limit / GIB:.1f} GiB" + ("" if max_memory else ", most of what is free"),
        argument="max_memory",
    )
    if max_memory is None:
        raise attach_refusal(MemoryError(), refusal)
    raise refusal


def memory_limit(max_memory: float | None, device: str = "auto") -> float:
    """Bytes that this process may hold in all.

    Args:
        max_memory: limit in GiB. None stands for the memory that the process holds
            already plus four fifths of the free memory; or for no limit on a GPU or
            TPU, whose memory TensorFlow manages by itself.
        device: as for `tfnst.engines.devices.device_kind`.
    """
    if max_memory is not None:
        return max_memory * GIB
    if device_kind(device) != "cpu":
        return math.inf
    return resident_memory(device) + _SHARE_OF_FREE * free_memory()


def resident_memory(device: str = "auto") -> int:
    """Bytes that this process holds; 0 on a GPU or TPU, whose own memory counts."""
    if device_kind(device) != "cpu":
        return 0
    return psutil.Process().memory_info().rss


def free_memory() -> int:
    """Bytes that are free on the machine, or in the container if that has less.

    Reference:
        https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    free = psutil.virtual_memory().available
    for names in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            root = pathlib.Path("/sys/fs/cgroup")
            limit, used = (int((root / name).read_text()) for name in names)
        except (OSError, ValueError):  # not in a container, or "max"
            continue
        free = min(free, max(limit - used, 0))
    return free
