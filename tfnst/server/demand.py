"""Prediction of a request's memory from the shapes of its pictures."""

from __future__ import annotations

import io
import json
import os
import struct
from typing import Any

import numpy as np

from tfnst.server import tensors

_MANIFEST = os.path.join("assets", "tfnst.json")
_PNG = b"\x89PNG\r\n\x1a\n"
# Formats whose headers Pillow reads without decoding anything.
_FORMATS = ("JPEG", "GIF", "BMP")


class Demand:
    """Prediction of the memory that requests to one model take.

    An export of tfnst states in `assets/tfnst.json` the bytes that a run takes for each
    pixel of each kind; for other models the prediction is 0.

    Args:
        path: directory of the model.
    """

    def __init__(self, path: str) -> None:
        self._bytes: dict[str, float] = {}
        self._style_scale = 1.0
        try:
            with open(os.path.join(path, _MANIFEST), encoding="utf-8") as file:
                manifest = json.load(file)
            self._style_scale = float(manifest["config"]["style_scale"])
            self._bytes = {k: float(v) for k, v in manifest["memory"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def of(self, inputs: dict[str, Any]) -> int:
        """Returns the bytes that a run adds to the server's memory; 0 if unknown.

        Args:
            inputs: input alias -> valid TensorProto.
        """
        if not self._bytes or "size" not in inputs:
            return 0
        size = max(0, int(tensors.decode(inputs["size"])))
        files: list[Any]
        content: Any
        if "content_image" in inputs:
            count = _shape(inputs["content_image"])[0]
            content, *styles = (
                _shape(inputs[name])[1:3] for name in ("content_image", "style_image")
            )
            files, regions = [], 0
        else:
            count, regions = 1, _count_regions(inputs.get("region_bytes"))
            content, *styles = files = [
                _sides(data)
                for name in ("content_bytes", "style_bytes")
                for data in inputs[name].string_val
            ] or [None]
        area = _area(content, size)
        scales = (
            np.ravel(tensors.decode(inputs["style_scales"])).tolist()
            if ("style_scales" in inputs)
            else [1.0]
        )
        largest = self._style_scale * max(scales, default=1.0)
        style_areas = [_area(sides, size * largest) for sides in styles]
        cost = self._bytes
        border = cost.get("border", 0.0)
        run = cost["picture"] * area
        seen = [_area(content, size, border)]
        seen += [_area(sides, size * largest, border) for sides in styles]
        run += cost["network"] * max(seen)
        run += cost["region"] * regions * area
        kept = cost["style"] * sum(style_areas)
        decoding = cost["file"] * max((_pixels(sides) for sides in files), default=0)
        return int(cost["fixed"] + count * run + kept + decoding)


def _shape(proto: Any) -> list[int]:
    return [dimension.size for dimension in proto.tensor_shape.dim]


def _count_regions(proto: Any) -> int:
    """Returns the number of regions in a blend, each painted in its own style."""
    if proto is None:
        return 0
    masks = set(proto.string_val)
    return len(masks) if masks - {b""} else 0


def _area(sides: Any, size: float, border: float = 0.0) -> float:
    """Returns the pixels of a picture with long side `size`; a square if unknown."""
    short = size
    if sides and min(sides) >= 1:
        short *= min(sides) / max(sides)
    return (size + 2 * border) * (short + 2 * border)


def _pixels(sides: tuple[int, int] | None) -> int:
    return sides[0] * sides[1] if sides else 0


def _sides(data: bytes) -> tuple[int, int] | None:
    """Reads width and height from an image file's header; None if there are none."""
    if data[:8] == _PNG:
        return struct.unpack(">II", data[16:24]) if len(data) >= 24 else None
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return image.size
    except Exception:  # Not an image, which the model will say.
        return None
