"""A step that looks at most tiles once gives exact losses and nearly the gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import TINY, picture
from tfnst.engines import loading, sampling
from tfnst.engines.engine import Knobs
from tfnst.engines.tiled import TiledEngine
from tfnst.losses.objective import Targets

CONTENT, STYLE = picture(75, 90, 1)[None], picture(66, 83, 2)[None]


@pytest.mark.parametrize(
    "tiles",
    [
        {"cut": "block1_pool", "head_side": 20, "tail_side": 10},
        pytest.param({"cut": None, "head_side": 33}, marks=pytest.mark.slow),
    ],
)
def test_a_sample_gives_exact_losses_and_nearly_the_gradient(tiles):
    whole, _ = loading.load_engine(TINY)
    tiled = TiledEngine(whole, sample_side=16, **tiles)
    weights = Knobs.from_config(TINY).relative_weights()
    targets = Targets(
        tiled.content_targets(CONTENT), tiled.style_targets(STYLE, STYLE.shape[1:3])
    )
    before = np.random.default_rng(0).uniform(size=CONTENT.shape).astype(np.float32)
    now = 0.99 * before + 0.01 * CONTENT
    losses, gradient, exact = tiled.losses_and_gradient(now, targets, weights)
    _, gradient_before, carried = tiled.losses_and_gradient(before, targets, weights)
    # With what the picture itself gave, nothing has changed.
    same, at_once, again = tiled.losses_and_gradient(now, targets, weights, exact)
    np.testing.assert_allclose(same, losses, rtol=1e-5)
    assert difference(at_once, gradient) < 1e-5
    assert_same_statistics(again, exact)
    # After a step the losses are exact, and so is what is carried over.
    same, guessed, again = tiled.losses_and_gradient(now, targets, weights, carried)
    np.testing.assert_allclose(same, losses, rtol=1e-5)
    assert 1e-5 < difference(guessed, gradient) < 0.03
    assert difference(gradient_before, gradient) > 2.5 * difference(guessed, gradient)
    assert_same_statistics(again, exact)


@pytest.mark.parametrize(
    "optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)]
)
def test_only_what_tiles_carry_is_taken_from_a_checkpoint(optimizer):
    whole, _ = loading.load_engine(TINY.replace(optimizer=optimizer))
    tiled = TiledEngine(whole, cut=None, head_side=33)
    weights = Knobs.from_config(TINY).relative_weights()
    targets = Targets(
        tiled.content_targets(CONTENT), tiled.style_targets(STYLE, STYLE.shape[1:3])
    )
    segment = tiled._head
    spec = sampling.Carried(segment.statistics_spec, segment.statistics_spec)
    arrays = [
        np.ones([length or 1 for length in each.shape], np.float32)
        for each in tf.nest.flatten(spec)
    ]
    carried = sampling.pack_carried(segment, arrays)
    tf.nest.assert_same_structure(carried, spec)
    for others in (
        arrays[:-1],
        [array.astype(np.float64) for array in arrays],
        [array[..., None] for array in arrays],
    ):
        assert sampling.pack_carried(segment, others) is None
    losses, gradient, _ = tiled.losses_and_gradient(CONTENT, targets, weights)
    same, other, kept = tiled.losses_and_gradient(CONTENT, targets, weights, carried)
    np.testing.assert_allclose(same, losses, rtol=1e-5)
    if optimizer == "lbfgs":
        np.testing.assert_array_equal(other, gradient)
        assert kept is None


def test_a_sample_lies_in_all_parts_of_a_picture():
    tiled = TiledEngine(loading.load_engine(TINY)[0], cut=None, head_side=200)
    seen = np.zeros([1, 160, 256, 3], np.float32)
    sample, weight = sampling.sample_tiles(tiled._head, seen, 16)
    # One in 13 of 160, so at least one in each row of 16.
    assert len(sample) == 13
    area = sum(tile.counted[2] * tile.counted[3] for tile in sample)
    assert weight * area == pytest.approx(160 * 256)
    # Tiles at the edges count for somewhat more.
    assert weight == pytest.approx(160 / 13, rel=0.1)
    rows, columns = (
        {tile[side] + tile.counted[side] for tile in sample} for side in (0, 1)
    )
    assert len(rows) == 10
    assert len(columns) >= 6
    again, _ = sampling.sample_tiles(tiled._head, seen, 16)
    assert again == sample


def difference(one, other):
    """How far arrays are apart, relative to the second."""
    return np.linalg.norm(one - other) / np.linalg.norm(other)


def assert_same_statistics(one, other):
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())
