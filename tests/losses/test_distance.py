import numpy as np
import pytest
import tensorflow as tf

from tfnst.losses import channel_moments, terms
from tfnst.losses.gram_matrices import blend_gram_matrices, gram_matrix, style_loss


def random(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def central_differences(function, x, step=1e-6):
    """Gradient of the sum of a NumPy-valued function, one element at a time."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = x.copy()
        moved[index] += step
        above = np.sum(function(moved))
        moved[index] -= 2 * step
        gradient[index] = (above - np.sum(function(moved))) / (2 * step)
    return gradient


def gradient(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()


def test_gram_matrix_equals_numpy():
    f = random(2, 5, 3, 4)
    expected = np.einsum("nijc,nijd->ncd", f, f) / 15
    np.testing.assert_allclose(gram_matrix(f), expected, rtol=1e-12)


def test_gram_matrix_of_ones_is_ones_at_any_size():
    for height, width in ((1, 1), (4, 7), (32, 16)):
        np.testing.assert_allclose(
            gram_matrix(tf.ones([1, height, width, 3])), np.ones([1, 3, 3])
        )


def test_gram_matrix_is_symmetric_and_positive_semi_definite():
    gram = gram_matrix(random(1, 3, 3, 16)).numpy()[0]
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram).min() > -1e-12


def test_gram_matrix_is_blind_to_where_things_are():
    f = random(1, 6, 4, 5)
    shuffled = np.random.default_rng(1).permutation(f.reshape(24, 5))
    np.testing.assert_allclose(
        gram_matrix(f), gram_matrix(shuffled.reshape(1, 6, 4, 5))
    )


def test_gram_matrix_gradient():
    f = random(2, 3, 2, 3)
    u = random(2, 3, 3, seed=1)

    def value(x):
        return tf.reduce_sum(gram_matrix(x) * u)

    np.testing.assert_allclose(
        gradient(value, f), central_differences(value, f), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3), (1, 2, 2, 3, 1)])
def test_gram_matrix_refuses_other_ranks(shape):
    with pytest.raises(ValueError, match=r"^`activations` must be of the shape \[N"):
        gram_matrix(tf.zeros(shape))


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


def test_one_style_serves_a_batch():
    grams, target = random(3, 4, 4), random(1, 4, 4, seed=1)
    np.testing.assert_allclose(
        style_loss([grams], [target]),
        [style_loss([gram[None]], [target])[0] for gram in grams],
    )


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


def test_total_variation_of_known_pictures():
    assert terms.total_variation_loss(tf.fill([1, 5, 7, 3], 0.3)).numpy() == [0]
    checkerboard = (np.indices((6, 8)).sum(0) % 2).astype(np.float32)
    board = np.repeat(checkerboard[None, :, :, None], 3, -1)
    np.testing.assert_allclose(terms.total_variation_loss(board), [2])
    stripes = np.zeros((1, 4, 6, 3), np.float32)
    stripes[:, :, ::2] = 1
    np.testing.assert_allclose(terms.total_variation_loss(stripes), [1])
    ramp = np.broadcast_to(np.linspace(0, 1, 11)[None, :, None, None], (1, 11, 4, 3))
    np.testing.assert_allclose(terms.total_variation_loss(ramp), [0.01])


def test_total_variation_gradient():
    x = random(2, 3, 4, 3)
    np.testing.assert_allclose(
        gradient(terms.total_variation_loss, x),
        central_differences(terms.total_variation_loss, x),
        rtol=1e-5,
        atol=1e-9,
    )


def test_total_variation_refuses_other_ranks():
    with pytest.raises(ValueError, match=r"^`image` must be of the shape"):
        terms.total_variation_loss(tf.zeros([4, 4, 3]))


def test_total_loss_is_the_weighted_sum():
    total = terms.total_loss(
        tf.constant([1.0, 2.0]),
        tf.constant([3.0, 4.0]),
        tf.constant([5.0, 6.0]),
        content_weight=0.5,
        style_weight=tf.constant(10.0),
        total_variation_weight=0,
    )
    np.testing.assert_allclose(total, [30.5, 41])


def test_a_blend_has_the_statistics_of_a_collage():
    rng = np.random.default_rng(0)
    pictures = [rng.normal(i, 1 + i, (1, 6, 5, 4)).astype(np.float32) for i in range(3)]
    # As many rows of each picture as it has shares.
    parts = [(1, 1, 0), (2, 1, 1), (0, 0, 1)]
    collages = [
        np.concatenate(
            [np.tile(p, (1, n, 1, 1)) for p, n in zip(pictures, each, strict=True)], 1
        )
        for each in parts
    ]
    shares = np.float32(parts)
    shares /= shares.sum(axis=1, keepdims=True)
    stacked = np.concatenate(pictures)
    blended = channel_moments.blend_moments(channel_moments.moments(stacked), shares)
    grams = blend_gram_matrices(gram_matrix(stacked), shares)
    for k, collage in enumerate(collages):
        mean, covariance = channel_moments.moments(collage)
        np.testing.assert_allclose(blended.mean[k], mean[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            blended.covariance[k], covariance[0], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            grams[k], gram_matrix(collage)[0], rtol=1e-4, atol=1e-5
        )
    # One that is alone is itself, to the last bit.
    for got, alone in zip(blended, channel_moments.moments(stacked), strict=True):
        np.testing.assert_array_equal(got[2], alone[2])
