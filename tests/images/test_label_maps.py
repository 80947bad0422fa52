"""Label maps: which colours are labels, in which order, and what becomes of edges."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import tfnst
from tests.helpers import SAMPLES, message
from tfnst.client.pictures import encode_mask
from tfnst.images.label_maps import read_label_map
from tfnst.images.style_images import StyleImage, describe_style, style_paths

RED, GREEN, BLUE, PURPLE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 0, 128)


def stripes(*colors, width=20, height=40):
    """Upright stripes, each as wide."""
    row = np.repeat(np.array(colors, np.uint8), width, axis=0)
    return np.repeat(row[None], height, axis=0)


def jpeg(array, quality):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=quality)
    return file.getvalue()


def test_regions_are_ordered_like_the_rainbow_and_then_from_white_to_grey():
    colors = [
        (90, 90, 90), (255, 0, 255), BLUE, (255, 255, 255), (0, 255, 255),
        (120, 0, 0), GREEN, (255, 128, 0), (255, 0, 0), (255, 255, 0), (0, 0, 0),
    ]  # fmt: skip
    regions = tfnst.label_regions(stripes(*colors))
    assert list(regions) == [
        "#ff0000", "#780000", "#ff8000", "#ffff00", "#00ff00", "#00ffff", "#0000ff",
        "#ff00ff", "#ffffff", "#5a5a5a",
    ]  # fmt: skip
    for i, color in enumerate(colors[:-1]):
        wanted = np.zeros((40, 220), np.float32)
        wanted[:, 20 * i : 20 * (i + 1)] = 1
        got = regions["#{:02x}{:02x}{:02x}".format(*color)]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, wanted)


def test_named_colours_keep_their_order_and_others_are_the_rest():
    array = stripes(RED, GREEN, BLUE)
    regions = tfnst.label_regions(array, colors=["blue", "#f00"])
    assert list(regions) == ["#0000ff", "#ff0000"]
    np.testing.assert_array_equal(regions["#0000ff"][0], [0] * 40 + [1] * 20)
    np.testing.assert_array_equal(regions["#ff0000"][0], [1] * 20 + [0] * 40)


def test_black_can_be_named():
    regions = tfnst.label_regions(stripes(RED, (0, 0, 0)), colors=["black"])
    np.testing.assert_array_equal(regions["#000000"][0], [0] * 20 + [1] * 20)


def test_transparent_parts_belong_to_no_region():
    rgba = np.concatenate([stripes(RED, GREEN), np.full((40, 40, 1), 255)], -1)
    rgba[:, 10:20, 3] = 0
    rgba[:, 20:25, 3] = 100
    rgba[:, 25:30, 3] = 200
    regions = tfnst.label_regions(rgba.astype(np.uint8))
    np.testing.assert_array_equal(regions["#ff0000"][0], [1] * 10 + [0] * 30)
    np.testing.assert_array_equal(regions["#00ff00"][0], [0] * 25 + [1] * 15)


def test_specks_are_no_labels_unless_they_are_named():
    array = stripes(RED, GREEN, width=100, height=100)
    array[50:54, 20:24] = BLUE
    found = tfnst.label_regions(array)
    assert list(found) == ["#ff0000", "#00ff00"]
    assert sum(found.values()).min() == 1  # The speck belongs to one of them.
    named = tfnst.label_regions(array, colors=["blue"])["#0000ff"]
    assert named.sum() == 16
    assert named[50:54, 20:24].min() == 1


@pytest.mark.parametrize("radius", [0.5, 1.0])
def test_soft_edges_draw_no_line_of_a_third_colour(radius):
    image = Image.new("RGB", (120, 90), RED)
    draw = ImageDraw.Draw(image)
    draw.polygon([(70, 0), (120, 0), (120, 90), (40, 90)], BLUE)
    draw.rectangle((0, 60, 25, 90), PURPLE)
    exact = tfnst.label_regions(image)
    soft = tfnst.label_regions(image.filter(ImageFilter.GaussianBlur(radius)))
    assert list(soft) == ["#ff0000", "#0000ff", "#800080"]
    np.testing.assert_array_equal(sum(soft.values()), np.ones((90, 120)))
    # Between red and blue, far from the purple rectangle.
    assert soft["#800080"][:, 32:].max() == 0
    for color, mask in exact.items():
        assert np.abs(soft[color] - mask).mean() < 0.01


@pytest.mark.parametrize("quality", [95, 75])
def test_jpeg_changes_colours_but_not_which_there_are(quality):
    array = stripes(RED, BLUE, GREEN, width=64, height=96)
    data = jpeg(array, quality)
    found = list(tfnst.label_regions(data).values())
    assert len(found) == 3
    named = tfnst.label_regions(data, colors=["red", "lime", "blue"])
    assert list(named) == ["#ff0000", "#00ff00", "#0000ff"]
    for mask, other in zip(found, named.values(), strict=True):
        np.testing.assert_array_equal(mask, other)
    for color, start in zip(named, (0, 128, 64), strict=True):
        wanted = np.zeros((96, 192))
        wanted[:, start : start + 64] = 1
        assert np.abs(named[color] - wanted).mean() < 0.02


def test_large_maps_are_read_at_less():
    array = stripes(RED, GREEN, width=1500, height=20)
    red, green = tfnst.label_regions(array).values()
    assert red.shape == (10, 1500)
    np.testing.assert_array_equal(red[0], [1] * 750 + [0] * 750)
    np.testing.assert_array_equal(green, 1 - red)


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        (["red", "#00ff00"], "`label_colors` must be colours of the map, which has "
         "#ff0000, #0000ff. Received: #00ff00"),
        (["red", "#fe0000"], "`label_colors` must be different colours. Received: "
         "['red', '#fe0000']"),
        (["reddish"], "`label_colors` must be colours such as '#ff0000' or 'red'. "
         "Received: 'reddish'"),
        (["#ff000080"], "`label_colors` must be colours such as '#ff0000' or 'red'. "
         "Received: '#ff000080'"),
        ([3], "`label_colors` must be colours such as '#ff0000' or 'red'. Received: 3"),
    ],
)  # fmt: skip
def test_bad_colours_are_refused(colors, expected):
    array = stripes(RED, BLUE)
    assert message(ValueError, tfnst.label_regions, array, colors=colors) == expected


def test_photos_black_pictures_and_missing_files_are_refused():
    for name in ("photo_cat.jpg", "photo_rocket.jpg", "style_mosaic.jpg"):
        got = message(ValueError, tfnst.label_regions, SAMPLES / name)
        assert got.startswith("`label_map` must be a picture of a few flat colours. ")
    black = stripes((0, 0, 0))
    clear = np.zeros((20, 20, 4), np.uint8)
    for nothing in (black, clear):
        got = message(ValueError, tfnst.label_regions, nothing)
        assert got.startswith("`label_map` must be a picture with flat colours besides")
    got = message(FileNotFoundError, tfnst.label_regions, "none.png")
    assert got.startswith("`label_map` must be a file")


def test_the_map_of_a_region_is_known(tmp_path):
    path = tmp_path / "map.png"
    tfnst.save_image(Image.fromarray(stripes(RED, BLUE)), path)
    red, blue = read_label_map(path)
    assert (red.share, blue.share) == (0.5, 0.5)
    part = StyleImage(image="a.png", region=blue)
    assert style_paths([part]) == [("style_image", "a.png"), ("label_map", path)]
    described = describe_style([part], [{"name": "a.png", "sha256": "0"}])
    assert described["region"]["name"] == "map.png"
    assert described["region"]["color"] == "#0000ff"


def test_requests_carry_a_region_as_a_mask():
    red, _ = read_label_map(stripes(RED, BLUE))
    with Image.open(io.BytesIO(encode_mask(red))) as image:
        grey = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(grey, red.mask * 255)
