"""Dividing a picture among styles, and resizing masks."""

import numpy as np
import tensorflow as tf

import tfnst
from tests.helpers import TINY, picture
from tfnst.ops.masks import masks_at_stride, resize_mask
from tfnst.transfer.style_transfer import load_style

STYLE = picture(66, 83, 2)
LEFT = np.zeros((64, 64), np.float32)
LEFT[:, :32] = 1


def divided(*masks, weights=None):
    parts = [
        tfnst.StyleImage(image=STYLE, region=mask, weight=weight)
        for mask, weight in zip(masks, weights or [1] * len(masks), strict=True)
    ]
    shares, found, kept = load_style(parts, TINY).divide(64, 64)
    return shares.numpy().tolist(), found.numpy()[..., 0], kept.numpy()[0, ..., 0]


def test_styles_without_a_region_share_the_rest():
    shares, masks, kept = divided(None, LEFT, None, weights=[1, 5, 3])
    assert shares == [[0, 1, 0], [0.25, 0, 0.75]]
    np.testing.assert_allclose(masks, [LEFT, 1 - LEFT], atol=1e-6)
    assert not kept.any()


def test_what_all_regions_leave_is_kept():
    shares, masks, kept = divided(LEFT, LEFT * 0.5)
    assert shares == [[1, 0], [0, 1]]
    # 1 and 0.5 add up to more than the whole.
    np.testing.assert_allclose(masks[:, 4, 0], [2 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(kept, 1 - LEFT, atol=1e-6)
    assert divided(LEFT, LEFT)[0] == [[0.5, 0.5]]
    assert not divided(LEFT, 1 - LEFT)[2].any()


def test_where_nothing_is_left_there_is_no_region():
    shares, masks, kept = divided(LEFT, 1 - LEFT, None)
    assert shares == [[1, 0, 0], [0, 1, 0]]
    assert len(masks) == 2
    assert not kept.any()


def test_masks_are_averaged_over_areas():
    mask = np.float32([[[[1.0], [0.0], [0.0], [0.0]]] * 4])
    np.testing.assert_allclose(resize_mask(mask, 2, 2)[0, 0, :, 0], [0.5, 0])
    pooled = masks_at_stride(tf.constant(np.arange(25.0).reshape(1, 5, 5, 1)), 2)
    np.testing.assert_allclose(pooled[0, ..., 0], [[3, 5], [13, 15]])
