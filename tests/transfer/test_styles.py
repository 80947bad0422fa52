"""A style may be a blend of several pictures, each with a weight and a size."""

import numpy as np
import pytest

import tfnst
from tests.cli.helpers import TINY_OPTIONS, run_here
from tests.helpers import TINY, assert_alike, picture
from tfnst.cli import styles as command_styles
from tfnst.engines import loading
from tfnst.images import style_images
from tfnst.images.manifest import describe_source, read_manifest
from tfnst.transfer.style_transfer import load_style

CONTENT = picture(60, 80, seed=1)
RED, BLUE = picture(50, 40, seed=2), picture(44, 60, seed=3)
RED[..., 1:] *= 0.3
BLUE[..., :2] *= 0.3


def painted(style_image, **settings):
    return tfnst.stylize(CONTENT, style_image, config=TINY, **settings).array


@pytest.mark.slow
def test_one_picture_with_a_weight_is_that_picture():
    alone = painted(RED)
    for style in ([RED], (RED,), tfnst.StyleImage(image=RED, weight=7)):
        np.testing.assert_array_equal(painted(style), alone)


@pytest.mark.parametrize(
    "style_loss", ["neighbors", pytest.param("gram", marks=pytest.mark.slow)]
)
def test_weights_say_how_much_of_each_goes_in(style_loss):
    config = {"style_loss": style_loss, "content_weight": 0.01, "steps": 20}
    shares = []
    for weights in ((9, 1), (1, 1), (1, 9)):
        style = [
            tfnst.StyleImage(image=image, weight=weight)
            for image, weight in zip((RED, BLUE), weights, strict=True)
        ]
        red, _, blue = painted(style, **config).mean(axis=(0, 1))
        shares.append(red - blue)
    assert shares[0] > shares[1] > shares[2]
    assert shares[0] > 0 > shares[2]


def test_two_equal_pictures_are_one():
    few = {"steps": 2, "initial_steps": 2}
    assert_alike(painted([RED, RED], **few), painted(RED, **few))


def test_each_picture_has_a_size_of_its_own():
    parts = [tfnst.StyleImage(image=RED), tfnst.StyleImage(image=BLUE, scale=0.5)]
    style = load_style(parts, TINY.replace(style_scale=2))
    scales = style.scales((60, 80), TINY)
    assert all(scale.sizes.shape == (3, 2) for scale in scales)
    np.testing.assert_array_equal(scales[-1].sizes, [[36, 48], [96, 77], [35, 48]])
    assert style.pictures[0].shape == (1, 96, 77, 3)
    assert style.pictures[1].shape == (1, 35, 48, 3)


def test_targets_are_worked_out_once():
    painter, _ = loading.load_engine(TINY)
    style = load_style([RED, BLUE], TINY)
    sides = style.scales((60, 80), TINY)[-1].sizes[1:]
    assert style.targets(painter, sides) is style.targets(painter, sides)


def test_a_result_names_every_picture(tmp_path):
    parts = [tfnst.StyleImage(image=RED, weight=2), BLUE]
    result = tfnst.stylize(CONTENT, parts, config=TINY, size=40)
    assert result.manifest["style_image"] == [
        describe_source(RED) | {"weight": 2, "scale": 1.0},
        describe_source(BLUE) | {"weight": 1.0, "scale": 1.0},
    ]
    scaled = tfnst.StyleImage(image=RED, scale=0.5)
    result = tfnst.stylize(CONTENT, scaled, config=TINY, size=40)
    assert result.manifest["style_image"] == describe_source(RED) | {"scale": 0.5}


def test_a_batch_knows_its_blends(tmp_path):
    def statuses(weight):
        blend = [tfnst.StyleImage(image=RED, weight=weight), BLUE]
        items = tfnst.stylize_batch([CONTENT], [blend, RED], tmp_path, config=TINY)
        return [item.status for item in items]

    assert statuses(2) == ["painted", "painted"]
    assert statuses(2) == ["skipped", "skipped"]
    assert statuses(3) == ["painted", "skipped"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: painted([]), "`style_image` must be one picture or more"),
        (lambda: tfnst.StyleImage(image=RED, weight=0), "`weight` must be a number"),
        (lambda: tfnst.StyleImage(image=RED, weight="2"), "`weight` must be a number"),
        (lambda: tfnst.StyleImage(image=RED, scale=9), "`scale` must be a number from"),
        (lambda: painted([RED, "none.png"]), "`style_image` must be a file that"),
    ],
)
def test_bad_styles(make, expected):
    with pytest.raises((ValueError, OSError), match=expected):
        make()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.jpg", ("a.jpg", 1, 1)),
        ("a.jpg:2", ("a.jpg", 2, 1)),
        ("a.jpg:2:0.5", ("a.jpg", 2, 0.5)),
        ("a:b.jpg", ("a:b.jpg", 1, 1)),
        (r"C:\a.jpg:2", (r"C:\a.jpg", 2, 1)),
    ],
)
def test_styles_of_the_command(text, expected):
    assert command_styles._split_style(text) == expected


def test_the_command_blends(monkeypatch, capsys, tmp_path):
    for name, image in (("c", CONTENT), ("r", RED), ("b:2", BLUE)):
        tfnst.save_image(image, tmp_path / f"{name}.png")
    code, _, err = run_here(
        monkeypatch, capsys, tmp_path, "stylize", "c.png", "r.png:3", "b:2.png:1:0.5",
        "-o", "out.png", "--sheet", "sheet.png", *TINY_OPTIONS,
    )  # fmt: skip
    assert code == 0, err
    told = read_manifest(tmp_path / "out.png")["style_image"]
    assert [(t["name"], t["weight"], t["scale"]) for t in told] == [
        ("r.png", 3, 1),
        ("b:2.png", 1, 0.5),
    ]
    parts = [
        tfnst.StyleImage(image=tmp_path / "r.png", weight=3),
        tfnst.StyleImage(image=tmp_path / "b:2.png", scale=0.5),
    ]
    assert len(style_images.style_images(parts)) == 2
    expected = tfnst.stylize(tmp_path / "c.png", parts, config=TINY).array
    out = tfnst.load_image(tmp_path / "out.png")[0]
    np.testing.assert_allclose(out, expected, atol=0.51 / 255)
    assert tfnst.load_image(tmp_path / "sheet.png").shape[1] == 36 + 24


def test_weights_of_any_size_are_relative():
    config = TINY.replace(steps=2, initial_steps=2)
    wanted = tfnst.stylize(CONTENT, blend(1, 2), config=config).array
    for factor in (1e300, 1e-300):
        array = tfnst.stylize(CONTENT, blend(factor, 2 * factor), config=config).array
        assert_alike(array, wanted)
    alone = tfnst.stylize(CONTENT, [RED, RED], config=config).array
    mostly = tfnst.stylize(CONTENT, blend(1e300, 1e-300), config=config).array
    assert_alike(mostly, alone)
    for weight in (1e308, 1e-320):
        config = TINY.replace(style_layer_weights=(weight, weight))
        objective = loading.load_engine(config)[0].objective
        assert list(objective.style_layers.values()) == [0.5, 0.5]


def blend(red, blue):
    return [
        tfnst.StyleImage(image=RED, weight=red),
        tfnst.StyleImage(image=BLUE, weight=blue),
    ]
