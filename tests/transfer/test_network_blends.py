"""Several networks for one picture: blended, or each in its region."""

import dataclasses

import numpy as np
import pytest

import tfnst
from tests.helpers import picture
from tests.training.helpers import weights_of
from tfnst.images.manifest import read_manifest
from tfnst.networks.network_files import round_weights
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.ops.color_transfer import color_moments
from tfnst.ops.resizing import resize_image
from tfnst.transfer.style_network import StyleNetwork, find_network

CONTENT = picture(60, 90, 5)
LEFT = np.tile(np.repeat([1.0, 0.0], 48), (64, 1)).astype(np.float32)


def started(network, start="5" * 64):
    return dataclasses.replace(network, training={"start": start})


def random_network(seed):
    network = PaintingNetwork(width=4, blocks=1)
    network.initialize(seed)
    round_weights(network)
    return StyleNetwork(
        network=network,
        config=tfnst.StyleTransferConfig(),
        style_image={"name": f"{seed}.jpg", "sha256": None},
        colors=color_moments(picture(64, 64, seed)[np.newaxis]),
        weights={"backbone": "vgg19", "sha256": None},
        training={},
    )


@pytest.fixture(scope="module")
def pair():
    """Two networks that are said to have one start."""
    return [started(random_network(seed)) for seed in (0, 1)]


def blend(pair, *weights, regions=(None, None)):
    return [
        tfnst.StyleImage(image=network, weight=weight, region=region)
        for network, weight, region in zip(pair, weights, regions, strict=True)
    ]


def paint(style, **settings):
    return tfnst.stylize(CONTENT, style, size=96, **settings).array


def test_a_blend_has_the_mean_weights(pair):
    blended = find_network(blend(pair, 3, 1))
    for mean, one, other in zip(*map(weights_of, (blended, *pair)), strict=True):
        np.testing.assert_allclose(mean, 0.75 * one + 0.25 * other, rtol=2e-3)
    one, other = (network.colors.mean for network in pair)
    np.testing.assert_allclose(blended.colors.mean, 0.75 * one + 0.25 * other)
    assert blended.config.loss_weights() == pytest.approx(pair[0].config.loss_weights())


def test_a_blend_of_a_network_with_itself_paints_as_it_does(pair):
    one = paint(pair[0])
    np.testing.assert_allclose(paint(blend([pair[0]] * 2, 1, 3)), one, atol=2e-3)
    assert np.abs(paint(blend(pair, 1, 1)) - one).mean() > 0.001


def test_a_network_that_keeps_the_colours_adds_none(pair):
    plain = dataclasses.replace(
        pair[1], config=pair[1].config.replace(style_strength=0)
    )
    blended = find_network(blend([pair[0], plain], 1, 1))
    np.testing.assert_allclose(blended.colors.mean, pair[0].colors.mean)
    assert blended.config.style_weight == pytest.approx(10)


def test_a_network_can_be_blended_with_its_start(pair):
    first = dataclasses.replace(pair[0], training={})
    second = started(pair[1], first.root)
    assert find_network([first, second]).root == first.root


def test_a_blend_can_be_saved_and_its_picture_names_its_networks(pair, tmp_path):
    paths = [tmp_path / f"{name}.keras" for name in "ab"]
    for network, path in zip(pair, paths, strict=True):
        network.save(path)
    style = blend(paths, 2, 1)
    blended = find_network(style)
    blended.save(tmp_path / "both.keras")
    painted = tfnst.stylize(CONTENT, style, size=96)
    np.testing.assert_array_equal(paint(tmp_path / "both.keras"), painted.array)
    painted.save(tmp_path / "painted.png")
    manifest = read_manifest(tmp_path / "painted.png")
    assert [(each["name"], each["weight"]) for each in manifest["style_image"]] == [
        ("a.keras", 2.0),
        ("b.keras", 1.0),
    ]
    assert manifest["network"]["start"] == "5" * 64
    assert len(manifest["network"]["style_image"]) == 2


def test_networks_that_cannot_be_blended_are_refused(pair):
    with pytest.raises(ValueError, match="from the same start, to be bl"):
        paint([pair[0], started(pair[1], "6" * 64)])
    with pytest.raises(ValueError, match="from the same start"):
        paint([dataclasses.replace(each, training={}) for each in pair])
    wide = dataclasses.replace(pair[1], network=PaintingNetwork(8))
    with pytest.raises(ValueError, match=r"of the same width, .* Received: 4, 8"):
        paint([pair[0], wide])


def test_each_network_paints_its_region(pair):
    both = paint(blend(pair, 1, 1, regions=[LEFT, None]))
    one, other = map(paint, pair)
    np.testing.assert_allclose(both[:, :48], one[:, :48], atol=1e-6)
    np.testing.assert_allclose(both[:, 48:], other[:, 48:], atol=1e-6)


def test_what_no_region_covers_stays_as_it_is(pair):
    for color in ("none", "luminance"):
        part = blend(pair[:1], 1, regions=[0.5 * LEFT])
        mixed = paint(part, preserve_color=color)
        photo = np.asarray(resize_image(CONTENT[np.newaxis], 64, 96))[0]
        np.testing.assert_allclose(mixed[:, 48:], photo[:, 48:], atol=1e-6)
        half = (photo + paint(pair[0], preserve_color=color))[:, :48] / 2
        np.testing.assert_allclose(mixed[:, :48], half, atol=1e-6)


def test_networks_without_a_common_start_can_have_regions(pair, tmp_path):
    strange = [pair[0], started(pair[1], "6" * 64)]
    style = blend(strange, 1, 1, regions=[LEFT, 1 - LEFT])
    painted = tfnst.stylize(CONTENT, style, size=96)
    first, second = painted.manifest["style_image"]
    assert first["region"]["sha256"] != second["region"]["sha256"]
    assert [each["start"][0] for each in painted.network["networks"]] == ["5", "6"]
    with pytest.raises(ValueError, match="`region` must be None where networks paint"):
        find_network(style)
