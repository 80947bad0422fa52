"""One export for all that can share it."""

import pytest

import tfnst
from tests.export.helpers import CONFIG, LIMITS


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The base path of CONFIG, exported. Leave it as it is."""
    folder = tmp_path_factory.mktemp("models") / "tfnst"
    tfnst.export_saved_model(folder, config=CONFIG, **LIMITS)
    return folder
