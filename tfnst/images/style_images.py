"""What a style is made of: one picture, or several with weights, sizes and masks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tfnst.images.manifest import describe_source
from tfnst.limits import MAX_SCALE, MIN_SCALE


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleImage:
    """A style picture with a weight and a size of its own, for blends.

    Attributes:
        image: as `tfnst.stylize` takes it.
        weight: its share of the style, beside those of the others; above 0.
        scale: what the setting `style_scale` is multiplied by for it, 0.1 to 4.
        mask: grey picture that is stretched over `image`: the style is taken from
            where it is white. None for all of it.
        region: grey picture that is stretched over the content image: the style goes
            where it is white. Styles without a region share what the others leave;
            where all have one, the content stays as it is in what they leave.

    Raises:
        ValueError: for a weight or scale out of its range.
    """

    image: Any
    weight: float = 1.0
    scale: float = 1.0
    mask: Any = None
    region: Any = None

    def __post_init__(self) -> None:
        for name, low, high, expected in (
            ("weight", 0, math.inf, "a number above 0"),
            (
                "scale",
                MIN_SCALE,
                MAX_SCALE,
                f"a number from {MIN_SCALE:g} to {MAX_SCALE:g}",
            ),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (low <= value <= high and 0 < value < math.inf):
                raise ValueError(f"`{name}` must be {expected}. Received: {value!r}")


def style_images(style_image: Any) -> list[StyleImage]:
    """The pictures of a style.

    Args:
        style_image: a picture, a StyleImage, or a list or tuple of these.

    Raises:
        ValueError: for an empty list.
    """
    several = isinstance(style_image, list | tuple)
    given = style_image if several else [style_image]
    if not given:
        raise ValueError(
            "`style_image` must be one picture or more. Received: an empty list"
        )
    return [
        each if isinstance(each, StyleImage) else StyleImage(image=each)
        for each in given
    ]


def describe_style(
    parts: list[StyleImage], sources: list[dict[str, str | None]]
) -> dict[str, Any] | list[dict[str, Any]]:
    """What a manifest says of a style.

    Args:
        parts: from `style_images`.
        sources: of each, from `tfnst.images.manifest.describe_source`.

    Returns:
        The source of a single picture, with its `scale` where that isn't 1; of
        several a list, with `weight` and `scale` of each. With `mask` and `region`,
        their sources, where there are any.

    Raises:
        OSError: when the file of a mask can't be read.
    """
    sources = [
        source
        | {
            name: describe_source(mask)
            for name, mask in (("mask", part.mask), ("region", part.region))
            if mask is not None
        }
        for part, source in zip(parts, sources, strict=True)
    ]
    if len(parts) == 1:
        (part,), (source,) = parts, sources
        return source if part.scale == 1 else source | {"scale": part.scale}
    return [
        source | {"weight": part.weight, "scale": part.scale}
        for part, source in zip(parts, sources, strict=True)
    ]
