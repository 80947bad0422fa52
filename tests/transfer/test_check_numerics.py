"""Runs in which TensorFlow checks that all numbers are finite."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, forget_engines, picture


@pytest.fixture
def checked():
    """TensorFlow as `tf.debugging.enable_check_numerics` leaves it."""
    forget_engines()  # Graphs that were traced before aren't checked.
    tf.debugging.enable_check_numerics()
    yield
    tf.debugging.disable_check_numerics()
    forget_engines()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"ema_momentum": 0.0}, id="adam"),
        pytest.param(
            {"optimizer": "lbfgs", "style_loss": "gram", "seamless": True},
            id="lbfgs",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_all_numbers_of_a_run_are_finite(checked, settings):
    thin = np.zeros((32, 40), np.float32)
    thin[:, -1] = 1  # Of the last layer it leaves nothing.
    styles = [
        tfnst.StyleImage(image=picture(32, 32, 1), region=thin),
        tfnst.StyleImage(image=picture(32, 32, 2)),
    ]
    config = TINY.replace(size=40, steps=3, initial_steps=1, **settings)
    for content in (picture(32, 40), np.zeros((32, 40, 3), np.float32)):
        result = tfnst.stylize(content, styles, config=config)
        assert np.isfinite(result.losses["total"]).all()


def test_what_is_not_finite_is_found(checked):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Infinity or NaN"):
        tf.math.log(tf.zeros([]))
