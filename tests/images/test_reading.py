"""Reading pictures and masks from any source."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.image_files import encode, noise, unit
from tfnst.checks import argument
from tfnst.images.manifest import describe_source
from tfnst.images.reading import (
    load_image,
    load_mask,
    load_one_image,
    read_described,
    read_picture,
)

FILE = "an image file (PNG, JPEG, WebP, TIFF, ...)"


def test_every_source_gives_the_same_pixels(tmp_path):
    array = noise(18, 24, 3)
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


def test_several_pictures_are_refused_where_one_is_needed():
    batch = np.zeros((2, 16, 16, 3), np.float32)
    for load in (load_one_image, load_mask, read_picture):
        text = message(ValueError, argument("content_image")(load), batch)
        assert text == ("`content_image` must be one picture. Received: a batch of 2")
    image = unit(noise(18, 24, 3))[np.newaxis]
    np.testing.assert_array_equal(load_one_image(image), image)


def test_masks_are_grey_and_not_black():
    array = noise(18, 24, 3)
    expected = unit(array).mean(axis=-1, keepdims=True)[np.newaxis]
    np.testing.assert_array_equal(load_mask(array), expected)
    assert message(ValueError, load_mask, array * 0) == (
        "The value must have something white in it, to show where it applies. "
        "Received: a black picture"
    )


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


def test_a_picture_is_read_and_described_in_one_go(tmp_path):
    array = noise(18, 24, 4)
    data = encode(array)
    path = tmp_path / "image.png"
    path.write_bytes(data)
    for source in (path, data, io.BytesIO(data), Image.fromarray(array), array):
        expected = describe_source(source)
        rgb, info, described = read_described(source)
        assert described == expected
        again, same = read_picture(path)
        np.testing.assert_array_equal(rgb, again)
        np.testing.assert_array_equal(info.alpha, same.alpha)
    assert read_described(data, file_name="a.png")[2]["name"] == "a.png"
    said = message(FileNotFoundError, read_described, tmp_path / "no.png")
    assert said.startswith("The value must be a file that can be read. Received: ")
