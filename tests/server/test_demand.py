"""How much memory requests take, as predicted from what they send."""

import json

import numpy as np
import pytest

from tests import toys
from tests.image_files import encode
from tfnst.server.demand import Demand

BYTES = {
    "fixed": 1000,
    "picture": 10,
    "network": 100,
    "region": 7,
    "style": 3,
    "file": 2,
}
WIDE = encode(np.zeros((20, 40, 3), np.uint8))
SQUARE = encode(np.zeros((30, 30, 3), np.uint8), "JPEG")


@pytest.fixture
def demand(tmp_path):
    (tmp_path / "assets").mkdir()
    manifest = {"config": {"style_scale": 0.5}, "memory": BYTES}
    (tmp_path / "assets" / "tfnst.json").write_text(json.dumps(manifest))
    return Demand(str(tmp_path))


def inputs(**values):
    return dict(toys.predict_request(**values).inputs)


def test_files(demand):
    # The picture is 100 x 50 pixels, the style 50 x 50.
    given = inputs(size=100, content_bytes=WIDE, style_bytes=SQUARE)
    expected = 1000 + 5000 * (10 + 100) + 2500 * 3 + 900 * 2
    assert demand.of(given) == expected


def test_styles_and_regions(demand):
    given = inputs(
        size=100,
        content_bytes=WIDE,
        style_bytes=[SQUARE, WIDE, SQUARE],
        style_scales=[1.0, 3.0, 1.0],
        region_bytes=[b"a", b"b", b""],
    )
    # At the largest of the scales each: 150 x 150, 150 x 75, 150 x 150.
    largest, styles = 150 * 150, 150 * 150 * 2.5
    expected = 1000 + 5000 * (10 + 3 * 7) + largest * 100 + styles * 3 + 900 * 2
    assert demand.of(given) == expected
    given = inputs(
        size=100, content_bytes=WIDE, style_bytes=[SQUARE], region_bytes=[b""]
    )
    assert demand.of(given) == 1000 + 5000 * 110 + 2500 * 3 + 900 * 2


def test_arrays(demand):
    content, style = np.zeros((2, 30, 60, 3), np.float32), np.zeros((1, 9, 9, 3))
    given = inputs(size=100, content_image=content, style_image=style)
    assert demand.of(given) == 1000 + 2 * 5000 * 110 + 2500 * 3


@pytest.mark.parametrize(
    "data", [b"", b"x", WIDE[:20], SQUARE[:30], b"\x89PNG\r\n\x1a\n" + b"\0" * 16]
)
def test_no_picture_counts_as_a_square(demand, data):
    given = inputs(size=100, content_bytes=data, style_bytes=data)
    assert demand.of(given) == 1000 + 10_000 * 110 + 2500 * 3


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"config": {}, "memory": 3}'])
def test_of_other_models_nothing_is_known(tmp_path, text):
    if text is not None:
        (tmp_path / "assets").mkdir()
        (tmp_path / "assets" / "tfnst.json").write_text(text)
    given = inputs(size=100, content_bytes=WIDE, style_bytes=SQUARE)
    assert Demand(str(tmp_path)).of(given) == 0
