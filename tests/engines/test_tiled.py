"""Tiles give the losses, gradients and pictures that the whole gives."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import (
    TINY,
    assert_alike,
    assert_same_losses,
    paint_in_tiles,
    picture,
)
from tfnst import StyleTransferConfig
from tfnst.engines import loading
from tfnst.engines import tiled as tiled_module
from tfnst.engines.engine import Knobs
from tfnst.losses.objective import Targets

DEEP = StyleTransferConfig(weights=None, precision="float32")
CONTENT, STYLE = picture(75, 90, 1)[None], picture(66, 83, 2)[None]
# How far a picture may lie from one with exact gradients on average, and its losses.
GUESSED = 0.015, 0.12
# Tiles add up in another order, which many steps magnify.
FEW = TINY.replace(steps=2, initial_steps=2)
SOFT = np.tile(np.linspace(0, 1, 90, dtype=np.float32), (75, 1))


def whole_gradient(whole, image, targets, knobs):
    image = tf.constant(image)
    with tf.GradientTape() as tape:
        tape.watch(image)
        measured = whole._losses(image, targets, knobs)
    return measured, tape.gradient(measured.total, image).numpy()


def compare(config, content, style, tolerance, temporal=None, **tiles):
    """Asserts that tiles of a kind give what the whole gives, for a random picture."""
    whole, _ = loading.load_engine(config)
    knobs = Knobs.from_config(config)
    image = np.random.default_rng(0).uniform(size=content.shape).astype(np.float32)
    targets = whole.targets(tf.constant(content), tf.constant(style))
    expected, gradient = whole_gradient(
        whole, image, targets._replace(temporal=temporal), knobs
    )
    tiled = tiled_module.TiledEngine(whole, **tiles)
    targets = Targets(
        tiled.content_targets(content),
        tiled.style_targets(style, style.shape[1:3]),
        temporal=temporal,
    )
    measured, got, _ = tiled.losses_and_gradient(
        image, targets, knobs.relative_weights()
    )
    np.testing.assert_allclose(measured, expected, rtol=1e-5)
    for of_tiles, of_whole in zip(got, gradient, strict=True):
        error = np.linalg.norm(of_tiles - of_whole) / np.linalg.norm(of_whole)
        assert error < tolerance


HEADS = {"cut": None, "head_side": 33}
HEADS_AND_TAIL = {"cut": "block1_pool", "head_side": 20}
HEADS_AND_TAILS = {"cut": "block1_pool", "head_side": 20, "tail_side": 10}
ONE_OF_EACH = {"cut": "block1_pool", "head_side": 1000, "tail_side": 1000}


@pytest.mark.parametrize(
    ("style_loss", "tiles"),
    [
        ("moments", HEADS_AND_TAILS),
        ("gram", HEADS),
        pytest.param("moments", HEADS, marks=pytest.mark.slow),
        pytest.param("moments", HEADS_AND_TAIL, marks=pytest.mark.slow),
        pytest.param("moments", ONE_OF_EACH, marks=pytest.mark.slow),
        pytest.param("gram", HEADS_AND_TAIL, marks=pytest.mark.slow),
        pytest.param("gram", HEADS_AND_TAILS, marks=pytest.mark.slow),
        pytest.param("gram", ONE_OF_EACH, marks=pytest.mark.slow),
    ],
)
def test_tiles_give_the_gradient_of_the_whole(style_loss, tiles):
    config = TINY.replace(style_loss=style_loss)
    compare(config, CONTENT, STYLE, 1e-5, **tiles)


DEEP_TILES = {"cut": "block3_pool", "head_side": 48, "tail_side": 8}


@pytest.mark.parametrize(
    ("pooling", "tiles"),
    [
        pytest.param("max", DEEP_TILES, marks=pytest.mark.slow),
        pytest.param("average", DEEP_TILES, marks=pytest.mark.slow),
        *(
            pytest.param(
                pooling, {"cut": "block2_pool", "head_side": 48}, marks=pytest.mark.slow
            )
            for pooling in ("max", "average")
        ),
    ],
)
def test_tiles_of_the_whole_network_know_how_far_it_sees(pooling, tiles):
    # A halo that is one pixel too narrow gives errors of 1e-3 and more.
    config = DEEP.replace(pooling=pooling)
    compare(config, picture(107, 138, 1)[None], picture(75, 66, 2)[None], 1e-4, **tiles)


def test_tiles_hold_a_frame_to_the_ones_before():
    weights = 1000 * SOFT[np.newaxis, ..., np.newaxis]
    temporal = picture(75, 90, 5)[None], weights
    tiles = {"cut": "block1_pool", "head_side": 20, "strip": 20}
    compare(TINY, CONTENT, STYLE, 1e-5, temporal, **tiles)


@pytest.mark.parametrize(
    ("tiles", "rows"),
    [
        (HEADS_AND_TAILS, 25),
        *(
            pytest.param(tiles, rows, marks=pytest.mark.slow)
            for tiles in (HEADS, HEADS_AND_TAILS)
            for rows in (20, 256)
        ),
    ],
)
def test_tiles_of_a_seamless_picture(tiles, rows):
    seamless = TINY.replace(seamless=True)
    compare(seamless, CONTENT, STYLE, 1e-5, strip=rows, **tiles)


@pytest.mark.slow
def test_tiles_of_several_pictures():
    content = np.stack([picture(40, 52, seed) for seed in (1, 2)])
    style = np.stack([picture(50, 44, seed) for seed in (3, 4)])
    compare(TINY, content, style, 1e-5, cut="block1_pool", head_side=16, tail_side=6)


@pytest.mark.parametrize(
    ("content_layer", "style_layer", "tiles"),
    [
        ("block1_conv2", "block2_conv1", {"cut": "block1_pool", "tail_side": 9}),
        pytest.param(
            *("block1_conv1", "block1_conv2", {"cut": None}), marks=pytest.mark.slow
        ),
        pytest.param(
            *("block2_conv2", "block2_conv1", {"cut": "block1_pool"}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_layers_on_one_side_of_the_cut_only(content_layer, style_layer, tiles):
    config = TINY.replace(content_layers=content_layer, style_layers=style_layer)
    compare(config, CONTENT, STYLE, 1e-5, head_side=24, **tiles)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["content_weight", "style_weight"])
def test_a_loss_alone(loss):
    weights = dict.fromkeys(
        ("content_weight", "style_weight", "total_variation_weight"), 0
    )
    config = TINY.replace(**weights | {loss: 2.0})
    compare(config, CONTENT, STYLE, 1e-5, cut="block1_pool", head_side=24, tail_side=9)


@pytest.fixture
def in_tiles(monkeypatch):
    """Has everything painted in tiles; returns the sides that were planned."""
    return paint_in_tiles(monkeypatch)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"optimizer": "lbfgs"}, marks=pytest.mark.slow),
        pytest.param({"seamless": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_run_in_tiles_gives_the_picture_of_a_run_without(settings, monkeypatch):
    planned = paint_in_tiles(monkeypatch, strip=7, sample_side=8)
    given = []
    real = tiled_module.TiledEngine.losses_and_gradient

    def losses_and_gradient(self, image, targets, weights, carried=None):
        given.append((image.shape[1], carried is not None))
        return real(self, image, targets, weights, carried)

    monkeypatch.setattr(
        tiled_module.TiledEngine, "losses_and_gradient", losses_and_gradient
    )
    config = FEW.replace(**settings)
    tiled = tfnst.stylize(CONTENT, STYLE, config=config)
    assert planned == [(28, 34), (40, 48)]
    # Only the first step of a scale looks at all tiles twice, and each of L-BFGS.
    once = config.optimizer == "adam"
    assert given == [(28, False), (28, once), (40, False), (40, once)]
    with pytest.MonkeyPatch.context() as patch:
        paint_in_tiles(patch, None, None, None)
        whole = tfnst.stylize(CONTENT, STYLE, config=config)
    for name in ("step", "size"):
        np.testing.assert_array_equal(tiled.losses[name], whole.losses[name])
    if config.optimizer == "lbfgs":
        assert_alike(tiled.array, whole.array)
        assert_same_losses(tiled.losses, whole.losses)
    else:
        # Adam's gradients of the style are guessed after the first step of a scale.
        mean, rtol = GUESSED
        assert_alike(tiled.array, whole.array, mean=mean)
        assert_same_losses(tiled.losses[:2], whole.losses[:2])
        assert_same_losses(tiled.losses, whole.losses, rtol=rtol)


@pytest.mark.slow
def test_a_strip_is_as_good_as_a_picture(in_tiles, monkeypatch):
    config = TINY.replace(steps=1, initial_steps=1)
    whole = tfnst.stylize(CONTENT, STYLE, config=config)
    paint_in_tiles(monkeypatch, strip=7)
    strips = tfnst.stylize(CONTENT, STYLE, config=config)
    # A row's place in a strip is rounded, and with it what it is enlarged from.
    assert_alike(whole.array, strips.array, mean=1e-4)
    assert_same_losses(whole.losses, strips.losses)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_tiles_too(in_tiles, monkeypatch):
    real = tiled_module.TiledEngine.losses_and_gradient

    def losses_and_gradient(*arguments):
        measured, gradient, carried = real(*arguments)
        return measured, np.float32("nan") * gradient, carried

    monkeypatch.setattr(
        tiled_module.TiledEngine, "losses_and_gradient", losses_and_gradient
    )
    config = TINY.replace(init_image="noise", min_size=48)
    with pytest.raises(tfnst.NonFiniteLossError, match="no longer finite") as caught:
        tfnst.stylize(CONTENT, STYLE, config=config)
    assert np.isfinite(caught.value.result.array).all()


def test_a_callback_sees_the_picture_in_tiles(in_tiles):
    sizes = []

    def stop(progress):
        sizes.append(progress.image().size)
        progress.stop()

    config = TINY.replace(steps=1, initial_steps=1)
    result = tfnst.stylize(CONTENT, STYLE, config=config, callback=stop)
    assert result.stopped
    assert sizes == [(34, 28)]
    assert result.array.shape == (40, 48, 3)


@pytest.mark.parametrize(
    ("tiles", "seamless"),
    [
        (HEADS_AND_TAILS, True),
        pytest.param(HEADS_AND_TAILS, False, marks=pytest.mark.slow),
        *(
            pytest.param(tiles, seamless, marks=pytest.mark.slow)
            for tiles in (HEADS, HEADS_AND_TAIL)
            for seamless in (False, True)
        ),
    ],
)
def test_tiles_give_the_gradient_of_the_whole_with_masks(tiles, seamless):
    whole, _ = loading.load_engine(TINY.replace(seamless=seamless))
    knobs = Knobs.from_config(TINY)
    content = CONTENT
    image = np.random.default_rng(0).uniform(size=content.shape).astype(np.float32)
    masks = np.stack([SOFT, 1 - SOFT])[..., None]
    mask = SOFT[None, :66, :83, None]
    tiled = tiled_module.TiledEngine(whole, **tiles)
    sides = tf.constant(STYLE.shape[1:3])

    def targets(painter):
        each = [
            painter.style_targets(STYLE, sides),
            painter.style_targets(STYLE, sides, mask),
        ]
        content_targets = (
            whole.objective.content_targets(content)
            if painter is whole
            else tiled.content_targets(content)
        )
        style = tf.nest.map_structure(lambda *s: tf.concat(s, axis=0), *each)
        return Targets(content_targets, style, whole.objective.see_regions(masks))

    with tf.GradientTape() as tape:
        tensor = tf.constant(image)
        tape.watch(tensor)
        expected = whole._losses(tensor, targets(whole), knobs)
    gradient = tape.gradient(expected.total, tensor).numpy()
    measured, got, _ = tiled.losses_and_gradient(
        image, targets(tiled), knobs.relative_weights()
    )
    np.testing.assert_allclose(measured, expected, rtol=1e-5)
    assert np.linalg.norm(got - gradient) < 1e-5 * np.linalg.norm(gradient)
