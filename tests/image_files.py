"""Arrays and image files for tests, including some that no program would write."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def noise(*shape, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, top, shape, dtype=dtype)


def smooth(height=24, width=32):
    y, x = np.mgrid[:height, :width]
    image = np.stack([x / width, y / height, (x + y) / (width + height)], axis=-1)
    return image.astype(np.float32)


def unit(array):
    """Values of 8 bits, in [0, 1]."""
    return array.astype(np.float32) / np.float32(255)


def unit16(array):
    """Values of 16 bits, in [0, 1]."""
    return array.astype(np.float32) / np.float32(65535)


def encode(array, kind="PNG", **options):
    file = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(width, height, depth, colour_type, rows, *chunks):
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return b"".join(
        [
            *(b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *chunks),
            *(chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")),
        ]
    )


def claiming_png(width, height):
    """A PNG file that claims these sides but has hardly any pixels."""
    return png(width, height, 8, 2, b"\0" * 100)


def deep_png(array, *chunks):
    """A PNG file of 16 bits; `array` is uint16 [H, W, C]."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    height, width = array.shape[:2]
    return png(width, height, 16, colour, rows, *chunks)
