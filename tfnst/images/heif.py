"""HEIF files (.heic), which phones write, by libheif."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import Image

# The bits of each value, and channels whose colours are not multiplied by alpha.
_MODES = {
    f"{channels};{bits}": bits
    for channels in ("L", "LA", "RGB", "RGBA")
    for bits in (10, 12, 16)
}


def may_be_heif(start: bytes) -> bool:
    """Returns whether a file may be HEIF by its start, which videos and AVIF share."""
    return start[4:8] == b"ftyp"


def teach_pillow() -> None:
    """Makes Pillow read HEIF files from now on."""
    import pi_heif  # Not before one comes: most pictures do without it.

    pi_heif.register_heif_opener()


def decode_deep(image: Image.Image, file: BinaryIO) -> np.ndarray | None:
    """Decodes a HEIF file of more than 8 bits a channel; Pillow itself reads 8.

    Args:
        image: the file, opened with Pillow.
        file: the same, to be read again.

    Returns:
        uint16 [H, W, 3] or [H, W, 4] in [0, 65535]; None for a file of 8 bits, and for
        one whose colours are multiplied by alpha.

    Raises:
        Exception: whatever libheif raises for a damaged file.
    """
    if image.info.get("bit_depth", 8) <= 8:
        return None
    import pi_heif

    heif = pi_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    bits = _MODES.get(heif.mode)
    if bits is None:
        return None
    top = 2**bits - 1
    values = (np.asarray(heif).astype(np.uint32) * 65535 + top // 2) // top
    values = values.reshape(*values.shape[:2], -1)
    if values.shape[2] < 3:
        values = np.concatenate([values[..., :1]] * 2 + [values], axis=-1)
    return values.astype(np.uint16)
