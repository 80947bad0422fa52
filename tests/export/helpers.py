"""What is exported for these tests, and comparisons with what Python paints."""

import numpy as np

import tfnst
from tests.helpers import TINY, assert_alike

# One step at each scale where a request asks for no more: no time for rounding to grow.
CONFIG = TINY.replace(steps=1, initial_steps=1)
LIMITS = {"max_steps": 100_000, "max_size": 96, "max_pixels": 20_000}


def in_8_bits(array):
    """A picture as a PNG file stores it."""
    return (np.floor(array * 255 + 0.5) / 255).astype(np.float32)


def assert_losses(outputs, expected, i=0, *, rtol=1e-3):
    """The losses of picture `i` are those of the last step of Python's run."""
    for name in ("content", "style", "total"):
        np.testing.assert_allclose(
            outputs[f"{name}_loss"][i],
            expected.losses[-1][name],
            rtol=rtol,
            atol=1e-6,
            err_msg=name,
        )


def assert_gives(outputs, expected, i=0):
    """Picture `i` and its losses are those of Python's run, but for rounding."""
    assert_losses(outputs, expected, i)
    if "image_bytes" in outputs:
        stylized = tfnst.load_image(outputs["image_bytes"])
        assert_alike(stylized[i], in_8_bits(expected.array))
    else:
        assert_alike(outputs["stylized_image"][i], expected.array)
