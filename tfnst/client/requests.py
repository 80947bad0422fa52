"""What a request to a server holds, and how long it may take."""

from __future__ import annotations

from typing import Any

from tfnst.client.messages import (
    FLOAT,
    STRING,
    add_input,
)
from tfnst.client.pictures import encode_mask, encode_picture
from tfnst.images.style_images import StyleImage

_INTEGERS = ("steps", "size", "seed")


_BASE_SECONDS, _SECONDS_PER_MEGAPIXEL_STEP = 60.0, 100.0


_LONGEST_SECONDS = 7 * 24 * 3600.0


def is_one_picture(parts: list[StyleImage]) -> bool:
    """Whether a style is a picture and nothing else."""
    first, *others = parts
    return not others and first.scale == 1 and first.mask is first.region is None


def add_styles(request: Any, parts: list[StyleImage]) -> None:
    """Adds the inputs of the signature `blend` that belong to styles."""
    files = [encode_picture(part.image, name="style_image")[0] for part in parts]
    add_input(request, "style_bytes", STRING, rank=1, string_val=files)
    for name in ("weight", "scale"):
        values = [getattr(part, name) for part in parts]
        add_input(request, f"style_{name}s", FLOAT, rank=1, float_val=values)
    for name in ("mask", "region"):
        masks = [getattr(part, name) for part in parts]
        values = [b"" if m is None else encode_mask(m, name=name) for m in masks]
        add_input(request, f"{name}_bytes", STRING, rank=1, string_val=values)


def seconds_for(steps: int, size: int) -> float:
    """How long a run may take; see StylizeClient."""
    seconds = _BASE_SECONDS + _SECONDS_PER_MEGAPIXEL_STEP * size**2 * steps / 1e6
    return min(seconds, _LONGEST_SECONDS)
