"""Chunks of PNG files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

START = b"\x89PNG\r\n\x1a\n"


def split(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and all bytes of each chunk; a last one may be cut off."""
    start = len(START)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], data[start:end]
        start = end


def build(kind: bytes, content: bytes) -> bytes:
    """The bytes of a chunk."""
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return b"".join(
        [struct.pack(">I4s", len(content), kind), content, struct.pack(">I", checksum)]
    )
