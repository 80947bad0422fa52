"""PNG and TIFF files of 16 bits."""

import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tests.image_files import chunk, deep_png, noise, png, unit16
from tfnst.images.color_profiles import srgb_profile
from tfnst.images.manifest import read_manifest
from tfnst.images.metadata import EXIF_IFD, PictureInfo
from tfnst.images.reading import load_image, read_picture
from tfnst.images.writing import save_image

MANIFEST = {"settings": {"size": 48}}


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


def test_bad_deep_files(monkeypatch):
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


def test_other_programs_read_what_is_written(tmp_path):
    tf = pytest.importorskip("tensorflow")
    array = noise(33, 47, 3, dtype=np.uint16)
    path = tmp_path / "out.png"
    save_image(unit16(array), path, bits=16)
    decoded = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16)
    np.testing.assert_array_equal(decoded, array)
    save_image(unit16(array), path, bits=16, info=PictureInfo(unit16(array[..., 0])))
    decoded = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16)
    np.testing.assert_array_equal(decoded, np.dstack([array, array[..., 0]]))
