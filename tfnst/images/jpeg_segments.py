"""Segments of JPEG files; those beside the picture may be damaged."""

from __future__ import annotations

import functools
import io

from PIL import Image, JpegImagePlugin

_START, _SCAN = b"\xff\xd8", b"\xff\xda"
# Markers of the segments of applications, APP0 to APP15, and of comments.
_BESIDE = (*range(0xE0, 0xF0), 0xFE)
_MAX_SEGMENTS = 1000


def without_damaged(data: bytes) -> bytes | None:
    """A JPEG file without the segments beside its picture that Pillow refuses.

    Args:
        data: bytes of a file in which Pillow finds something wrong.

    Returns:
        The new file; None if nothing would be left out.
    """
    if not data.startswith(_START):
        return None
    parts, start = [_START], len(_START)
    while data[start : start + 1] == b"\xff" and not data.startswith(_SCAN, start):
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if not start + 4 <= end <= len(data) or len(parts) > _MAX_SEGMENTS:
            break
        segment = data[start:end]
        if segment[1] not in _BESIDE or _is_readable(segment):
            parts.append(segment)
        start = end
    mended = b"".join([*parts, data[start:]])
    return None if len(mended) == len(data) else mended


def _is_readable(segment: bytes) -> bool:
    """Returns whether Pillow reads a segment in a file that is otherwise whole."""
    file = io.BytesIO(_START + segment + _smallest()[len(_START) :])
    try:
        JpegImagePlugin.JpegImageFile(file)
    except Exception:  # Bad bytes make it raise anything.
        return False
    return True


@functools.cache
def _smallest() -> bytes:
    """The bytes of a file of one pixel."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "JPEG")
    return file.getvalue()
