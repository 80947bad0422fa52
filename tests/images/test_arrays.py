"""Pictures given as arrays and tensors."""

import numpy as np
import pytest

from tests.helpers import message
from tests.image_files import noise, smooth, unit
from tfnst.images.reading import load_image
from tfnst.images.writing import to_pil

SHAPES = (
    "an array of shape [H, W], [H, W, C] or [N, H, W, C] with C 1 (grey), "
    "2 (grey and alpha), 3 (RGB) or 4 (RGBA)"
)
DTYPES = (
    "uint8 in [0, 255], uint16 in [0, 65535] or float in [0, 1], "
    "as a path, the bytes of an image file, a PIL image or an array"
)
RANGE = "float in [0, 1] (divide values in [0, 255] by 255)"


def test_tensors():
    import tensorflow as tf

    array = noise(18, 24, 3)
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


def test_batch_of_arrays_and_own_memory():
    batch = unit(np.stack([noise(18, 24, 3, seed=1), noise(18, 24, 3, seed=2)]))
    loaded = load_image(batch)
    np.testing.assert_array_equal(loaded, batch)
    loaded[:] = 0
    assert batch.any()


def test_channels_of_arrays():
    grey = noise(18, 24)
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


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e5m2", "float8_e4m3fn"])
def test_floats_that_numpy_does_not_know(kind):
    tf = pytest.importorskip("tensorflow")
    array = noise(16, 18, 3) // 64 / np.float32(4)
    tensor = tf.cast(array, getattr(tf.dtypes, kind, None) or kind)
    np.testing.assert_array_equal(load_image(tensor)[0], array)
    np.testing.assert_array_equal(load_image(tensor.numpy())[0], array)
