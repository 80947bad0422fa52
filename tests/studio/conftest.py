"""Fixtures of the studio's tests."""

import pytest

from tests.studio.helpers import open_history


@pytest.fixture
def history(tmp_path):
    return open_history(tmp_path)
