"""Decoding image files and PIL images, and the errors on the way."""

import errno
import io
import os
import struct
import threading

import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.image_files import claiming_png, encode, noise, unit
from tfnst.images.reading import load_image

FILE = "an image file (PNG, JPEG, WebP, TIFF, ...)"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation, kind):
    array = np.zeros((16, 40, 3), np.uint8)
    array[:8, :16] = 255, 0, 0
    array[8:, 24:] = 0, 0, 255
    upright = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.transpose(1, 0, 2),
        6: np.rot90(array, -1),
        7: array[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(array),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {
        "JPEG": {"quality": 100, "subsampling": 0},
        "WEBP": {"lossless": True},
    }
    data = encode(array, kind, exif=exif.tobytes(), **options.get(kind, {}))
    atol = 0.02 if kind == "JPEG" else 0
    np.testing.assert_allclose(load_image(data)[0], unit(upright), atol=atol)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_allclose(load_image(image)[0], unit(upright), atol=atol)


def test_broken_exif_is_ignored():
    array = noise(18, 24, 3)
    data = encode(array, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03")
    np.testing.assert_array_equal(load_image(data)[0], unit(array))


def test_orientation_is_obeyed_beside_an_odd_entry():
    # An ImageWidth that is text: Pillow can read it, but can't write it again.
    entries = struct.pack(">HHIHHHHII", 0x0112, 3, 1, 6, 0, 0x0100, 2, 1, 0)
    image = Image.fromarray(noise(18, 24, 3))
    image.info["exif"] = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + entries + bytes(4)
    expected = unit(np.rot90(noise(18, 24, 3), -1))
    np.testing.assert_array_equal(load_image(image)[0], expected)


def test_palettes():
    array = np.zeros((16, 16), np.uint8)
    array[4:8], array[8:] = 1, 2
    image = Image.fromarray(array).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    expected = np.eye(3, dtype=np.float32)[array]
    np.testing.assert_array_equal(load_image(encode(image))[0], expected)
    half = 1 - 51 / 255
    expected[array == 1], expected[array == 2] = (half, 1, half), 1
    data = encode(image, transparency=bytes([255, 51, 0]))
    np.testing.assert_allclose(load_image(data)[0], expected, atol=1e-6)
    expected = np.eye(3, dtype=np.float32)[array]
    expected[array == 1] = 1
    for kind in ("PNG", "GIF"):
        data = encode(image, kind, transparency=1)
        np.testing.assert_array_equal(load_image(data)[0], expected)


def test_one_transparent_colour():
    array = np.full((16, 16, 3), 40, np.uint8)
    array[3] = 1, 2, 3
    data = encode(array, transparency=(1, 2, 3))
    expected = unit(array)
    expected[3] = 1
    np.testing.assert_array_equal(load_image(data)[0], expected)
    data = encode(array[..., 0], transparency=1)
    np.testing.assert_array_equal(load_image(data)[0], expected)
    deep = array[..., 0].astype(np.uint16) * 257
    with Image.open(io.BytesIO(encode(deep))) as image:
        image.info["transparency"] = 257
        np.testing.assert_array_equal(load_image(image)[0], expected)


def test_modes_of_pillow():
    def first(image):
        loaded = load_image(image)
        assert loaded.shape == (1, 16, 20, 3)
        assert loaded.dtype == np.float32
        return pytest.approx(loaded[0, 0, 0].tolist(), abs=0.02)

    size = 20, 16
    red = Image.new("RGB", size, (255, 0, 0))
    for mode in ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"):
        image = red.convert("P").convert(mode) if mode == "PA" else red.convert(mode)
        assert first(image) == [1, 0, 0], mode
    assert first(encode(red.convert("CMYK"), "TIFF")) == [1, 0, 0]
    assert first(encode(red.convert("CMYK"), "JPEG")) == [1, 0, 0]
    assert first(Image.new("1", size, 1)) == [1, 1, 1]
    for mode, colour in (("L", 51), ("LA", (51, 255)), ("I", 13107), ("F", 0.2)):
        assert first(Image.new(mode, size, colour)) == [0.2, 0.2, 0.2], mode
    assert first(Image.new("LA", size, (0, 51))) == [0.8, 0.8, 0.8]
    assert first(Image.new("LA", size, (0, 51)).convert("La")) == [0.8, 0.8, 0.8]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_keeps_them(kind):
    array = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16) * 257
    array[0, 0] = 32768
    image = array.astype(np.int32) if kind == "PPM" else array
    loaded = load_image(encode(image, kind))
    assert loaded[0, 0, 0, 0] == np.float32(32768 / 65535)
    expected = array.astype(np.float32) / np.float32(65535)
    np.testing.assert_array_equal(loaded[0], np.stack([expected] * 3, axis=-1))


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(
            frames[0], kind, save_all=True, append_images=frames[1:], **options
        )
        assert load_image(data)[0, 0, 0].tolist() == [1, 0, 0]


def test_closed_file():
    file = io.BytesIO()
    file.close()
    assert message(ValueError, load_image, file) == (
        "`image` must be an open file in binary mode. "
        "Received: a value of type BytesIO that can't be read"
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF"])
def test_closed_pil_images(kind, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(encode(noise(16, 18, 3), kind))
    with Image.open(path) as by_itself:
        pass
    with open(path, "rb") as file:
        by_its_file = Image.open(file)
    loaded = Image.open(path)
    loaded.load()
    loaded.close()
    made = Image.fromarray(noise(16, 18, 3))
    made.close()
    for image in (by_itself, by_its_file, loaded, made):
        assert message(ValueError, load_image, image) == (
            "`image` must be an open PIL image. "
            f"Received: PIL image of mode {image.mode}, which is closed"
        )
    with Image.open(path) as image:
        image.load()
    load_image(image)  # It is all there.


def test_what_pillow_opens_and_cannot_decode(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "weights.png"
    with h5py.File(path, "w") as file:
        file["kernel"] = np.zeros(3)
    for source, kind in (
        (path, "HDF5"),
        (b"GRIB\0\0\0\1" + bytes(100), "GRIB"),
        (b"BUFR" + bytes(100), "BUFR"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n", "PostScript"),
    ):
        said = message(ValueError, load_image, source)
        assert said.startswith(f"`image` must be {FILE}. Received: ")
        assert said.endswith(f", which is {kind}")


def test_bad_deep_greys():
    image = Image.new("I", (16, 16), 70_000)
    assert message(ValueError, load_image, image) == (
        "`image` must be a grey image with values from 0 to 65535 (mode I). "
        "Received: PIL image of mode I with values from 70000 to 70000"
    )
    image = Image.new("F", (16, 16), 255)
    assert message(ValueError, load_image, image) == (
        "`image` must be a grey image with values from 0 to 1 (mode F). "
        "Received: PIL image of mode F with values from 255 to 255"
    )


def test_bad_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder.png")
    with open("notes.jpg", "w") as file:
        file.write("not a picture")
    with open("empty.png", "w"):
        pass
    with open("tiny.png", "wb") as file:
        file.write(encode(noise(1, 1, 3)))
    with open("a\n" + "x" * 240, "wb"):
        pass

    def text(kind, path):
        return message(kind, load_image, path, name="content_image")

    start = "`content_image` must be "
    assert text(ValueError, "notes.jpg") == (
        f"{start}{FILE}. "
        "Received: 'notes.jpg', which is not an image that Pillow can read"
    )
    assert text(ValueError, "empty.png") == (
        f"{start}{FILE}. Received: 'empty.png', which is empty"
    )
    assert text(ValueError, "tiny.png") == (
        f"{start}an image at least 16 pixels wide and 16 high. "
        "Received: 'tiny.png', which is 1 wide and 1 high"
    )
    assert text(FileNotFoundError, "missing.png") == (
        f"{start}a file that can be read. Received: 'missing.png', which does not exist"
    )
    long = text(ValueError, "a\n" + "x" * 240)
    assert long.endswith("xxx', which is empty")
    assert len(long) < 300
    if os.name == "posix":
        assert text(IsADirectoryError, "folder.png") == (
            f"{start}a file that can be read. Received: 'folder.png', which is a folder"
        )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_cut_files_are_never_loaded_in_part(kind, tmp_path):
    data = encode(noise(40, 40, 3), kind)
    for keep in (0.3, 0.6, 0.9):
        cut = data[: int(len(data) * keep)]
        text = message(ValueError, load_image, cut)
        assert f"Received: a file of {len(cut)} bytes, which is " in text
    path = tmp_path / "cut.image"
    path.write_bytes(data[: len(data) * 9 // 10])
    text = message(ValueError, load_image, path)
    if kind in ("PNG", "JPEG", "GIF"):
        assert text.startswith(
            "`image` must be a whole image file. "
            f"Received: {str(path)!r}, which is cut off or damaged: image file is trunc"
        )


def test_cut_lazy_pil_image():
    with Image.open(io.BytesIO(encode(noise(40, 40, 3))[:2000])) as image:
        assert message(ValueError, load_image, image) == (
            "`image` must be a whole image file. "
            "Received: PIL image of mode RGB, which is cut off or damaged: "
            "image file is truncated"
        )


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side, monkeypatch):
    decoded = []
    data = claiming_png(side, side)
    limit = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded.append)
    # Pillow itself warns about the smaller one, and raises its own error for the other.
    for max_pixels, most in ((None, 89_478_485), (1000, 1000)):
        options = {} if max_pixels is None else {"max_pixels": max_pixels}
        assert message(ValueError, load_image, data, **options) == (
            f"`image` must be an image of at most {most} pixels. "
            f"Received: a file of {len(data)} bytes, which has {side * side} pixels"
        )
    assert limit is Image.MAX_IMAGE_PIXELS
    assert not decoded


def test_max_pixels_may_exceed_the_limit_of_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = encode(noise(20, 20, 3))
    assert load_image(data, max_pixels=400).shape == (1, 20, 20, 3)
    assert "has 400 pixels" in message(ValueError, load_image, data, max_pixels=399)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_threads_share_nothing():
    arrays = [noise(18, 24, 3, seed=seed) for seed in range(4)]
    failures = []

    def work(array):
        for _ in range(20):
            if not np.array_equal(load_image(encode(array))[0], unit(array)):
                failures.append(array)

    threads = [threading.Thread(target=work, args=(array,)) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert type(Image.MAX_IMAGE_PIXELS) is int


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (errno.EACCES, PermissionError, "but permission was denied"),
        (errno.EIO, OSError, os.strerror(errno.EIO)),
    ],
)
def test_unreadable_file(tmp_path, monkeypatch, code, kind, reason):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(kind) as caught:
        load_image("image.png", name="content_image")
    assert caught.value.errno == code
    assert str(caught.value) == (
        "`content_image` must be a file that can be read. "
        f"Received: 'image.png', {reason}"
    )


def test_disk_error_while_reading():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    text = message(OSError, load_image, Broken())
    assert text == (
        "`image` must be a file that can be read. "
        "Received: a value of type Broken, Input/output error"
    )


def test_cmyk_photos():
    array = noise(16, 24, 4)
    array[:] = array[0, 0]
    channels = [Image.fromarray(array[..., i].copy()) for i in range(4)]
    image = Image.merge("CMYK", channels)
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        loaded = load_image(encode(image, kind, **options))[0]
        c, m, y, k = array[0, 0] / 255
        expected = [(1 - ink) * (1 - k) for ink in (c, m, y)]
        np.testing.assert_allclose(loaded[3, 5], expected, atol=3 / 255)
