"""Means and covariances of channels against NumPy and closed forms."""

import numpy as np

from tests.losses.helpers import central_differences, gradient, random
from tfnst.losses import channel_moments


def test_moments_equal_numpy():
    f = random(2, 5, 3, 4)
    got = channel_moments.moments(f)
    np.testing.assert_allclose(got.mean, f.mean((1, 2)))
    for n in range(2):
        expected = np.cov(f[n].reshape(15, 4), rowvar=False, bias=True)
        np.testing.assert_allclose(got.covariance[n], expected)


def test_moments_loss():
    values = [channel_moments.moments(random(2, 4, 5, 3, seed=i)) for i in range(2)]
    targets = [
        channel_moments.moments(1 + random(2, 4, 5, 3, seed=9 + i)) for i in range(2)
    ]
    expected = 0
    for weight, value, target in zip((0.25, 0.75), values, targets, strict=True):
        mean = np.sum((value.mean - target.mean) ** 2, 1) / np.sum(target.mean**2, 1)
        covariance = np.sum(
            (value.covariance - target.covariance) ** 2, (1, 2)
        ) / np.sum(target.covariance**2, (1, 2))
        expected += weight * (mean + covariance) / 2
    np.testing.assert_allclose(
        channel_moments.moments_loss(values, targets, layer_weights=[0.25, 0.75]),
        expected,
    )
    np.testing.assert_array_equal(
        channel_moments.moments_loss(targets, targets), [0, 0]
    )
    shared = [
        channel_moments.Moments(*(part[:1] for part in target)) for target in targets
    ]
    np.testing.assert_allclose(
        channel_moments.moments_loss(values, shared)[0],
        channel_moments.moments_loss(values, targets)[0],
    )


def test_moments_loss_gradient():
    target = [channel_moments.moments(random(1, 3, 4, 3, seed=1))]
    x = random(1, 3, 4, 3)

    def value(x):
        return channel_moments.moments_loss([channel_moments.moments(x)], target)

    np.testing.assert_allclose(
        gradient(value, x), central_differences(value, x), rtol=1e-5, atol=1e-9
    )


def test_moments_loss_of_a_target_of_one_colour():
    flat = channel_moments.moments(np.ones([1, 4, 4, 3]))
    assert channel_moments.moments_loss([flat], [flat]).numpy() == [0]
    # A covariance as large as a hundredth of the Gram matrix's energy, 9, is worth 1.
    other = channel_moments.Moments(flat.mean, np.full([1, 3, 3], 0.1))
    np.testing.assert_allclose(channel_moments.moments_loss([other], [flat]), [0.5])
