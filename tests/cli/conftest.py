import pytest

import tfnst
from tests.helpers import picture


@pytest.fixture
def pictures(tmp_path):
    """A folder with content.png and style.png."""
    tfnst.save_image(picture(60, 80, seed=1), tmp_path / "content.png")
    tfnst.save_image(picture(50, 40, seed=2), tmp_path / "style.png")
    return tmp_path
