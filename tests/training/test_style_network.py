"""Painting by a network that has learned a style."""

import json
import zipfile

import numpy as np
import pytest
from PIL import ExifTags, Image

import tfnst
from tests.helpers import TINY, assert_grey, picture
from tests.training.helpers import SETTINGS
from tfnst.images.manifest import read_manifest

CONTENT = picture(60, 90, 5)


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "waves.keras"
    network.save(path)
    return path


def test_stylize_takes_a_network_or_its_path_for_a_style(network, path):
    by_method = network.stylize(CONTENT, size=96)
    assert by_method.array.shape == (64, 96, 3)
    assert by_method.array.dtype == np.float32
    for style in (network, path, str(path), tfnst.load_network(path)):
        painted = tfnst.stylize(CONTENT, style, size=96)
        np.testing.assert_array_equal(painted.array, by_method.array)


def test_a_style_is_used_for_many_pictures(path):
    style = tfnst.StyleTransfer(path, size=64)
    one, other = (style.stylize(picture(64, 64, seed)).array for seed in (1, 2))
    assert np.abs(one - other).mean() > 0.01


def test_a_run_can_start_from_what_a_network_paints(network, path):
    painted = network.stylize(CONTENT, size=TINY.size).array
    settings = {"config": TINY.replace(min_size=TINY.size, initial_steps=2)}
    style = picture(64, 64, 9)
    expected = tfnst.stylize(CONTENT, style, init_image=painted, **settings)
    for start in (path, network):
        result = tfnst.stylize(CONTENT, style, init_image=start, **settings)
        np.testing.assert_array_equal(result.array, expected.array)
        assert len(result.losses) == 2
    broken = path.with_name("broken.keras")
    broken.write_text("no network")
    with pytest.raises(ValueError, match="`init_image` must be a network that"):
        tfnst.stylize(CONTENT, style, init_image=broken, config=TINY)


def test_a_painted_file_says_which_network_has_painted_it(network, path, tmp_path):
    photo = tmp_path / "photo.png"
    tfnst.save_image(CONTENT, photo)
    result = tfnst.stylize(photo, path, size=64)
    result.save(tmp_path / "painted.png")
    manifest = read_manifest(tmp_path / "painted.png")
    assert manifest["style_image"]["name"] == "waves.keras"
    assert manifest["content_image"]["name"] == "photo.png"
    assert manifest["network"]["steps"] == 12
    assert manifest["network"]["style_image"] == network.style_image
    assert manifest["network"]["settings"]["size"] == SETTINGS["size"]
    assert "painted at once" in repr(result._repr_mimebundle_())


def test_alpha_and_metadata_of_the_photo_go_into_the_file(path, tmp_path):
    photo = tmp_path / "photo.png"
    alpha = np.tile(np.linspace(0, 1, 64)[np.newaxis, :, np.newaxis], (64, 1, 1))
    pixels = np.concatenate([picture(64, 64), alpha], axis=-1)
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "A. Painter"
    image = Image.fromarray(np.uint8(255 * pixels))
    image.save(photo, dpi=(300, 300), exif=exif)
    tfnst.stylize(photo, path, size=64).save(tmp_path / "painted.png", bits=16)
    with Image.open(tmp_path / "painted.png") as painted:
        assert painted.mode == "RGBA"
        assert painted.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert painted.getexif()[ExifTags.Base.Artist] == "A. Painter"
        assert "icc_profile" in painted.info
        np.testing.assert_allclose(
            np.asarray(painted)[..., 3] / 255, alpha[..., 0], atol=0.01
        )
    # The bits of a channel stand in the header.
    assert (tmp_path / "painted.png").read_bytes()[24] == 16


def test_colours_can_be_kept(path):
    grey = np.repeat(picture(64, 64).mean(axis=-1, keepdims=True), 3, axis=-1)
    kept = tfnst.stylize(grey, path, size=64, preserve_color="luminance")
    assert_grey(kept.array, atol=0.01)
    plain = tfnst.stylize(CONTENT, path, size=64).array
    moved = tfnst.stylize(CONTENT, path, size=64, preserve_color="transport").array

    def distance(array):
        return np.abs(array.mean(axis=(0, 1)) - CONTENT.mean(axis=(0, 1))).max()

    assert distance(moved) < 0.03
    assert distance(plain) > distance(moved)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 3}, "`steps` has no effect on a style that a network has learned"),
        ({"preset": "fast"}, "has no effect on a style"),
        ({"style_strength": 0.7}, "`style_strength` has no effect"),
        (
            {"init_image": "noise"},
            "`init_image` has no effect|`init_image` must be Non",
        ),
        ({"checkpoint": "state"}, "`checkpoint` must be None where a network paints"),
        ({"resume": "state"}, "state"),
        ({"max_memory": 0.01}, "`max_memory` must be .* GiB or more for a picture of"),
        ({"callback_steps": 2}, "`callback_steps` must be None where a network"),
    ],
)
def test_arguments_without_an_effect_are_refused(path, arguments, message):
    with pytest.raises((ValueError, OSError), match=message):
        tfnst.stylize(CONTENT, path, **arguments)


def test_a_network_takes_no_scale_and_no_pictures_beside_it(path):
    with pytest.raises(ValueError, match="`style_image` must be networks alone or pic"):
        tfnst.stylize(CONTENT, [path, picture(64, 64)])
    for others in ({"scale": 2}, {"mask": picture(8, 8)}, {"rotations": 4}):
        with pytest.raises(
            ValueError, match=rf"`{next(iter(others))}` must be left out"
        ):
            tfnst.stylize(CONTENT, tfnst.StyleImage(image=path, **others))


def test_a_picture_that_is_too_narrow_is_refused(path):
    with pytest.raises(ValueError, match="`content_image` is too narrow for size=64"):
        tfnst.stylize(picture(16, 128), path, size=64)


def test_facts_that_are_no_facts_are_refused(path, tmp_path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(members["tfnst.json"])
    for name, value in (
        ("colors", {"mean": [0, 0], "covariance": facts["colors"]["covariance"]}),
        ("colors", None),
        ("settings", {"size": "large"}),
        ("settings", {"unknown": 1}),
        ("weights", "vgg"),
        ("training", 7),
    ):
        changed = members | {"tfnst.json": json.dumps(facts | {name: value}).encode()}
        broken = tmp_path / "broken.keras"
        with zipfile.ZipFile(broken, "w") as archive:
            for member, data in changed.items():
                archive.writestr(member, data)
        with pytest.raises(ValueError, match="a network that this version of tfnst"):
            tfnst.load_network(broken)


def test_other_suffixes_are_refused(network, tmp_path):
    with pytest.raises(ValueError, match=r"`path` must be a path that ends in .*keras"):
        network.save(tmp_path / "network.h5")
