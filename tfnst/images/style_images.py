"""The pictures of a style: one, or several with weights, sizes, masks and layers."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

from tfnst.checks import (
    ArgumentError,
    argument,
    check_integer,
    check_layers,
    check_number,
)
from tfnst.images.label_maps import LabelRegion
from tfnst.images.manifest import describe_source
from tfnst.limits import MAX_SCALE, MAX_WEIGHT, MIN_SCALE, MIN_WEIGHT
from tfnst.paths import NamedPath, named_paths

# Numbers of rotations in which a style image may be seen: as it is; turned by 90
# degrees, too; in all quarter turns; and these also mirrored.
ROTATIONS = (1, 2, 4, 8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleImage:
    """A style picture with its own weight, size and place, for blends.

    Attributes:
        image: any picture that `tfnst.stylize` takes.
        weight: share of the style, relative to the other weights, 1e-6 to 1e6.
        scale: factor by which the setting `style_scale` is multiplied for this
            picture, 0.1 to 4.
        mask: grey picture, stretched over `image`: the style is taken from where it
            is white. None takes it from everywhere.
        region: grey picture, stretched over the content image: the style is painted
            where it is white. Styles without a region share what the others leave; if
            all have one, the rest of the content image stays as it is.
            `tfnst.label_regions` makes regions of a coloured picture.
        layers: style layers, among those of the setting `style_layers`, in which the
            picture counts; a single one may be given by its name. In the other layers,
            the other pictures share its weight. None for all.
        rotations: number of rotations in which the picture is seen: 1, as it is; 2,
            also turned by 90 degrees; 4, in all quarter turns; 8, these also mirrored.
            Strokes that run in one direction in the style may then run in others. All
            rotations count alike, and together as much as the picture.

    Raises:
        ValueError: for a weight, scale or number of rotations out of its range, and for
            `layers` that aren't different names.
    """

    image: Any
    weight: float = 1.0
    scale: float = 1.0
    mask: Any = None
    region: Any = None
    layers: Sequence[str] | None = None
    rotations: int = 1

    def __post_init__(self) -> None:
        weight = check_number("weight", self.weight, "a number above 0", above=0)
        scale = check_number(
            "scale",
            self.scale,
            f"a number from {MIN_SCALE:g} to {MAX_SCALE:g}",
            low=MIN_SCALE,
            high=MAX_SCALE,
        )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "scale", scale)
        if self.layers is not None:
            layers = check_layers("layers", self.layers)
            object.__setattr__(self, "layers", layers)
        rotations = check_integer("rotations", self.rotations, 1, ROTATIONS[-1])
        if rotations not in ROTATIONS:
            raise ArgumentError(
                "1, 2, 4 or 8", repr(self.rotations), argument="rotations"
            )
        object.__setattr__(self, "rotations", rotations)

    def has_layer(self, layer: str) -> bool:
        """Returns whether the picture counts in a style layer."""
        return self.layers is None or layer in self.layers

    def speaks_for(self, layer: str) -> bool:
        """Deprecated: the former name of `has_layer`."""
        warnings.warn(
            "`speaks_for` is now called `has_layer`", DeprecationWarning, stacklevel=2
        )
        return self.has_layer(layer)


def style_images(style_image: Any) -> list[StyleImage]:
    """The pictures of a style, as a list.

    Args:
        style_image: a picture, a StyleImage, or a list or tuple of these.

    Raises:
        ValueError: for an empty list.
    """
    several = isinstance(style_image, list | tuple)
    given = style_image if several else [style_image]
    if not given:
        raise ArgumentError(
            "one picture or more", "an empty list", argument="style_image"
        )
    return [
        each if isinstance(each, StyleImage) else StyleImage(image=each)
        for each in given
    ]


def style_paths(parts: list[StyleImage]) -> list[NamedPath]:
    """The files of a style and its masks, each with the name of its argument.

    Args:
        parts: pictures of the style, from `style_images`.
    """
    return [
        path
        for part in parts
        for path in named_paths(
            ("style_image", part.image), ("mask", part.mask), _region_file(part.region)
        )
    ]


def relative_weights(parts: list[StyleImage]) -> list[float]:
    """The weights of a style's pictures, as numbers from 1e-30 to 1e30.

    If one is out of this range, all are divided by the largest. So float32 can hold
    them and their sum.
    """
    weights = [part.weight for part in parts]
    if min(weights) >= MIN_WEIGHT and max(weights) <= MAX_WEIGHT:
        return weights
    return [max(weight / max(weights), MIN_WEIGHT) for weight in weights]


def describe_style(
    parts: list[StyleImage], sources: list[dict[str, str | None]]
) -> dict[str, Any] | list[dict[str, Any]]:
    """Describes a style for a manifest.

    Args:
        parts: pictures of the style, from `style_images`.
        sources: description of each picture, from
            `tfnst.images.manifest.describe_source`.

    Returns:
        For a single picture its description, with its `scale` unless that is 1; for
        several a list, each with its `weight` and `scale`. Descriptions of masks are
        added under `mask` and `region`; a region of a label map is described by the map
        and the region's `color`. `layers` are added unless they are None, and
        `rotations` unless that is 1.

    Raises:
        OSError: when the file of a mask can't be read.
        ValueError: for a mask that is a damaged PIL image.
    """
    described: list[dict[str, Any]] = [
        source
        | {
            name: _describe_mask(mask, name)
            for name, mask in (("mask", part.mask), ("region", part.region))
            if mask is not None
        }
        | ({} if part.layers is None else {"layers": list(part.layers)})
        | ({} if part.rotations == 1 else {"rotations": part.rotations})
        for part, source in zip(parts, sources, strict=True)
    ]
    if len(parts) == 1:
        (part,), (source,) = parts, described
        return source if part.scale == 1 else source | {"scale": part.scale}
    return [
        source | {"weight": part.weight, "scale": part.scale}
        for part, source in zip(parts, described, strict=True)
    ]


def _region_file(region: Any) -> tuple[str, Any]:
    """The source of a region, after the name of its argument."""
    if isinstance(region, LabelRegion):
        return "label_map", region.source
    return "region", region


def _describe_mask(mask: Any, name: str) -> dict[str, str | None]:
    """Describes a mask for a manifest."""
    if isinstance(mask, LabelRegion):
        with argument("label_map"):
            return describe_source(mask.source) | {"color": mask.color}
    with argument(name):
        return describe_source(mask)
