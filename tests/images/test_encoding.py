"""PNG and TIFF files of 16 bits, as they are written."""

import numpy as np
import pytest
from PIL import Image

from tests.image_files import noise, unit16
from tfnst.images.color_profiles import srgb_profile
from tfnst.images.manifest import read_manifest
from tfnst.images.metadata import EXIF_IFD, PictureInfo
from tfnst.images.reading import read_picture
from tfnst.images.writing import save_image

MANIFEST = {"settings": {"size": 48}}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_deep_files_are_written(tmp_path, suffix, with_alpha):
    array = noise(33, 47, 3, dtype=np.uint16)
    alpha = unit16(noise(33, 47, dtype=np.uint16)) if with_alpha else None
    exif = {0x010F: "Acme", EXIF_IFD: {0x9003: "2024:05:06 07:08:09"}}
    info = PictureInfo(alpha, exif, (300.0, 300.0))
    path = tmp_path / f"out{suffix}"
    save_image(unit16(array), path, bits=16, info=info, manifest=MANIFEST)
    rgb, again = read_picture(path)
    seen = slice(None) if alpha is None else alpha >= 0.25
    np.testing.assert_array_equal(rgb[0][seen], unit16(array)[seen])
    if alpha is not None:
        np.testing.assert_array_equal(again.alpha, alpha)
    assert again.exif[0x010F] == "Acme"
    assert again.exif[EXIF_IFD] == exif[EXIF_IFD]
    assert again.dpi == pytest.approx((300, 300), abs=0.01)
    assert read_manifest(path) == MANIFEST
    with Image.open(path) as image:
        assert image.info["icc_profile"] == srgb_profile()
        image.load()


@pytest.mark.parametrize("sides", [(33, 47), (1, 5), (5, 1)])
def test_other_programs_read_what_is_written(tmp_path, sides):
    tf = pytest.importorskip("tensorflow")
    array = noise(*sides, 3, dtype=np.uint16)
    path = tmp_path / "out.png"
    save_image(unit16(array), path, bits=16)
    decoded = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16)
    np.testing.assert_array_equal(decoded, array)
    save_image(unit16(array), path, bits=16, info=PictureInfo(unit16(array[..., 0])))
    decoded = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16)
    np.testing.assert_array_equal(decoded, np.dstack([array, array[..., 0]]))
