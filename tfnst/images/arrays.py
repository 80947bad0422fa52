"""Arrays of pixels: checks, and conversion from integers to [0, 1] and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfnst.images.source import PictureSource

_ROUNDING = 1e-6  # Resizing in float32 may stray outside [0, 1] by this.


def show_array(array: np.ndarray) -> str:
    """Description of an array for errors."""
    return f"{array.dtype} array of shape {list(array.shape)}"


def to_array(value: Any, source: PictureSource) -> np.ndarray:
    """The NumPy array of an array or tensor.

    Raises:
        ValueError: when it has no values, as in a graph.
    """
    try:
        array = np.asarray(value)
        # Kinds of floats that NumPy itself doesn't know, and TensorFlow does.
        known = not array.dtype.name.startswith(("bfloat16", "float8"))
        return array if known else array.astype(np.float32)
    except Exception as error:  # A symbolic tensor, or one on another device.
        raise source.error(
            "an array or a tensor with values", f"{source.shown} without values"
        ) from error


def read_array(
    value: Any, source: PictureSource
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads the pictures in an array or tensor.

    Args:
        value: uint8, uint16 or float, as `tfnst.load_image` describes it.
        source: description for errors, and size limits.

    Returns:
        (colours [N, H, W, 3], alpha [N, H, W] or None), float32 in [0, 1].

    Raises:
        ValueError: for any other dtype, shape, size or range.
    """
    array = to_array(value, source)
    source = source.shown_as(show_array(array))
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind != "f" and (kind, size) not in (("u", 1), ("u", 2)):
        raise source.error(
            "uint8 in [0, 255], uint16 in [0, 65535] or float in [0, 1], "
            "as a path, the bytes of an image file, a PIL image or an array"
        )
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim not in (3, 4) or array.shape[-1] not in (1, 2, 3, 4):
        raise source.error(
            "an array of shape [H, W], [H, W, C] or [N, H, W, C] with C 1 (grey), "
            "2 (grey and alpha), 3 (RGB) or 4 (RGBA)"
        )
    if not array.size:
        raise source.error("an array with pixels in it")
    source.check_size(*array.shape[-3:-1])
    if kind == "f":
        low, high = finite_range(array, source)
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise source.error(
                "float in [0, 1] (divide values in [0, 255] by 255)",
                f"{source.shown} with values from {low:g} to {high:g}",
            )
        array = np.clip(array, 0, 1)
    array = to_floats(array)
    channels = array.shape[-1]
    colour = array[..., : 1 if channels < 3 else 3]
    rgb = np.broadcast_to(colour, (*colour.shape[:-1], 3))
    if rgb.ndim == 3:
        rgb, array = rgb[np.newaxis], array[np.newaxis]
    alpha = np.array(array[..., -1]) if channels in (2, 4) else None
    return np.array(rgb, order="C"), alpha


def finite_range(array: np.ndarray, source: PictureSource) -> tuple[float, float]:
    """The smallest and the largest value.

    Raises:
        ValueError: when any value is NaN or infinite.
    """
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise source.error("finite", f"{source.shown} with NaN or infinite values")
    return low, high


def to_floats(array: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] from uint8, uint16, or float that is in [0, 1] already."""
    top = {"u": 255 if array.dtype.itemsize == 1 else 65535}.get(array.dtype.kind, 1)
    return array.astype(np.float32) / np.float32(top)


def to_integers(array: np.ndarray, bits: int = 8) -> np.ndarray:
    """uint8 or uint16 from float in [0, 1], rounded and clipped ::

    floor((2^bits - 1) * clip(array, 0, 1) + 1 / 2)
    """
    top = 2**bits - 1
    values = np.floor(np.clip(array, 0, 1) * top + 0.5)
    return values.astype(np.uint8 if bits == 8 else np.uint16)
