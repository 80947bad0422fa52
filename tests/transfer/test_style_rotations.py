"""Style images that are seen turned and mirrored, too."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.cli.helpers import TINY_OPTIONS, run_here
from tests.helpers import (
    TINY,
    assert_alike,
    assert_same_losses,
    message,
    paint_in_tiles,
    picture,
)
from tfnst.engines import loading
from tfnst.images.manifest import read_manifest
from tfnst.transfer.style_transfer import load_style
from tfnst.transfer.styles import _turned

CONTENT, STYLE, OTHER = (
    picture(60, 80, seed=1),
    picture(50, 40, seed=2),
    picture(44, 60, seed=3),
)
# Both layers; the second one compares neighbours.
CONFIG = TINY.replace(style_layers=("block1_conv1", "block3_conv1"))
MASK = np.zeros((50, 40), np.float32)
MASK[:20, :30] = 1


def turned(array, turn):
    """The same with NumPy."""
    array = array[:, ::-1] if turn >= 4 else array
    return np.rot90(array, turn % 4)


def targets(parts, config=CONFIG):
    engine, _ = loading.load_engine(config)
    style = load_style(parts, config)
    return style.targets(engine, style.scales((60, 80), config)[-1].sizes[1:])


def assert_close(one, other):
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-2), one, other
    )


def test_eight_turns_are_all_different_and_closed():
    small = np.arange(6.0).reshape(1, 2, 3, 1)
    seen = {_turned(tf.constant(small), turn).numpy().tobytes() for turn in range(8)}
    assert len(seen) == 8
    for turn in range(8):
        np.testing.assert_array_equal(
            _turned(tf.constant(small), turn)[0], turned(small[0], turn)
        )


@pytest.mark.parametrize(
    ("rotations", "style_loss"),
    [
        (4, "neighbors"),
        (8, "moments"),
        (2, "gram"),
        *(
            pytest.param(rotations, style_loss, marks=pytest.mark.slow)
            for rotations, style_loss in (
                *((2, "neighbors"), (8, "neighbors"), (2, "moments")),
                *((4, "moments"), (4, "gram"), (8, "gram")),
            )
        ),
    ],
)
def test_turns_are_a_blend_of_turned_pictures(rotations, style_loss):
    config = CONFIG.replace(style_loss=style_loss)
    part = tfnst.StyleImage(image=STYLE, mask=MASK, rotations=rotations)
    blend = [
        tfnst.StyleImage(image=turned(STYLE, turn), mask=turned(MASK, turn))
        for turn in range(rotations)
    ]
    assert_close(targets([part], config), targets(blend, config))


def test_turns_count_together_as_much_as_one_picture():
    parts = [tfnst.StyleImage(image=STYLE, weight=3, rotations=4), OTHER]
    blend = [
        *(tfnst.StyleImage(image=turned(STYLE, n), weight=0.75) for n in range(4)),
        OTHER,
    ]
    assert_close(targets(parts), targets(blend))


def test_a_style_without_a_direction_has_none_after_any_turn():
    """The targets of all quarter turns are those of the picture turned before."""
    config = CONFIG.replace(style_loss="gram")
    one, other = (
        targets([tfnst.StyleImage(image=image, rotations=8)], config)
        for image in (STYLE, turned(STYLE, 5))
    )
    assert_close(one, other)
    plain = targets([STYLE], config)
    layer = "block3_conv1"
    difference = np.linalg.norm(one[layer] - plain[layer])
    assert difference > 0.01 * np.linalg.norm(plain[layer])


def test_strokes_may_run_in_other_directions():
    """With a style of rows, columns cost less once it is also seen turned."""
    rows = np.zeros((48, 48, 3), np.float32)
    rows[::4] = rows[1::4] = 1
    columns = rows.swapaxes(0, 1)
    engine, _ = loading.load_engine(TINY)
    costs = []
    for rotations in (1, 2):
        found = targets([tfnst.StyleImage(image=rows, rotations=rotations)], TINY)
        activations = engine.objective._activations(tf.constant(columns[None]))
        measured = engine.objective.measure_style(activations, found)
        costs.append(float(engine.objective.style_loss(measured, found)[0]))
    assert costs[1] < 0.7 * costs[0]


@pytest.mark.slow
def test_layers_regions_and_tiles_go_with_turns(monkeypatch):
    half = np.zeros((16, 16), np.float32)
    half[:, :8] = 1
    config = TINY.replace(steps=1, initial_steps=1, min_size=48)
    first, second = config.style_layers
    parts = [
        tfnst.StyleImage(image=STYLE, rotations=8, layers=[first]),
        tfnst.StyleImage(image=OTHER, rotations=2, layers=[second]),
        tfnst.StyleImage(image=OTHER, rotations=4, region=half),
    ]
    whole = tfnst.stylize(CONTENT, parts, config=config)
    paint_in_tiles(monkeypatch)
    tiled = tfnst.stylize(CONTENT, parts, config=config)
    assert_alike(tiled.array, whole.array)
    assert_same_losses(tiled.losses, whole.losses)


@pytest.mark.parametrize("rotations", [0, 3, 9, 2.0, True, "4", None])
def test_bad_numbers_are_named(rotations):
    text = message(ValueError, tfnst.StyleImage, image=STYLE, rotations=rotations)
    assert text.startswith("`rotations` must be ")
    assert text.endswith(f"Received: {rotations!r}")


def test_the_command_turns_styles(monkeypatch, capsys, tmp_path):
    for name, image in (("c", CONTENT), ("a", STYLE), ("b", OTHER)):
        tfnst.save_image(image, tmp_path / f"{name}.png")
    arguments = ["stylize", "c.png", "a.png", "b.png", *TINY_OPTIONS, "--quiet"]
    options = ["--style-rotations", "8", "--style-rotations", "-"]
    code, _, err = run_here(
        monkeypatch, capsys, tmp_path, *arguments, "-o", "out.png", *options
    )
    assert (code, err) == (0, "")
    a, b = read_manifest(tmp_path / "out.png")["style_image"]
    assert a["rotations"] == 8
    assert "rotations" not in b
    for value, expected in (
        ("x", "`style_rotations` must be 1, 2, 4 or 8. Received: 'x'\n"),
        ("3", "`rotations` must be 1, 2, 4 or 8. Received: 3\n"),
    ):
        code, _, err = run_here(
            monkeypatch, capsys, tmp_path, *arguments, "-o", "no.png",
            "--style-rotations", value,
        )  # fmt: skip
        assert (code, err) == (2, f"tfnst: error: {expected}")


def test_a_server_turns_nothing():
    from tfnst.client.requests import ModelChoice, build_request

    part = tfnst.StyleImage(image=STYLE, rotations=4)
    assert message(
        ValueError, build_request, ModelChoice("tfnst"), CONTENT, part, {}
    ) == (
        "`rotations` must be 1 for a server, which sees styles as they are. Received: 4"
    )
