"""Recolouring finished pictures: what each mode keeps, masks, and manifests."""

import io

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY, message, muted, picture
from tfnst.images.manifest import describe_source, read_manifest
from tfnst.images.metadata import EXIF_IFD, PictureInfo
from tfnst.ops.color_spaces import oklab_from_srgb
from tfnst.ops.resizing import resize_image

PHOTO, PAINTED = muted(picture(60, 80, seed=1), 0.5), muted(picture(30, 40, seed=2))
PHOTO[..., 0] *= 0.8
MASK = np.zeros((30, 40), np.float32)
MASK[:, 20:] = 1
MASK[:, 18:20] = 0.5


def small(photo):
    return np.asarray(resize_image(photo[np.newaxis], 30, 40))[0]


def moments(array):
    pixels = array.reshape(-1, 3).astype(np.float64)
    return pixels.mean(axis=0), np.cov(pixels.T, bias=True)


def test_luminance_keeps_the_lightness_and_takes_the_rest_from_the_photo():
    faint = muted(PHOTO, 0.1)  # So that each lightness has a colour for it.
    result = tfnst.recolor(PAINTED, faint)
    assert (result.array.shape, result.array.dtype) == ((30, 40, 3), np.float32)
    got, painted, photo = (
        np.asarray(oklab_from_srgb(x)) for x in (result.array, PAINTED, small(faint))
    )
    np.testing.assert_allclose(got[..., 0], painted[..., 0], atol=1e-4)
    np.testing.assert_allclose(got[..., 1:], photo[..., 1:], atol=1e-4)


def test_transport_gives_the_mean_and_covariance_of_the_photo():
    got = moments(tfnst.recolor(PAINTED, PHOTO, preserve_color="transport").array)
    wanted, before = moments(small(PHOTO)), moments(PAINTED)
    # The variance of a step of 8 bits is added before, so it isn't exact.
    np.testing.assert_allclose(got[0], wanted[0], atol=2e-3)
    np.testing.assert_allclose(got[1], wanted[1], atol=1e-3)
    assert np.abs(before[0] - wanted[0]).max() > 0.05


def test_histogram_gives_the_distribution_of_the_photo():
    result = tfnst.recolor(PAINTED, PHOTO, preserve_color="histogram")
    for channel in range(3):
        got, wanted, before = (
            np.sort(x[..., channel].ravel())
            for x in (result.array, small(PHOTO), PAINTED)
        )
        assert np.abs(got - wanted).mean() < 0.005
        assert np.abs(before - wanted).mean() > 0.02


@pytest.mark.parametrize("mode", ["none", "luminance", "transport", "histogram"])
def test_the_photo_is_kept_where_the_mask_is_black(mode):
    masked = tfnst.recolor(PAINTED, PHOTO, preserve_color=mode, mask=MASK).array
    full = PAINTED
    if mode != "none":
        full = tfnst.recolor(PAINTED, PHOTO, preserve_color=mode).array
    weights = MASK[..., np.newaxis]
    expected = weights * full + (1 - weights) * small(PHOTO)
    np.testing.assert_allclose(masked, expected, atol=1e-6)
    np.testing.assert_array_equal(masked[:, :18], small(PHOTO)[:, :18])


@pytest.fixture(scope="module")
def result():
    return tfnst.stylize(PHOTO, picture(50, 40, seed=3), config=TINY, steps=1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_the_manifest_stays_and_says_what_was_done(result, suffix, tmp_path):
    painted, mask = tmp_path / f"painted{suffix}", tmp_path / "mask.png"
    result.save(painted)
    tfnst.save_image(np.repeat(MASK[..., np.newaxis], 3, -1), mask)
    once = tfnst.recolor(painted, PHOTO, preserve_color="transport")
    once.save(tmp_path / "once.png")
    twice = tfnst.recolor(tmp_path / "once.png", PHOTO, mask=mask)
    twice.save(tmp_path / "twice.webp")
    manifest = read_manifest(tmp_path / "twice.webp")
    first, second = manifest.pop("recolored")
    assert manifest == read_manifest(painted) == result.manifest
    assert first == {
        "preserve_color": "transport",
        "painted_image": describe_source(painted),
        "content_image": describe_source(PHOTO),
        "tfnst": tfnst.__version__,
    }
    assert second["painted_image"] == describe_source(tmp_path / "once.png")
    assert second["mask"] == describe_source(mask)
    with Image.open(tmp_path / "once.png") as image:
        # The manifest that another format keeps elsewhere isn't copied along.
        exif = image.getexif()
        assert 0x010E not in exif
        assert 0x9286 not in exif.get_ifd(EXIF_IFD)


def test_a_result_can_be_recoloured_as_it_is(result):
    got = tfnst.recolor(result, PHOTO)
    np.testing.assert_array_equal(got.array, tfnst.recolor(result.array, PHOTO).array)
    assert got.manifest["recolored"][0]["preserve_color"] == "luminance"
    assert got.manifest["settings"] == TINY.replace(steps=1).to_dict()
    with Image.open(io.BytesIO(got._repr_png_())) as shown:
        assert shown.size == (48, 36)


def test_pictures_without_a_manifest_get_none_and_keep_the_rest(tmp_path):
    alpha = np.linspace(0, 1, 30 * 40, dtype=np.float32).reshape(30, 40)
    info = PictureInfo(alpha, {0x010E: "a cat"}, (300, 300))
    tfnst.save_image(PAINTED, tmp_path / "painted.png", info=info)
    got = tfnst.recolor(tmp_path / "painted.png", PHOTO, preserve_color="histogram")
    got.save(tmp_path / "out.png")
    assert got.manifest is None
    assert read_manifest(tmp_path / "out.png") is None
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "RGBA"
        np.testing.assert_allclose(np.asarray(image)[..., 3] / 255, alpha, atol=2e-3)
        assert image.getexif()[0x010E] == "a cat"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"preserve_color": "none"},
            "`preserve_color` must be 'luminance', 'transport' or 'histogram' where "
            "there is no `mask`. Received: 'none'",
        ),
        (
            {"preserve_color": "hue"},
            "`preserve_color` must be one of 'none', 'luminance', 'histogram', "
            "'transport'. Received: 'hue'",
        ),
        (
            {"mask": MASK * 0},
            "`mask` must have something white in it, to show where it applies. "
            "Received: a black picture",
        ),
        (
            {"content_image": PHOTO[:40]},
            "`content_image` must be the photo that was painted, in the shape of "
            "40x30. Received: a picture of 80x40 pixels",
        ),
        (
            {"painted_image": {}},
            "`painted_image` must be a path, the bytes of an image file, a PIL image "
            "or an array. Received: a value of type dict",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, expected):
    given = {"painted_image": PAINTED, "content_image": PHOTO} | arguments
    got = message(ValueError, tfnst.recolor, **given)
    assert got == expected


def test_any_picture_can_lend_its_colours_where_places_do_not_matter():
    other = PHOTO[:40]
    got = tfnst.recolor(PAINTED, other, preserve_color="transport").array
    np.testing.assert_allclose(moments(got)[0], moments(other)[0], atol=2e-3)
