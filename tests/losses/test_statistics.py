"""A style statistic is one object; whatever paints asks it, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, picture
from tfnst.config import STYLE_LOSSES
from tfnst.engines import loading, plans
from tfnst.losses import channel_moments, statistics
from tfnst.losses.distance import relative_distance
from tfnst.losses.gram_matrices import blend_gram_matrices, gram_matrix

CONTENT, STYLE = picture(40, 48, seed=1), picture(36, 32, seed=2)


class Mean:
    """Styles compared by the mean of each channel only, without sums."""

    additive = False

    def measure(self, activations, weights=None):
        if weights is None:
            return tf.reduce_mean(activations, axis=[1, 2])
        total = tf.reduce_sum(weights * activations, axis=[1, 2])
        return total / tf.reduce_sum(weights, axis=[1, 2])

    def targets(self, measured):
        return measured

    def distance(self, measured, targets, *, layer_weights):
        return relative_distance("mean", measured, targets, layer_weights=layer_weights)

    def blend(self, targets, shares):
        return tf.matmul(shares, targets)

    def spec(self, channels):
        return tf.TensorSpec([None, channels])


@pytest.fixture
def mean(monkeypatch):
    monkeypatch.setitem(statistics._STATISTICS, "gram", Mean())
    loading.forget_engines()
    yield
    loading.forget_engines()


def test_there_is_one_for_each_name_of_the_setting():
    assert set(statistics._STATISTICS) == set(STYLE_LOSSES)


def test_another_statistic_takes_one_line(mean):
    config = TINY.replace(style_loss="gram", content_weight=0)
    half = np.zeros((16, 16), np.float32)
    half[:, :8] = 1
    parts = [
        tfnst.StyleImage(image=STYLE, region=half),
        tfnst.StyleImage(image=STYLE[::-1], weight=2, mask=half),
    ]
    for style in (STYLE, [STYLE, STYLE[::-1]], parts):
        losses = tfnst.stylize(CONTENT, style, config=config).losses["style"]
        assert losses[-1] < 0.5 * losses[0]


def test_what_does_not_add_up_is_not_painted_in_tiles(mean):
    config = TINY.replace(style_loss="gram", max_memory=0.3)
    with pytest.raises(ValueError, match=r"^`max_memory` must be"):
        tfnst.stylize(CONTENT, STYLE, config=config)
    extractor = loading.load_engine(config)[0].feature_extractor
    sides = np.array([[40, 48], [36, 32]])
    assert len(list(plans._plans(extractor, config, sides, 0))) == 1
    whole_and_tiles = plans._plans(
        extractor, config.replace(style_loss="moments"), sides, 0
    )
    assert len(list(whole_and_tiles)) > 1


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
