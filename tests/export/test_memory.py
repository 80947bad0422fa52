"""The memory of requests: predicted, limited, and stated in the manifest."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.export.helpers import CONFIG, LIMITS
from tests.helpers import picture
from tfnst.engines.memory import GIB
from tfnst.export import decoding
from tfnst.export.memory import fit_limits, request_bytes
from tfnst.export.requests import RequestLimits, setting_inputs
from tfnst.export.served_model import ServedStyleTransfer

COST = {
    "fixed": 1000,
    "files": 2000,
    "picture": 10,
    "network": 100,
    "border": 5,
    "region": 7,
    "style": 3,
}


def test_request_bytes():
    given = {"size": 100, "pictures": 2, "styles": 3, "style_scale": 1.5}
    run = 100**2 * (10 + 4 * 7) + 160**2 * 100
    expected = 3000 + 2 * run + 3 * 3 * 150**2
    assert request_bytes(COST, **given, regions=4).numpy() == expected


def needed(size, styles=1, regions=0):
    """GiB of a request for one picture."""
    request = {"pictures": 1, "styles": styles, "regions": regions}
    scale = CONFIG.style_scale
    return float(request_bytes(COST, size, style_scale=scale, **request)) / GIB


def test_the_memory_of_the_largest_request():
    limits = fit_limits(RequestLimits(**LIMITS), COST, CONFIG)
    assert limits.max_size == LIMITS["max_size"]
    largest = needed(LIMITS["max_size"], 8, 8)
    assert largest <= limits.max_memory < largest + 2**20 / GIB
    assert (limits.max_memory * 1024).is_integer()


def test_the_largest_request_for_a_memory():
    limits = RequestLimits(max_steps=9, max_size=2048, max_pixels=9, max_memory=0.1)
    limits = fit_limits(limits, COST, CONFIG)
    assert limits.max_memory == 0.1
    largest = limits.max_size
    assert needed(largest) <= 0.1 < needed(largest + 1)
    # No request takes that much.
    limits = RequestLimits(**LIMITS, max_memory=1.0)
    unlimited = RequestLimits(**LIMITS)
    assert fit_limits(limits, COST, CONFIG) == fit_limits(unlimited, COST, CONFIG)


def test_too_little_memory():
    limits = RequestLimits(**LIMITS, max_memory=1e-6)
    with pytest.raises(ValueError, match="GiB or more for a picture") as e:
        fit_limits(limits, COST, CONFIG)
    assert str(e.value) == (
        "`max_memory` must be 0.1 GiB or more for a picture of the default `size`, 48, "
        "and files of `max_pixels`, 20000; choose smaller ones. Received: 1e-06"
    )


def test_the_graph_refuses_what_takes_more():
    limits = RequestLimits(**LIMITS)
    cost = ServedStyleTransfer(CONFIG, limits).memory_cost
    given = {"size": 96, "style_scale": 1, "pictures": 1}
    four = float(request_bytes(cost, **given, styles=4, regions=4)) / GIB
    limits = RequestLimits(**LIMITS, max_memory=four)
    model = ServedStyleTransfer(CONFIG, limits)
    assert model.limits.max_size == LIMITS["max_size"]
    file = decoding.encode_png(tf.constant(picture(40, 40)[None])).numpy()
    settings = {
        each.name: tf.constant(each.default, each.spec.dtype)
        for each in setting_inputs(CONFIG)
    }
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        model.blend_files(
            tf.constant(file),
            tf.constant("none"),
            tf.constant([file] * 5),
            style_weights=tf.constant([1.0]),
            style_scales=tf.constant([1.0]),
            mask_bytes=tf.constant([""]),
            region_bytes=tf.constant([b"1", b"2", b"3", b"4", b""]),
            **settings | {"size": tf.constant(96)},
        )
    received = math.ceil(
        10 * float(request_bytes(cost, **given, styles=5, regions=5)) / GIB
    ) / np.float32(10)
    assert (
        f"A request must take at most {four:.3g} GiB of memory; choose a smaller "
        "`size`, or fewer pictures, styles or regions. Received:"
    ) in caught.value.message
    assert (
        f"{received:g} GiB for `size` 96 and 1 pictures, 5 styles, 5 regions"
    ) in caught.value.message
