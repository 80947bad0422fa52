"""The scales of a run, their steps, and the picture it starts from."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import picture
from tfnst.ops import pyramid, resizing

CONTENT, STYLE = picture(32, 40, seed=1)[None], picture(36, 32, seed=2)[None]


@pytest.mark.parametrize(
    ("size", "min_size", "expected"),
    [
        (512, 128, [128, 181, 256, 362, 512]),
        (256, 128, [128, 181, 256]),
        (128, 128, [128]),
        (100, 128, [100]),
        (200, 128, [141, 200]),
        (1024, 1024, [1024]),
    ],
)
def test_pyramid_sizes(size, min_size, expected):
    scales = pyramid.build_pyramid([300, 400], [200, 100], size, min_size).numpy()
    assert scales[:, 0].max(1).tolist() == expected
    assert scales[:, 1].max(1).tolist() == expected
    np.testing.assert_allclose(scales[:, 0, 0], scales[:, 0, 1] * 0.75, atol=0.5)
    np.testing.assert_allclose(scales[:, 1, 1], scales[:, 1, 0] / 2, atol=0.5)


def test_pyramid_leaves_out_scales_that_are_too_narrow():
    # At 1:16, the short side is 16 pixels at 256 and shorter below.
    scales = pyramid.build_pyramid([100, 1600], [50, 50], 512, 128).numpy()
    assert scales[:, 0].tolist() == [[16, 256], [23, 362], [32, 512]]
    assert pyramid.build_pyramid([50, 50], [1, 400], 512, 128).shape[0] == 0


def test_the_style_has_a_size_of_its_own():
    sides = [300, 400], [200, 100]
    plain = pyramid.build_pyramid(*sides, 512, 128).numpy()
    for factor in (0.5, 2.0):
        scales = pyramid.build_pyramid(*sides, 512, 128, factor).numpy()
        np.testing.assert_array_equal(scales[:, 0], plain[:, 0])
        np.testing.assert_allclose(scales[:, 1], factor * plain[:, 1], atol=1)
    # Never shorter than the network needs, and no scale is left out because of it.
    scales = pyramid.build_pyramid(*sides, 512, 64, 0.1).numpy()
    assert len(scales) == len(pyramid.build_pyramid(*sides, 512, 64))
    assert scales[:, 1].min() == 16
    assert tuple(scales[-1, 1]) == (51, 26)


def test_several_styles_share_the_scales_that_suit_all():
    content, styles = [300, 400], [[200, 100], [50, 400]]
    scales = pyramid.build_pyramid(content, styles, 256, 64, [1.0, 0.5]).numpy()
    assert scales.shape[1:] == (3, 2)
    for i, (sides, factor) in enumerate(zip(styles, [1.0, 0.5], strict=True)):
        alone = pyramid.build_pyramid(content, sides, 256, 64, factor).numpy()
        np.testing.assert_array_equal(scales[:, 0], alone[-len(scales) :, 0])
        np.testing.assert_array_equal(scales[:, 1 + i], alone[-len(scales) :, 1])
        finest = pyramid.finest_sides(tf.constant(sides), 256, factor)
        np.testing.assert_array_equal(scales[-1, 1 + i], finest)
    # At 1:8, the short side is 16 pixels at 128, so the scales below are left out.
    assert scales[:, 0].max(axis=1).tolist() == [128, 181, 256]
    # A picture that is too narrow keeps its sides.
    assert pyramid.finest_sides(tf.constant([3, 400]), 256).numpy().tolist() == [3, 400]


@pytest.mark.parametrize(
    ("sizes", "steps", "initial_steps", "expected"),
    [
        ([128, 181, 256, 362, 512, 724], 50, 200, [200, 141, 100, 71, 50, 50]),
        ([128, 181, 256], 50, 200, [200, 141, 100]),
        ([128, 181, 256], 50, 50, [50, 50, 50]),
        ([128, 181, 256], 50, 1, [1, 50, 50]),
        ([512], 50, 200, [200]),
    ],
)
def test_scale_steps(sizes, steps, initial_steps, expected):
    scales = tf.constant([[[size, size // 2], [size, 20]] for size in sizes])
    got = pyramid.scale_steps(scales, steps, initial_steps)
    assert got.numpy().tolist() == expected


def test_first_images():
    scales = pyramid.build_pyramid([32, 40], [36, 32], 40, 32)

    def first(kind, seed=0):
        return pyramid.first_image(kind, CONTENT, STYLE, scales, seed)

    height, width = scales.numpy()[0, 0]
    np.testing.assert_array_equal(
        first("content"), resizing.resize_image(CONTENT, height, width)
    )
    np.testing.assert_array_equal(
        first("style"), resizing.cover_image(STYLE, height, width)
    )
    np.testing.assert_array_equal(
        first("noise", 3), pyramid.noise_image([1, height, width, 3], 3)
    )
    assert not np.array_equal(first("noise", 3), first("noise", 4))


def test_noise_is_seeded():
    a, b = (pyramid.noise_image([1, 20, 20, 3], 7) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, pyramid.noise_image([1, 20, 20, 3], 8))
    assert tf.reduce_min(a) >= 0
    assert tf.reduce_max(a) < 1
    np.testing.assert_allclose(tf.reduce_mean(a), 0.5, atol=0.05)


def test_scales_are_sizes_and_steps_as_objects():
    scales = pyramid.build_pyramid([300, 400], [[200, 100], [50, 50]], 256, 128)
    steps = pyramid.scale_steps(scales, 50, 200)
    coarse, middle, fine = pyramid.list_scales(scales.numpy(), steps.numpy())
    assert coarse == pyramid.Scale(
        height=96, width=128, style_sizes=((128, 64), (128, 128)), steps=200
    )
    assert (middle.sides, middle.steps) == ((136, 181), 141)
    assert (fine.sides, fine.steps) == ((192, 256), 100)
    assert (fine.long_side, fine.pixels) == (256, 192 * 256)
    # Plain integers, which neither overflow nor surprise JSON.
    for number in (*fine.sides, *fine.style_sizes[0], fine.steps, fine.pixels):
        assert type(number) is int


def test_a_scale_of_a_tall_picture_has_its_height_as_long_side():
    scale = pyramid.Scale(height=16384, width=9000, style_sizes=(), steps=1)
    assert (scale.long_side, scale.pixels) == (16384, 147_456_000)


def test_a_picture_that_is_too_narrow_has_no_scales():
    scales = pyramid.build_pyramid([50, 50], [1, 400], 512, 128).numpy()
    assert pyramid.list_scales(scales, np.zeros(0, np.int32)) == ()


def test_each_scale_needs_its_steps():
    scales = pyramid.build_pyramid([300, 400], [200, 100], 256, 128).numpy()
    expected = r"^`steps` must have one number for each of 3 scales\. Received: 2$"
    with pytest.raises(ValueError, match=expected):
        pyramid.list_scales(scales, np.array([1, 2]))
