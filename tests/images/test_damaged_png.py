"""PNG files that are damaged beside the picture."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.image_files import chunk, deep_png, encode, noise, png, unit, unit16
from tfnst.images import png_chunks
from tfnst.images.color_profiles import srgb_profile
from tfnst.images.damage import without_damaged
from tfnst.images.reading import load_image, read_picture

ARRAY = noise(16, 18, 3)
ROWS = b"".join(b"\0" + row.tobytes() for row in ARRAY)
MEGABYTES = b" " * (3 << 20)


def spoiled(kind, content):
    """A chunk with a wrong checksum."""
    data = bytearray(chunk(kind, content))
    data[-1] ^= 1
    return bytes(data)


def with_chunks(before=(), after=()):
    """A PNG file with chunks before and after those of the picture."""
    data = png(18, 16, 8, 2, ROWS, *before)
    end = data.index(b"IEND") - 4
    return data[:end] + b"".join(after) + data[end:]


TEXT = b"Comment\0" + b"hello"
COMPRESSED = b"Comment\0\0" + zlib.compress(MEGABYTES)
INTERNATIONAL = b"Comment\0\1\0\0\0" + zlib.compress(MEGABYTES)
PROFILE = b"sRGB\0\0" + zlib.compress(srgb_profile())
DAMAGED = {
    "pHYs": spoiled(b"pHYs", struct.pack(">IIB", 3000, 3000, 1)),
    "short pHYs": chunk(b"pHYs", b"\0\0"),
    "tEXt": spoiled(b"tEXt", TEXT),
    "zTXt": chunk(b"zTXt", COMPRESSED),
    "odd zTXt": chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"hello")),
    "iTXt": chunk(b"iTXt", INTERNATIONAL),
    "iCCP": spoiled(b"iCCP", PROFILE),
    "large iCCP": chunk(b"iCCP", b"big\0\0" + zlib.compress(MEGABYTES)),
    "odd iCCP": chunk(b"iCCP", b"odd\0\7" + zlib.compress(b"hello")),
    "eXIf": spoiled(b"eXIf", b"MM\0*\0\0\0\x08\0\0"),
    "gAMA": chunk(b"gAMA", b"\0"),
    "tIME": spoiled(b"tIME", bytes(7)),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_damaged_beside_a_picture_does_not_cost_it(damaged):
    for data in (with_chunks([damaged]), with_chunks(after=[damaged])):
        np.testing.assert_array_equal(load_image(data)[0], unit(ARRAY))


def test_texts_may_be_longer_than_pillow_allows_in_all():
    texts = [chunk(b"tEXt", b"Comment\0" + bytes(1 << 20))] * 65
    np.testing.assert_array_equal(load_image(with_chunks(texts))[0], unit(ARRAY))


def test_what_is_whole_beside_it_is_kept(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Acme"
    whole = [
        chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
        chunk(b"eXIf", exif.tobytes()[6:]),
    ]
    path = tmp_path / "photo.png"
    path.write_bytes(with_chunks([DAMAGED["tEXt"], *whole, DAMAGED["iTXt"]]))
    rgb, info = read_picture(path)
    np.testing.assert_array_equal(rgb[0], np.rot90(unit(ARRAY), -1))
    assert info.exif[0x010F] == "Acme"
    assert info.dpi == pytest.approx((300, 300), abs=0.01)


def test_transparency_and_16_bits_are_kept():
    array = noise(17, 23, 3, dtype=np.uint16)
    array[3, 4] = 1, 2, 300
    hidden = chunk(b"tRNS", struct.pack(">3H", 1, 2, 300))
    expected = unit16(array)
    expected[3, 4] = 1
    loaded = load_image(deep_png(array, DAMAGED["pHYs"], hidden))
    np.testing.assert_array_equal(loaded[0], expected)


def test_damage_to_the_picture_itself_is_named():
    head = struct.pack(">IIBBBBB", 18, 16, 8, 2, 0, 0, 0)
    data = png_chunks.START + spoiled(b"IHDR", head) + chunk(b"IDAT", ROWS)
    assert message(ValueError, load_image, data) == (
        "`image` must be an image file (PNG, JPEG, WebP, TIFF, ...). "
        f"Received: a file of {len(data)} bytes, which is not an image that Pillow can "
        "read: broken PNG file (bad header checksum in b'IHDR')"
    )
    cut = with_chunks([DAMAGED["pHYs"]])[:-200]
    said = message(ValueError, load_image, cut)
    assert "which is cut off or damaged: image file is truncated" in said


def test_only_what_is_damaged_is_left_out():
    assert without_damaged(encode(ARRAY, "JPEG")) is None
    assert without_damaged(with_chunks([chunk(b"tEXt", TEXT)])) is None
    mended = without_damaged(with_chunks([DAMAGED["pHYs"]]))
    assert mended == with_chunks()
    for end in range(len(mended)):  # However it is cut off.
        assert without_damaged(mended[:end]) is None
