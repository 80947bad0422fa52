"""A step of the last segment that looks at most tiles once.

An exact gradient takes two looks at each tile: the statistics of the whole picture must
be known before any pixel's gradient is. So from the second step of a scale on, the
first look is at a sample of the picture, and the statistics of the rest are taken to
have changed since the step before as those of the sample have. (Taken as they were,
they are too late: Adam swings to and fro.) The second look, at all tiles, gives the
gradient, and finds the statistics that count for the losses and for the next step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.tile_passes import Statistics
from tfnst.engines.tiled_segment import Seen, TiledSegment
from tfnst.engines.tiles import Tile
from tfnst.losses.terms import LossWeights

# The sample: a dozen tiles, but at most one in eight.
_SAMPLES, _SPACING = 12, 8


class Carried(NamedTuple):
    """Statistics that a step passes on to the next one."""

    picture: Statistics
    sample: Statistics  # of the tiles in the sample


def sampled_step(
    segment: TiledSegment,
    seen: Seen,
    weights: LossWeights,
    carried: Carried | None,
    *,
    side: int,
) -> tuple[tf.Tensor, tf.Tensor, np.ndarray, Carried]:
    """As `TiledSegment.losses_and_gradient`, without regions; the gradient is guessed.

    Args:
        segment: the last one.
        seen: the picture.
        weights: weights of the losses.
        carried: statistics from the step before; None for an exact gradient.
        side: side of a sampled tile in pixels.

    Returns:
        (content loss, style loss, gradient like the picture, what to carry over).
    """
    sample, share = sample_tiles(segment, seen.array, side)
    now = segment.statistics(seen, tiles=sample)
    if carried is None:
        guessed = segment.statistics(seen)
    else:
        guessed = tf.nest.map_structure(
            lambda all_then, then, now: all_then + share * (now - then), *carried, now
        )
    *_, cotangents = segment.cotangents(seen, guessed, weights)
    found, gradient = segment.statistics_and_gradient(seen, cotangents)
    content_loss, style_loss, _ = segment.cotangents(seen, found, weights)
    return content_loss, style_loss, gradient, Carried(found, now)


def sample_tiles(
    segment: TiledSegment, array: np.ndarray, side: int
) -> tuple[list[Tile], float]:
    """Tiles spread over a picture, and the ratio of its area to theirs."""
    tiles = segment.tiles(array, side // segment.input_stride)
    spacing = max(_SPACING, len(tiles) // _SAMPLES)
    # Any of so many in a row, the same in each step.
    random = np.random.default_rng(0)
    sample = [
        tiles[random.integers(first, min(first + spacing, len(tiles)))]
        for first in range(0, len(tiles), spacing)
    ]
    return sample, sum(map(_area, tiles)) / sum(map(_area, sample))


def pack_carried(segment: TiledSegment, arrays: list[np.ndarray]) -> Carried | None:
    """Flat arrays as the statistics of a segment; None if they are another one's."""
    if not arrays:
        return None
    spec = Carried(segment.statistics_spec, segment.statistics_spec)
    wanted = tf.nest.flatten(spec)
    if len(wanted) == len(arrays) and all(
        each.dtype == array.dtype and each.shape.is_compatible_with(array.shape)
        for each, array in zip(wanted, arrays, strict=True)
    ):
        return tf.nest.pack_sequence_as(spec, arrays)
    return None


def _area(tile: Tile) -> int:
    """Number of positions of a tile that count."""
    return tile.counted[2] * tile.counted[3]
