import math

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import picture
from tfnst.evaluation import measures


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def shuffled(x, seed=1):
    flat = x.reshape(-1, x.shape[-1])
    return np.random.default_rng(seed).permutation(flat).reshape(x.shape)


def test_gram_distance_equals_numpy():
    f, t = random(1, 5, 6, 4), random(1, 3, 7, 4, seed=1)
    g, a = (np.einsum("nijc,nijd->cd", x, x) / x[0, ..., 0].size for x in (f, t))
    expected = np.linalg.norm(g - a) / np.linalg.norm(a)
    np.testing.assert_allclose(measures.gram_distance(f, t), expected)


def test_gram_distance_of_known_pictures():
    f = random(1, 4, 6, 3)
    assert measures.gram_distance(f, f) == 0
    np.testing.assert_allclose(measures.gram_distance(shuffled(f), f), 0, atol=1e-12)
    np.testing.assert_allclose(measures.gram_distance(0 * f, f), 1)
    # Doubling the activations makes the Gram matrix four times as large.
    np.testing.assert_allclose(measures.gram_distance(2 * f, f), 3)
    assert measures.gram_distance(0 * f, 0 * f) == 0


def test_sliced_wasserstein_of_one_channel_is_a_distance_of_sorted_numbers():
    x, y = random(50, 1), random(50, 1, seed=1)
    expected = math.sqrt(np.mean((np.sort(x[:, 0]) - np.sort(y[:, 0])) ** 2))
    distance = measures.sliced_wasserstein_distance(x, y, quantiles=50)
    np.testing.assert_allclose(distance, expected)


def test_sliced_wasserstein_equals_numpy():
    x, y = random(40, 5), random(70, 5, seed=1) + 1
    d = measures._directions(5, 7, 3, tf.float64).numpy()
    np.testing.assert_allclose(np.linalg.norm(d, axis=0), np.ones(7))
    levels = (np.arange(16) + 0.5) / 16
    quantiles = [
        np.quantile(values @ d, levels, axis=0, method="hazen") for values in (x, y)
    ]
    expected = math.sqrt(5 * np.mean((quantiles[0] - quantiles[1]) ** 2))
    distance = measures.sliced_wasserstein_distance(
        x, y, projections=7, quantiles=16, seed=3
    )
    np.testing.assert_allclose(distance, expected)


def test_sliced_wasserstein_of_a_shift_is_its_length():
    x = random(1, 6, 8, 4)
    shift = np.array([3.0, 0, -4, 0])
    for shifted in (x + shift, shuffled(x) + shift):
        distance = measures.sliced_wasserstein_distance(shifted, x)
        np.testing.assert_allclose(distance, 5)
    assert measures.sliced_wasserstein_distance(x, x) == 0


def test_sliced_wasserstein_is_symmetric_seeded_and_blind_to_place_and_number():
    x, y = random(1, 6, 8, 4), random(1, 5, 5, 4, seed=1)

    def distance(a, b, seed=0):
        return float(measures.sliced_wasserstein_distance(a, b, seed=seed))

    assert distance(x, y) == distance(y, x)
    assert distance(x, y) == distance(x, y)
    assert distance(x, y) != distance(x, y, seed=1)
    assert distance(shuffled(x), y) == pytest.approx(distance(x, y), rel=1e-12)
    # Repeating each vector four times doesn't change the distribution.
    fourfold = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
    fine = random(1, 30, 30, 4, seed=2)
    assert distance(np.concatenate([fine] * 4), fine) < 0.02
    assert distance(fourfold, y) == pytest.approx(distance(x, y), rel=0.05)


def test_sliced_wasserstein_refuses_other_channels():
    with pytest.raises(ValueError, match="the same number of channels"):
        measures.sliced_wasserstein_distance(random(4, 3), random(4, 2))


def test_spread_equals_numpy():
    x = random(3, 4, 5)
    expected = math.sqrt(x.reshape(-1, 5).var(axis=0).sum())
    np.testing.assert_allclose(measures.standard_deviation(x), expected)
    np.testing.assert_allclose(measures.standard_deviation(7 * x + 1), 7 * expected)


def test_cosine_distance():
    f, t = np.abs(random(1, 4, 5, 6)), np.abs(random(1, 4, 5, 6, seed=1))
    norms = np.linalg.norm(f, axis=-1) * np.linalg.norm(t, axis=-1)
    np.testing.assert_allclose(
        measures.cosine_distance(f, t), 1 - np.mean((f * t).sum(-1) / norms)
    )
    assert measures.cosine_distance(f, f) == 0
    assert measures.cosine_distance(0 * f, 0 * f) == 0
    np.testing.assert_allclose(measures.cosine_distance(9 * f, f), 0, atol=1e-12)
    np.testing.assert_allclose(measures.cosine_distance(-f, f), 2)
    one, other = np.eye(2)[:, None, None, None, :]
    np.testing.assert_allclose(measures.cosine_distance(one, other), 1)


def test_self_similarity_distance_equals_numpy():
    f, t = random(1, 4, 5, 6), random(1, 4, 5, 6, seed=1)

    def shares(x):
        x = x.reshape(-1, 6)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        distances = 1 - x @ x.T
        np.fill_diagonal(distances, 0)
        return distances / distances.sum(axis=0)

    expected = np.abs(shares(f) - shares(t)).sum(axis=0).mean() / 2
    np.testing.assert_allclose(
        measures.self_similarity_distance(f, t), expected, rtol=1e-5
    )


def test_self_similarity_is_blind_to_colours_but_not_to_places():
    f = random(1, 6, 6, 8)
    assert measures.self_similarity_distance(f, f) == 0
    # Rotated and scaled activations have the same angles between places.
    turned = 3 * f @ np.linalg.qr(random(8, 8, seed=2))[0]
    np.testing.assert_allclose(
        measures.self_similarity_distance(turned, f), 0, atol=1e-6
    )
    assert 0.05 < measures.self_similarity_distance(shuffled(f), f) < 1
    flat = np.ones_like(f)
    assert measures.self_similarity_distance(flat, flat) == 0
    np.testing.assert_allclose(measures.self_similarity_distance(flat, f), 0.5)


def test_self_similarity_averages_over_cells():
    f, t = random(1, 4, 6, 3), random(1, 4, 6, 3, seed=1)
    larger = [np.repeat(np.repeat(x, 3, axis=1), 3, axis=2) for x in (f, t)]
    np.testing.assert_allclose(
        measures.self_similarity_distance(*larger, grid=6),
        measures.self_similarity_distance(f, t),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "measure", [measures.cosine_distance, measures.self_similarity_distance]
)
def test_shapes_are_never_broadcast(measure):
    with pytest.raises(ValueError, match="of the same shape"):
        measure(random(1, 4, 4, 3), random(1, 4, 1, 3))
    with pytest.raises(ValueError, match="with as many channels"):
        measures.gram_distance(random(1, 4, 4, 3), random(1, 4, 4, 1))
    with pytest.raises(ValueError, match=r"\[1, H, W, C\]"):
        measures.gram_distance(random(2, 4, 4, 3), random(2, 4, 4, 3))


def test_laplacian_energy_of_known_pictures():
    ramp = np.add.outer(np.arange(6.0), 2 * np.arange(8.0))[None, ..., None] / 30
    np.testing.assert_allclose(measures.laplacian_energy(ramp), 0, atol=1e-15)
    board = (np.indices((6, 8)).sum(0) % 2).astype(np.float64)[None, ..., None]
    np.testing.assert_allclose(measures.laplacian_energy(board), 1)


def test_clipped_share_counts_pixels():
    image = np.full((1, 4, 5, 3), 0.5)
    assert measures.clipped_share(image) == 0
    image[0, 0, 0] = 1
    image[0, 1, 1, 2] = 0
    image[0, 2, 2] = 1 / 255
    np.testing.assert_allclose(measures.clipped_share(image), 2 / 20)


def test_border_contrast_sees_a_frame():
    image = np.repeat(picture(96, 128)[None].mean(-1, keepdims=True), 3, -1)
    plain = float(measures.border_contrast(image))
    assert 0.5 < plain < 2
    framed = image.copy()
    framed[:, :2] = framed[:, -2:] = framed[:, :, :2] = framed[:, :, -2:] = 0
    assert measures.border_contrast(framed) > 2 * plain
    np.testing.assert_allclose(
        measures.border_contrast(np.full((1, 32, 32, 3), 0.5)), 1
    )
    # A quarter turn or a reflection changes nothing.
    turned = framed.transpose(0, 2, 1, 3)[:, ::-1]
    np.testing.assert_allclose(
        measures.border_contrast(turned), measures.border_contrast(framed), rtol=1e-5
    )
