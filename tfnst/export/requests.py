"""Settings and limits of requests, and their checks in the graph."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.config import COLOR_MODES, StyleTransferConfig, list_settings
from tfnst.engines.engine import Knobs
from tfnst.export.checks import checked, finite_number, in_range
from tfnst.export.signatures import INTEGER, NUMBER, Input
from tfnst.limits import MIN_SIDE
from tfnst.ops import pyramid
from tfnst.setting import Setting

# Reasons for settings that aren't exported. `device` has none: it is for building the
# export.
REFUSALS = {
    "max_memory": "it paints without tiles; `max_memory` of the export itself bounds "
    "the memory of a request",
    "patience": "every run takes all of its steps",
    "max_time": "every run takes all of its steps",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """The largest request that a model accepts.

    Attributes:
        max_steps: largest `steps`.
        max_size: largest `size`.
        max_pixels: most pixels of each picture that is sent.
        max_memory: most memory that a request takes, in GiB; infinity leaves it
            to `max_size`.
    """

    max_steps: int
    max_size: int
    max_pixels: int
    max_memory: float = math.inf


class RequestSettings(NamedTuple):
    """The checked settings of a request."""

    steps: tf.Tensor  # int32 scalar, as the next two
    size: tf.Tensor
    seed: tf.Tensor
    knobs: Knobs


def setting_inputs(config: StyleTransferConfig) -> list[Input]:
    """The inputs for the settings that every signature of an optimisation takes.

    Args:
        config: their defaults.
    """
    default = config.to_dict() | config.loss_weights()
    return [
        Input(each.name, spec, default[each.name])
        for kind, spec in ((int, INTEGER), (float, NUMBER))
        for each in list_settings("requested")
        # Clients send the weights that `style_strength` stands for.
        if each.type is kind and each.name != "style_strength"
    ]


def check_exportable(config: StyleTransferConfig) -> None:
    """Checks that a server can keep to the settings.

    Raises:
        ValueError: if it can't; the message names the setting and the reason.
    """
    if config.init_image == "given":
        raise ArgumentError(
            "'content', 'style' or 'noise' for an export: requests have no picture to "
            "start from",
            repr(config.init_image),
            argument="init_image",
        )
    for name, reason in REFUSALS.items():
        value = getattr(config, name)
        if value is not None:
            raise ArgumentError(
                f"None for an export: {reason}", repr(value), argument=name
            )


def check_settings(
    values: Mapping[str, tf.Tensor], limits: RequestLimits
) -> RequestSettings:
    """The settings of a request, checked one by one and together.

    Args:
        values: settings by name, for all of `setting_inputs`.
        limits: the largest request.
    """
    highest = {"steps": limits.max_steps, "size": limits.max_size}

    def check(setting: Setting) -> tf.Tensor:
        value = tf.ensure_shape(values[setting.name], [])
        if setting.type is float:
            return finite_number(setting.name, value)
        high = highest.get(setting.name, int(setting.high))
        return in_range(setting.name, value, int(setting.low), high)

    values = {
        each.name: check(each)
        for each in list_settings("requested")
        if each.name in values
    }
    size = checked(
        values["size"],
        values["content_weight"] + values["style_weight"] > 0,
        "`content_weight` and `style_weight` must not both be 0.",
        values["content_weight"],
    )
    size = checked(
        size,
        (values["learning_rate"] > 0) & (values["learning_rate"] <= 1),
        "`learning_rate` must be a number above 0 and at most 1.",
        values["learning_rate"],
    )
    knobs = Knobs(**{name: tf.cast(values[name], tf.float32) for name in Knobs._fields})
    return RequestSettings(values["steps"], size, values["seed"], knobs)


def check_color_mode(preserve_color: tf.Tensor) -> tf.Tensor:
    """The colour mode of a request, string [], checked."""
    return checked(
        tf.ensure_shape(preserve_color, []),
        tf.reduce_any(preserve_color == tf.constant(COLOR_MODES)),
        f"`preserve_color` must be one of {', '.join(COLOR_MODES)}.",
        preserve_color,
    )


def check_pictures(name: str, pictures: tf.Tensor, *, max_pixels: int) -> tf.Tensor:
    """Pictures [N, H, W, 3], checked to be within the limits and in [0, 1]."""
    # Servers feed any shape; without this, a wrong rank aborts the process.
    pictures = tf.ensure_shape(pictures, [None, None, None, 3])
    shape = tf.shape(pictures, out_type=tf.int64)
    pictures = checked(
        pictures,
        (shape[0] >= 1) & (tf.reduce_min(shape[1:3]) >= MIN_SIDE),
        f"`{name}` must be one or more pictures of at least {MIN_SIDE} pixels a side.",
        shape,
    )
    pictures = checked(
        pictures,
        tf.reduce_prod(shape[:3]) <= max_pixels,
        f"`{name}` must have at most {max_pixels} pixels.",
        shape,
    )
    low, high = tf.reduce_min(pictures), tf.reduce_max(pictures)
    # A minimum passes over NaN; a sum doesn't.
    return checked(
        pictures,
        tf.math.is_finite(tf.reduce_sum(pictures)) & (low >= 0) & (high <= 1),
        f"`{name}` must hold finite numbers from 0 to 1.",
        tf.stack([low, high]),
    )


def build_scales(
    names: str,
    content_sides: tf.Tensor,
    style_sides: tf.Tensor,
    *,
    size: tf.Tensor,
    min_size: int,
    style_scale: tf.Tensor | float,
) -> tf.Tensor:
    """The pyramid of a run, checked to have at least one scale.

    Args:
        names: names of the pictures in errors.
        content_sides: height and width of the content, int32 [2].
        style_sides: height and width of the style, int32 [2], or of S styles, [S, 2].
        size: size of the run, int32 scalar.
        min_size: as in StyleTransferConfig.
        style_scale: scale of the style, or of each, float32 [S].

    Returns:
        Sizes, as from `tfnst.ops.pyramid.build_pyramid`.
    """
    scales = pyramid.build_pyramid(
        content_sides, style_sides, size, min_size, style_scale
    )
    return checked(
        scales,
        tf.shape(scales)[0] > 0,
        f"{names} is too narrow for `size`: its short side would have fewer than "
        f"{MIN_SIDE} pixels.",
        tf.concat([content_sides, tf.reshape(style_sides, [-1]), size[None]], 0),
    )
