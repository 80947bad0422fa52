"""Chunks of PNG files; those beside the picture are often damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import PngImagePlugin

START = b"\x89PNG\r\n\x1a\n"
# Frames of an animation, which can be checked only in their order.
_FRAMES = (b"fcTL", b"fdAT")
# Bounds of all texts together; Pillow has one for each compressed text.
_MAX_CHUNKS, _MAX_BYTES = 32, 1 << 20


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


def without_damaged(data: bytes) -> bytes | None:
    """A PNG file without the chunks beside its picture that Pillow refuses.

    Such chunks, which PNG calls ancillary, hold texts, times, resolutions and the like;
    a decoder may ignore any of them.

    Args:
        data: bytes of a file in which Pillow finds something wrong.

    Returns:
        The new file; None if nothing would be left out.
    """
    if not data.startswith(START):
        return None
    head, parts, others = b"", [START], 0
    for kind, chunk in split(data):
        head = head or chunk
        if not kind[:1].islower() or kind in _FRAMES:
            parts.append(chunk)
        elif others < _MAX_CHUNKS and _is_readable(head, chunk):
            parts.append(chunk)
            others += 1
    mended = b"".join(parts)
    return None if len(mended) == len(data) else mended


def _is_readable(head: bytes, chunk: bytes) -> bool:
    """Returns whether Pillow reads a chunk in a file that has only a head besides."""
    file = io.BytesIO(START + head + chunk + build(b"IDAT", b""))
    try:
        PngImagePlugin.PngImageFile(file)
    except Exception:  # Bad bytes make it raise anything.
        return False
    return len(chunk) <= _MAX_BYTES
