"""The styles of a command: label maps, and options that exclude each other."""

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.cli.helpers import names
from tests.helpers import TINY, picture
from tests.images.test_label_maps import BLUE, GREEN, RED, stripes
from tfnst.images.manifest import read_manifest

BLACK = (0, 0, 0)


@pytest.fixture
def folder(pictures):
    tfnst.save_image(picture(44, 60, seed=3), pictures / "other.png")
    for name, colors in (
        ("two.png", [BLUE, RED]),
        ("rest.png", [BLUE, BLACK, RED]),
        ("three.png", [BLUE, GREEN, RED]),
    ):
        Image.fromarray(stripes(*colors)).save(pictures / name)
    return pictures


@pytest.mark.slow
def test_a_label_map_gives_each_style_its_region(folder, stylize):
    code, _, err = stylize("other.png:2", "--label-map", "rest.png")
    assert (code, err) == (
        0,
        "tfnst: style.png: #ff0000, 33% of the label map\n"
        "tfnst: other.png: #0000ff, 33% of the label map\n",
    )
    regions = tfnst.label_regions(folder / "rest.png")
    parts = [
        tfnst.StyleImage(image=folder / "style.png", region=regions["#ff0000"]),
        tfnst.StyleImage(
            image=folder / "other.png", region=regions["#0000ff"], weight=2
        ),
    ]
    expected = tfnst.stylize(folder / "content.png", parts, config=TINY).array
    out = tfnst.load_image(folder / "out.png")[0]
    np.testing.assert_allclose(out, expected, atol=0.51 / 255)
    red, blue = read_manifest(folder / "out.png")["style_image"]
    assert (red["region"]["name"], red["region"]["color"]) == ("rest.png", "#ff0000")
    assert blue["region"]["color"] == "#0000ff"
    # The middle is the photo's.
    plain = tfnst.load_image(folder / "content.png")[0]
    middle = np.asarray(Image.fromarray((plain * 255).round().astype(np.uint8)).resize(
        (out.shape[1], out.shape[0]), Image.Resampling.LANCZOS
    ))[:, 20:28] / 255  # fmt: skip
    np.testing.assert_allclose(out[:, 20:28], middle, atol=0.02)


@pytest.mark.slow
def test_colours_can_be_named_and_a_style_can_get_the_rest(folder, stylize):
    code, _, err = stylize(
        "other.png", "--label-map", "three.png", "--label-colors", "-, blue"
    )
    assert (code, err) == (
        0,
        "tfnst: style.png: what the others leave\n"
        "tfnst: other.png: #0000ff, 33% of the label map\n",
    )
    first, second = read_manifest(folder / "out.png")["style_image"]
    assert "region" not in first
    assert second["region"]["color"] == "#0000ff"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--label-map", "three.png"],
            "error: `label_map` must be a picture with at most as many colours as "
            "styles (2), not counting black, unless `label_colors` says which of them "
            "count. Received: 3: #ff0000, #00ff00, #0000ff\n",
        ),
        (
            ["--label-map", "two.png", "--label-colors", "red,blue,-"],
            "error: `label_colors` must be at most one colour for each style. "
            "Received: 3 for 2\n",
        ),
        (
            ["--label-map", "none.png"],
            "error: `label_map` must be a file that can be read. Received: 'none.png'",
        ),
        (
            ["--label-map", "content.png"],
            "error: `label_map` must be a picture of a few flat colours. Received: ",
        ),
        (["--label-colors", "red"], "error: --label-colors needs --label-map\n"),
        (
            ["--label-map", "two.png", "--region", "two.png"],
            "error: --label-map replaces --region\n",
        ),
        (
            ["--label-map", "two.png", "--sheet", "two.png"],
            "error: `sheet` must be a file other than `label_map`. "
            "Received: 'two.png'\n",
        ),
    ],
)
def test_what_does_not_suit_the_styles_is_refused(arguments, expected, folder, stylize):
    before = names(folder)
    code, printed, errors = stylize("other.png", *arguments)
    assert (code, printed, names(folder)) == (2, "", before)
    assert expected in errors


def test_a_style_without_a_colour_needs_a_rest(folder, run):
    code, _, errors = run(
        "stylize", "content.png", "style.png", "other.png", "style.png", "-o",
        "out.png", "--label-map", "two.png",
    )  # fmt: skip
    assert code == 2
    assert errors == (
        "tfnst: error: `label_map` must be a picture with a colour for each of the 3 "
        "styles, or with black for those that have none. Received: 2: #ff0000, "
        "#0000ff\n"
    )
