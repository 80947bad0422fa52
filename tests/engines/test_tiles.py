"""Tiles that cover a picture, and how far around them a network sees."""

import dataclasses

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
    segment = tiles.NetworkSegment.from_model(whole.feature_extractor)
    # 2 + 2 * 2 + 4 * 4 + 4 * 8 + 16 above, 1 + 2 + 4 + 8 more below, in sixteens.
    assert (segment.before, segment.after) == (80, 96)
    assert segment.strides["block5_conv1"] == segment.stride == 16
    head, tail = map(
        tiles.NetworkSegment.from_model,
        split_feature_extractor(whole.feature_extractor, "block3_pool"),
    )
    assert (head.before, head.after, head.stride) == (24, 32, 8)
    assert (tail.before, tail.after, tail.stride) == (6, 8, 2)


@pytest.mark.parametrize(("height", "width", "side"), [(75, 90, 20), (33, 17, 16)])
def test_cores_cover_a_picture_once(height, width, side):
    whole, _ = loading.load_engine(TINY)
    segment = tiles.NetworkSegment.from_model(whole.feature_extractor)
    for stride in (1, segment.stride):
        seen = np.zeros([1, height // stride, width // stride, 1])
        for tile in segment.tiles(height, width, side):
            tile.core_of(seen, stride)[...] += 1
            assert tile.counted == tile.core
        assert (seen == 1).all()


def test_margins_belong_to_the_outer_cores_and_do_not_count():
    whole, _ = loading.load_engine(TINY)
    segment = tiles.NetworkSegment.from_model(whole.feature_extractor)
    cores, counted = np.zeros([2, 1, 64, 48, 1])
    for tile in segment.tiles(64, 48, 12, margins=(4, 8)):
        tile.core_of(cores)[...] += 1
        tile.counted_of(counted)[...] += 1
        # Its halo is as wide as features see, up to the edges.
        assert tile.top <= max(0, tile.top + tile.core[0] - segment.before)
        assert tile.right >= min(
            48, tile.left + tile.core[1] + tile.core[3] + segment.after
        )
    assert (cores == 1).all()
    assert (counted[:, 4:-8, 4:-8] == 1).all()
    assert counted.sum() == 52 * 36


def test_tiles_are_equally_large_and_each_has_something_that_counts():
    whole, _ = loading.load_engine(TINY)
    segment = dataclasses.replace(
        tiles.NetworkSegment.from_model(whole.feature_extractor),
        strides={"block3_conv1": 4},
        before=16,
        after=20,
    )
    random = np.random.default_rng(0)
    most = 0
    for _ in range(300):
        height, width = map(int, 4 * random.integers(20, 150, 2))
        margins = tuple(map(int, 4 * random.integers(0, 10, 2)))
        side = int(random.integers(8, 120))
        found = segment.tiles(height, width, side, margins)
        shapes = {(tile.bottom - tile.top, tile.right - tile.left) for tile in found}
        assert len(shapes) == 1
        cores, counted = np.zeros([2, 1, height, width, 1])
        for tile in found:
            assert tile.top % 4 == tile.left % 4 == 0
            assert min(tile.counted[2:]) >= 4
            tile.core_of(cores)[...] += 1
            tile.counted_of(counted)[...] += 1
            top, left = tile.core[:2]
            assert top >= 16 or tile.top == top == 0
            assert left >= 16 or tile.left == left == 0
            below = tile.bottom - (tile.top + top + tile.core[2])
            beside = tile.right - (tile.left + left + tile.core[3])
            assert below >= 20 or (tile.bottom, below) == (height, 0)
            assert beside >= 20 or (tile.right, beside) == (width, 0)
        before, behind = margins
        assert (cores == 1).all()
        assert (
            counted[:, before : height - behind, before : width - behind] == 1
        ).all()
        assert counted.sum() == (height - before - behind) * (width - before - behind)
        most = max(most, len(found))
    assert most > 100
