"""Pictures that can be laid as tiles: no step where one ends and the next begins."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, muted, needs_bfloat16, paint_in_tiles, picture
from tfnst.engines import loading
from tfnst.engines.engine import Knobs
from tfnst.losses.objective import Targets

# Bright on the right and dark at the bottom.
LIGHT = np.add.outer(np.linspace(0.2, -0.2, 53), np.linspace(-0.15, 0.15, 67))
CONTENT = muted(picture(53, 67, seed=1)) + LIGHT[..., np.newaxis].astype(np.float32)
STYLE = picture(50, 40, seed=2)
SEAMLESS = TINY.replace(seamless=True)


def seams(array):
    """The steps across both seams, relative to the largest of any row and column."""
    ratios = []
    for axis in (0, 1):
        along = np.moveaxis(array.astype(np.float64), axis, 0)
        steps = np.abs(np.diff(along, axis=0, append=along[:1])).mean(axis=(1, 2))
        ratios.append(steps[-1] / steps[:-1].max())
    return ratios


def test_the_edges_of_other_pictures_do_not_fit():
    assert min(seams(CONTENT)) > 3
    assert min(seams(tfnst.stylize(CONTENT, STYLE, config=TINY).array)) > 1.5


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"optimizer": "lbfgs"}, marks=pytest.mark.slow),
        pytest.param(
            {"precision": "bfloat16"}, marks=[pytest.mark.slow, needs_bfloat16]
        ),
        pytest.param(
            {"style_loss": "gram", "pooling": "average"}, marks=pytest.mark.slow
        ),
        {"init_image": "style"},
        {"init_image": "noise"},
        {"preserve_color": "luminance"},
        {"preserve_color": "histogram"},
        {"content_weight": 0.0},
        {"style_strength": 0.0},
        # Sides that no stride divides.
        {"size": 47, "min_size": 33},
    ],
    ids=str,
)
def test_no_step_at_the_seams_is_larger_than_others(settings):
    result = tfnst.stylize(CONTENT, STYLE, config=SEAMLESS.replace(**settings))
    assert max(seams(result.array)) < 1.1


@pytest.mark.slow
def test_tiles_of_a_large_picture_leave_no_seam(monkeypatch):
    paint_in_tiles(monkeypatch)
    assert max(seams(tfnst.stylize(CONTENT, STYLE, config=SEAMLESS).array)) < 1.1


def test_a_given_start_and_an_early_end_leave_no_seam():
    stopped = tfnst.stylize(
        CONTENT,
        STYLE,
        init_image=CONTENT[::-1],
        config=SEAMLESS,
        callback=lambda progress: progress.stop(),
    )
    assert stopped.array.shape == (38, 48, 3)
    assert stopped.losses["size"].max() < 48  # enlarged from the coarse scale
    assert max(seams(stopped.array)) < 1.1


def test_what_is_kept_of_the_photo_fits_too():
    region = np.zeros((16, 16), np.float32)
    region[4:12, 4:12] = 1
    style = tfnst.StyleImage(image=STYLE, region=region)
    kept = tfnst.stylize(CONTENT, style, config=SEAMLESS)
    assert max(seams(kept.array)) < 1.1


def test_regions_go_on_beyond_the_edges():
    """A region at the edges is one region around the corner of four tiles."""
    region = np.ones((16, 16), np.float32)
    region[4:12, 4:12] = 0
    styles = [
        tfnst.StyleImage(image=STYLE, region=region),
        tfnst.StyleImage(image=picture(44, 60, seed=3)),
    ]
    assert max(seams(tfnst.stylize(CONTENT, styles, config=SEAMLESS).array)) < 1.1


def test_a_seam_is_a_place_like_any_other():
    """To the loss and its gradient, a tile is the same wherever it is cut."""
    config = SEAMLESS.replace(total_variation_weight=500)
    engine, _ = loading.load_engine(config)
    style = engine.targets(picture(48, 64)[None], STYLE[None]).style

    def losses_and_gradient(shift):
        content, image = (
            tf.roll(picture(48, 64, seed)[None], shift, axis=[1, 2]) for seed in (1, 2)
        )
        targets = Targets(engine.objective.content_targets(content), style)
        with tf.GradientTape() as tape:
            tape.watch(image)
            losses = engine._losses(image, targets, Knobs.from_config(config))
        back = [-step for step in shift]
        return losses, tf.roll(tape.gradient(losses.total, image), back, axis=[1, 2])

    (losses, gradient), (moved_losses, moved_gradient) = map(
        losses_and_gradient, ([0, 0], [16, 24])
    )
    np.testing.assert_allclose(moved_losses, losses, rtol=1e-4)
    error = np.linalg.norm(moved_gradient - gradient) / np.linalg.norm(gradient)
    assert error < 1e-3
