"""Adam against its formulas."""

import numpy as np
import pytest
import tensorflow as tf

from tfnst.optimizers import adam


@pytest.mark.parametrize("as_tensor", [False, True])
def test_adam_follows_its_formulas(as_tensor):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4))
    params, m, v = tf.constant(x), np.zeros_like(x), np.zeros_like(x)
    rate = tf.constant(0.05, tf.float64) if as_tensor else 0.05
    state = adam.adam_init(params)
    for t in range(1, 101):
        g = rng.normal(size=x.shape)
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        x = x - 0.05 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
        params, state = adam.adam_update(
            params,
            tf.constant(g),
            state,
            learning_rate=rate,
            beta_1=0.8,
            beta_2=0.95,
            epsilon=1e-3,
        )
        np.testing.assert_allclose(params, x, rtol=1e-12)
    assert int(state.step) == 100
    np.testing.assert_allclose(state.second_moment, v, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_adams_first_step_is_the_learning_rate(beta):
    gradients = tf.constant([[1e-3, -7.0, 0.0, 1e6]])
    params, _ = adam.adam_update(
        tf.zeros_like(gradients),
        gradients,
        adam.adam_init(gradients),
        learning_rate=0.1,
        beta_1=beta,
        beta_2=beta,
    )
    assert params.dtype == tf.float32
    np.testing.assert_allclose(params, [[-0.1, 0.1, 0.0, -0.1]], rtol=2e-5)


def test_adam_keeps_the_bounds():
    params, _ = adam.adam_update(
        tf.constant([[0.05, 0.5, 0.95]]),
        tf.constant([[1.0, 1.0, -1.0]]),
        adam.adam_init(tf.zeros([1, 3])),
        learning_rate=0.1,
        lower=0.0,
        upper=1.0,
    )
    np.testing.assert_allclose(params, [[0.0, 0.4, 1.0]], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", tf.zeros([2])),
        ("beta_1", 1.0),
        ("beta_2", -0.1),
        ("epsilon", -1.0),
        ("lower", 1.0),
        ("gradients", tf.zeros([1, 2])),
        ("gradients", tf.zeros([1, 3], tf.float64)),
    ],
)
def test_adam_refuses_wrong_arguments(name, value):
    params = tf.zeros([1, 3])
    arguments = {"gradients": params, "learning_rate": 0.1, "upper": 1.0, name: value}
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received:"):
        adam.adam_update(params, state=adam.adam_init(params), **arguments)
