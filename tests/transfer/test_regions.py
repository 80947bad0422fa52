"""Masks: where in the picture a style goes, and which part of a style is used."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.cli.helpers import TINY_OPTIONS, run_here
from tests.helpers import (
    TINY,
    assert_alike,
    assert_same_losses,
    paint_in_tiles,
    picture,
)
from tfnst.engines import loading
from tfnst.images.manifest import describe_source, read_manifest
from tfnst.losses import gram_matrices
from tfnst.transfer.run import Run
from tfnst.transfer.style_transfer import load_content, load_style

CONTENT, STYLE = picture(75, 90, 1), picture(66, 83, 2)
RED, BLUE = picture(50, 40, seed=2), picture(44, 60, seed=3)
RED[..., 1:] *= 0.3
BLUE[..., :2] *= 0.3
LEFT = np.zeros((64, 64), np.float32)
LEFT[:, :32] = 1


@pytest.mark.parametrize(
    "style_loss", ["neighbors", pytest.param("gram", marks=pytest.mark.slow)]
)
def test_a_region_of_everything_is_no_region(style_loss):
    white = np.ones((20, 30), np.float32)
    config = TINY.replace(style_loss=style_loss, steps=2, initial_steps=2)
    plain = tfnst.stylize(CONTENT, STYLE, config=config)
    whole = tfnst.StyleImage(image=STYLE, region=white, mask=white)
    masked = tfnst.stylize(CONTENT, whole, config=config)
    assert_alike(masked.array, plain.array)
    assert_same_losses(masked.losses, plain.losses)


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
        result.array[:, right:], content[:, right:].clip(0, 1), atol=1e-5
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
                loop.feature_extractor(picture[None, :, columns]),
                dict.fromkeys(TINY.style_layers),
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
    ("style_loss", "kind", "tiled"),
    [
        ("moments", "region", False),
        pytest.param("moments", "region", True, marks=pytest.mark.slow),
        pytest.param("gram", "mask", False, marks=pytest.mark.slow),
        pytest.param("gram", "mask", True, marks=pytest.mark.slow),
        pytest.param("gram", "region", False, marks=pytest.mark.slow),
        pytest.param("gram", "region", True, marks=pytest.mark.slow),
        pytest.param("moments", "mask", False, marks=pytest.mark.slow),
        pytest.param("moments", "mask", True, marks=pytest.mark.slow),
    ],
)
def test_a_strip_too_thin_for_the_deepest_layer_is_painted(
    style_loss, kind, tiled, monkeypatch
):
    strip = np.zeros((100, 140), np.float32)
    strip[97:] = 1
    part = tfnst.StyleImage(image=STYLE, **{kind: strip})
    config = TINY.replace(
        style_loss=style_loss, style_layers=("block1_conv1", "block4_conv1")
    )
    if tiled:
        paint_in_tiles(monkeypatch, cut="block2_pool", tail_side=12)
    result = tfnst.stylize(CONTENT, part, config=config)
    style = result.losses["style"]
    assert 0 < style[5] < style[0]
    if kind == "region":
        edge = np.abs(result.array - content_at(result.array.shape))
        assert edge[-1].mean() > 0.01
        assert edge[:-4].max() < 1e-6


def content_at(shape):
    return np.asarray(tf.image.resize(
        CONTENT, shape[:2], "lanczos3", antialias=True
    )).clip(0, 1)  # fmt: skip


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"region": LEFT * 0}, "`region` must have something white"),
        ({"mask": LEFT * 0}, "`mask` must have something white"),
        ({"mask": "none.png"}, "`mask` must be a file .* 'none.png', which does not"),
        ({"region": "none.png"}, "`region` must be a file .* 'none.png', which does n"),
        (
            {"mask": {}},
            "`mask` must be a path, the bytes of an image file, a PIL image",
        ),
        ({"region": "a\0"}, "`region` must be the path of"),
        ({"mask": np.array([{}])}, "`mask` must be a path, the bytes"),
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
    contents = [load_content(tmp_path / f"{name}.png", style, TINY) for name in "ab"]
    with pytest.raises(ValueError, match="`region` must be None where several"):
        Run(TINY, contents)


def test_the_command_takes_masks(monkeypatch, capsys, tmp_path):
    for name, image in (("c", CONTENT), ("r", RED), ("b", BLUE), ("l", LEFT)):
        rgb = np.broadcast_to(np.atleast_3d(image), (*image.shape[:2], 3))
        tfnst.save_image(rgb, tmp_path / f"{name}.png")
    code, _, err = run_here(
        monkeypatch, capsys, tmp_path, "stylize", "c.png", "r.png", "b.png",
        "-o", "out.png", "--region", "-", "--region", "l.png",
        "--style-mask", "l.png", *TINY_OPTIONS,
    )  # fmt: skip
    assert code == 0, err
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

    code, out, err = run_here(
        monkeypatch, capsys, tmp_path, "stylize", "c.png", "r.png", "-o", "no.png",
        "--region", "l.png", "--region", "l.png", *TINY_OPTIONS,
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert "`region` must be given at most once for each style" in err
