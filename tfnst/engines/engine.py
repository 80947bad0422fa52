"""What engines share: their arguments, their state and its shapes."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.optimizers import adam, lbfgs


class Knobs(NamedTuple):
    """The settings that may change from call to call without a new trace.

    All are float32 scalars, named as in StyleTransferConfig.
    """

    content_weight: tf.Tensor
    style_weight: tf.Tensor
    total_variation_weight: tf.Tensor
    learning_rate: tf.Tensor
    steps: tf.Tensor  # of this scale: the learning rate falls with the share done

    @classmethod
    def from_config(cls, config: StyleTransferConfig) -> Knobs:
        """The settings of a configuration."""
        settings = {
            **config.loss_weights(),
            "learning_rate": config.learning_rate,
            "steps": config.steps,
        }
        return cls(**{k: tf.constant(v, tf.float32) for k, v in settings.items()})


KNOBS_SPEC = Knobs(*[tf.TensorSpec([])] * len(Knobs._fields))


class TransferState(NamedTuple):
    """What a step hands to the next one, beside the picture."""

    step: tf.Tensor  # steps taken at this scale, int32 scalar
    optimizer: adam.AdamState | lbfgs.LBFGSState
    average: tf.Tensor  # bias-corrected moving average of the pictures, [N, H, W, 3]


PICTURES_SPEC = tf.TensorSpec([None, None, None, 3], tf.float32)


MASKS_SPEC = tf.TensorSpec([None, None, None, 1], tf.float32)
