"""Pictures of 16 bits a channel, and grey ones of 12, 16 and 32 bits or floats."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.image_files import chunk, deep_png, encode, noise, png, unit16
from tfnst.images.reading import load_image, read_picture

SIZE = 16, 18
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
DEFLATE = 8


def grey_tiff(
    values, bits, *, kind=UNSIGNED, photometric=BLACK_IS_ZERO, order="<", compression=1
):
    """A TIFF file of one channel; 12 bits are packed, two values in three bytes."""
    height, width = values.shape
    if bits == 12:
        first, second = values.astype(np.uint32).reshape(-1, 2).T
        packed = first << 12 | second
        parts = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1)
        pixels = parts.astype(np.uint8).tobytes()
    else:
        letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[kind]
        pixels = values.astype(f"{order}{letter}{bits // 8}").tobytes()
    if compression == DEFLATE:
        pixels = zlib.compress(pixels)
    entries = [
        *((256, width), (257, height), (258, bits), (259, compression)),
        *((262, photometric), (273, 8), (277, 1), (278, height)),
        *((279, len(pixels)), (339, kind)),
    ]
    file = {"<": b"II*\0", ">": b"MM\0*"}[order]
    file += struct.pack(f"{order}I", 8 + len(pixels)) + pixels
    file += struct.pack(f"{order}H", len(entries))
    for tag, value in entries:
        long = tag == 279
        file += struct.pack(f"{order}HHI", tag, 4 if long else 3, 1)
        file += struct.pack(f"{order}I" if long else f"{order}HH", value, *[0][long:])
    return file + bytes(4)


def ramp(top):
    """Values from 0 to `top`, and what they are in [0, 1]."""
    unit = np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE)
    return np.round(unit * top), unit


@pytest.mark.parametrize("compression", [1, DEFLATE])
@pytest.mark.parametrize(
    ("bits", "kind", "photometric", "order"),
    [
        (12, UNSIGNED, BLACK_IS_ZERO, "<"),
        (16, UNSIGNED, WHITE_IS_ZERO, "<"),
        (16, UNSIGNED, BLACK_IS_ZERO, "<"),
        (16, UNSIGNED, BLACK_IS_ZERO, ">"),
        (32, UNSIGNED, BLACK_IS_ZERO, "<"),
        *((bits, SIGNED, BLACK_IS_ZERO, o) for bits in (8, 16, 32) for o in "<>"),
        *((32, FLOAT, p, o) for p in (WHITE_IS_ZERO, BLACK_IS_ZERO) for o in "<>"),
    ],
)
def test_the_tags_of_a_tiff_file_say_what_is_white(
    compression, bits, kind, photometric, order
):
    top = {UNSIGNED: 2**bits - 1, SIGNED: 2 ** (bits - 1) - 1, FLOAT: 1}[kind]
    values, unit = ramp(top) if kind != FLOAT else (ramp(1)[1],) * 2
    if photometric == WHITE_IS_ZERO:
        values = top - values
    data = grey_tiff(
        *(values, bits),
        kind=kind,
        photometric=photometric,
        order=order,
        compression=compression,
    )
    loaded = load_image(data)[0]
    for channel in np.moveaxis(loaded, -1, 0):
        np.testing.assert_allclose(channel, unit, atol=0.6 / min(top, 65535) + 1e-6)
    assert (loaded.min(), loaded.max()) == (0, 1)


def test_negative_values_are_refused():
    values, _ = ramp(127)
    data = grey_tiff(values - 1, 8, kind=SIGNED)
    assert message(ValueError, load_image, data) == (
        "`image` must be a grey image with values from 0 to 127 (mode L). "
        f"Received: a file of {len(data)} bytes with values from -1 to 126"
    )


@pytest.mark.parametrize("mode", ["I", "I;16"])
def test_a_pil_image_that_may_be_of_8_bits_is_refused(mode):
    kind = {"I": np.int32, "I;16": np.uint16}[mode]
    image = Image.fromarray(ramp(255)[0].astype(kind))
    assert image.mode == mode
    assert message(ValueError, load_image, image) == (
        "`image` must be a grey image of mode L if 255 is white, or one with values up "
        f"to 65535 (mode {mode}). "
        f"Received: PIL image of mode {mode} with values from 0 to 255"
    )
    # Black is black, and more than 255 is no picture of 8 bits.
    assert load_image(Image.new(mode, SIZE, 0)).max() == 0
    assert load_image(Image.new(mode, SIZE, 256)).max() == np.float32(256 / 65535)


def test_a_file_that_is_dark_is_not_ambiguous(tmp_path):
    values = ramp(255)[0].astype(np.uint16)
    expected = (values / 65535).astype(np.float32)
    for number, data in enumerate(
        (deep_png(values[..., np.newaxis]), encode(values, "TIFF"))
    ):
        np.testing.assert_allclose(load_image(data)[0, ..., 0], expected, atol=1e-7)
        path = tmp_path / str(number)
        path.write_bytes(data)
        with Image.open(path) as image:
            loaded = load_image(image)[0, ..., 0]
        np.testing.assert_allclose(loaded, expected, atol=1e-7)


def deep_tiff(array, order="<", extra=None):
    """Uncompressed; `extra` is the value of ExtraSamples."""
    height, width, channels = array.shape
    pixels = array.astype(f"{order}u2").tobytes()
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8)),
        *((259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 16), (277, 3, 1, channels)),
        *((278, 4, 1, height), (279, 4, 1, len(pixels))),
    ]
    if extra is not None:
        entries.append((338, 3, 1, extra))
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    file = magic + struct.pack(f"{order}I", 16 + len(pixels))
    file += struct.pack(f"{order}4H", *[16] * 4) + pixels
    file += struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        layout = f"{order}HHIHH" if kind == 3 and count == 1 else f"{order}HHII"
        rest = (value, 0) if kind == 3 and count == 1 else (value,)
        file += struct.pack(layout, tag, kind, count, *rest)
    return file + bytes(4)


def test_deep_files_keep_their_bits():
    for channels in (2, 3, 4):
        array = noise(17, 23, channels, dtype=np.uint16)
        sources = [deep_png(array)]
        if channels != 2:
            extra = 2 if channels == 4 else None
            sources += [deep_tiff(array, order, extra) for order in "<>"]
        for source in sources:
            rgb, info = read_picture(source)
            colours = array[..., :3] if channels > 2 else array[..., :1]
            seen = slice(None)
            if channels != 3:
                np.testing.assert_array_equal(info.alpha, unit16(array[..., -1]))
                seen = info.alpha >= 0.25
            expected = np.broadcast_to(unit16(colours), (17, 23, 3))
            np.testing.assert_array_equal(rgb[0][seen], expected[seen])
    assert (unit16(array) * 255 % 1 != 0).any()


def test_deep_transparent_colour_and_orientation():
    array = noise(17, 23, 3, dtype=np.uint16)
    array[3, 4] = 1, 2, 300
    exif = Image.Exif()
    exif[0x0112] = 6
    data = deep_png(
        array,
        chunk(b"tRNS", struct.pack(">3H", 1, 2, 300)),
        chunk(b"eXIf", exif.tobytes()[6:]),
    )
    expected = unit16(array)
    expected[3, 4] = 1
    np.testing.assert_array_equal(load_image(data)[0], np.rot90(expected, -1))


def test_bad_deep_files():
    array = noise(40, 40, 3, dtype=np.uint16)
    for data in (deep_png(array), deep_tiff(array)):
        with pytest.raises(ValueError, match="`image` must be an image of at most 99"):
            load_image(data, max_pixels=99)
        for keep in (0.2, 0.5, 0.9):
            with pytest.raises(ValueError, match=r"`image` must be .* which is"):
                load_image(data[: int(len(data) * keep)])
    # A file that claims to hold more than it does takes no more memory than others.
    tracemalloc.start()
    with pytest.raises(ValueError, match="89478485 pixels"):
        load_image(png(10_000, 10_000, 16, 2, b"\0" * 100))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_deep_planes_are_refused(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    array = noise(3, 20, 20, dtype=np.uint16)
    path = tmp_path / "planes.tif"
    tifffile.imwrite(path, array, photometric="rgb", planarconfig="separate")
    with pytest.raises(ValueError, match="`image` must be a TIFF file with all chan"):
        load_image(path)
