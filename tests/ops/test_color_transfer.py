"""Pictures that get the colours of others."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import SAMPLES, assert_alike, assert_grey, grey, muted, picture
from tfnst.ops import color_spaces, color_transfer, resizing

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)


def match_histogram(image, target, **options):
    return color_transfer.histogram_map(image, target, **options)(image)


# All of these take any number of pictures.
MATCHES = {
    "luminance": color_transfer.match_lightness,
    "histogram": match_histogram,
    "transport": color_transfer.transport_colors,
}


def moments(array):
    pixels = array.reshape(-1, 3).astype(np.float64)
    return pixels.mean(axis=0), np.cov(pixels, rowvar=False, bias=True)


def test_replaced_chroma_is_the_contents():
    painted, content = muted(STYLE)[None], muted(CONTENT[:50, :40])[None]
    result = color_spaces.oklab_from_srgb(
        color_transfer.replace_chroma(painted, content)
    ).numpy()
    expected = color_spaces.oklab_from_srgb(content).numpy()
    np.testing.assert_allclose(result[..., 1:], expected[..., 1:], atol=1e-5)
    lightness = color_spaces.oklab_from_srgb(painted).numpy()[..., 0]
    np.testing.assert_allclose(result[..., 0], lightness, atol=1e-5)


def test_greys_have_the_lightness_of_colours():
    image = STYLE[None]
    result = color_transfer.grayscale(image)
    before, after = (color_spaces.oklab_from_srgb(x).numpy() for x in (image, result))
    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=1e-5)
    np.testing.assert_allclose(after[..., 1:], 0, atol=1e-6)
    np.testing.assert_allclose(color_transfer.grayscale(result), result, atol=1e-5)


def test_matched_lightness_has_mean_and_deviation_of_the_contents():
    style, content = muted(STYLE)[None], muted(CONTENT, 0.4)[None]
    after = color_spaces.oklab_from_srgb(
        color_transfer.match_lightness(style, content)
    ).numpy()
    wanted = color_spaces.oklab_from_srgb(content).numpy()[..., 0]
    np.testing.assert_allclose(after[..., 0].mean(), wanted.mean(), atol=1e-4)
    np.testing.assert_allclose(after[..., 0].std(), wanted.std(), atol=1e-4)
    np.testing.assert_allclose(after[..., 1:], 0, atol=1e-6)


def test_transported_colours_have_mean_and_covariance_of_the_contents():
    for content in (muted(CONTENT), muted(CONTENT) ** 2, grey(muted(CONTENT))):
        result = color_transfer.transport_colors(
            muted(STYLE)[None], content[None]
        ).numpy()
        for one, other in zip(moments(result), moments(content), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)
            np.testing.assert_allclose(one, other, atol=2e-2 * np.abs(other).max())


def test_transport_is_the_symmetric_map():
    # Between normal distributions the optimal map is a positive definite matrix.
    style, content = muted(STYLE), muted(CONTENT)
    pixels = style.reshape(-1, 3).astype(np.float64)
    result = (
        color_transfer.transport_colors(style[None], content[None])
        .numpy()
        .reshape(-1, 3)
    )
    map_, *_ = np.linalg.lstsq(pixels - pixels.mean(0), result - result.mean(0))
    np.testing.assert_allclose(map_, map_.T, atol=1e-3)
    assert np.linalg.eigvalsh(map_).min() > 0


def test_matched_histograms_have_the_contents_quantiles():
    levels = np.linspace(0, 1, 101)
    for style, content in ((STYLE, CONTENT), (muted(STYLE), CONTENT**2)):
        result = match_histogram(style[None], content[None]).numpy()
        for channel in range(3):
            one, other = (
                np.quantile(x[..., channel], levels) for x in (result[0], content)
            )
            np.testing.assert_allclose(one, other, atol=0.01)
        # Together, too, not just channel by channel.
        for one, other in zip(moments(result), moments(content), strict=True):
            np.testing.assert_allclose(one, other, atol=5e-3)


def test_even_areas_stay_even():
    style = STYLE.copy()
    style[10:30, 5:35] = 0.02
    result = match_histogram(style[None], CONTENT[None]).numpy()[0]
    assert np.ptp(result[10:30, 5:35], axis=(0, 1)).max() < 1e-3


def test_many_pixels_are_matched_by_a_sample_of_them():
    whole = match_histogram(STYLE[None], CONTENT[None])
    sampled = match_histogram(STYLE[None], CONTENT[None], sampled_pixels=1500)
    assert 0 < np.abs(sampled - whole).mean() < 0.02


@pytest.mark.parametrize("mode", MATCHES)
def test_a_picture_has_its_own_colours_already(mode):
    for image in (STYLE[None], grey(STYLE)[None], np.full([1, 20, 20, 3], 0.3, "f")):
        # A very common colour isn't told from others within a step of 8 bits.
        expected = color_transfer.grayscale(image) if mode == "luminance" else image
        np.testing.assert_allclose(MATCHES[mode](image, image), expected, atol=0.01)
    np.testing.assert_allclose(
        color_transfer.replace_chroma(muted(STYLE)[None], muted(STYLE)[None]),
        muted(STYLE)[None],
        atol=1e-5,
    )


@pytest.mark.parametrize("mode", MATCHES)
def test_a_grey_content_makes_a_grey_style(mode):
    result = MATCHES[mode](STYLE[None], grey(CONTENT)[None]).numpy()
    # Along directions without colour, levels are only good to a step of 8 bits, and
    # rounding may make two of one.
    assert_grey(result, atol=2.01 / 255 if mode == "histogram" else 1e-4)
    assert result.std() > 0.05


def test_a_grey_content_makes_a_grey_picture():
    content = np.resize(grey(CONTENT), STYLE.shape)
    assert_grey(
        color_transfer.replace_chroma(STYLE[None], content[None]).numpy(), atol=1e-5
    )


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
def test_a_style_without_colours_or_contrast_is_no_trouble(match):
    flat = np.full([1, 20, 20, 3], 0.3, np.float32)
    for style in (flat, grey(STYLE)[None]):
        result = match(style, CONTENT[None]).numpy()
        assert np.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 1
    # Rounding errors in a grey picture don't become colours.
    noise = np.random.default_rng(0).normal(0, 1e-6, STYLE.shape)
    noisy = (grey(STYLE) + noise).astype(np.float32)[None]
    difference = match(noisy, CONTENT[None]) - match(grey(STYLE)[None], CONTENT[None])
    assert np.abs(difference).mean() < 1 / 255


@pytest.mark.parametrize(
    "match",
    [
        # Histograms are matched channel by channel, and traced anew for each shape.
        pytest.param(match, marks=pytest.mark.slow, id=name)
        if name == "histogram"
        else pytest.param(match, id=name)
        for name, match in MATCHES.items()
    ],
)
def test_each_picture_is_matched_as_if_alone(match):
    contents = np.stack([CONTENT, CONTENT[::-1] ** 2, grey(CONTENT)])
    styles = np.stack([STYLE, STYLE**2, 1 - STYLE])
    # As in an export, where no shape is known.
    unknown = tf.TensorSpec([None, None, None, 3])
    in_graph = tf.function(match, input_signature=[unknown, unknown])
    for given in (styles, styles[:1]):
        together = match(given, contents).numpy()
        assert together.shape == (3, *STYLE.shape)
        assert_alike(in_graph(given, contents).numpy(), together)
        for i in range(3):
            one = given[i : i + 1] if len(given) > 1 else given
            alone = in_graph(one, contents[i : i + 1]).numpy()
            assert_alike(together[i], alone[0])


def test_real_pictures():
    content, style = (
        resizing.resize_image(tfnst.load_image(SAMPLES / name), 96, 128)
        for name in ("photo_cat.jpg", "style_stained_glass.jpg")
    )
    for match in (match_histogram, color_transfer.transport_colors):
        result = match(style, content).numpy()
        for one, other in zip(moments(result), moments(content.numpy()), strict=True):
            np.testing.assert_allclose(one, other, atol=0.02)
