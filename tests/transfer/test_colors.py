"""The content image in the colours of the styles, before anything is painted."""

import numpy as np
import tensorflow as tf

import tfnst
from tests.helpers import TINY, assert_alike, muted, picture
from tfnst.ops import color_transfer
from tfnst.ops.color_transfer import color_moments

CONTENT, STYLE = picture(40, 48, seed=1), picture(36, 32, seed=2)
# Nothing is painted: what comes out is what the run started from.
STILL = TINY.replace(
    learning_rate=1e-6, steps=1, initial_steps=1, min_size=48, style_weight=1e6
)


def moments(array, mask=None):
    return color_moments(tf.constant(array[None]), mask)


def assert_same_colors(got, expected, atol=0.005):
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


def test_a_run_starts_from_the_content_in_the_colours_of_the_style():
    content, style = muted(CONTENT), muted(STYLE, 0.5) * [1, 0.7, 0.4]
    style = style.astype(np.float32)
    start = tfnst.stylize(content, style, config=STILL).array
    assert_same_colors(moments(start), moments(style))
    # The same places are lighter than others as before.
    shades = [x.mean(axis=-1).ravel() for x in (start, content)]
    assert np.corrcoef(*shades)[0, 1] > 0.9


def test_the_weights_say_how_far_the_colours_go():
    content, style = muted(CONTENT), muted(STYLE) * np.float32([1, 0.7, 0.4])
    mean, wanted = (np.asarray(moments(x).mean[0]) for x in (content, style))
    for style_weight, share in ((0, 0), (1, 1 / 4), (3, 1 / 2), (9, 3 / 4)):
        start = tfnst.stylize(
            content, style, config=STILL, content_weight=3, style_weight=style_weight
        ).array
        expected = mean + share * (wanted - mean)
        np.testing.assert_allclose(start.mean(axis=(0, 1)), expected, atol=0.005)


def test_a_strength_of_zero_leaves_the_photo():
    start = tfnst.stylize(
        CONTENT,
        STYLE,
        config=TINY.replace(style_strength=0, style_weight=None, learning_rate=0.01),
    )
    assert_alike(start.array, CONTENT, mean=0.01)


def test_several_styles_give_the_colours_of_their_mixture():
    one, other = muted(STYLE) * np.float32([1, 0.5, 0.5]), muted(STYLE[::-1], 0.2)
    start = tfnst.stylize(
        muted(CONTENT),
        [tfnst.StyleImage(image=one, weight=3), tfnst.StyleImage(image=other)],
        config=STILL,
    ).array
    mixture = np.concatenate([one, one, one, other])
    assert_same_colors(moments(start), moments(mixture), atol=0.01)


def test_each_region_gets_the_colours_of_its_style():
    left = np.zeros((40, 48), np.float32)
    left[:, :24] = 1
    styles = [
        muted(STYLE) * np.float32(tint) for tint in ([1, 0.6, 0.6], [0.6, 0.6, 1])
    ]
    content = muted(CONTENT)
    start = tfnst.stylize(
        content,
        [
            tfnst.StyleImage(image=styles[0], region=left),
            tfnst.StyleImage(image=styles[1], region=1 - left),
        ],
        config=STILL,
    ).array
    for half, style in zip((start[:, :24], start[:, 24:]), styles, strict=True):
        assert_same_colors(moments(half), moments(style))
    # What isn't painted keeps its own.
    start = tfnst.stylize(
        content, [tfnst.StyleImage(image=styles[0], region=left)], config=STILL
    ).array
    np.testing.assert_allclose(start[:, 24:], content[:, 24:], atol=1e-3)


def test_only_the_part_of_the_style_under_its_mask_counts():
    style = np.concatenate([muted(STYLE), muted(STYLE) * np.float32([1, 0.5, 0.2])])
    mask = np.zeros(style.shape[:2], np.float32)
    mask[36:] = 1
    start = tfnst.stylize(
        muted(CONTENT), tfnst.StyleImage(image=style, mask=mask), config=STILL
    ).array
    assert_same_colors(moments(start), moments(style[36:]), atol=0.015)


def test_the_colours_of_a_style_are_measured_once_for_all_photos(monkeypatch):
    measured = []
    real = color_transfer.color_moments

    def color_moments(image, *masks):
        measured.append(image.shape[1:3])
        return real(image, *masks)

    monkeypatch.setattr(color_transfer, "color_moments", color_moments)
    transfer = tfnst.StyleTransfer(STYLE, config=STILL)
    starts = [transfer.stylize(muted(CONTENT)).array for _ in range(2)]
    np.testing.assert_array_equal(*starts)
    height, width = starts[0].shape[:2]
    assert measured.count((height, width)) == 2
    assert len(measured) == 3
    # In the content's colours, it is another style.
    transfer = tfnst.StyleTransfer(STYLE, config=STILL, preserve_color="transport")
    starts = [transfer.stylize(x).array for x in (CONTENT, muted(CONTENT))]
    for start, content in zip(starts, (CONTENT, muted(CONTENT)), strict=True):
        assert_same_colors(moments(start), moments(content), atol=0.02)
