"""Whole runs that keep the colours of the content."""

import numpy as np
import pytest

import tfnst
from tests.helpers import TINY, assert_alike, assert_grey, grey, picture
from tfnst import config

MODES = config.COLOR_MODES[1:]
CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
# Where sums are added up in another order, which many steps magnify.
FEW = TINY.replace(steps=2, initial_steps=2)


@pytest.mark.parametrize("mode", MODES)
def test_a_grey_content_is_painted_in_grey(mode):
    result = tfnst.stylize(grey(CONTENT), STYLE, config=TINY, preserve_color=mode)
    assert result.config.preserve_color == mode
    assert result.manifest["settings"]["preserve_color"] == mode
    plain = tfnst.stylize(grey(CONTENT), STYLE, config=TINY).array
    left, before = (np.abs(x - grey(x)).mean() for x in (result.array, plain))
    # An untrained network hardly responds to colour.
    assert left < (1e-5 if mode == "luminance" else 0.5 * before)


@pytest.mark.parametrize("mode", MODES)
def test_a_style_transfer_keeps_the_colours_of_each_content(mode):
    style_transfer = tfnst.StyleTransfer(STYLE, config=FEW, preserve_color=mode)
    for content in (CONTENT, 1 - CONTENT**2, CONTENT):
        expected = tfnst.stylize(content, STYLE, config=FEW, preserve_color=mode)
        result = style_transfer.stylize(content)
        np.testing.assert_array_equal(result.array, expected.array)


@pytest.mark.parametrize(
    "mode",
    [
        "transport",
        pytest.param("luminance", marks=pytest.mark.slow),
        pytest.param("histogram", marks=pytest.mark.slow),
    ],
)
def test_pictures_of_a_batch_keep_their_own_colours(mode):
    contents = [CONTENT, 1 - CONTENT**2, grey(CONTENT)]
    items = tfnst.stylize_batch(
        contents, [STYLE], config=FEW, preserve_color=mode, batch_size=3
    )
    for item in items:
        alone = tfnst.stylize(
            item.content_image, STYLE, config=FEW, preserve_color=mode
        )
        assert_alike(item.result.array, alone.array)


def test_pictures_on_the_way_have_the_colours_too():
    seen = []

    def watch(progress):
        seen.append(np.asarray(progress.image(), np.float32) / 255)
        if progress.step >= 8:
            progress.stop()

    result = tfnst.stylize(
        grey(CONTENT), STYLE, config=TINY, preserve_color="luminance",
        callback=watch, callback_steps=4,
    )  # fmt: skip
    assert result.stopped
    assert_grey(result.array, atol=1e-5)
    for array in seen:
        # A value between two levels may be rounded either way.
        assert_grey(array, atol=1 / 255)
    np.testing.assert_allclose(seen[-1], result.array, atol=1 / 255)
