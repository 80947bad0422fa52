"""Style pictures that count in some of the style layers only."""

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
from tfnst.images.manifest import describe_source, read_manifest
from tfnst.transfer.style_transfer import load_style

CONTENT = picture(60, 80, seed=1)
FINE, COARSE = picture(50, 40, seed=2), picture(44, 60, seed=3)
FINE[..., 1:] *= 0.3
COARSE[..., :2] *= 0.3
FIRST, SECOND = TINY.style_layers
HALF = np.zeros((16, 16), np.float32)
HALF[:, :8] = 1


def targets(parts, config=TINY, shares=None):
    engine, _ = loading.load_engine(config)
    style = load_style(parts, config)
    sides = style.scales((60, 80), config)[-1].sizes[1:]
    return style.targets(engine, sides, shares)


def assert_equal(one, other):
    tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("style_loss", ["neighbors", "moments", "gram"])
def test_each_layer_has_the_targets_of_the_pictures_that_count_in_it(style_loss):
    config = TINY.replace(
        style_loss=style_loss, style_layers=("block1_conv1", "block3_conv1")
    )
    both = targets(
        [
            tfnst.StyleImage(image=FINE, layers="block1_conv1", weight=3),
            tfnst.StyleImage(image=COARSE, layers=["block3_conv1"]),
        ],
        config,
    )
    fine, coarse = (targets([image], config) for image in (FINE, COARSE))
    assert_equal(both["block1_conv1"], fine["block1_conv1"])
    assert_equal(both["block3_conv1"], coarse["block3_conv1"])


def test_weights_are_relative_to_the_pictures_in_a_layer():
    parts = [
        tfnst.StyleImage(image=FINE, weight=1, layers=[FIRST]),
        tfnst.StyleImage(image=COARSE, weight=2),
        tfnst.StyleImage(image=CONTENT, weight=3),
    ]
    found = targets(parts)
    of_all = targets([tfnst.StyleImage(image=p.image, weight=p.weight) for p in parts])
    of_others = targets(
        [tfnst.StyleImage(image=p.image, weight=p.weight) for p in parts[1:]]
    )
    assert_equal(found[FIRST], of_all[FIRST])
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-3),
        found[SECOND],
        of_others[SECOND],
    )


@pytest.mark.slow
def test_one_with_all_layers_is_as_without():
    plain = tfnst.stylize(CONTENT, [FINE, COARSE], config=TINY).array
    named = [tfnst.StyleImage(image=FINE, layers=[SECOND, FIRST]), COARSE]
    np.testing.assert_array_equal(
        tfnst.stylize(CONTENT, named, config=TINY).array, plain
    )


def test_colours_come_from_the_first_layer():
    """The run starts in the colours of those that give the fine strokes."""
    parts = [
        tfnst.StyleImage(image=COARSE, layers=[SECOND], weight=9),
        tfnst.StyleImage(image=FINE, layers=[FIRST]),
    ]
    # The order in which the settings name the layers doesn't matter.
    config = TINY.replace(style_layers=(SECOND, FIRST))
    found = load_style(parts, config).color_moments()
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        found,
        load_style([FINE], config).color_moments(),
    )
    red, _, blue = tfnst.stylize(CONTENT, parts, config=TINY).array.mean(axis=(0, 1))
    assert red > 1.5 * blue


def test_masks_and_regions_have_layers_of_their_own():
    parts = [
        tfnst.StyleImage(image=FINE, region=HALF, layers=[FIRST], mask=HALF),
        tfnst.StyleImage(image=COARSE, region=HALF, layers=[SECOND]),
        tfnst.StyleImage(image=COARSE),
    ]
    shares = load_style(parts, TINY).divide(36, 48).shares
    found = targets(parts, shares=shares)
    masked = targets([tfnst.StyleImage(image=FINE, mask=HALF)])
    coarse = targets([COARSE])
    tf.nest.map_structure(
        lambda two, one, other: np.testing.assert_array_equal(
            two, tf.concat([one, other], axis=0)
        ),
        found[FIRST],
        masked[FIRST],
        coarse[FIRST],
    )
    tf.nest.map_structure(
        lambda two, one: np.testing.assert_array_equal(two, tf.repeat(one, 2, axis=0)),
        found[SECOND],
        coarse[SECOND],
    )
    losses = tfnst.stylize(CONTENT, parts, config=TINY).losses["style"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_tiles_give_what_the_whole_gives(monkeypatch):
    parts = [
        tfnst.StyleImage(image=FINE, layers=[FIRST]),
        tfnst.StyleImage(image=COARSE, layers=[SECOND]),
    ]
    config = TINY.replace(steps=1, initial_steps=1, min_size=48)
    whole = tfnst.stylize(CONTENT, parts, config=config)
    paint_in_tiles(monkeypatch)
    tiled = tfnst.stylize(CONTENT, parts, config=config)
    assert_alike(tiled.array, whole.array)
    assert_same_losses(tiled.losses, whole.losses)


def test_results_and_batches_know_the_layers(tmp_path):
    def statuses(layers):
        parts = [tfnst.StyleImage(image=FINE, layers=layers), COARSE]
        items = tfnst.stylize_batch([CONTENT], [parts], tmp_path, config=TINY)
        return [item.status for item in items]

    assert statuses([FIRST]) == ["painted"]
    assert statuses([FIRST]) == ["skipped"]
    assert statuses([SECOND]) == ["painted"]
    (path,) = tmp_path.glob("*.png")
    fine, coarse = read_manifest(path)["style_image"]
    assert fine == describe_source(FINE) | {
        "weight": 1.0, "scale": 1.0, "layers": [SECOND],
    }  # fmt: skip
    assert "layers" not in coarse


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            [{"layers": ["block3_conv1"]}, {}],
            "`layers` must be among the style layers block1_conv1, block2_conv1. "
            "Received: block3_conv1",
        ),
        (
            [{"layers": [FIRST]}, {"layers": [FIRST]}],
            "`layers` must be chosen so that each style layer has a style. "
            "Received: none for block2_conv1",
        ),
        (
            [{"layers": [FIRST], "region": HALF}, {}],
            "`layers` must be chosen so that each style layer has a style in "
            "one of the regions. Received: none for block2_conv1",
        ),
        (
            [{"layers": [FIRST, FIRST]}],
            f"`layers` must be one or more different layer names. "
            f"Received: {[FIRST, FIRST]}",
        ),
        (
            [{"layers": 3}],
            "`layers` must be one or more different layer names. Received: 3",
        ),
    ],
)
def test_bad_layers(parts, expected):
    def paint():
        styles = [tfnst.StyleImage(image=FINE, **part) for part in parts]
        return tfnst.stylize(CONTENT, styles, config=TINY)

    assert message(ValueError, paint) == expected


def test_the_command_takes_layers_for_each_style(monkeypatch, capsys, tmp_path):
    for name, image in (("c", CONTENT), ("fine", FINE), ("coarse", COARSE)):
        tfnst.save_image(image, tmp_path / f"{name}.png")
    arguments = ["stylize", "c.png", "coarse.png:2", "fine.png", *TINY_OPTIONS]
    code, _, err = run_here(
        monkeypatch, capsys, tmp_path, *arguments, "-o", "out.png", "--quiet",
        "--layers", "-", "--layers", f"{FIRST}, {SECOND}",
    )  # fmt: skip
    assert (code, err) == (0, "")
    coarse, fine = read_manifest(tmp_path / "out.png")["style_image"]
    assert "layers" not in coarse
    assert fine["layers"] == [FIRST, SECOND]
    again = ["--from", "out.png", "-o", "again.png"]
    for layers, expected in (
        ([FIRST, FIRST], "error: `layers` must be chosen so that each style layer"),
        (["x", "-"], "error: `layers` must be among the style layers block1_conv1, "),
        (["", "-"], "error: `layers` must be one or more different layer names."),
        (["-"] * 3, "error: `layers` must be given at most once for each style."),
        ([SECOND], "warning: the style image is not the one that out.png was painted"),
    ):
        options = [option for each in layers for option in ("--layers", each)]
        code, _, err = run_here(
            monkeypatch, capsys, tmp_path, *arguments[:4], *again, *options
        )
        assert code == (0 if "warning" in expected else 2)
        assert f"tfnst: {expected}" in err


def test_a_server_has_no_layers():
    from tfnst.client.requests import ModelChoice, build_request

    part = tfnst.StyleImage(image=FINE, layers=[FIRST])
    assert message(
        ValueError, build_request, ModelChoice("tfnst"), CONTENT, [part, COARSE], {}
    ) == (
        "`layers` must be None for a server, where each style counts in all "
        "layers. Received: ('block1_conv1',)"
    )


def test_has_layer_has_a_former_name():
    part = tfnst.StyleImage(image=CONTENT, layers=FIRST)
    with pytest.warns(DeprecationWarning, match="now called `has_layer`"):
        assert part.speaks_for(FIRST)
    assert not part.has_layer("block4_conv1")
