"""The scripts in examples/ run."""

import numpy as np
import pytest

from examples import from_parts
from tests.helpers import picture

pytestmark = pytest.mark.slow


def test_the_algorithm_from_its_parts():
    content, style = picture(48, 56, seed=1)[None], picture(40, 44, seed=2)[None]
    painted, losses = from_parts.paint(content, style, steps=12, weights=None)
    assert painted.shape == content.shape
    assert 0 <= painted.min() < painted.max() <= 1
    assert losses[-1] < 0.7 * losses[0]
    assert np.abs(painted - content).mean() > 0.01
