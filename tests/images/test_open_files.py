"""Open files among pictures."""

import io

import numpy as np
import pytest

import tfnst
from tests.helpers import message
from tests.image_files import encode, noise
from tfnst.images.open_files import read_open_files
from tfnst.images.reading import load_image


def test_each_file_is_read_once():
    data = encode(noise(16, 18, 3))
    file, other = io.BytesIO(data), io.BytesIO(b"other")
    style = tfnst.StyleImage(image=file, mask=other)
    content, [held, plain], path = read_open_files(file, [style, file], "a.png")
    assert content == held.image == plain == data
    assert held.mask == b"other"
    assert path == "a.png"


def test_what_cannot_be_read_is_left_for_the_reader_to_refuse():
    closed, empty, text = io.BytesIO(), io.BytesIO(), io.StringIO("text")
    closed.close()
    assert read_open_files(closed, empty, text) == (closed, empty, text)
    empty.read()
    assert message(ValueError, load_image, empty) == (
        "`image` must be an open file with an image in it. "
        "Received: a value of type BytesIO with nothing left to read"
    )


def test_the_bytes_of_an_array_stay_an_array():
    array = np.zeros((16, 16, 3), np.uint8)
    (held,) = read_open_files(array)
    assert held is array


@pytest.mark.parametrize("source", [b"bytes", None, 5])
def test_other_sources_stay_as_they_are(source):
    assert read_open_files(source) == (source,)
