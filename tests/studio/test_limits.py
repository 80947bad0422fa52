"""What a host allows."""

import pytest

from tests.helpers import message
from tests.studio.helpers import make_task
from tfnst.config import StyleTransferConfig
from tfnst.studio.limits import Limits


def task_with(**settings):
    return make_task("photo.png", config=StyleTransferConfig(**settings))


def test_a_run_within_the_limits_passes():
    limits = Limits(max_megapixels=1.0, max_steps=50)
    limits.check(task_with(size=1000, steps=50), (300, 400))


def test_megapixels_are_those_of_the_painting():
    limits = Limits(max_megapixels=0.5)
    task = task_with(size=1000)
    limits.check(task, (1000, 2000))  # 1000 x 500
    text = message(ValueError, limits.check, task, (1000, 1000))
    assert text == (
        "`size` must be at most 707 for this photo: the host allows 0.5 megapixels. "
        "Received: 1000"
    )
    limits.check(task_with(size=707), (1000, 1000))


@pytest.mark.parametrize("name", ["steps", "initial_steps"])
def test_steps_are_limited_at_each_scale(name):
    limits = Limits(max_steps=50)
    text = message(ValueError, limits.check, task_with(**{name: 51}), (30, 40))
    assert text.startswith(f"`{name}` must be at most 50, which is what the host")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_megapixels", 0),
        ("max_seconds", -1.0),
        ("max_waiting", 0),
        ("max_steps", 1.5),
    ],
)
def test_bad_limits_are_refused(name, value):
    text = message(ValueError, lambda: Limits(**{name: value}))
    assert text.startswith(f"`{name}` must be")
    assert text.endswith(f"Received: {value!r}")
