"""A step of the last segment that looks at most tiles once.

An exact gradient takes two looks at each tile: the sums over the whole picture must be
known before any pixel's gradient is. So from the second step of a scale on, the first
look is at a sample of the picture, and the sums of the rest are taken to have changed
since the step before as those of the sample have. (Taken as they were, they are too
late: Adam swings to and fro.) The second look, at all tiles, gives the gradient, and
finds the sums that count for the losses and for the next step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Knobs
from tfnst.engines.tile_passes import Parts
from tfnst.engines.tiled_segment import TiledSegment
from tfnst.engines.tiles import Tile
from tfnst.losses.objective import Targets

# The sample: a dozen tiles of this side in pixels, but at most one in eight.
_SAMPLES, _SPACING, _SAMPLE_SIDE = 12, 8, 256


class Carried(NamedTuple):
    """What a step passes on to the next one."""

    parts: Parts  # of the whole picture
    sample: Parts  # of the tiles in the sample


def sampled_step(
    segment: TiledSegment,
    seen: np.ndarray,
    targets: Targets,
    knobs: Knobs,
    carried: Carried | tuple[()],
) -> tuple[tf.Tensor, tf.Tensor, np.ndarray, Carried]:
    """As `TiledSegment.losses_and_gradient`, without regions; the gradient is guessed.

    Args:
        segment: the last one.
        seen: what it sees, [N, H, W, C].
        targets: of the picture.
        knobs: scalars.
        carried: what the step before passed on; nothing for an exact gradient.

    Returns:
        (content loss, style loss, gradient like `seen`, what to carry over).
    """
    sample, weight = sample_tiles(segment, seen)
    now = segment.look(seen, targets, tiles=sample)
    if carried:
        guessed = tf.nest.map_structure(
            lambda all_then, then, now: all_then + weight * (now - then), *carried, now
        )
    else:
        guessed = segment.look(seen, targets)
    *_, upstream = segment.weigh(guessed, targets, knobs)
    parts, gradient = segment.parts_and_gradient(seen, targets, upstream)
    content_loss, style_loss, _ = segment.weigh(parts, targets, knobs)
    return content_loss, style_loss, gradient, Carried(parts, now)


def sample_tiles(segment: TiledSegment, seen: np.ndarray) -> tuple[list[Tile], float]:
    """Tiles spread over a picture, and how much larger the picture is than they."""
    tiles = segment.tiles(seen, _SAMPLE_SIDE // segment.input_stride)
    spacing = max(_SPACING, len(tiles) // _SAMPLES)
    # Any of so many in a row, the same in each step.
    random = np.random.default_rng(0)
    sample = [
        tiles[random.integers(first, min(first + spacing, len(tiles)))]
        for first in range(0, len(tiles), spacing)
    ]
    return sample, sum(map(_area, tiles)) / sum(map(_area, sample))


def pack_carried(
    segment: TiledSegment, arrays: list[np.ndarray]
) -> Carried | tuple[()]:
    """Arrays, flat, as what a segment carries over; nothing if another one did."""
    spec = Carried(segment.parts_spec, segment.parts_spec)
    wanted = tf.nest.flatten(spec)
    if len(wanted) == len(arrays) and all(
        each.dtype == array.dtype and each.shape.is_compatible_with(array.shape)
        for each, array in zip(wanted, arrays, strict=True)
    ):
        return tf.nest.pack_sequence_as(spec, arrays)
    return ()


def _area(tile: Tile) -> int:
    """How many positions of a tile count."""
    return tile.counted[2] * tile.counted[3]
