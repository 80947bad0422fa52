"""JPEG files that are damaged beside the picture."""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.image_files import encode, noise
from tfnst.images.damage import without_damaged
from tfnst.images.reading import load_image, read_picture


def segment(marker, content):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(data, *segments):
    return data[:2] + b"".join(segments) + data[2:]


DAMAGED = {
    "JFIF": segment(0xE0, b"JFIF"),
    "Exif": segment(0xE1, b"Exif\0\0junk"),
    "ICC": segment(0xE2, b"ICC_PROFILE\0"),
    "Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\x03"),
    "Adobe": segment(0xEE, b"Adobe"),
    "comment": segment(0xFE, b""),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_damaged_beside_a_picture_does_not_cost_it(damaged):
    data = encode(noise(16, 18, 3), "JPEG")
    loaded = load_image(with_segments(data, damaged))
    np.testing.assert_array_equal(loaded, load_image(data))


def test_what_is_whole_beside_it_is_kept():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Acme"
    data = encode(noise(16, 18, 3), "JPEG", exif=exif.tobytes())
    rgb, info = read_picture(with_segments(data, DAMAGED["ICC"], DAMAGED["JFIF"]))
    np.testing.assert_array_equal(rgb, load_image(data))
    assert rgb.shape == (1, 18, 16, 3)
    assert info.exif[0x010F] == "Acme"


def test_only_what_is_damaged_is_left_out():
    data = encode(noise(16, 18, 3), "JPEG")
    assert without_damaged(encode(noise(16, 18, 3))) is None
    assert without_damaged(data) is None
    spoiled = with_segments(data, DAMAGED["Adobe"])
    assert without_damaged(spoiled) == data
    for end in range(300):  # However it is cut off.
        assert without_damaged(data[:end]) is None
