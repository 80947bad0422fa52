"""What a picture is compared with, and the losses that follow."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfnst.losses import statistics


class Targets(NamedTuple):
    """What the picture is compared with, by layer."""

    content: dict[str, tf.Tensor]  # activations, [N, h, w, C]
    # [N or 1, ...], or of each region, [K, ...]
    style: dict[str, tf.Tensor] | dict[str, statistics.Moments]
    # Where one picture has several styles, the masks of their regions, [K, H, W, 1];
    # else there is none. See `tfnst.ops.masks`.
    regions: tuple[tf.Tensor, ...] = ()
