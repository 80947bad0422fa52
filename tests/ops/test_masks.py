"""Masks: where in the picture a style goes, and which part of a style is used."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.cli.helpers import TINY_OPTIONS, tfnst_command
from tests.helpers import TINY, picture
from tfnst.engines import loading, plans
from tfnst.engines.engine import Knobs
from tfnst.engines.tiled import TiledEngine
from tfnst.images.manifest import describe_source, read_manifest
from tfnst.losses import channel_moments, gram_matrices
from tfnst.losses.objective import Targets
from tfnst.losses.sums import activation_sums
from tfnst.ops.masks import masks_at_stride, resize_mask
from tfnst.transfer.run import Run
from tfnst.transfer.style_transfer import load_job, load_style

CONTENT, STYLE = picture(75, 90, 1), picture(66, 83, 2)
RED, BLUE = picture(50, 40, seed=2), picture(44, 60, seed=3)
RED[..., 1:] *= 0.3
BLUE[..., :2] *= 0.3
LEFT = np.zeros((64, 64), np.float32)
LEFT[:, :32] = 1
SOFT = np.tile(np.linspace(0, 1, 90, dtype=np.float32), (75, 1))


def test_sums_with_weights_are_numpys():
    generator = np.random.default_rng(0)
    seen = generator.normal(size=(1, 4, 5, 3)).astype(np.float32)
    weights = generator.uniform(size=(2, 4, 5, 1)).astype(np.float32)
    sums = activation_sums(seen, weights)
    flat, w = seen.reshape(20, 3), weights.reshape(2, 20)
    np.testing.assert_allclose(sums.count, w.sum(1), rtol=1e-6)
    np.testing.assert_allclose(sums.activations, w @ flat, rtol=1e-5)
    np.testing.assert_allclose(
        sums.products, np.einsum("kp,pc,pd->kcd", w, flat, flat), rtol=1e-5, atol=1e-5
    )
    ones = activation_sums(seen, np.ones((1, 4, 5, 1), np.float32))
    plain = channel_moments.moments(tf.constant(seen))
    for got, expected in zip(channel_moments.moments_of_sums(ones), plain, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_gradient_of_sums_with_weights():
    generator = np.random.default_rng(1)
    seen = tf.constant(generator.normal(size=(1, 3, 4, 2)))
    weights = tf.constant(generator.uniform(size=(2, 3, 4, 1)))

    def function(activations):
        sums = activation_sums(activations, weights)
        mean, covariance = channel_moments.moments_of_sums(sums)
        return tf.reduce_sum(mean**3) + tf.reduce_sum(tf.sin(covariance))

    theory, numeric = tf.test.compute_gradient(function, [seen])
    np.testing.assert_allclose(theory[0], numeric[0], atol=1e-6)


def divided(*masks, weights=None):
    parts = [
        tfnst.StyleImage(image=STYLE, region=mask, weight=weight)
        for mask, weight in zip(masks, weights or [1] * len(masks), strict=True)
    ]
    shares, found, kept = load_style(parts, TINY).divide(64, 64)
    return shares.numpy().tolist(), found.numpy()[..., 0], kept.numpy()[0, ..., 0]


def test_styles_without_a_region_share_the_rest():
    shares, masks, kept = divided(None, LEFT, None, weights=[1, 5, 3])
    assert shares == [[0, 1, 0], [0.25, 0, 0.75]]
    np.testing.assert_allclose(masks, [LEFT, 1 - LEFT], atol=1e-6)
    assert not kept.any()


def test_what_all_regions_leave_is_kept():
    shares, masks, kept = divided(LEFT, LEFT * 0.5)
    assert shares == [[1, 0], [0, 1]]
    # 1 and 0.5 add up to more than the whole.
    np.testing.assert_allclose(masks[:, 4, 0], [2 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(kept, 1 - LEFT, atol=1e-6)
    assert divided(LEFT, LEFT)[0] == [[0.5, 0.5]]
    assert not divided(LEFT, 1 - LEFT)[2].any()


def test_where_nothing_is_left_there_is_no_region():
    shares, masks, kept = divided(LEFT, 1 - LEFT, None)
    assert shares == [[1, 0, 0], [0, 1, 0]]
    assert len(masks) == 2
    assert not kept.any()


def test_masks_are_averaged_over_areas():
    mask = np.float32([[[[1.0], [0.0], [0.0], [0.0]]] * 4])
    np.testing.assert_allclose(resize_mask(mask, 2, 2)[0, 0, :, 0], [0.5, 0])
    pooled = masks_at_stride(tf.constant(np.arange(25.0).reshape(1, 5, 5, 1)), 2)
    np.testing.assert_allclose(pooled[0, ..., 0], [[3, 5], [13, 15]])


@pytest.mark.parametrize("style_loss", ["moments", "gram"])
def test_a_region_of_everything_is_no_region(style_loss):
    white = np.ones((20, 30), np.float32)
    config = TINY.replace(style_loss=style_loss)
    plain = tfnst.stylize(CONTENT, STYLE, config=config)
    whole = tfnst.StyleImage(image=STYLE, region=white, mask=white)
    masked = tfnst.stylize(CONTENT, whole, config=config)
    np.testing.assert_allclose(masked.array, plain.array, atol=0.01)
    np.testing.assert_allclose(masked.losses["style"], plain.losses["style"], rtol=1e-2)


def test_outside_of_the_region_the_photo_is_kept():
    part = tfnst.StyleImage(image=STYLE, region=LEFT)
    result = tfnst.stylize(CONTENT, part, config=TINY)
    full = tfnst.stylize(CONTENT, STYLE, config=TINY).array
    height, width = result.array.shape[:2]
    content = np.asarray(tf.image.resize(
        CONTENT, (height, width), "lanczos3", antialias=True
    ))  # fmt: skip
    right = width // 2 + 2
    np.testing.assert_allclose(
        result.array[:, right:], content[:, right:].clip(0, 1), atol=1e-6
    )
    changed = np.abs(result.array - content)[:, : width // 2 - 2].mean()
    assert changed > 0.5 * np.abs(full - content)[:, : width // 2 - 2].mean()


def test_each_half_gets_its_own_style():
    both = [
        tfnst.StyleImage(image=RED, region=LEFT),
        tfnst.StyleImage(image=BLUE),
    ]
    settings = {"config": TINY, "steps": 40, "style_strength": 1}
    halves = tfnst.stylize(CONTENT, both, **settings).array
    red, blue = (tfnst.stylize(CONTENT, s, **settings).array for s in (RED, BLUE))
    middle = halves.shape[1] // 2

    def distance(one, other, columns):
        loop, _ = loading.load_engine(TINY)
        sums = [
            loop.objective.measure_style(
                loop.feature_extractor(picture[None, :, columns])
            )
            for picture in (one, other)
        ]
        grams = [
            [gram_matrices.gram_of_sums(s) for s in each.values()] for each in sums
        ]
        return float(gram_matrices.style_loss(*grams)[0])

    for columns, own, other in (
        (slice(None, middle), red, blue),
        (slice(middle, None), blue, red),
    ):
        near = distance(halves, own, columns)
        assert near < 0.2 * distance(halves, other, columns)


def test_a_style_is_taken_from_where_its_mask_is_white():
    two = np.concatenate([RED[:44], BLUE[:, :40]], axis=1)
    mask = np.zeros(two.shape[:2], np.float32)
    mask[:, :40] = 1
    config = TINY.replace(preserve_color="none")
    loop, _ = loading.load_engine(config)
    sides = tf.constant(two.shape[:2])
    got = loop.style_targets(two[None], sides, mask[None, ..., None])
    red, blue = (
        loop.style_targets(s[None], tf.constant(s.shape[:2]))
        for s in (RED[:44], BLUE[:, :40])
    )
    for layer in red:
        near, far = (
            np.linalg.norm(got[layer].mean - other[layer].mean) for other in (red, blue)
        )
        assert near < 0.2 * far


@pytest.mark.parametrize(
    "tiles",
    [
        {"cut": None, "head_side": 33},
        {"cut": "block1_pool", "head_side": 20},
        {"cut": "block1_pool", "head_side": 20, "tail_side": 10},
    ],
)
def test_tiles_give_the_gradient_of_the_whole_with_masks(tiles):
    whole, _ = loading.load_engine(TINY, regions=True)
    knobs = Knobs.from_config(TINY)
    content = CONTENT[None]
    image = np.random.default_rng(0).uniform(size=content.shape).astype(np.float32)
    masks = np.stack([SOFT, 1 - SOFT])[..., None]
    mask = SOFT[None, :66, :83, None]
    tiled = TiledEngine(whole, **tiles)
    sides = tf.constant(STYLE.shape[:2])

    def targets(painter):
        each = [
            painter.style_targets(STYLE[None], sides),
            painter.style_targets(STYLE[None], sides, mask),
        ]
        content_targets = (
            whole.objective.content_targets(content)
            if painter is whole
            else tiled.content_targets(content)
        )
        style = tf.nest.map_structure(lambda *s: tf.concat(s, axis=0), *each)
        return Targets(content_targets, style, (masks,))

    with tf.GradientTape() as tape:
        tensor = tf.constant(image)
        tape.watch(tensor)
        expected = whole._losses(tensor, targets(whole), knobs)
    gradient = tape.gradient(expected.total, tensor).numpy()
    measured, got = tiled.losses_and_gradient(image, targets(tiled), knobs)
    np.testing.assert_allclose(measured, expected, rtol=1e-5)
    assert np.linalg.norm(got - gradient) < 1e-5 * np.linalg.norm(gradient)


def test_masks_take_memory_too():
    config = TINY.replace(size=512)
    loop, _ = loading.load_engine(config)
    sides = np.array([[384, 512], [384, 512]])
    plain, masked = (
        plans.build_plan(
            loop.feature_extractor, config, sides, 1e12, regions=count, resident=0
        )
        for count in (0, 2)
    )
    assert masked.peak - plain.peak > 2 * 4 * 384 * 512


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"region": LEFT * 0}, "`region` must have something white"),
        ({"mask": LEFT * 0}, "`mask` must have something white"),
        ({"mask": "none.png"}, "none.png"),
    ],
)
def test_bad_masks_are_refused(part, expected):
    with pytest.raises((ValueError, OSError), match=expected):
        tfnst.stylize(CONTENT, tfnst.StyleImage(image=STYLE, **part), config=TINY)


def test_several_pictures_together_have_no_regions(tmp_path):
    for name in "ab":
        tfnst.save_image(CONTENT, tmp_path / f"{name}.png")
    part = tfnst.StyleImage(image=STYLE, region=LEFT)
    style = load_style(part, TINY)
    jobs = [load_job(tmp_path / f"{name}.png", style, TINY) for name in "ab"]
    with pytest.raises(ValueError, match="`region` must be None where several"):
        Run(TINY, jobs)


def test_the_command_takes_masks(tmp_path):
    for name, image in (("c", CONTENT), ("r", RED), ("b", BLUE), ("l", LEFT)):
        rgb = np.broadcast_to(np.atleast_3d(image), (*image.shape[:2], 3))
        tfnst.save_image(rgb, tmp_path / f"{name}.png")
    done = tfnst_command(
        "stylize", "c.png", "r.png", "b.png", "-o", "out.png", "--region", "-",
        "--region", "l.png", "--style-mask", "l.png", *TINY_OPTIONS, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    red, blue = read_manifest(tmp_path / "out.png")["style_image"]
    source = describe_source(tmp_path / "l.png")
    assert (red["mask"], blue["region"]) == (source, source)
    assert "region" not in red
    parts = [
        tfnst.StyleImage(image=tmp_path / "r.png", mask=tmp_path / "l.png"),
        tfnst.StyleImage(image=tmp_path / "b.png", region=tmp_path / "l.png"),
    ]
    expected = tfnst.stylize(tmp_path / "c.png", parts, config=TINY).array
    out = tfnst.load_image(tmp_path / "out.png")[0]
    np.testing.assert_allclose(out, expected, atol=0.51 / 255)

    done = tfnst_command(
        "stylize", "c.png", "r.png", "-o", "no.png", "--region", "l.png",
        "--region", "l.png", *TINY_OPTIONS, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "`region` must be given at most once for each style" in done.stderr
