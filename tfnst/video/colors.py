"""Colours of films: decoded frames to sRGB pictures, and pictures to BT.709 frames.

Values of standard films (BT.709 and BT.601 transfer) are taken for sRGB values, as
players do: a film that is read and written keeps its values. FFmpeg converts
matrices and ranges. Wide primaries and HDR are converted here: FFmpeg's own conversion
moves colours that both primaries have by up to 10 of 255 levels, and shows all that is
brighter than diffuse white as white.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfnst.images.arrays import to_integers
from tfnst.images.color_profiles import srgb_from_linear
from tfnst.images.transparency import on_white
from tfnst.video.filters import Filter, run_filters

# Numbers of ITU-T H.273.
BT709, UNSPECIFIED = 1, 2
_BT601 = 6
_BT2020 = 9
_P3 = 12
_PQ, _HLG = 16, 18
_MATRICES = (1, 4, 5, 6, 7, 9)
# Flags of FFmpeg's scaler: every chroma value counts, and sums are exact.
_BICUBIC, _LANCZOS = 0x4, 0x200
_EXACT = 0x2000 | 0x4000 | 0x40000
# Sharper filters than the bilinear one ring where flat colours meet.
_ENCODING = (
    "flags=bilinear+full_chroma_int+full_chroma_inp+accurate_rnd"
    ":out_color_matrix=bt709:out_range=limited"
)
# FFmpeg's numbers.
LIMITED, FULL = 1, 2
# From linear light in BT.2020 and P3 (D65) to BT.709: Rec. ITU-R BT.2087, SMPTE EG 432.
_TO_BT709 = {
    _BT2020: np.array(
        [
            [1.660491, -0.587641, -0.072850],
            [-0.124550, 1.132900, -0.008349],
            [-0.018151, -0.100579, 1.118730],
        ],
        np.float32,
    ),
    _P3: np.array(
        [
            [1.224940, -0.224940, 0.0],
            [-0.042057, 1.042057, 0.0],
            [-0.019638, -0.078636, 1.098274],
        ],
        np.float32,
    ),
}
# Luminance of HDR's diffuse white (Rec. ITU-R BT.2408) and of its peaks, in cd/m^2.
_WHITE, _PEAK = 203.0, 1000.0
# Light, relative to diffuse white, above which HDR is compressed.
_KNEE = 0.6


def to_picture(
    frame: Any,
    *,
    size: tuple[int, int] | None = None,
    turns: Sequence[Filter] = (),
    primaries: int = UNSPECIFIED,
    transfer: int = UNSPECIFIED,
) -> np.ndarray:
    """Converts a decoded frame to uint8 sRGB [H, W, 3], over white if transparent.

    A film that doesn't name its matrix has BT.709's if it is wider than 1,279 pixels
    or higher than 576, and BT.601's otherwise, as in most players. Wider primaries
    (BT.2020, P3) are converted and clipped. HDR (PQ, HLG) is shown as it is up to 0.6
    of diffuse white, which is at 203 cd/m^2; what is brighter is compressed, so that
    diffuse white becomes 231 and 1,000 cd/m^2 white.

    Args:
        frame: a frame of PyAV.
        size: width and height to scale it to; its own by default.
        turns: filters that turn it upright.
        primaries: number of the primaries in ITU-T H.273. Unspecified by default.
        transfer: number of the transfer characteristic. Unspecified by default.
    """
    _complete_tags(frame, primaries)
    is_hdr = transfer in (_PQ, _HLG)
    has_alpha = any(part.is_alpha for part in frame.format.components)
    format = "rgba" if has_alpha else "rgb24"
    if is_hdr:
        format = "rgba64le" if has_alpha else "rgb48le"
    own = frame.width, frame.height
    width, height = size or own
    # Not by a filter, which doesn't see where a frame's chroma lies.
    converted = frame.reformat(
        width,
        height,
        format,
        # Not every PyAV looks at the frame for it.
        src_color_range=frame.color_range,
        dst_color_range=FULL,
        interpolation=(_BICUBIC if (width, height) == own else _LANCZOS) | _EXACT,
    )
    values = run_filters(converted, turns).to_ndarray()
    picture = _to_srgb(values[..., :3], primaries, transfer)
    if not has_alpha:
        return picture
    alpha = (values[..., 3:] >> (8 if is_hdr else 0)).astype(np.uint8)
    return np.array(on_white(Image.fromarray(np.concatenate([picture, alpha], -1))))


def _complete_tags(frame: Any, primaries: int) -> None:
    """Names the matrix and the range of a frame that doesn't."""
    if frame.format.is_rgb or frame.format.name.startswith(("gbr", "pal8")):
        frame.color_range = FULL
        return
    if frame.colorspace not in _MATRICES:
        large = frame.width >= 1280 or frame.height > 576
        wide = primaries == _BT2020
        frame.colorspace = _BT2020 if wide else BT709 if large else _BT601
    if frame.color_range not in (LIMITED, FULL):
        full = frame.format.name.startswith("yuvj")
        frame.color_range = FULL if full else LIMITED


def _to_srgb(rgb: np.ndarray, primaries: int, transfer: int) -> np.ndarray:
    """Converts values to uint8 sRGB: uint8, or uint16 for HDR."""
    if transfer in (_PQ, _HLG):
        primaries = _BT2020 if primaries in (0, UNSPECIFIED) else primaries
        light = _hdr_light(rgb.astype(np.float32) / 65535, transfer)
        return _encode_light(_compress(_to_bt709(light, primaries)))
    if primaries not in _TO_BT709:
        return np.ascontiguousarray(rgb)
    light = (np.arange(256, dtype=np.float32) / 255) ** 2.4
    return _encode_light(_to_bt709(light[rgb], primaries), 2.4)


def _to_bt709(light: np.ndarray, primaries: int) -> np.ndarray:
    """Converts linear light to BT.709's primaries; colours beyond are below 0."""
    matrix = _TO_BT709.get(primaries)
    return light if matrix is None else light @ matrix.T


def _hdr_light(rgb: np.ndarray, transfer: int) -> np.ndarray:
    """Converts values in [0, 1] to linear light, where diffuse white is 1."""
    if transfer == _PQ:  # SMPTE ST 2084.
        root = rgb ** (1 / 78.84375)
        low = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return low ** (1 / 0.1593017578125) * np.float32(10000 / _WHITE)
    # HLG of Rec. ITU-R BT.2100, on a display of 1,000 cd/m^2.
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(rgb <= 0.5, rgb**2 / 3, (np.exp((rgb - c) / a) + b) / 12)
    luma = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    gain = np.maximum(luma, 1e-6) ** 0.2
    return (scene * gain[..., np.newaxis] * (_PEAK / _WHITE)).astype(np.float32)


def _compress(light: np.ndarray) -> np.ndarray:
    """Compresses light into [0, 1] with its hue. The largest channel x becomes y ::

        y = x                                   up to the knee k
        y = k + (1 - k) t (1 + t / p^2) / (1 + t)   where t = (x - k) / (1 - k)

    and p is t at the peak, which becomes white.
    """
    largest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    above = np.maximum(largest - _KNEE, 0) / (1 - _KNEE)
    peak = (_PEAK / _WHITE - _KNEE) / (1 - _KNEE)
    curve = above * (1 + above / peak**2) / (1 + above)
    shown = np.where(above > 0, _KNEE + (1 - _KNEE) * np.minimum(curve, 1), largest)
    return light * (shown / largest)


def _encode_light(light: np.ndarray, gamma: float | None = None) -> np.ndarray:
    """Converts linear light to uint8 values, by a power or else by sRGB's curve."""
    if gamma is None:
        return to_integers(srgb_from_linear(light))
    return to_integers(np.clip(light, 0, 1) ** (1 / gamma))


def to_bt709(picture: np.ndarray, *, chroma: str = "center") -> Any:
    """Converts a picture to a frame in limited range BT.709, 4:2:0.

    Args:
        picture: uint8 sRGB [H, W, 3].
        chroma: place of the chroma between the pixels, by FFmpeg's name.
    """
    filters = [
        ("scale", f"{_ENCODING}:out_chroma_loc={chroma}"),
        ("format", "yuv420p"),
        ("setparams", "color_primaries=bt709:color_trc=bt709"),
    ]
    return run_filters(rgb_frame(picture), filters)


def rgb_frame(picture: np.ndarray) -> Any:
    """Converts uint8 [H, W, 3] to a frame of the format rgb24."""
    import av

    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
