"""Colour spaces, and pictures that get the colours of others."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import SAMPLES, TINY, picture
from tfnst import config
from tfnst.engines import loading
from tfnst.ops import color_spaces, color_transfer, resizing
from tfnst.transfer import finishing

MODES = config.COLOR_MODES[1:]
CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
# All of these take any number of pictures.
MATCHES = {
    "luminance": color_transfer.match_lightness,
    "histogram": color_transfer.match_histogram,
    "transport": color_transfer.transport_colors,
}


def muted(array, contrast=0.3):
    """Colours of little contrast, so that nothing is clipped."""
    return (0.5 + contrast * (array - 0.5)).astype(np.float32)


def grey(array):
    return np.repeat(array.mean(axis=-1, keepdims=True), 3, axis=-1)


def moments(array):
    pixels = array.reshape(-1, 3).astype(np.float64)
    return pixels.mean(axis=0), np.cov(pixels, rowvar=False, bias=True)


def assert_grey(array, atol):
    np.testing.assert_allclose(array, grey(array), atol=atol)


def test_lab_of_known_colours():
    # From scikit-image, which rounds the matrix and the white point.
    known = {
        (0, 0, 0): (0, 0, 0),
        (255, 255, 255): (100, 0, 0),
        (119, 119, 119): (50.03, 0, 0),
        (255, 0, 0): (53.24, 80.09, 67.20),
        (0, 255, 0): (87.73, -86.18, 83.18),
        (0, 0, 255): (32.30, 79.19, -107.86),
        (5, 2, 1): (0.70, 0.65, 0.65),
    }
    rgb = np.array(list(known), np.float64) / 255
    lab = color_spaces.lab_from_srgb(rgb).numpy()
    np.testing.assert_allclose(lab, list(known.values()), atol=0.02)


def test_oklab_of_known_colours():
    # From CSS Color 4, for white, red, lime and blue.
    known = {
        (1, 1, 1): (1, 0, 0),
        (1, 0, 0): (0.62796, 0.22486, 0.12585),
        (0, 1, 0): (0.86644, -0.23389, 0.17950),
        (0, 0, 1): (0.45201, -0.03246, -0.31153),
        (0, 0, 0): (0, 0, 0),
    }
    oklab = color_spaces.oklab_from_srgb(np.array(list(known), np.float64)).numpy()
    np.testing.assert_allclose(oklab, list(known.values()), atol=2e-5)


def test_oklab_and_back():
    rgb = np.random.default_rng(0).uniform(size=[1, 50, 60, 3]).astype(np.float32)
    rgb[0, :, :8] = np.round(rgb[0, :, :8])  # also corners of the cube
    back = color_spaces.srgb_from_oklab(color_spaces.oklab_from_srgb(rgb))
    np.testing.assert_allclose(back, rgb, atol=2e-3)
    inside = muted(rgb, 0.9)
    back = color_spaces.srgb_from_oklab(color_spaces.oklab_from_srgb(inside))
    np.testing.assert_allclose(back, inside, atol=1e-5)


def test_colours_out_of_gamut_keep_lightness_and_hue():
    rng = np.random.default_rng(0)
    lightness, hue = rng.uniform(0.05, 0.95, 500), rng.uniform(0, 2 * np.pi, 500)
    oklab = np.stack([lightness, 0.4 * np.cos(hue), 0.4 * np.sin(hue)], axis=-1)
    rgb = color_spaces.srgb_from_oklab(oklab.astype(np.float32)).numpy()
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    # No more chroma is lost than necessary: each colour touches a face of the cube.
    assert (np.minimum(rgb, 1 - rgb).min(axis=-1) < 0.02).all()
    back = color_spaces.oklab_from_srgb(rgb).numpy()
    np.testing.assert_allclose(back[:, 0], lightness, atol=1e-3)
    turned = np.angle(np.exp(1j * (np.arctan2(back[:, 2], back[:, 1]) - hue)))
    # In dark colours, as little as 1e-6 of linear light changes the hue.
    assert np.abs(turned[lightness > 0.15]).max() < 0.02


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
        result = color_transfer.match_histogram(style[None], content[None]).numpy()
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
    result = color_transfer.match_histogram(style[None], CONTENT[None]).numpy()[0]
    assert np.ptp(result[10:30, 5:35], axis=(0, 1)).max() < 1e-3


def test_many_pixels_are_matched_by_a_sample_of_them(monkeypatch):
    whole = color_transfer.match_histogram(STYLE[None], CONTENT[None])
    monkeypatch.setattr(color_transfer, "_MOST_SAMPLES", 1500)
    sampled = color_transfer.match_histogram(STYLE[None], CONTENT[None])
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
    # Along directions without colour, levels are only good to a step of 8 bits.
    assert_grey(result, atol=1 / 255 if mode == "histogram" else 1e-4)
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


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
def test_each_picture_is_matched_as_if_alone(match):
    contents = np.stack([CONTENT, CONTENT[::-1] ** 2, grey(CONTENT)])
    styles = np.stack([STYLE, STYLE**2, 1 - STYLE])
    # As in an export, where no shape is known.
    unknown = tf.TensorSpec([None, None, None, 3])
    in_graph = tf.function(match, input_signature=[unknown, unknown])
    for given in (styles, styles[:1]):
        together = match(given, contents)
        assert together.shape == (3, *STYLE.shape)
        np.testing.assert_allclose(in_graph(given, contents), together, atol=5e-3)
        for i in range(3):
            one = given[i : i + 1] if len(given) > 1 else given
            alone = match(one, contents[i : i + 1])
            np.testing.assert_allclose(together[i], alone[0], atol=5e-3)


def test_real_pictures():
    content, style = (
        resizing.resize_image(tfnst.load_image(SAMPLES / name), 96, 128)
        for name in ("photo_cat.jpg", "style_stained_glass.jpg")
    )
    for match in (color_transfer.match_histogram, color_transfer.transport_colors):
        result = match(style, content).numpy()
        for one, other in zip(moments(result), moments(content.numpy()), strict=True):
            np.testing.assert_allclose(one, other, atol=0.02)


# The whole run.


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
    style_transfer = tfnst.StyleTransfer(STYLE, config=TINY, preserve_color=mode)
    for content in (CONTENT, 1 - CONTENT**2, CONTENT):
        expected = tfnst.stylize(content, STYLE, config=TINY, preserve_color=mode)
        result = style_transfer.stylize(content)
        np.testing.assert_array_equal(result.array, expected.array)


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_a_batch_keep_their_own_colours(mode):
    contents = [CONTENT, 1 - CONTENT**2, grey(CONTENT)]
    items = tfnst.stylize_batch(
        contents, [STYLE], config=TINY, preserve_color=mode, batch_size=3
    )
    for item in items:
        alone = tfnst.stylize(
            item.content_image, STYLE, config=TINY, preserve_color=mode
        )
        np.testing.assert_allclose(item.result.array, alone.array, atol=1 / 255)


def test_modes_share_a_network():
    engines = {loading.load_engine(TINY.replace(preserve_color=m))[0] for m in MODES}
    assert engines == {loading.load_engine(TINY)[0]}


def test_pictures_on_the_way_have_the_colours_too(monkeypatch):
    monkeypatch.setattr(finishing, "_PIXELS_AT_A_TIME", 500)  # some rows at a time
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
    for array in (*seen, result.array):
        assert_grey(array, atol=1e-5)
    np.testing.assert_allclose(seen[-1], result.array, atol=1 / 255)


def test_colours_are_restored_by_rows_as_at_once(monkeypatch):
    one = tfnst.stylize(CONTENT, STYLE, config=TINY, preserve_color="luminance")
    monkeypatch.setattr(finishing, "_PIXELS_AT_A_TIME", 500)
    other = tfnst.stylize(CONTENT, STYLE, config=TINY, preserve_color="luminance")
    np.testing.assert_allclose(one.array, other.array, atol=1e-6)


def test_without_a_mode_nothing_is_touched(monkeypatch):
    for name in (
        "grayscale",
        "replace_chroma",
        *(f.__name__ for f in MATCHES.values()),
    ):
        monkeypatch.setattr(color_transfer, name, None)
    tfnst.stylize(CONTENT, STYLE, config=TINY)
