"""Distances to the style's most similar activations, and the statistic made of them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import needs_bfloat16
from tfnst.losses import neighbors
from tfnst.losses.channel_moments import MomentsLoss
from tfnst.losses.neighbors import Neighborhood, NeighborsLoss, nearest_distances
from tfnst.ops.moments import Moments

LOSS = NeighborsLoss()


def random(*shape, seed=0, dtype=np.float32):
    return np.maximum(np.random.default_rng(seed).normal(0.3, 1, shape), 0).astype(
        dtype
    )


def targets_of(activations, weights=None):
    return LOSS.target(LOSS.describe(tf.constant(activations), weights))


def by_hand(activations, targets, weights=None):
    """The same sums in NumPy, [N or K]."""
    sums = []
    for k in range(len(targets.samples)):
        mean = np.asarray(targets.moments.mean[k], np.float64)
        picture = activations[min(k, len(activations) - 1)]
        places = picture.reshape(-1, picture.shape[-1]) - mean
        samples = np.asarray(targets.samples[k], np.float64) - mean
        samples = samples[np.asarray(targets.counts[k]) > 0]
        lengths = (np.linalg.norm(x, axis=1) for x in (places, samples))
        cosines = places @ samples.T / np.outer(*lengths)
        counts = 1 if weights is None else weights[k].ravel()
        sums.append(np.sum(counts * (1 - cosines.max(axis=1))))
    return sums


def test_it_sums_the_distances_to_the_nearest_samples():
    seen, style = random(2, 5, 7, 6, seed=1), random(2, 8, 6, 6, seed=2)
    targets = targets_of(style)
    got = nearest_distances(tf.constant(seen), targets)
    np.testing.assert_allclose(got, by_hand(seen, targets), rtol=1e-5)
    # One style serves both pictures.
    shared = targets_of(style[:1])
    both = by_hand(seen[:1], shared) + by_hand(seen[1:], shared)
    got = nearest_distances(tf.constant(seen), shared)
    np.testing.assert_allclose(got, both, rtol=1e-5)


def test_it_is_zero_at_the_style_wherever_its_places_are():
    style = random(1, 6, 5, 4)
    shuffled = np.random.default_rng(0).permutation(style.reshape(30, 4))
    targets = targets_of(style)
    for same in (style, shuffled.reshape(1, 5, 6, 4)):
        np.testing.assert_allclose(
            nearest_distances(tf.constant(same), targets), [0], atol=1e-5
        )
        measured = LOSS.measure(tf.constant(same), targets)
        np.testing.assert_allclose(LOSS.distance(measured, targets), [0], atol=1e-6)


def test_its_gradient_is_that_of_finite_differences():
    style = random(1, 4, 4, 5, seed=3, dtype=np.float64)
    mean = style.mean(axis=(1, 2))
    targets = Neighborhood(
        Moments(tf.constant(mean), None),
        tf.constant(style.reshape(1, 16, 5)),
        tf.ones([1, 16], tf.float64),
    )
    seen = random(1, 2, 3, 5, seed=4, dtype=np.float64)
    masks = np.random.default_rng(5).uniform(size=(2, 2, 3, 1))
    of_regions = Neighborhood(
        Moments(tf.concat([mean, mean + 0.1], axis=0), None),
        tf.concat([targets.samples, targets.samples * 0.9], axis=0),
        tf.ones([2, 16], tf.float64),
    )
    for each, weights in ((targets, None), (of_regions, tf.constant(masks))):

        def total(x, each=each, weights=weights):
            return tf.reduce_sum(nearest_distances(x, each, weights))

        x = tf.constant(seen)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = total(x)
        gradient = tape.gradient(value, x).numpy()
        for place in np.ndindex(seen.shape):
            step = np.zeros_like(seen)
            step[place] = 1e-6
            slope = (total(seen + step) - total(seen - step)) / 2e-6
            assert gradient[place] == pytest.approx(float(slope), abs=1e-5)


def test_each_region_has_its_own_style_and_counts_by_its_mask():
    seen, style = random(1, 5, 7, 6, seed=1), random(2, 8, 6, 6, seed=2)
    masks = np.random.default_rng(5).uniform(size=(2, 5, 7, 1)).astype(np.float32)
    targets = targets_of(style)
    got = nearest_distances(tf.constant(seen), targets, tf.constant(masks))
    np.testing.assert_allclose(got, by_hand(seen, targets, masks), rtol=1e-5)
    measured = LOSS.measure(tf.constant(seen), targets, tf.constant(masks))
    plain = MomentsLoss()
    sums = plain.measure(tf.constant(seen), None, tf.constant(masks))
    np.testing.assert_allclose(
        LOSS.distance(measured, targets),
        plain.distance(sums, targets.moments) + got / masks.sum(axis=(1, 2, 3)),
        rtol=1e-5,
    )


def test_what_the_style_mask_leaves_out_is_no_neighbour():
    style = random(1, 6, 8, 4)
    mask = np.zeros((1, 6, 8, 1), np.float32)
    mask[:, :, :4] = 1
    targets = targets_of(style, tf.constant(mask))
    inside = targets_of(style[:, :, :4])
    np.testing.assert_allclose(targets.moments.mean, inside.moments.mean, rtol=1e-5)
    got = nearest_distances(tf.constant(style), targets)
    np.testing.assert_allclose(got, by_hand(style, inside), rtol=1e-5)
    assert got[0] > 1


def test_the_descriptions_of_tiles_add_up_to_that_of_the_picture():
    style = random(1, 9, 11, 4)
    mask = np.random.default_rng(1).uniform(size=(1, 9, 11, 1)).astype(np.float32)
    for weights in (None, mask):
        whole = LOSS.describe(tf.constant(style), weights)
        parts = []
        for top, bottom in ((0, 4), (4, 9)):
            for left, right in ((0, 6), (6, 11)):
                here = np.s_[:, top:bottom, left:right]
                share = None if weights is None else tf.constant(weights[here])
                place = tf.constant([top, left, 9, 11])
                parts.append(LOSS.describe(tf.constant(style[here]), share, place))
        added = tf.nest.map_structure(lambda *each: sum(each), *parts)
        for got, expected in zip(
            tf.nest.flatten(added), tf.nest.flatten(whole), strict=True
        ):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_blend_takes_as_many_samples_of_each_picture_as_its_share():
    style = np.stack([np.full((4, 5, 3), value, np.float32) for value in (1, 2, 4)])
    shares = tf.constant([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    blended = LOSS.blend(targets_of(style), shares)
    for k, (one, two, four) in enumerate(shares.numpy()):
        values = blended.samples[k, :, 0].numpy()
        found = [np.mean(values == value) for value in (1, 2, 4)]
        np.testing.assert_allclose(found, [one, two, four], atol=0.01)
    np.testing.assert_allclose(blended.moments.mean[0], [1.9] * 3, rtol=1e-6)
    assert np.all(blended.counts == 1)


@needs_bfloat16
def test_sixteen_bits_give_nearly_the_same():
    seen, style = random(1, 8, 8, 16, seed=1), random(1, 9, 7, 16, seed=2)
    results = []
    for dtype in (tf.float32, tf.bfloat16):
        targets = targets_of(tf.cast(style, dtype).numpy())
        x = tf.cast(seen, dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            distance = nearest_distances(x, targets)
        gradient = tape.gradient(distance, x)
        assert distance.dtype == tf.float32
        assert gradient.dtype == dtype
        results.append((float(distance[0]), tf.cast(gradient, tf.float32).numpy()))
    (exact, slope), (rounded, rounded_slope) = results
    assert rounded == pytest.approx(exact, rel=0.01)
    assert np.sum(slope * rounded_slope) / np.sum(slope * slope) == pytest.approx(
        1, abs=0.05
    )


def test_the_samples_are_spread_evenly():
    inside, where = neighbors._sample_places(
        tf.constant([0, 0, 32, 64]), tf.constant([1, 32, 64, 3])
    )
    assert np.all(inside)
    quarters = np.histogram2d(
        *np.transpose(where), bins=[4, 4], range=[[0, 32], [0, 64]]
    )[0]
    assert quarters.min() >= 0.8 * neighbors.SAMPLES / 16
    assert len(set(map(tuple, where.numpy()))) > 0.95 * neighbors.SAMPLES
