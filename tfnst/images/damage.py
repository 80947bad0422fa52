"""Damage beside the picture in PNG and JPEG files, which is common there."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin

from tfnst.images import png_chunks

# Frames of an animation, which can be checked only in their order.
_FRAMES = (b"fcTL", b"fdAT")
# Bounds of all texts of a PNG file together; Pillow has one for each compressed text.
_MAX_CHUNKS, _MAX_BYTES = 32, 1 << 20
_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"
# Markers of the segments of applications, APP0 to APP15, and of comments.
_BESIDE = (*range(0xE0, 0xF0), 0xFE)
_MAX_SEGMENTS = 1000


def without_damaged(data: bytes) -> bytes | None:
    """A PNG or JPEG file without the parts beside its picture that Pillow refuses.

    Such parts hold texts, times, resolutions and the like; a decoder may ignore any of
    them.

    Args:
        data: bytes of a file in which Pillow finds something wrong.

    Returns:
        The new file; None if nothing would be left out, or for another format.
    """
    if data.startswith(png_chunks.START):
        mended = b"".join(_readable_chunks(data))
    elif data.startswith(_JPEG_START):
        mended = b"".join(_readable_segments(data))
    else:
        return None
    return None if len(mended) == len(data) else mended


def _readable_chunks(data: bytes) -> Iterator[bytes]:
    """The parts of a PNG file; those beside the picture are called ancillary."""
    yield png_chunks.START
    head, others = b"", 0
    end = png_chunks.build(b"IDAT", b"")
    for kind, chunk in png_chunks.split(data):
        head = head or chunk
        if not kind[:1].islower() or kind in _FRAMES:
            yield chunk
        elif others < _MAX_CHUNKS and len(chunk) <= _MAX_BYTES:
            file = png_chunks.START + head + chunk + end
            if _opens(PngImagePlugin.PngImageFile, file):
                yield chunk
                others += 1


def _readable_segments(data: bytes) -> Iterator[bytes]:
    """The parts of a JPEG file; from the picture on, all is one."""
    yield _JPEG_START
    start, count = len(_JPEG_START), 0
    while (
        count < _MAX_SEGMENTS
        and data[start : start + 1] == b"\xff"
        and not data.startswith(_JPEG_SCAN, start)
    ):
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if not start + 4 <= end <= len(data):
            break
        segment = data[start:end]
        file = _JPEG_START + segment + _smallest_jpeg()[len(_JPEG_START) :]
        if segment[1] not in _BESIDE or _opens(JpegImagePlugin.JpegImageFile, file):
            yield segment
            count += 1
        start = end
    yield data[start:]


def _opens(plug_in: Callable[[Any], Any], data: bytes) -> bool:
    """Returns whether a plug-in of Pillow opens a file."""
    try:
        plug_in(io.BytesIO(data))
    except Exception:  # Bad bytes make it raise anything.
        return False
    return True


@functools.cache
def _smallest_jpeg() -> bytes:
    """The bytes of a file of one pixel."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "JPEG")
    return file.getvalue()
