"""Alpha, and the colours that it hides."""

import struct

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY, picture
from tests.image_files import deep_png, encode, noise, unit
from tfnst.images.formats import SUFFIXES
from tfnst.images.metadata import PictureInfo
from tfnst.images.reading import load_image, read_picture
from tfnst.images.transparency import fill_hidden, resize_alpha
from tfnst.images.writing import save_image

WITH_ALPHA = (".png", ".webp", ".tif")


def test_alpha_is_laid_over_white_and_hides_pixels():
    array = noise(18, 24, 4)
    array[..., 3] = 0
    array[3, 5] = 100, 200, 50, 51
    array[4, 6] = 10, 20, 30, 255
    expected = np.ones((18, 24, 3), np.float32)
    # 51 / 255 is a fifth.
    expected[3, 5] = 0.2 * np.array([100, 200, 50]) / 255 + 0.8
    expected[4, 6] = np.array([10, 20, 30]) / 255
    sources = [encode(array), encode(array, "TIFF"), array, unit(array)]
    for source in sources:
        np.testing.assert_allclose(load_image(source)[0], expected, atol=1e-6)
    premultiplied = Image.fromarray(array).convert("RGBa")
    np.testing.assert_allclose(load_image(premultiplied)[0], expected, atol=2 / 255)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_alpha_is_kept_or_laid_over_white(tmp_path, suffix):
    array = picture(20, 30)
    alpha = np.linspace(0, 1, 30, dtype=np.float32)[np.newaxis].repeat(20, axis=0)
    path = tmp_path / f"out{suffix}"
    save_image(array, path, info=PictureInfo(alpha))
    over = array * alpha[..., np.newaxis] + 1 - alpha[..., np.newaxis]
    lossless = suffix in (".png", ".tif", ".tiff")
    error = np.abs(load_image(path)[0] - over)
    assert error.max() < 1.01 / 255 if lossless else error.mean() < 0.06
    _, info = read_picture(path)
    if suffix in (".jpg", ".jpeg"):
        assert info.alpha is None
    else:
        np.testing.assert_allclose(info.alpha, alpha, atol=0.5001 / 255)


def test_alpha_of_every_mode():
    array = noise(16, 24, 4)
    alpha = array[..., 3]
    rgba = Image.fromarray(array)
    grey = Image.merge("LA", [Image.fromarray(alpha.copy())] * 2)
    palette = Image.fromarray((alpha > 99).astype(np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    deep = noise(16, 24, 2, dtype=np.uint16)
    cases = [
        (rgba, alpha / 255),
        *((encode(rgba, kind), alpha / 255) for kind in ("PNG", "TIFF")),
        (encode(rgba, "WEBP", lossless=True, exact=True), alpha / 255),
        (encode(grey, "PNG"), alpha / 255),
        (encode(palette, "PNG", transparency=bytes([51, 255])), [0.2, 1]),
        (array, alpha / 255),
        (array[np.newaxis], alpha / 255),
        (deep_png(deep), deep[..., 1] / 65535),
    ]
    for source, expected in cases:
        if isinstance(expected, list):
            expected = np.array(expected)[(alpha > 99).astype(int)]
        rgb, info = read_picture(source)
        assert rgb.shape == (1, 16, 24, 3)
        assert rgb.dtype == np.float32
        np.testing.assert_allclose(info.alpha, expected, atol=1e-6)
    opaque = np.dstack([array[..., :3], np.full_like(alpha, 255)])
    for source in (opaque, encode(opaque, "PNG")):
        assert read_picture(source)[1].alpha is None


def test_hidden_pixels_take_the_colours_around_them():
    rgb = noise(64, 64, 3).astype(np.float32) / 255
    alpha = np.zeros([64, 64], np.float32)
    alpha[:, 20:24] = 1
    rgb[:, 20:24] = 0.2, 0.4, 0.6
    filled = fill_hidden(rgb, alpha)
    np.testing.assert_allclose(filled, np.broadcast_to([0.2, 0.4, 0.6], rgb.shape))
    # With two colours, each hole takes more of the one that is nearer.
    alpha[:, 56:] = 1
    rgb[:, 56:] = 0.8, 0.4, 0.6
    filled = fill_hidden(rgb, alpha)
    assert filled[:, :18, 0].max() < 0.4
    assert filled[:, 50:, 0].min() > 0.5
    np.testing.assert_array_equal(filled[alpha == 1], rgb[alpha == 1])
    # What is hidden makes no difference.
    other = np.where(alpha[..., np.newaxis] == 0, 1 - rgb, rgb)
    np.testing.assert_array_equal(fill_hidden(other, alpha), filled)


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (17, 16), (31, 33)])
def test_filling_odd_shapes(shape):
    rgb = noise(*shape, 3).astype(np.float32) / 255
    assert (fill_hidden(rgb, np.zeros(shape, np.float32)) == 0.5).all()
    alpha = (noise(*shape, seed=3) > 200).astype(np.float32)
    alpha[-1, -1] = 1
    filled = fill_hidden(rgb, alpha)
    seen = rgb[alpha == 1]
    assert (filled >= seen.min(axis=0) - 1e-5).all()
    assert (filled <= seen.max(axis=0) + 1e-5).all()
    np.testing.assert_array_equal(fill_hidden(rgb, np.ones(shape, np.float32)), rgb)


def test_half_visible_glass_keeps_its_detail():
    rgb = noise(32, 32, 3).astype(np.float32) / 255
    alpha = np.full([32, 32], 0.25, np.float32)
    np.testing.assert_array_equal(fill_hidden(rgb, alpha), rgb)


def test_alpha_at_another_size():
    alpha = np.zeros([40, 60], np.float32)
    alpha[:, 30:] = 1
    small = resize_alpha(alpha, 20, 30)
    assert small.shape == (20, 30)
    assert (small[:, :14] == 0).all()
    assert (small[:, 16:] == 1).all()
    assert small.mean() == pytest.approx(0.5)


def test_a_painted_cutout_is_a_cutout(tmp_path):
    array = np.dstack([picture(60, 80, seed=1), np.ones([60, 80], np.float32)])
    array[:, :40, 3] = 0
    results = []
    for hidden in (0.0, 1.0):
        array[:, :40, :3] = hidden
        content = encode(np.uint8(array * 255), "PNG")
        results.append(tfnst.stylize(content, picture(50, 40), config=TINY, size=40))
    # No hidden pixel was seen.
    np.testing.assert_array_equal(results[0].array, results[1].array)
    for suffix in WITH_ALPHA:
        results[0].save(tmp_path / f"out{suffix}")
        _, info = read_picture(tmp_path / f"out{suffix}")
        assert info.alpha.shape == (30, 40), suffix
        assert (info.alpha[:, :19] == 0).all(), suffix
        assert (info.alpha[:, 21:] == 1).all(), suffix


def test_a_batch_keeps_alpha_and_bits(tmp_path):
    array = np.dstack([picture(60, 80, seed=1), np.ones([60, 80], np.float32)])
    array[:, :40, 3] = 0
    content = tmp_path / "cut.png"
    content.write_bytes(encode(np.uint8(array * 255), "PNG"))
    (item,) = tfnst.stylize_batch(
        [content], [picture(50, 40)], tmp_path, bits=16, config=TINY, size=40
    )
    assert item.status == "painted"
    info = read_picture(item.output)[1]
    assert (info.alpha[:, :19] == 0).all()
    assert (info.alpha[:, 21:] == 1).all()
    # Width, height, bits, RGBA.
    head = struct.unpack_from(">IIBB", item.output.read_bytes(), 16)
    assert head == (40, 30, 16, 6)
