"""Plans for painting in whole or in tiles, within a limit of memory."""

import re

import numpy as np
import pytest

import tfnst
from tests.helpers import TINY, picture
from tfnst import StyleTransferConfig
from tfnst.engines import loading, memory, plans

DEEP = StyleTransferConfig(weights=None, precision="float32")
CONTENT, STYLE = picture(75, 90, 1)[None], picture(66, 83, 2)[None]


def plan(limit, size=1024, config=DEEP, **settings):
    extractor = loading.load_engine(config)[0].feature_extractor
    sides = np.array([[size, size], [size, size]])
    return plans.build_plan(
        extractor, config, sides, limit * memory.GIB,
        **{"resident": memory.GIB // 2} | settings,
    )  # fmt: skip


def test_memory_decides_between_whole_and_tiles():
    whole = plan(100)
    assert not whole.tiled
    assert whole.cost == 1
    assert whole.peak < 100 * memory.GIB
    before = whole
    for limit in (3, 2, 1.5, 1.2):
        after = plan(limit)
        assert after.tiled
        assert after.peak <= limit * memory.GIB
        assert after.cost >= before.cost
        before = after


def test_more_pixels_take_more_memory_and_smaller_numbers_less():
    peaks = [plan(100, size).peak for size in (512, 1024, 2048)]
    assert peaks == sorted(peaks)
    assert plan(100, config=DEEP.replace(precision="bfloat16")).peak < plan(100).peak
    assert plan(100, config=DEEP.replace(optimizer="lbfgs")).peak > plan(100).peak


def test_the_border_of_a_seamless_picture_takes_memory():
    seamless = DEEP.replace(seamless=True)
    # 1024 and borders of 40 and 48 pixels, in place of 4 and 4.
    larger = (1024 + 40 + 48) ** 2 / (1024 + 4 + 4) ** 2
    assert 1.05 < plan(100, config=seamless).peak / plan(100).peak < larger
    extractor = loading.load_engine(DEEP)[0].feature_extractor
    borders = [
        plans.memory_per_pixel(extractor, config)["border"]
        for config in (DEEP, seamless)
    ]
    assert borders == [(4 + 4 + 8) / 2, (40 + 48 + 8) / 2]


def test_code_for_amx_takes_memory(monkeypatch):
    configs = [DEEP.replace(precision=each) for each in ("bfloat16", "float32")]
    peaks = []
    for flags in ((), ("amx_bf16",)):
        monkeypatch.setattr(plans, "cpu_flags", lambda flags=flags: flags)
        peaks.append(
            [[plan(limit, config=c).peak for limit in (100, 1.6)] for c in configs]
        )
    more = np.subtract(peaks[1], peaks[0]) / memory.GIB
    assert more[0, 0] == pytest.approx(0.3, abs=1e-3)
    # Smaller tiles keep to the limit.
    assert peaks[1][0][1] <= 1.6 * memory.GIB
    assert (more[1] == 0).all()


def test_a_limit_that_nothing_fits_in_says_what_would():
    with pytest.raises(MemoryError, match=r"Received: 0\.6 GiB") as caught:
        plan(0.6)
    needed = re.search("`max_memory` must be (.*) GiB or more", str(caught.value))[1]
    assert plan(float(needed)).tiled


def test_pictures_that_are_painted_together_take_memory_together_and_no_tiles():
    one, four = plan(100), plan(100, pictures=4)
    assert 2 * one.peak < four.peak < 4 * one.peak
    with pytest.raises(MemoryError):
        plan(1.5, pictures=4)


def test_too_small_a_limit_is_one_line():
    with pytest.raises(ValueError, match="choose a smaller `size`") as caught:
        tfnst.stylize(CONTENT, STYLE, config=TINY, max_memory=0.001)
    assert "\n" not in str(caught.value)


def test_masks_take_memory_too():
    config = TINY.replace(size=512)
    loop, _ = loading.load_engine(config)
    sides = np.array([[384, 512], [384, 512]])
    plain, masked = (
        plans.build_plan(
            loop.feature_extractor, config, sides, 1e12, regions=count, resident=0
        )
        for count in (0, 2)
    )
    assert masked.peak - plain.peak > 2 * 4 * 384 * 512
