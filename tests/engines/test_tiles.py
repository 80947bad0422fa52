"""Tiles that cover a picture, and how far around them a network sees."""

import numpy as np
import pytest

from tests.helpers import TINY
from tfnst import StyleTransferConfig
from tfnst.engines import loading, tiles
from tfnst.networks.features import split_feature_extractor

DEEP = StyleTransferConfig(
    weights=None,
    precision="float32",
    style_layers=[f"block{i}_conv1" for i in range(1, 6)],
)


def test_how_far_vgg19_sees():
    whole, _ = loading.load_engine(DEEP)
    segment = tiles.Segment.from_model(whole.feature_extractor)
    # 2 + 2 * 2 + 4 * 4 + 4 * 8 + 16 above, 1 + 2 + 4 + 8 more below, in sixteens.
    assert (segment.before, segment.after) == (80, 96)
    assert segment.strides["block5_conv1"] == segment.stride == 16
    head, tail = map(
        tiles.Segment.from_model,
        split_feature_extractor(whole.feature_extractor, "block3_pool"),
    )
    assert (head.before, head.after, head.stride) == (24, 32, 8)
    assert (tail.before, tail.after, tail.stride) == (6, 8, 2)


@pytest.mark.parametrize(("height", "width", "side"), [(75, 90, 20), (33, 17, 16)])
def test_cores_cover_a_picture_once(height, width, side):
    whole, _ = loading.load_engine(TINY)
    segment = tiles.Segment.from_model(whole.feature_extractor)
    for stride in (1, segment.stride):
        seen = np.zeros([1, height // stride, width // stride, 1])
        for tile in segment.tiles(height, width, side):
            tile.core_of(seen, stride)[...] += 1
            assert tile.counted == tile.core
        assert (seen == 1).all()


def test_margins_belong_to_the_outer_cores_and_do_not_count():
    whole, _ = loading.load_engine(TINY)
    segment = tiles.Segment.from_model(whole.feature_extractor)
    cores, counted = np.zeros([2, 1, 64, 48, 1])
    for tile in segment.tiles(64, 48, 12, margins=(4, 8)):
        tile.core_of(cores)[...] += 1
        tile.counted_of(counted)[...] += 1
        # Its halo is as wide as features see, up to the edges.
        assert tile.top == max(0, tile.top + tile.core[0] - segment.before)
        assert tile.right == min(
            48, tile.left + tile.core[1] + tile.core[3] + segment.after
        )
    assert (cores == 1).all()
    assert (counted[:, 4:-8, 4:-8] == 1).all()
    assert counted.sum() == 52 * 36
