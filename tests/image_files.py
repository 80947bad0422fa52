"""Arrays and image files for tests, including some that no program would write."""

import io
import re
import struct
import zlib
from fractions import Fraction

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


def heif(array, *, bits=8, quarter_turns=0, profile=None, exif=None):
    """A HEIF file such as phones write, nearly lossless.

    Args:
        array: float [H, W, 3] in [0, 1], with even sides.
        bits: of each value, 8 or 10.
        quarter_turns: anticlockwise, of which the file says that they are needed.
        profile: ICC profile.
        exif: Exif data without the six bytes that begin it in JPEG files.
    """
    height, width = array.shape[:2]
    configuration, pixels = _hevc_picture(array, bits)
    properties = [
        configuration,
        _full_box(b"ispe", struct.pack(">2I", width, height)),
        _full_box(b"pixi", bytes([3, bits, bits, bits])),
    ]
    if profile is not None:
        properties.append(_box(b"colr", b"prof" + profile))
    if quarter_turns:
        properties.append(_box(b"irot", bytes([quarter_turns])))
    items = [(b"hvc1", pixels)]
    if exif is not None:
        items.append((b"Exif", bytes(4) + exif))
    kind = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    start = len(kind) + len(_heif_meta(items, properties, 0)) + 8
    meta = _heif_meta(items, properties, start)
    return kind + meta + _box(b"mdat", b"".join(data for _, data in items))


def _heif_meta(items, properties, start):
    """The box that places each item; the data of the first one begin at `start`."""
    information, locations = b"", b""
    for number, (kind, data) in enumerate(items, 1):
        head = struct.pack(">HH", number, 0) + kind + b"\0"
        information += _full_box(b"infe", head, version=2)
        locations += struct.pack(">3H2I", number, 0, 1, start, len(data))
        start += len(data)
    count = struct.pack(">H", len(items))
    # Only the first needed by all who show the picture.
    used = bytes([0x80 | number for number in range(1, len(properties) + 1)])
    associations = struct.pack(">IHB", 1, 1, len(used)) + used
    parts = [
        _full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        _full_box(b"pitm", struct.pack(">H", 1)),
        _full_box(b"iloc", b"\x44\0" + count + locations),
        _full_box(b"iinf", count + information),
        _box(
            b"iprp",
            _box(b"ipco", b"".join(properties)) + _full_box(b"ipma", associations),
        ),
    ]
    if len(items) > 1:
        described = struct.pack(">3H", 2, 1, 1)
        parts.append(_full_box(b"iref", _box(b"cdsc", described)))
    return _full_box(b"meta", b"".join(parts))


def _hevc_picture(array, bits):
    """The decoder's configuration, and one frame."""
    import av

    red, green, blue = np.moveaxis(array.astype(np.float64), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [luma, (blue - luma) / 1.772 + 0.5, (red - luma) / 1.402 + 0.5]
    top = 2**bits - 1
    planes = [np.clip(np.round(plane * top), 0, top) for plane in planes]
    format = {8: "yuv444p", 10: "yuv444p10le"}[bits]
    frame = av.VideoFrame(array.shape[1], array.shape[0], format)
    for plane, values in zip(frame.planes, planes, strict=True):
        kind = np.dtype("u1" if bits == 8 else "<u2")
        rows = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
        rows[:, : plane.width] = values
        plane.update(rows)
    encoder = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *array.shape[1::-1], format
    encoder.time_base = Fraction(1, 25)
    options = "lossless=1:range=full:colormatrix=smpte170m:log-level=none"
    encoder.options = {"x265-params": options}
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    units = re.split(b"\0\0\0?\1", b"".join(map(bytes, packets)))[1:]
    # Parameters of the film, of sequences and of pictures; then the pictures.
    parameters, pixels = b"", b""
    for unit in units:
        kind = unit[0] >> 1 & 63
        if kind in (32, 33, 34):
            parameters += struct.pack(">BHH", 0x80 | kind, 1, len(unit)) + unit
        elif kind < 32:
            pixels += struct.pack(">I", len(unit)) + unit
    depth = 0xF8 | bits - 8
    head = [1, 4, *bytes(10), 93, 0xF0, 0, 0xFC, 0xFC | 3, depth, depth, 0, 0, 15, 3]
    return _box(b"hvcC", bytes(head) + parameters), pixels


def _box(kind, content):
    return struct.pack(">I", len(content) + 8) + kind + content


def _full_box(kind, content, version=0):
    return _box(kind, bytes([version, 0, 0, 0]) + content)
