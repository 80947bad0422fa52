"""A style loss is one object, by name or of a user's own."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, assert_alike, message, picture
from tfnst.config import STYLE_LOSSES
from tfnst.engines import loading
from tfnst.engines.engine import Knobs
from tfnst.engines.tiled import TiledEngine
from tfnst.losses import channel_moments, statistics
from tfnst.losses.distance import relative_distance
from tfnst.losses.gram_matrices import blend_gram_matrices, gram_matrix
from tfnst.losses.objective import Targets
from tfnst.losses.style import StyleLoss
from tfnst.ops.moments import blend_moments

CONTENT, STYLE = picture(40, 48, seed=1), picture(36, 32, seed=2)


class MeanColor(StyleLoss):
    """Compares the mean of each channel; knows of no parts of a picture."""

    def describe(self, activations):
        return tf.reduce_mean(activations, axis=[1, 2])

    def distance(self, measured, target):
        return relative_distance("mean", [measured], [target], layer_weights=[1.0])


class Mean(StyleLoss):
    """The same in sums over positions."""

    additive = True

    def describe(self, activations, weights=None, place=None):
        if weights is None:
            weights = tf.ones_like(activations[..., :1])
        total = tf.reduce_sum(weights * activations, axis=[1, 2])
        return total, tf.reduce_sum(weights, axis=[1, 2, 3])

    def target(self, description):
        total, count = description
        return total / count[:, None]

    def distance(self, measured, target):
        means = self.target(measured)
        return relative_distance("mean", [means], [target], layer_weights=[1.0])


HALF = np.zeros((16, 16), np.float32)
HALF[:, :8] = 1
BLEND = [STYLE, tfnst.StyleImage(image=STYLE[::-1], weight=2)]
PARTS = [
    tfnst.StyleImage(image=STYLE, region=HALF),
    tfnst.StyleImage(image=STYLE[::-1], weight=2, mask=HALF),
    STYLE,  # It shares what is left.
]


def test_there_is_one_for_each_name_of_the_setting():
    for name in STYLE_LOSSES:
        assert isinstance(statistics.style_loss_of_layer(name, 1), StyleLoss)


@pytest.mark.parametrize("style", [STYLE, BLEND], ids=["alone", "blend"])
def test_two_methods_are_a_style_loss(style):
    config = TINY.replace(content_weight=0)
    simple = tfnst.stylize(CONTENT, style, config=config, style_loss=MeanColor())
    losses = simple.losses["style"]
    assert losses[-1] < 0.5 * losses[0]
    summed = tfnst.stylize(CONTENT, style, config=config, style_loss=Mean())
    assert_alike(summed.array, simple.array)


def test_one_that_is_not_additive_needs_whole_pictures(monkeypatch, tmp_path):
    config = TINY.replace(style_loss=MeanColor())
    name = "tests.losses.test_statistics.MeanColor"
    expected = (
        "`style_loss` must be `additive` for masks, regions, tiles and exports; see "
        f"`tfnst.losses.StyleLoss`. Received: {name}"
    )
    for style in (PARTS[0], PARTS[1]):
        assert message(ValueError, tfnst.stylize, CONTENT, style, config=config) == (
            expected
        )
    assert message(ValueError, tfnst.export_saved_model, tmp_path, config=config) == (
        expected
    )
    assert not list(tmp_path.iterdir())
    told = message(
        ValueError, tfnst.stylize, CONTENT, STYLE, config=config, max_memory=0.01
    )
    assert "a `style_loss` that isn't `additive`; choose a smaller `size`" in told


def test_an_additive_one_is_computed_for_parts():
    config = TINY.replace(style_loss=Mean(), content_weight=0)
    losses = tfnst.stylize(CONTENT, PARTS, config=config).losses["style"]
    assert losses[-1] < 0.5 * losses[0]


def test_tiles_need_nothing_more():
    whole, _ = loading.load_engine(TINY.replace(style_loss=Mean()))
    tiled = TiledEngine(whole, cut=None, head_side=16)
    content, style = CONTENT[None], STYLE[None]
    targets = Targets(
        tiled.content_targets(content),
        tiled.style_targets(style, tf.constant(style.shape[1:3])),
    )
    weights = Knobs.from_config(TINY).relative_weights()
    measured, gradient, _ = tiled.losses_and_gradient(content, targets, weights)
    assert np.abs(gradient).max() > 0
    expected = whole.objective.losses(
        tf.constant(content),
        whole.targets(tf.constant(content), tf.constant(style)),
        weights,
    )
    assert expected.style > 0.001
    np.testing.assert_allclose(measured.style, expected.style, rtol=1e-4)


@pytest.mark.slow
def test_a_model_with_it_is_exported(tmp_path):
    config = TINY.replace(style_loss=Mean(), steps=2, initial_steps=2)
    path = tfnst.export_saved_model(tmp_path, config=config, max_size=64)
    recorded = json.loads((pathlib.Path(path) / "assets/tfnst.json").read_text())
    assert recorded["config"]["style_loss"] == "tests.losses.test_statistics.Mean"


def test_a_run_with_it_goes_on_where_it_is_passed_again(tmp_path):
    config, path = TINY.replace(style_loss=Mean()), tmp_path / "run.checkpoint"
    whole = tfnst.stylize(CONTENT, STYLE, config=config)
    assert whole.manifest["settings"]["style_loss"] == (
        "tests.losses.test_statistics.Mean"
    )

    def stop(progress):
        if progress.step == 8:
            progress.stop()

    tfnst.stylize(
        CONTENT, STYLE, config=config, checkpoint=path, callback=stop, callback_steps=8
    )
    kept = path.read_bytes()
    told = message(ValueError, tfnst.stylize, CONTENT, STYLE, resume=path)
    assert "`style_loss`" in told
    assert "Mean" in told
    again = {"style_loss": config.style_loss}
    resumed = tfnst.stylize(CONTENT, STYLE, resume=path, **again)
    np.testing.assert_array_equal(resumed.array, whole.array)
    path.write_bytes(kept)
    told = message(ValueError, tfnst.stylize, CONTENT, STYLE, config=TINY, resume=path)
    assert "style_loss" in told


def test_what_is_no_style_loss_is_refused():
    for bad in (Mean, 3, object(), None):
        told = message(ValueError, TINY.replace, style_loss=bad)
        assert told.startswith(
            "`style_loss` must be one of 'neighbors', 'moments', 'gram', or a hashable "
            "object with the methods `describe` and `distance`. Received: "
        )


def test_neighbors_are_looked_for_where_a_position_sees_a_stroke():
    kinds = {
        name: [type(statistics.style_loss_of_layer(name, s)).__name__ for s in (2, 4)]
        for name in STYLE_LOSSES
    }
    assert kinds == {
        "neighbors": ["MomentsLoss", "NeighborsLoss"],
        "moments": ["MomentsLoss"] * 2,
        "gram": ["GramLoss"] * 2,
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
