"""Colour profiles, read and written."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.helpers import picture
from tests.image_files import chunk, deep_png, encode, noise, unit, unit16
from tfnst.images.color_profiles import convert_array, srgb_profile
from tfnst.images.formats import SUFFIXES
from tfnst.images.reading import load_image
from tfnst.images.writing import save_image


def test_icc_profiles():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    array = noise(18, 24, 3)
    loaded = load_image(encode(array, icc_profile=srgb))
    np.testing.assert_allclose(loaded[0], unit(array), atol=1.01 / 255)
    # The profile of a screen whose red and green are swapped.
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ")
    swapped = swapped.replace(b"????", b"gXYZ")
    for kind in ("PNG", "TIFF"):
        loaded = load_image(encode(array, kind, icc_profile=swapped))
        expected = unit(array[..., [1, 0, 2]])
        np.testing.assert_allclose(loaded[0], expected, atol=1.01 / 255)
    alpha = np.full((18, 24, 1), 51, np.uint8)
    data = encode(np.concatenate([array, alpha], axis=-1), icc_profile=swapped)
    expected = 0.2 * expected + 0.8
    np.testing.assert_allclose(load_image(data)[0], expected, atol=1.01 / 255)
    for broken in (b"no profile", srgb[:200], srgb[:36] + b"xxxx" + srgb[40:]):
        loaded = load_image(encode(array, icc_profile=broken))
        np.testing.assert_array_equal(loaded[0], unit(array))
    grey = np.full((16, 16), 128, np.uint8)
    loaded = load_image(encode(grey, icc_profile=srgb))
    np.testing.assert_array_equal(loaded[0, ..., 0], unit(grey))
    # A grey profile with the same curve, but an exponent of 1 instead of 2.4.
    linear = srgb.replace(b"RGB ", b"GRAY", 1).replace(b"rTRC", b"kTRC")
    linear = linear.replace(b"\0\x02\x66\x66", b"\0\x01\0\0")
    light = (128 / 255 + 0.055) / 1.055
    expected = 1.055 * light ** (1 / 2.4) - 0.055
    loaded = load_image(encode(grey, icc_profile=linear))
    np.testing.assert_allclose(loaded, expected, atol=2 / 255)


def p3_profile():
    """Display P3: the curve of sRGB, the primaries of DCI-P3, adapted to D50."""
    own = srgb_profile()
    for name, colorant in (
        (b"rXYZ", (0.51512, 0.24120, -0.00105)),
        (b"gXYZ", (0.29198, 0.69225, 0.04189)),
        (b"bXYZ", (0.15710, 0.06657, 0.78407)),
    ):
        place = own.index(name)
        (offset,) = struct.unpack_from(">I", own, place + 4)
        numbers = struct.pack(">3i", *(round(x * 65536) for x in colorant))
        own = own[: offset + 8] + numbers + own[offset + 20 :]
    return own


def p3_to_srgb(p3):
    """In closed form, from the chromaticities of both."""

    def matrix(red, green, blue):
        xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (red, green, blue)]).T
        white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
        return xyz * np.linalg.solve(xyz, white)

    p3_matrix = matrix((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
    srgb_matrix = matrix((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
    linear = np.where(p3 <= 0.04045, p3 / 12.92, ((p3 + 0.055) / 1.055) ** 2.4)
    linear = linear @ np.linalg.solve(srgb_matrix, p3_matrix).T
    linear = np.clip(linear, 0, 1)
    high = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, high)


class LaterProfile(ImageCms.ImageCmsProfile):
    """A profile that LittleCMS has made at another time."""

    def tobytes(self):
        made = super().tobytes()
        return made[:24] + struct.pack(">6H", 2031, 2, 3, 4, 5, 6) + made[36:]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_file_says_that_it_is_srgb(tmp_path, monkeypatch, suffix):
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    save_image(picture(20, 30), paths[0])
    with monkeypatch.context() as patch:
        patch.setattr(ImageCms, "ImageCmsProfile", LaterProfile)
        srgb_profile.cache_clear()
        save_image(picture(20, 30), paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert ImageCms.getProfileDescription(profile).startswith("sRGB")
    assert profile.profile.creation_date.year == 1999


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_p3_photos(kind):
    array = noise(16, 24, 3, seed=5)
    if kind == "JPEG":  # It is lossy, so the colours are flat.
        array[:] = array[0, 0]
    options = {"quality": 100} if kind == "JPEG" else {}
    data = encode(array, kind, icc_profile=p3_profile(), **options)
    expected = p3_to_srgb(array / 255)
    # P3 has reds that sRGB doesn't.
    assert np.abs(expected - array / 255).max() > 0.04
    np.testing.assert_allclose(load_image(data)[0], expected, atol=2.5 / 255)


def test_p3_of_16_bits_is_converted_with_16_bits():
    array = noise(32, 32, 3, dtype=np.uint16)
    body = b"p3\0\0" + zlib.compress(p3_profile())
    loaded = load_image(deep_png(array, chunk(b"iCCP", body)))[0]
    expected = p3_to_srgb(array / 65535)
    # 8 bits would be off by up to 1 / 510. Near black, the rounding of the colorants
    # shows.
    inside = ((expected > 0.2) & (expected < 1)).all(axis=-1)
    assert inside.sum() > 100
    np.testing.assert_allclose(loaded[inside], expected[inside], atol=5e-4)


@pytest.mark.parametrize(
    "curve",
    [
        struct.pack(">4sII", b"curv", 0, 0),
        struct.pack(">4sIIH", b"curv", 0, 1, 563),
        struct.pack(">4sII257H", b"curv", 0, 257, *(i * i for i in range(256)), 65535),
        struct.pack(">4sIHHi", b"para", 0, 0, 0, 144179),
        struct.pack(">4sIHH3i", b"para", 0, 1, 0, 157286, 68813, -3277),
        struct.pack(">4sIHH4i", b"para", 0, 2, 0, 157286, 68813, -3277, 0),
        struct.pack(
            ">4sIHH7i", b"para", 0, 4, 0, 157286, 62119, 3417, 5072, 2651, 655, 0
        ),
    ],
)
def test_curves_of_profiles_are_those_of_littlecms(curve):
    own = p3_profile()
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        place = own.index(name)
        own = (
            own[: place + 4]
            + struct.pack(">II", len(own), len(curve))
            + (own[place + 12 :])
        )
    own += curve + bytes(-len(curve) % 4)
    own = struct.pack(">I", len(own)) + own[4:]
    array = noise(32, 32, 3)
    expected = load_image(encode(array, "PNG", icc_profile=own))[0]
    actual = convert_array(array.astype(np.float32) / 255, own)
    # LittleCMS works with 8 bits, and rounds along the way.
    np.testing.assert_allclose(actual, expected, atol=2.5 / 255)
    assert np.abs(actual - array / 255).max() > 0.1


def test_broken_profiles_of_deep_pictures_are_ignored():
    own = p3_profile()
    array = noise(16, 16, 3, dtype=np.uint16)
    for broken in (
        b"",
        b"no profile",
        own[:140],
        own[:300],
        own.replace(b"para", b"x" * 4),
    ):
        rgb = unit16(array)
        assert convert_array(rgb, broken) is None
    data = deep_png(array, chunk(b"iCCP", b"p\0\0" + zlib.compress(b"x")))
    np.testing.assert_allclose(load_image(data)[0], unit16(array), atol=1 / 255)
