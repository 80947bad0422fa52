"""Arrays of pixels: checked, scaled to [0, 1], and what errors call them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfnst.checks import argument_error, show_type

_ROUNDING = 1e-6  # How far resizing in float32 may leave [0, 1].


def show_array(array: np.ndarray) -> str:
    return f"{array.dtype} array of shape {list(array.shape)}"


def check_size(
    name: str, shown: str, height: int, width: int, limits: tuple[int, int]
) -> None:
    max_pixels, min_side = limits
    if height * width > max_pixels:
        expected = f"an image of at most {max_pixels} pixels"
        raise argument_error(
            name, expected, f"{shown}, which has {height * width} pixels"
        )
    if min(height, width) < min_side:
        expected = f"an image at least {min_side} pixels wide and {min_side} high"
        received = f"{shown}, which is {width} wide and {height} high"
        raise argument_error(name, expected, received)


def to_array(source: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(source)
    except Exception as error:  # A symbolic tensor, or one on another device.
        received = f"{show_type(source)} without values"
        raise argument_error(
            name, "an array or a tensor with values", received
        ) from error


def read_array(
    source: Any, name: str, limits: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours [N, H, W, 3] and alpha [N, H, W] from an array."""
    array = to_array(source, name)
    shown = show_array(array)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind != "f" and (kind, size) not in (("u", 1), ("u", 2)):
        expected = (
            "uint8 in [0, 255], uint16 in [0, 65535] or float in [0, 1], "
            "as a path, the bytes of an image file, a PIL image or an array"
        )
        raise argument_error(name, expected, shown)
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim not in (3, 4) or array.shape[-1] not in (1, 2, 3, 4):
        expected = (
            "an array of shape [H, W], [H, W, C] or [N, H, W, C] with C 1 (grey), "
            "2 (grey and alpha), 3 (RGB) or 4 (RGBA)"
        )
        raise argument_error(name, expected, shown)
    if not array.size:
        raise argument_error(name, "an array with pixels in it", shown)
    check_size(name, shown, *array.shape[-3:-1], limits)
    if kind == "f":
        low, high = finite_range(array, name, shown)
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            expected = "float in [0, 1] (divide values in [0, 255] by 255)"
            received = f"{shown} with values from {low:g} to {high:g}"
            raise argument_error(name, expected, received)
        array = np.clip(array, 0, 1)
    array = scale(array)
    channels = array.shape[-1]
    colour = array[..., : 1 if channels < 3 else 3]
    rgb = np.broadcast_to(colour, (*colour.shape[:-1], 3))
    if rgb.ndim == 3:
        rgb, array = rgb[np.newaxis], array[np.newaxis]
    alpha = np.array(array[..., -1]) if channels in (2, 4) else None
    return np.array(rgb, order="C"), alpha


def finite_range(array: np.ndarray, name: str, shown: str) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise argument_error(name, "finite", f"{shown} with NaN or infinite values")
    return low, high


def scale(array: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] from uint8, uint16 or float."""
    most = {"u": 255 if array.dtype.itemsize == 1 else 65535}.get(array.dtype.kind, 1)
    return array.astype(np.float32) / np.float32(most)
