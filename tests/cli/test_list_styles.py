"""`tfnst styles`, and `tfnst stylize` with a name."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.cli.helpers import names, new_tfnst_command
from tests.training.helpers import untrained
from tfnst.visualization.contact_sheet import LARGEST
from tfnst.visualization.sheet import MARGIN


@pytest.fixture(scope="module")
def network():
    """A network with facts of a training."""
    facts = {"steps": 2000, "photos": 4, "losses": {"total": 3.456}}
    return dataclasses.replace(untrained(), training=facts)


@pytest.fixture
def waves(network, pictures, monkeypatch):
    """A folder for commands, where `waves` is the only built-in style."""
    folder = pictures / "styles"
    folder.mkdir()
    network.save(folder / "waves.keras")
    monkeypatch.setattr("tfnst.built_in.FOLDER", folder)
    return pictures


def test_styles_are_listed(waves, run, network):
    code, out, err = run("styles")
    assert (code, err) == (0, "")
    assert out == "waves           2,000 steps over 4 photos, total loss 3.46\n"
    facts = json.loads(run("styles", "--json")[1])
    assert facts == {"waves": {"style_image": network.style_image, **network.training}}


def test_the_sheet_shows_a_photo_in_each_style(waves, run, network):
    code, _, err = run("styles", "--sheet", "sheet.png", "--photo", "content.png")
    assert (code, err) == (0, "")
    expected = network.stylize(waves / "content.png").image
    expected.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    with Image.open(waves / "sheet.png") as sheet:
        width, height = expected.size
        left = sheet.width - MARGIN - width
        shown = sheet.crop((left, MARGIN, left + width, MARGIN + height))
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--photo", "content.png"], "--photo goes with --sheet"),
        (["--sheet", "sheet.txt"], "`sheet` must be a path that ends in"),
        (["--sheet", "s.png", "--photo", "no.png"], "`photo` must be a file that can"),
        (
            ["--sheet", "content.png", "--photo", "content.png"],
            "`sheet` must be a file other than `photo`",
        ),
    ],
)
def test_bad_input_gets_one_line(waves, run, options, message):
    before = names(waves)
    code, out, err = run("styles", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert names(waves) == before


def test_stylize_takes_a_name(waves, run, network):
    code, out, err = run(
        *("stylize", "content.png", "waves", "-o", "p.png", "--size", "64"),
        *("--sheet", "sheet.png"),
    )
    assert (code, err) == (0, "")
    assert out.startswith("p.png: 64x48 pixels, painted at once in ")
    painted = tfnst.load_image(waves / "p.png")[0]
    expected = network.stylize(waves / "content.png", size=64).array
    np.testing.assert_allclose(painted, expected, atol=0.51 / 255)
    # Content and result, as large as each other.
    with Image.open(waves / "sheet.png") as sheet:
        assert sheet.size == (2 * 64 + 3 * MARGIN, 48 + 2 * MARGIN)


def test_a_name_of_another_style_than_the_repeated_one_is_pointed_out(waves, run):
    untrained(seed=2).save(waves / "styles" / "sea.keras")
    assert run("stylize", "content.png", "waves", "-o", "p.png", "--size", "64")[0] == 0
    told = (
        "tfnst: warning: the style image is not the one that p.png was painted from\n"
    )
    for name, warning in (("waves", ""), ("sea", told), ("styles/sea.keras", told)):
        code, _, err = run(
            "stylize", "content.png", name, "-o", "q.png", "--from", "p.png"
        )
        assert (code, err) == (0, warning)


def test_an_unknown_name_is_refused_before_tensorflow_is_loaded(pictures):
    ended = new_tfnst_command(
        *("stylize", "content.png", "ripples", "-o", "p.png", "-v"), cwd=pictures
    )
    assert ended.returncode == 2
    listed = ", ".join(tfnst.built_in_styles())
    assert ended.stderr == (
        "tfnst: error: `style_image` must be a file, or the name of a built-in style: "
        f"{listed}. Received: 'ripples'\n"
    )
