"""Label maps: a picture of a few flat colours in place of a mask for each style."""

from __future__ import annotations

import colorsys
import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageFilter

from tfnst.checks import ArgumentError, argument
from tfnst.images.reading import read_picture
from tfnst.images.writing import to_pil

Color = tuple[int, int, int]

# Colours no farther apart than this in any channel are one: JPEG changes them a little.
_TOLERANCE = 8
# Labels differ by more than this in some channel; the rest is noise beside them.
_SPACING = 24
# A colour that covers less of the map is no label: a speck, or JPEG noise at an edge.
MIN_SHARE = 0.005
# Edges may be soft; if less of the map than this has a flat colour, it is a photo.
_MIN_FLAT = 0.75
# Longest side to which a map is thinned out: masks are averaged later anyway.
_MAX_SIDE = 2048
# Pixels between two labels get the label of most pixels in this window around them.
_EDGE_WINDOW = 5
_BLACK: Color = (0, 0, 0)
# Hues from here on count as red, as do hues up to 15 degrees.
_FIRST_HUE = 345 / 360
_GREY_SATURATION = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class LabelRegion:
    """The part of a label map that has one colour: a mask.

    Attributes:
        color: colour in the form `"#ff0000"`.
        mask: float32 [H, W], 1 where the map has the colour, else 0.
        source: the map, as it was given.
    """

    color: str
    mask: np.ndarray
    source: Any

    @property
    def share(self) -> float:
        """Share of the map that the region covers."""
        return float(self.mask.mean())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The mask as an array, which every reader of pictures takes."""
        return np.array(self.mask, dtype=dtype)


def label_regions(
    label_map: Any, *, colors: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """The regions in a label map, a picture with one flat colour for each of them.

    ::

        regions = tfnst.label_regions("map.png")
        style = [
            tfnst.StyleImage(image="swirls.jpg", region=regions["#ff0000"]),
            tfnst.StyleImage(image="mosaic.jpg", region=regions["#00ff00"]),
        ]

    Black and transparent pixels belong to no region. The pixels of a soft edge get the
    nearest colour; where that would draw a line of a third colour between two others,
    they get the colour of most pixels around them. Colours that cover less than 0.5 %
    of the map are no labels, unless `colors` names them.

    Args:
        label_map: any picture that `tfnst.load_image` takes.
        colors: colours of the labels, by name or as `"#ff0000"`; everything else
            belongs to no region. By default all colours in the map but black, by hue:
            red, yellow, green, cyan, blue, magenta; of one hue the lightest first, and
            greys after all colours.

    Returns:
        For each colour, written as `"#ff0000"`, a mask float32 [H, W] for the `region`
        of a `tfnst.StyleImage`.

    Raises:
        ValueError: for a picture that isn't of a few flat colours, or has none but
            black, and for `colors` that the map doesn't have.
        OSError: when the file can't be read.
    """
    return {label.color: label.mask for label in read_label_map(label_map, colors)}


def read_label_map(
    source: Any, colors: Sequence[str] | None = None
) -> list[LabelRegion]:
    """As `label_regions`, but with the share that each colour covers.

    Raises:
        ValueError, OSError: as `label_regions`.
    """
    named = None if colors is None else [_parse_color(color) for color in colors]
    with argument("label_map"):
        rgb, info = read_picture(source)
    # A smoother way of shrinking would change the colours.
    step = -(-max(rgb.shape[1:3]) // _MAX_SIDE)
    pixels = np.asarray(to_pil(rgb[:, ::step, ::step]))
    visible = np.full(pixels.shape[:2], True)
    if info.alpha is not None:
        visible = info.alpha[::step, ::step] >= 0.5
    flat = _flat_colors(pixels, visible)
    if named is None:
        labels = sorted((c for c in flat if not _is_near(c, _BLACK)), key=_place)
        if not labels:
            expected = "a picture with flat colours besides black"
            raise ArgumentError(
                expected, "a black or transparent one", argument="label_map"
            )
    else:
        labels = [_find_color(color, flat, pixels[visible]) for color in named]
        if len(set(labels)) < len(labels):
            expected = "different colours"
            raise ArgumentError(
                expected, repr(list(colors or ())), argument="label_colors"
            )
    others = [color for color in flat if color not in labels]
    index = _nearest(pixels, labels + others)
    index[~visible] = len(labels)
    return [
        LabelRegion(_hex(color), (index == i).astype(np.float32), source)
        for i, color in enumerate(labels if named is None else named)
    ]


def _flat_colors(pixels: np.ndarray, visible: np.ndarray) -> list[Color]:
    """The colours that cover areas of a map, the most frequent first.

    Args:
        pixels: uint8 [H, W, 3].
        visible: bool [H, W], True for the pixels that count.

    Raises:
        ValueError: if no colours cover most of the map.
    """
    image = Image.fromarray(pixels)
    low, high = (
        np.asarray(image.filter(f(3))).astype(np.int16)
        for f in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    # A pixel in the middle of nine that are alike is not on an edge.
    inner = visible & ((high - low).max(axis=-1) <= _TOLERANCE)
    found, counts = np.unique(_packed(pixels[inner]), return_counts=True)
    colors = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=-1)
    least = MIN_SHARE * pixels.shape[0] * pixels.shape[1]
    chosen: list[Color] = []
    while counts.sum() >= max(least, 1):
        color = colors[counts.argmax()]
        away = np.abs(colors - color).max(axis=-1)
        if counts[away <= _TOLERANCE].sum() >= least:
            chosen.append((int(color[0]), int(color[1]), int(color[2])))
        others = away > _SPACING
        colors, counts = colors[others], counts[others]
    covered = np.full(visible.shape, False)
    for each in chosen:
        covered |= _away(pixels, each) <= _TOLERANCE
    share = covered[visible].mean() if visible.any() else 1
    if share < _MIN_FLAT:
        raise ArgumentError(
            "a picture of a few flat colours",
            f"one of which they cover {share:.0%}, like a photo",
            argument="label_map",
        )
    return chosen


def _nearest(pixels: np.ndarray, colors: list[Color]) -> np.ndarray:
    """Index of the colour that each pixel has, or is next to: int [H, W]."""
    best = np.full(pixels.shape[:2], np.inf, np.float32)
    index = np.zeros(pixels.shape[:2], np.uint8)
    for i, color in enumerate(colors):
        away = pixels.astype(np.float32) - np.array(color, np.float32)
        distance = np.square(away).sum(axis=-1)
        index[distance < best] = i
        best = np.minimum(best, distance)
    # Between red and blue there is purple, which may be a label as well.
    common = Image.fromarray(index).filter(ImageFilter.ModeFilter(_EDGE_WINDOW))
    edge = best > 3 * _TOLERANCE**2
    # Not a view: transparent pixels are marked in it.
    return np.where(edge, np.asarray(common), index).astype(np.int16)


def _find_color(color: Color, flat: list[Color], pixels: np.ndarray) -> Color:
    """The colour of the map that a named colour stands for.

    Raises:
        ValueError: if the map has no such colour.
    """
    for other in flat:
        if _is_near(color, other):
            return other
    if (_away(pixels, color) <= _TOLERANCE).any():
        return color
    has = ", ".join(map(_hex, sorted(flat, key=_place))) or "none"
    expected = f"colours of the map, which has {has}"
    raise ArgumentError(expected, _hex(color), argument="label_colors")


def _parse_color(text: Any) -> Color:
    """A colour by name or as `#ff0000`.

    Raises:
        ValueError: for anything else.
    """
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        color = ImageColor.getrgb(text)
        if len(color) == 3:  # There are colours with alpha.
            return color
    expected = "colours such as '#ff0000' or 'red'"
    raise ArgumentError(expected, repr(text), argument="label_colors")


def _place(color: Color) -> tuple[float, ...]:
    """Key for sorting colours: by hue, then by lightness; greys come last."""
    red, green, blue = (channel / 255 for channel in color)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    lightness = max(red, green, blue) + min(red, green, blue)
    if saturation < _GREY_SATURATION or value < _GREY_SATURATION:
        return 1, -lightness
    # JPEG changes hues a little; those of one degree are the same.
    return 0, round((hue - _FIRST_HUE) % 1 * 360), -lightness


def _is_near(one: Color, other: Color) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _TOLERANCE


def _away(pixels: np.ndarray, color: Color) -> np.ndarray:
    """Distance of pixels, uint8 [..., 3], from a colour in the farthest channel."""
    return np.abs(pixels.astype(np.int16) - np.array(color, np.int16)).max(axis=-1)


def _packed(pixels: np.ndarray) -> np.ndarray:
    """Colours, uint8 [..., 3], packed into one number each, int32 [...]."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
