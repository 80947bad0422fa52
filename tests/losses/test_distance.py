"""What all losses relative to a target have in common."""

import numpy as np
import pytest
import tensorflow as tf

from tests.losses.helpers import central_differences, gradient, random
from tfnst.losses import terms
from tfnst.losses.gram_matrices import gram_matrix, style_loss


@pytest.mark.parametrize("loss", [terms.content_loss, style_loss])
def test_relative_losses(loss):
    shape = (2, 4, 4) if loss is style_loss else (2, 3, 4, 5)
    values = [random(*shape, seed=i) for i in range(2)]
    targets = [random(*shape, seed=10 + i) for i in range(2)]
    axes = tuple(range(1, len(shape)))

    parts = [
        ((v - t) ** 2).sum(axes) / (t**2).sum(axes)
        for v, t in zip(values, targets, strict=True)
    ]
    np.testing.assert_allclose(
        loss(values, targets, layer_weights=[0.25, 0.75]),
        0.25 * parts[0] + 0.75 * parts[1],
    )
    np.testing.assert_allclose(loss(values, targets), (parts[0] + parts[1]) / 2)
    # 0 at the target, 1 at nothing at all.
    np.testing.assert_array_equal(loss(targets, targets), [0, 0])
    np.testing.assert_allclose(loss([0 * t for t in targets], targets), [1, 1])
    # The scale of the activations does not matter.
    np.testing.assert_allclose(
        loss([7 * v for v in values], [7 * t for t in targets]), loss(values, targets)
    )

    def of_first(x):
        return loss([x, values[1]], targets)

    np.testing.assert_allclose(
        gradient(of_first, values[0]),
        central_differences(of_first, values[0]),
        rtol=1e-5,
        atol=1e-9,
    )
    np.testing.assert_array_equal(
        gradient(lambda x: loss([x, targets[1]], targets), targets[0]), 0 * values[0]
    )


def test_losses_do_not_change_with_size():
    small, target = random(1, 4, 4, 3), random(1, 4, 4, 3, seed=1)

    def tiled(x):
        return np.tile(x, (1, 4, 4, 1))

    np.testing.assert_allclose(
        terms.content_loss([tiled(small)], [tiled(target)]),
        terms.content_loss([small], [target]),
    )
    np.testing.assert_allclose(gram_matrix(tiled(small)), gram_matrix(small))


def test_a_target_without_energy_gives_no_nan():
    zeros = tf.zeros([1, 2, 2, 3])
    assert terms.content_loss([zeros], [zeros]).numpy() == [0]
    assert np.isfinite(terms.content_loss([zeros + 1], [zeros])).all()


@pytest.mark.parametrize("loss", [terms.content_loss, style_loss])
def test_shapes_are_never_broadcast(loss):
    with pytest.raises(ValueError, match="compares equal shapes"):
        loss([tf.zeros([2, 4, 4])], [tf.zeros([2, 4, 1])])
    with pytest.raises(ValueError, match="compares equal shapes"):
        loss([tf.zeros([3, 4, 4])], [tf.zeros([2, 4, 4])])
    with pytest.raises(ValueError, match="compares equal shapes"):
        loss([tf.zeros([4, 4])], [tf.zeros([2, 4, 4])])
    with pytest.raises(ValueError, match="as many values"):
        loss([tf.zeros([2, 4, 4])], [])
    with pytest.raises(ValueError, match="as many values"):
        loss([], [])
