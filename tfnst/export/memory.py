"""The memory that a request takes, predicted from its settings."""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.config import StyleTransferConfig
from tfnst.engines.memory import GIB
from tfnst.export.checks import checked
from tfnst.export.requests import RequestLimits
from tfnst.limits import MAX_STYLES

# Bytes a pixel: a decoded file, as integers and as numbers, with alpha. The guide in
# serving/ has it, too.
FILE_BYTES = 30
_MIB = 2**20


def request_bytes(
    cost: Mapping[str, float],
    size: Any,
    *,
    pictures: Any,
    styles: Any,
    style_scale: Any,
    regions: Any,
) -> tf.Tensor:
    """Bytes that a request adds to a server's memory, with square pictures.

    Args:
        cost: `ServedStyleTransfer.memory_cost`.
        size: long side of the pictures to paint.
        pictures: number of pictures to paint.
        styles: number of style pictures.
        style_scale: size of the largest style picture relative to `size`.
        regions: number of regions with styles of their own.

    Returns:
        Float64 scalar.
    """
    size, pictures, styles, style_scale, regions = (
        tf.cast(value, tf.float64)
        for value in (size, pictures, styles, style_scale, regions)
    )
    seen = tf.maximum(style_scale, 1.0) * size + 2 * cost["border"]
    run = (cost["picture"] + cost["region"] * regions) * size**2
    run += cost["network"] * seen**2
    kept = cost["style"] * styles * (style_scale * size) ** 2
    return cost["fixed"] + cost["files"] + pictures * run + kept


def check_memory(
    size: tf.Tensor, cost: Mapping[str, float], limit: float, **request: Any
) -> tf.Tensor:
    """`size`, if a request takes at most `limit` GiB.

    Args:
        size: `size` of the request, int32 scalar.
        cost: `ServedStyleTransfer.memory_cost`.
        limit: most memory of a request, in GiB.
        **request: other arguments of `request_bytes`.
    """
    gib = request_bytes(cost, size, **request) / GIB
    rounded = tf.cast(tf.math.ceil(10 * gib) / 10, tf.float32)
    counts = [request[name] for name in ("pictures", "styles", "regions")]
    return checked(
        size,
        gib <= limit,
        f"A request must take at most {limit:.3g} GiB of memory; choose a smaller "
        "`size`, or fewer pictures, styles or regions.",
        tf.strings.format(
            "{} GiB for `size` {} and {} pictures, {} styles, {} regions",
            [rounded, size, *counts],
        ),
    )


def fit_limits(
    limits: RequestLimits, cost: Mapping[str, float], config: StyleTransferConfig
) -> RequestLimits:
    """Limits whose largest request takes at most `max_memory`.

    `max_size` is lowered to what fits with one style; the graph checks each request
    with more. `max_memory` becomes what `MAX_STYLES` styles take at that size, in a
    region each, if that is less.

    Args:
        limits: limits of the export.
        cost: `ServedStyleTransfer.memory_cost`.
        config: settings of the export.

    Raises:
        ValueError: when not even the default request fits.
    """

    def needed(size: int, styles: int = 1, regions: int = 0) -> float:
        """GiB of a request for one picture."""
        scale = config.style_scale
        request = {"pictures": 1, "styles": styles, "regions": regions}
        return float(request_bytes(cost, size, style_scale=scale, **request) / GIB)

    sizes = range(config.size, limits.max_size + 1)
    fitting = bisect.bisect_right(sizes, limits.max_memory, key=needed)
    if not fitting:
        least = math.ceil(10 * needed(config.size)) / 10
        raise ArgumentError(
            f"{least:g} GiB or more for a picture of the default `size`, "
            f"{config.size}, and files of `max_pixels`, {limits.max_pixels}; choose "
            "smaller ones",
            repr(limits.max_memory),
            argument="max_memory",
        )
    max_size = sizes[fitting - 1]
    largest = needed(max_size, MAX_STYLES, MAX_STYLES)
    # Rounded up, so that rounding in the graph doesn't count.
    largest = math.ceil(largest * GIB / _MIB) * _MIB / GIB
    return dataclasses.replace(
        limits, max_size=max_size, max_memory=min(limits.max_memory, largest)
    )
