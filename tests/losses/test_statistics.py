"""A style statistic is one object; whatever paints asks it, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, picture
from tfnst.config import STYLE_LOSSES
from tfnst.engines import loading
from tfnst.engines.engine import Knobs
from tfnst.engines.tiled import TiledEngine
from tfnst.losses import channel_moments, statistics
from tfnst.losses.distance import relative_distance
from tfnst.losses.gram_matrices import blend_gram_matrices, gram_matrix
from tfnst.losses.objective import Targets
from tfnst.ops.moments import blend_moments

CONTENT, STYLE = picture(40, 48, seed=1), picture(36, 32, seed=2)


class Mean:
    """Styles compared by the mean of each channel only."""

    kept = 0

    def describe(self, activations, weights=None, place=None):
        return self.measure(activations, None, weights)

    def targets(self, described):
        total, count = described
        return total / count[:, None]

    def measure(self, activations, targets, weights=None):
        if weights is None:
            weights = tf.ones_like(activations[..., :1])
        total = tf.reduce_sum(weights * activations, axis=[1, 2])
        return total, tf.reduce_sum(weights, axis=[1, 2, 3])

    def distance(self, measured, targets):
        means = self.targets(measured)
        return relative_distance("mean", [means], [targets], layer_weights=[1.0])

    def blend(self, targets, shares):
        return tf.matmul(shares, targets)

    def spec(self, channels):
        return tf.TensorSpec([None, channels])

    def measured_spec(self, channels, *, regions):
        return tf.TensorSpec([None, channels]), tf.TensorSpec([None])


@pytest.fixture
def mean(monkeypatch):
    monkeypatch.setitem(statistics._STATISTICS, "gram", lambda _: Mean())
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
        STYLE,  # It shares what is left.
    ]
    for style in (STYLE, parts):
        losses = tfnst.stylize(CONTENT, style, config=config).losses["style"]
        assert losses[-1] < 0.5 * losses[0]


def test_tiles_need_nothing_more(mean):
    whole, _ = loading.load_engine(TINY.replace(style_loss="gram"))
    tiled = TiledEngine(whole, cut=None, head_side=16)
    content, style = CONTENT[None], STYLE[None]
    targets = Targets(
        tiled.content_targets(content),
        tiled.style_targets(style, tf.constant(style.shape[1:3])),
    )
    knobs = Knobs.from_config(TINY)
    measured, _, _ = tiled.losses_and_gradient(content, targets, knobs)
    expected = whole.objective.losses(
        tf.constant(content),
        whole.targets(tf.constant(content), tf.constant(style)),
        **knobs.loss_weights(),
    )
    assert expected.style > 0.001
    np.testing.assert_allclose(measured.style, expected.style, rtol=1e-4)


def test_neighbors_are_looked_for_where_a_position_sees_a_stroke():
    strides = {"shallow": 2, "deep": 4}
    kinds = {
        name: [
            type(x).__name__
            for x in statistics.build_statistics(name, strides).values()
        ]
        for name in STYLE_LOSSES
    }
    assert kinds == {
        "neighbors": ["MomentsStatistic", "NeighborsStatistic"],
        "moments": ["MomentsStatistic"] * 2,
        "gram": ["GramStatistic"] * 2,
    }


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
    blended = blend_moments(channel_moments.moments(stacked), shares)
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
