"""Exif and resolution, read and written."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tests.helpers import picture
from tests.image_files import encode, noise
from tfnst.images.formats import SUFFIXES
from tfnst.images.manifest import read_manifest
from tfnst.images.metadata import EXIF_IFD, GPS_IFD, PictureInfo
from tfnst.images.reading import load_image, read_picture
from tfnst.images.writing import save_image

MANIFEST = {"settings": {"size": 48}}
LATITUDE = (52.0, 31.0, 12.0)


def photo_exif():
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0112] = "Grand Place", "Acme", 6
    exif[0x8298], exif[0x9C9B] = "Somebody", "title".encode("utf-16-le")
    exif[EXIF_IFD] = {
        0x829A: 0.004,
        0x9003: "2024:05:06 07:08:09",
        0x927C: b"serial number 123",
        0x9286: b"ASCII\0\0\0a lovely day",
        0xA001: 65535,
        0xA002: 4000,
        0xA003: 3000,
    }
    exif[GPS_IFD] = {1: "N", 2: LATITUDE}
    return exif.tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("manifest", [None, MANIFEST])
@pytest.mark.parametrize("keep_gps", [False, True])
def test_exif_is_kept(tmp_path, suffix, manifest, keep_gps):
    data = encode(noise(30, 40, 3), "JPEG", exif=photo_exif(), dpi=(300, 300))
    rgb, info = read_picture(data)
    assert rgb.shape == (1, 40, 30, 3)
    path = tmp_path / f"out{suffix}"
    save_image(rgb[:, :20, :30], path, info=info, manifest=manifest, keep_gps=keep_gps)
    assert read_manifest(path) == manifest
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        if suffix != ".webp":
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        photo, place = exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS_IFD)
    assert exif[0x010F] == "Acme"
    assert exif[0x8298] == "Somebody"
    assert bytes(exif[0x9C9B]) == "title".encode("utf-16-le")
    assert 0x0112 not in exif
    assert (exif[0x010E] == "Grand Place") == (manifest is None or ".tif" not in suffix)
    assert photo[0x9003] == "2024:05:06 07:08:09"
    assert float(photo[0x829A]) == pytest.approx(0.004)
    assert 0x927C not in photo
    assert [photo[tag] for tag in (0xA001, 0xA002, 0xA003)] == [1, 30, 20]
    lovely = bytes(photo[0x9286]).endswith(b"a lovely day")
    assert lovely == (manifest is None or suffix in (".png", ".tif", ".tiff"))
    if keep_gps:
        assert place[1] == "N"
        assert tuple(map(float, place[2])) == LATITUDE
    else:
        assert not place
    again = read_picture(path)[1]
    assert again.dpi == pytest.approx((300, 300), abs=0.01)
    assert b"serial number" not in path.read_bytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_is_read_from_every_format(kind):
    options = {} if kind == "WEBP" else {"dpi": (72, 144)}
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Acme", 6
    if kind == "WEBP":
        exif[0x011A], exif[0x011B], exif[0x0128] = 72.0, 144.0, 2
    data = encode(noise(20, 30, 3), kind, exif=exif, **options)
    rgb, info = read_picture(data)
    assert rgb.shape == (1, 30, 20, 3)
    assert info.exif == {0x010F: "Acme"}
    assert info.dpi == pytest.approx((72, 144), abs=0.01)


def test_odd_exif_never_stops_anything(tmp_path):
    whole = photo_exif()
    rng = np.random.default_rng(0)
    array = noise(20, 20, 3)
    blocks = [b"", b"Exif\0\0", b"Exif\0\0MM\0*", whole[:40], whole[:-30]]
    for _ in range(24):
        broken = bytearray(whole)
        for place in rng.integers(6, len(broken), 6):
            broken[place] = rng.integers(0, 256)
        blocks.append(bytes(broken))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            image = Image.fromarray(array)
            image.info["exif"] = block
            _, info = read_picture(image)
            for suffix in (".png", ".jpg", ".webp", ".tif"):
                path = tmp_path / f"out{suffix}"
                save_image(
                    picture(20, 20), path, info=info, manifest=MANIFEST, keep_gps=True
                )
                assert read_manifest(path) == MANIFEST
                load_image(path)


def test_too_much_exif_gives_way_to_the_manifest(tmp_path):
    long = {0x9000 + i: "x" * 15_000 for i in range(0x10, 0x16)}
    info = PictureInfo(exif={0x010F: "Acme", EXIF_IFD: long})
    for manifest in (None, MANIFEST):
        save_image(picture(20, 20), tmp_path / "a.jpg", info=info, manifest=manifest)
        assert read_manifest(tmp_path / "a.jpg") == manifest
    save_image(picture(20, 20), tmp_path / "a.png", info=info)
    assert read_picture(tmp_path / "a.png")[1].exif[0x010F] == "Acme"


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9), (float("nan"), 1), "text", (72,)])
def test_nonsense_resolutions_are_dropped(dpi):
    image = Image.fromarray(noise(20, 20, 3))
    image.info["dpi"] = dpi
    assert read_picture(image)[1].dpi is None
