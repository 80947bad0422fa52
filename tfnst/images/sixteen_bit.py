"""PNG and TIFF files with 16 bits a channel; Pillow itself reads and writes 8."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from tfnst.images import png_chunks

# Pillow keeps the upper byte of each value, which it finds by the byte order. Told the
# opposite order, it keeps the lower byte. So decoding twice gives 16 bits, with
# Pillow's speed, limits and checks, and without another library.
_NATIVE = "B" if sys.byteorder == "big" else "L"
_OTHER_ORDER = {
    f"{channels};16{order}": f"{channels};16{'B' if actual == 'L' else 'L'}"
    for channels in ("RGB", "RGBA", "RGBX")
    for order, actual in (("B", "B"), ("L", "L"), ("N", _NATIVE))
}
# Grey and alpha, read as RGBA: all four bytes as they are.
_GREY_ALPHA = "LA;16B"
_OTHER_ORDER[_GREY_ALPHA] = "RGBA"


def decode(
    image: Image.Image, open_again: Callable[[], ImageFile.ImageFile]
) -> np.ndarray | None:
    """Decodes a file with 16 bits a channel.

    Args:
        image: the file, opened but not decoded. It is decoded, too, with 8 bits.
        open_again: function that opens the file a second time.

    Returns:
        uint16 [H, W, 3] or [H, W, 4]; None for all other files, which are not decoded,
        including those with a single grey channel, where Pillow keeps 16 bits itself.

    Raises:
        Exception: whatever Pillow raises for a damaged file.
    """
    given = getattr(image, "tile", [])
    tiles = change_raw_modes(given, _OTHER_ORDER)
    if not tiles:
        return None
    is_grey = _GREY_ALPHA in given[0][3]
    image.load()
    with open_again() as again:
        again.tile = tiles
        again.load()
        lower = np.asarray(again)
    if is_grey:
        grey, alpha = (
            lower[..., i].astype(np.uint16) << 8 | lower[..., i + 1] for i in (0, 2)
        )
        return np.stack([grey, grey, grey, alpha], axis=-1)
    return np.asarray(image).astype(np.uint16) << 8 | lower


def change_raw_modes(tiles: list[Any], changes: dict[str, str]) -> list[Any]:
    """A file's tiles, not decoded yet, to be decoded in other raw modes.

    Args:
        tiles: attribute `tile` of the opened file.
        changes: new raw modes by the old ones.

    Returns:
        New tiles; none if any is in yet another mode.
    """
    changed: list[Any] = []
    for tile in tiles:
        arguments = tile[3]
        if isinstance(arguments, str) or not arguments:
            arguments = (arguments,)
        mode, *rest = arguments
        if mode not in changes:
            return []
        arguments = (changes[mode], *rest)
        # Before Pillow 11.1, tiles were plain tuples.
        named = hasattr(tile, "_replace")
        changed.append(
            tile._replace(args=arguments) if named else (*tile[:3], arguments)
        )
    return changed


def encode_png(array: np.ndarray, **options: Any) -> bytes:
    """Encodes a PNG file with 16 bits a channel.

    Args:
        array: uint16 [H, W, 3] or [H, W, 4].
        **options: Pillow's options `icc_profile`, `exif`, `dpi`, `pnginfo`.
    """
    height, width, channels = array.shape
    # Pillow writes everything but the pixels, in a file of one pixel.
    frame = io.BytesIO()
    Image.new("RGB", (1, 1)).save(frame, "PNG", **options)
    colour = {3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    pixels = zlib.compress(_filter_rows(array), 6)
    # A chunk can hold 2**31 - 1 bytes.
    parts = [pixels[i : i + 2**30] for i in range(0, len(pixels), 2**30)]
    replaced = {b"IHDR": [head], b"IDAT": parts}
    chunks = [png_chunks.START]
    for kind, chunk in png_chunks.split(frame.getvalue()):
        if kind in replaced:
            chunks += [png_chunks.build(kind, content) for content in replaced[kind]]
        else:
            chunks.append(chunk)
    return b"".join(chunks)


def _filter_rows(array: np.ndarray) -> bytes:
    """The rows as PNG compresses them: their differences from Paeth's prediction."""
    step = 2 * array.shape[2]
    above = np.zeros(array[0].size * 2 + step, np.int16)
    rows = []
    for row in array:
        row = np.frombuffer(row.astype(">u2").tobytes(), np.uint8).astype(np.int16)
        here = np.concatenate([np.zeros(step, np.int16), row])
        left, up, corner = here[:-step], above[step:], above[:-step]
        # The distances from left + up - corner to each of the three.
        to_left, to_up = np.abs(up - corner), np.abs(left - corner)
        to_corner = np.abs(left + up - 2 * corner)
        predicted = np.where(
            (to_left <= to_up) & (to_left <= to_corner),
            left,
            np.where(to_up <= to_corner, up, corner),
        )
        rows += [b"\4", (row - predicted).astype(np.uint8).tobytes()]
        above = here
    return b"".join(rows)


def encode_tiff(
    array: np.ndarray,
    *,
    tags: dict[int, Any] | None = None,
    icc_profile: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """Encodes a TIFF file, compressed with Deflate.

    Pillow itself writes only 8 bits, and no Exif directories into compressed files.

    Args:
        array: uint8 or uint16, [H, W, 3] or [H, W, 4]; the fourth channel is alpha.
        tags: tags that describe the picture; directories as dictionaries.
        icc_profile: ICC profile of the picture.
        dpi: pixels per inch, horizontal and vertical.
    """
    height, width, channels = array.shape
    # Each value minus the one on its left; the first of a row stays as it is.
    little = array.dtype.newbyteorder("<")
    rows = np.diff(array, axis=1, prepend=np.zeros_like(array[:, :1]))
    pixels = zlib.compress(rows.astype(little).tobytes(), 6)
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in (tags or {}).items():
        directory[tag] = value
    directory[256], directory[257] = width, height
    directory[258] = (array.dtype.itemsize * 8,) * channels
    directory[259] = 8  # Deflate
    directory[262] = 2  # RGB
    directory[277] = channels
    directory[278] = height  # All rows are in one strip.
    directory[279] = len(pixels)
    directory[284] = 1  # The channels of a pixel are together.
    directory[317] = 2  # Values are differences along rows.
    if channels == 4:
        directory[338] = 2  # Colours are not multiplied by alpha.
    if dpi is not None:
        directory[282], directory[283], directory[296] = *dpi, 2
    if icc_profile is not None:
        directory[34675] = icc_profile
    # The pixels' offset from the end of the directory; Pillow adds the rest.
    directory[273] = 0
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + pixels
