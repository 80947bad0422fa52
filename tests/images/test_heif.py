"""HEIF files, as phones write them."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.image_files import heif, smooth
from tfnst.images.color_profiles import srgb_profile
from tfnst.images.reading import load_image, read_picture

pytest.importorskip("av")

ARRAY = smooth(64, 96)


@pytest.mark.parametrize("bits", [8, 10])
def test_all_bits_are_read(bits, tmp_path):
    path = tmp_path / "photo.heic"
    path.write_bytes(heif(ARRAY, bits=bits))
    np.testing.assert_allclose(load_image(path)[0], ARRAY, atol=2.7 / (2**bits - 1))
    np.testing.assert_array_equal(load_image(path.read_bytes()), load_image(path))


def test_white_of_10_bits_is_white():
    loaded = load_image(heif(np.ones((64, 64, 3)), bits=10))
    np.testing.assert_array_equal(loaded, np.ones((1, 64, 64, 3)))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("bits", [8, 10])
def test_it_is_turned_once(turns, bits):
    # Phones say it twice: readers obey the file and leave Exif alone.
    exif = Image.Exif()
    exif[0x0112] = {1: 8, 2: 3, 3: 6}[turns]
    exif[0x010F] = "Acme"
    data = heif(ARRAY, bits=bits, quarter_turns=turns, exif=exif.tobytes()[6:])
    rgb, info = read_picture(data)
    np.testing.assert_allclose(rgb[0], np.rot90(ARRAY, turns), atol=0.02)
    assert info.exif[0x010F] == "Acme"


@pytest.mark.parametrize("bits", [8, 10])
def test_its_profile_counts(bits):
    profile = bytearray(srgb_profile())
    # A profile in which red is green, and the other way round.
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    loaded = load_image(heif(ARRAY, bits=bits, profile=bytes(profile)))[0]
    np.testing.assert_allclose(loaded, ARRAY[..., [1, 0, 2]], atol=0.02)


def test_what_is_wrong_is_said():
    data = heif(ARRAY)
    assert message(ValueError, load_image, data, max_pixels=6000) == (
        "`image` must be an image of at most 6000 pixels. "
        f"Received: a file of {len(data)} bytes, which has 6144 pixels"
    )
    for end in (40, 300, len(data) - 20):
        said = message(ValueError, load_image, data[:end])
        assert f"Received: a file of {end} bytes, which is " in said
        assert ": " in said.split("which is ")[1]  # libheif's own reason.


def test_a_film_is_no_picture():
    film = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(100)
    said = message(ValueError, load_image, film)
    assert said.endswith("which is not an image that Pillow can read")


def test_images_that_were_opened_elsewhere_are_read():
    load_image(heif(ARRAY))  # From here on Pillow knows them.
    with Image.open(io.BytesIO(heif(ARRAY, bits=10))) as image:
        np.testing.assert_allclose(load_image(image)[0], ARRAY, atol=0.02)
