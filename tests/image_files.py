"""Image files for tests, including some that no program would write."""

import io
import struct
import zlib

from PIL import Image


def encode(array, kind, **options):
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
