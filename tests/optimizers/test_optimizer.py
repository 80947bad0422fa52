"""An optimiser is one object; engines and roll-backs ask it, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, picture
from tfnst.config import OPTIMIZERS
from tfnst.engines import loading
from tfnst.optimizers import optimizer

CONTENT, STYLE = picture(40, 48, seed=1), picture(36, 32, seed=2)


class SignDescent:
    """Moves each value by the learning rate, down its slope."""

    elementwise = True
    history_images = 0

    def init(self, image):
        return {"steps": tf.zeros([], tf.int32)}

    def update(self, image, loss, gradients, state, *, learning_rate, done):
        image = image - learning_rate * (1 - done) * tf.sign(gradients)
        return tf.clip_by_value(image, 0, 1), {"steps": state["steps"] + 1}

    def iterate(self, image, state):
        return image

    def last_good(self, state):
        return None


@pytest.fixture
def sign_descent(monkeypatch):
    monkeypatch.setitem(optimizer._OPTIMIZERS, "adam", SignDescent())
    loading.forget_engines()
    yield
    loading.forget_engines()


def test_there_is_one_for_each_name_of_the_setting():
    assert set(optimizer._OPTIMIZERS) == set(OPTIMIZERS)


def test_another_optimizer_takes_one_line(sign_descent, tmp_path):
    config = TINY.replace(learning_rate=0.01)
    whole = tfnst.stylize(CONTENT, STYLE, config=config)
    assert whole.losses["total"][-1] < 0.9 * whole.losses["total"][6]

    def stop(progress):
        if progress.step == 8:
            progress.stop()

    path = tmp_path / "run.ckpt"
    tfnst.stylize(
        CONTENT, STYLE, config=config, checkpoint=path, callback=stop, callback_steps=8
    )
    resumed = tfnst.stylize(CONTENT, STYLE, resume=path)
    np.testing.assert_array_equal(resumed.array, whole.array)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_elementwise_state_is_constant_before_the_first_step(name):
    """Tiles make the state of a large picture from that of one pixel."""
    pair = optimizer.build_optimizer(name)
    if not pair.elementwise:
        assert pair.last_good(pair.init(tf.constant(CONTENT[None]))) is not None
        return
    for tensor in tf.nest.flatten(pair.init(tf.constant(CONTENT[None]))):
        assert tensor.shape in ([], [1, *CONTENT.shape])
        assert not np.any(tensor)
