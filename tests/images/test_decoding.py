"""Reading pictures from anywhere and writing them, and the errors on the way."""

import errno
import io
import os
import stat
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.helpers import ROOT
from tfnst.images.formats import FORMATS, SUFFIXES
from tfnst.images.reading import load_image, load_mask, load_one_image, read_picture
from tfnst.images.save_options import SaveOptions
from tfnst.images.writing import check_output_path, save_image, to_pil

FILE = "an image file (PNG, JPEG, WebP, TIFF, ...)"
SUFFIX = "a path that ends in .png, .jpg, .jpeg, .webp, .tif or .tiff"


def noise(height=18, width=24, channels=3, seed=0):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(height=24, width=32):
    y, x = np.mgrid[:height, :width]
    image = np.stack([x / width, y / height, (x + y) / (width + height)], axis=-1)
    return image.astype(np.float32)


def encode(array, kind="PNG", **options):
    file = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(file, kind, **options)
    return file.getvalue()


def unit(array):
    return array.astype(np.float32) / np.float32(255)


def png_header(width, height):
    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def message(kind, function, *args, **kwargs):
    """The text of the error; its class must be exactly `kind`, and it is one line."""
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Sources


def test_every_source_gives_the_same_pixels(tmp_path):
    array = noise()
    data = encode(array)
    path = tmp_path / "image.png"
    path.write_bytes(data)
    middle = io.BytesIO(b"before" + data)
    middle.seek(6)
    with open(path, "rb") as file:
        sources = [
            *(path, str(path), data, bytearray(data), memoryview(data)),
            *(io.BytesIO(data), middle, file, Image.fromarray(array)),
            *(array, array[np.newaxis], unit(array), array.astype(np.uint16) * 257),
            *(unit(array).astype(np.float64), (array.astype(np.uint16) * 257).view()),
            (array.astype(np.uint16) * 257).astype(">u2"),
        ]
        for source in sources:
            loaded = load_image(source)
            assert loaded.dtype == np.float32
            assert loaded.flags.c_contiguous
            assert loaded.flags.writeable
            np.testing.assert_array_equal(loaded, unit(array)[np.newaxis])


def test_tensors():
    import tensorflow as tf

    array = noise()
    for tensor in (tf.constant(array), tf.Variable(unit(array))):
        np.testing.assert_array_equal(load_image(tensor)[0], unit(array))
    np.testing.assert_array_equal(to_pil(tf.constant(unit(array))), array)

    texts = []

    @tf.function
    def trace(tensor):
        texts.append(message(ValueError, load_image, tensor))
        return tensor

    trace(tf.constant(array))
    assert texts == [
        "`image` must be an array or a tensor with values. "
        "Received: a value of type SymbolicTensor without values"
    ]


def test_import_leaves_tensorflow_alone():
    code = "import sys, tfnst.images.writing; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_batch_of_arrays_and_own_memory():
    batch = unit(np.stack([noise(seed=1), noise(seed=2)]))
    loaded = load_image(batch)
    np.testing.assert_array_equal(loaded, batch)
    loaded[:] = 0
    assert batch.any()


def test_channels_of_arrays():
    grey = noise(channels=0)
    expected = np.repeat(unit(grey)[..., np.newaxis], 3, axis=-1)[np.newaxis]
    np.testing.assert_array_equal(load_image(grey), expected)
    np.testing.assert_array_equal(load_image(grey[..., np.newaxis]), expected)
    opaque = np.stack([grey, np.full_like(grey, 255)], axis=-1)
    np.testing.assert_array_equal(load_image(opaque), expected)
    clear = np.stack([grey, np.zeros_like(grey)], axis=-1)
    np.testing.assert_array_equal(load_image(clear), np.ones_like(expected))


def test_rounding_of_floats_is_clipped():
    array = np.full((16, 16, 3), np.nextafter(np.float32(1), np.float32(2)))
    array[0] = -1e-7
    loaded = load_image(array)
    assert loaded.min() == 0
    assert loaded.max() == 1


# Orientation, alpha, modes, profiles


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
    array = noise()
    data = encode(array, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03")
    np.testing.assert_array_equal(load_image(data)[0], unit(array))


def test_orientation_is_obeyed_beside_an_odd_entry():
    # An ImageWidth that is text: Pillow can read it, but can't write it again.
    entries = struct.pack(">HHIHHHHII", 0x0112, 3, 1, 6, 0, 0x0100, 2, 1, 0)
    image = Image.fromarray(noise())
    image.info["exif"] = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + entries + bytes(4)
    expected = unit(np.rot90(noise(), -1))
    np.testing.assert_array_equal(load_image(image)[0], expected)


def test_alpha_is_laid_over_white_and_hides_pixels():
    array = noise(channels=4)
    array[..., 3] = 0
    array[3, 5] = 100, 200, 50, 51
    array[4, 6] = 10, 20, 30, 255
    expected = np.ones((18, 24, 3), np.float32)
    # 51 / 255 is a fifth.
    expected[3, 5] = 0.2 * np.array([100, 200, 50]) / 255 + 0.8
    expected[4, 6] = np.array([10, 20, 30]) / 255
    sources = [encode(array), encode(array, "TIFF"), array, unit(array)]
    for source in sources:
        np.testing.assert_allclose(load_image(source)[0], expected, atol=1e-6)
    premultiplied = Image.fromarray(array).convert("RGBa")
    np.testing.assert_allclose(load_image(premultiplied)[0], expected, atol=2 / 255)


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


def test_icc_profiles():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    array = noise()
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


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(
            frames[0], kind, save_all=True, append_images=frames[1:], **options
        )
        assert load_image(data)[0, 0, 0].tolist() == [1, 0, 0]


# One picture


def test_several_pictures_are_refused_where_one_is_needed():
    batch = np.zeros((2, 16, 16, 3), np.float32)
    for load in (load_one_image, load_mask, read_picture):
        text = message(ValueError, load, batch, name="content_image")
        assert text == ("`content_image` must be one picture. Received: a batch of 2")
    image = unit(noise())[np.newaxis]
    np.testing.assert_array_equal(load_one_image(image, name="image"), image)


def test_masks_are_grey_and_not_black():
    array = noise()
    expected = unit(array).mean(axis=-1, keepdims=True)[np.newaxis]
    np.testing.assert_array_equal(load_mask(array, name="mask"), expected)
    assert message(ValueError, load_mask, array * 0, name="mask") == (
        "`mask` must have something white in it, to show where it applies. "
        "Received: a black picture"
    )


# Bad sources


@pytest.mark.parametrize(
    ("source", "expected", "received"),
    [
        (b"", FILE, "a file of 0 bytes, which is empty"),
        (
            b"hello",
            FILE,
            "a file of 5 bytes, which is not an image that Pillow can read",
        ),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n",
            FILE,
            "a file of 63 bytes, which is PostScript",
        ),
        (
            None,
            "a path, the bytes of an image file, a PIL image or an array",
            "None",
        ),
        (
            [[0.5]],
            "a path, the bytes of an image file, a PIL image or an array",
            "a value of type list",
        ),
        (
            io.StringIO("text"),
            "an open file in binary mode",
            "a value of type StringIO whose read() returned str",
        ),
        ("a\0b.png", "the path of an image file", r"'a\x00b.png'"),
        (
            "no\nsuch.png",
            "a file that can be read",
            r"'no\nsuch.png', which does not exist",
        ),
    ],
)
def test_bad_sources(source, expected, received):
    kind = FileNotFoundError if "does not exist" in received else ValueError
    text = message(kind, load_image, source, name="content_image")
    assert text == f"`content_image` must be {expected}. Received: {received}"


def test_closed_file():
    file = io.BytesIO()
    file.close()
    assert message(ValueError, load_image, file) == (
        "`image` must be an open file in binary mode. "
        "Received: a value of type BytesIO that can't be read"
    )


SHAPES = (
    "an array of shape [H, W], [H, W, C] or [N, H, W, C] with C 1 (grey), "
    "2 (grey and alpha), 3 (RGB) or 4 (RGBA)"
)
DTYPES = (
    "uint8 in [0, 255], uint16 in [0, 65535] or float in [0, 1], "
    "as a path, the bytes of an image file, a PIL image or an array"
)
RANGE = "float in [0, 1] (divide values in [0, 255] by 255)"


@pytest.mark.parametrize(
    ("array", "expected", "received"),
    [
        (np.zeros(9, np.uint8), SHAPES, "uint8 array of shape [9]"),
        (np.float32(1), SHAPES, "float32 array of shape []"),
        (
            np.zeros((1, 1, 16, 16, 3), np.float32),
            SHAPES,
            "float32 array of shape [1, 1, 16, 16, 3]",
        ),
        (np.zeros((3, 16, 16), "u1"), SHAPES, "uint8 array of shape [3, 16, 16]"),
        (np.zeros((16, 16, 0), "u1"), SHAPES, "uint8 array of shape [16, 16, 0]"),
        (
            np.zeros((0, 16, 16, 3), "u1"),
            "an array with pixels in it",
            "uint8 array of shape [0, 16, 16, 3]",
        ),
        (np.zeros((16, 16), "i8"), DTYPES, "int64 array of shape [16, 16]"),
        (np.zeros((16, 16), "u4"), DTYPES, "uint32 array of shape [16, 16]"),
        (np.zeros((16, 16), bool), DTYPES, "bool array of shape [16, 16]"),
        (np.zeros((16, 16), complex), DTYPES, "complex128 array of shape [16, 16]"),
        (np.array([None] * 256), DTYPES, "object array of shape [256]"),
        (
            np.full((16, 16), 255.0),
            RANGE,
            "float64 array of shape [16, 16] with values from 255 to 255",
        ),
        (
            np.linspace(-1, 1, 256).reshape(16, 16),
            RANGE,
            "float64 array of shape [16, 16] with values from -1 to 1",
        ),
        (
            np.full((16, 16), np.nan, np.float32),
            "finite",
            "float32 array of shape [16, 16] with NaN or infinite values",
        ),
        (
            np.full((16, 16), np.inf, np.float16),
            "finite",
            "float16 array of shape [16, 16] with NaN or infinite values",
        ),
        (
            np.zeros((16, 15), "u1"),
            "an image at least 16 pixels wide and 16 high",
            "uint8 array of shape [16, 15], which is 15 wide and 16 high",
        ),
        (
            np.broadcast_to(np.uint8(0), (10_000, 10_000)),
            "an image of at most 89478485 pixels",
            "uint8 array of shape [10000, 10000], which has 100000000 pixels",
        ),
    ],
)
def test_bad_arrays(array, expected, received):
    text = message(ValueError, load_image, array, name="style_image")
    assert text == f"`style_image` must be {expected}. Received: {received}"


def test_one_nan_among_many_values():
    array = smooth()
    array[5, 6, 1] = np.nan
    assert "NaN" in message(ValueError, load_image, array)
    assert "NaN" in message(ValueError, to_pil, array)


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
        file.write(encode(noise(1, 1)))
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
    data = encode(noise(40, 40), kind)
    for keep in (0.3, 0.6, 0.9):
        cut = data[: int(len(data) * keep)]
        text = message(ValueError, load_image, cut)
        assert f"Received: a file of {len(cut)} bytes, which is " in text
    path = tmp_path / "cut.image"
    path.write_bytes(data[: len(data) * 9 // 10])
    text = message(ValueError, load_image, path)
    if kind in ("PNG", "JPEG", "GIF"):
        assert text == (
            "`image` must be a whole image file. "
            f"Received: {str(path)!r}, which is cut off or damaged"
        )


def test_cut_lazy_pil_image():
    with Image.open(io.BytesIO(encode(noise(40, 40))[:2000])) as image:
        assert message(ValueError, load_image, image) == (
            "`image` must be a whole image file. "
            "Received: PIL image of mode RGB, which is cut off or damaged"
        )


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side, monkeypatch):
    decoded = []
    data = png_header(side, side)
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
    data = encode(noise(20, 20))
    assert load_image(data, max_pixels=400).shape == (1, 20, 20, 3)
    assert "has 400 pixels" in message(ValueError, load_image, data, max_pixels=399)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_threads_share_nothing():
    arrays = [noise(seed=seed) for seed in range(4)]
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


# PIL


def test_to_pil_rounds_and_clips():
    values = np.array([0, 0.49, 0.5, 1.49, 1.5, 254.49, 254.5, 255]) / 255
    values = np.concatenate([values, [-3, 7]])
    image = to_pil(np.stack([values] * 3, axis=-1)[np.newaxis, np.newaxis])
    assert image.mode == "RGB"
    assert image.size == (10, 1)
    expected = [0, 0, 1, 1, 2, 254, 255, 255, 0, 255]
    assert np.asarray(image)[0, :, 0].tolist() == expected
    every = np.arange(256).reshape(16, 16, 1).repeat(3, axis=-1) / 255
    for dtype in (np.float16, np.float32, np.float64):
        recovered = np.asarray(to_pil(every.astype(dtype)))
        np.testing.assert_array_equal(recovered, np.round(every * 255))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((16, 16, 4), np.float32),
        np.zeros((16, 16), np.float32),
        np.zeros((0, 16, 3), np.float32),
    ],
)
def test_to_pil_refuses(array):
    assert message(ValueError, to_pil, array, name="stylized_image") == (
        "`stylized_image` must be a float array of shape [1, H, W, 3] or [H, W, 3]. "
        f"Received: {array.dtype} array of shape {list(array.shape)}"
    )


# Saving


def test_save_options_check_themselves():
    assert SaveOptions() == SaveOptions(bits=8, quality=95, keep_gps=False)
    for bits in (1, 12, "16", None, True):
        assert message(ValueError, SaveOptions, bits=bits) == (
            f"`bits` must be 8 or 16. Received: {bits!r}"
        )
    for quality in (0, 101, 9.5, "high", True):
        assert message(ValueError, SaveOptions, quality=quality) == (
            f"`quality` must be an integer from 1 to 100. Received: {quality!r}"
        )
    deep = SaveOptions(bits=16)
    for suffix in SUFFIXES:
        if FORMATS[suffix] in ("PNG", "TIFF"):
            deep.check_format(suffix)
        else:
            assert message(ValueError, deep.check_format, suffix) == (
                f"`bits` must be 8 in a {suffix} file (PNG and TIFF hold 16). "
                "Received: 16"
            )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trips(tmp_path, suffix):
    lossless = suffix in (".png", ".tif", ".tiff")
    array = unit(noise()) if lossless else smooth()
    path = tmp_path / f"out{suffix.upper()}"
    for image in (array, array[np.newaxis], to_pil(array)):
        save_image(image, path)
        np.testing.assert_allclose(
            load_image(path)[0], array, atol=0 if lossless else 0.05
        )
    with Image.open(path) as image:
        assert image.format == FORMATS[suffix]
    assert os.listdir(tmp_path) == [path.name]


def test_jpeg_keeps_full_colour_resolution(tmp_path):
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1, 0, 0
    stripes[:, 1::2] = 0, 0, 1
    save_image(stripes, tmp_path / "out.jpg")
    assert np.abs(load_image(tmp_path / "out.jpg")[0] - stripes).mean() < 0.05
    with Image.open(tmp_path / "out.jpg") as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    fine = os.path.getsize(tmp_path / "out.jpg")
    save_image(stripes, tmp_path / "out.jpg", quality=30)
    assert os.path.getsize(tmp_path / "out.jpg") < fine


def test_pil_images_are_saved_as_they_are_loaded(tmp_path):
    array = noise(2, 3, 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(encode(array, exif=exif.tobytes()))) as image:
        save_image(image, tmp_path / "out.png")
        expected = load_image(image, min_side=1)
    assert expected.shape == (1, 3, 2, 3)
    saved = load_image(tmp_path / "out.png", min_side=1)
    np.testing.assert_allclose(saved, expected, atol=0.5001 / 255)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_are_those_of_open(tmp_path):
    path = tmp_path / "out.png"
    old = os.umask(0o027)
    try:
        save_image(smooth(), path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        save_image(smooth(), path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(old)
    link = tmp_path / "link.png"
    link.symlink_to(path)
    save_image(np.ones((16, 16, 3), np.float32), link)
    assert link.is_symlink()
    assert load_image(path).min() == 1


class Stop(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), Stop()]
)
def test_failed_save_leaves_no_trace(tmp_path, monkeypatch, function, failure):
    def fail(*args):
        raise failure

    path = tmp_path / "out.png"
    monkeypatch.setattr(os, function, fail)
    with pytest.raises((OSError, Stop)):
        save_image(smooth(), path)
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"older")
    with pytest.raises((OSError, Stop)) as caught:
        save_image(smooth(), path)
    assert os.listdir(tmp_path) == ["out.png"]
    assert path.read_bytes() == b"older"
    if isinstance(failure, OSError):
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value) == (
            "`output` must be a path in a folder that can be written to. Received: "
            f"{str(path)!r} in the folder {str(tmp_path)!r}, but the disk is full"
        )


def test_unwritable_folder(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "out.png"
    monkeypatch.setattr("builtins.open", refuse)
    expected = (
        "`output_image` must be a path in a folder that can be written to. Received: "
        f"{str(path)!r} in the folder {str(tmp_path)!r}, but permission was denied"
    )
    name = "output_image"
    assert message(PermissionError, check_output_path, path, name=name) == expected
    assert message(PermissionError, save_image, smooth(), path, name=name) == expected


def test_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    expected = (
        "`output` must be a file that can be written. "
        f"Received: {str(path)!r}, but permission was denied"
    )
    assert message(PermissionError, check_output_path, path) == expected
    assert message(PermissionError, save_image, smooth(), path) == expected
    assert path.read_bytes() == b"older"


def test_bad_output_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder.png")
    missing = os.path.realpath("missing")
    cases = [
        (ValueError, "out.bmp", SUFFIX, "'out.bmp'"),
        (ValueError, "out", SUFFIX, "'out'"),
        (ValueError, ".png", SUFFIX, "'.png'"),
        (ValueError, "", SUFFIX, "''"),
        (ValueError, "a\nb", SUFFIX, r"'a\nb'"),
        (ValueError, "a\0.png", "the path of a file", r"'a\x00.png'"),
        (ValueError, None, SUFFIX, "None"),
        (ValueError, 3, SUFFIX, "a value of type int"),
        (
            FileNotFoundError,
            "missing/out.png",
            "a path in a folder that exists",
            f"'missing/out.png' in the folder {missing!r}, which does not exist",
        ),
        (
            IsADirectoryError,
            "folder.png",
            "a file that can be written",
            "'folder.png', which is a folder",
        ),
    ]
    for kind, path, expected, received in cases:
        text = f"`output` must be {expected}. Received: {received}"
        assert message(kind, check_output_path, path) == text
        assert message(kind, save_image, smooth(), path) == text
    with open("file", "w"):
        pass
    with pytest.raises(NotADirectoryError, match="in a folder that exists"):
        check_output_path("file/out.png")
    with pytest.raises(OSError, match="a file that can be written") as caught:
        check_output_path("x" * 300 + ".png")
    assert caught.value.errno == errno.ENAMETOOLONG
    assert len(str(caught.value)) < 300
    assert sorted(os.listdir()) == ["file", "folder.png"]


def test_good_output_path_is_left_alone(tmp_path):
    path = tmp_path / "out.png"
    check_output_path(path)
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"older")
    check_output_path(str(path))
    assert os.listdir(tmp_path) == ["out.png"]
    assert path.read_bytes() == b"older"


def test_save_refuses(tmp_path):
    path = tmp_path / "out.webp"
    for quality in (0, 101, 9.5, "high"):
        text = message(ValueError, save_image, smooth(), path, quality=quality)
        assert text == (
            f"`quality` must be an integer from 1 to 100. Received: {quality!r}"
        )
    batch = np.zeros((2, 16, 16, 3), np.float32)
    text = message(ValueError, save_image, batch, path)
    assert text.startswith("`image` must be a float array of shape")
    wide = np.zeros((1, 16_384, 3), np.float32)
    assert message(ValueError, save_image, wide, path) == (
        "`output` must be in a format that holds 16384 x 1 pixels. "
        f"Received: {str(path)!r}"
    )
    assert os.listdir(tmp_path) == []
