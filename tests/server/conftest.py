"""The toy model, and servers of it."""

import pytest

from tests import toys
from tests.server.helpers import serving


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The toy as a SavedModel. Leave it as it is."""
    return toys.save_toy(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture
def base(tmp_path, model):
    """A directory with the toy as version 1."""
    base = tmp_path / "versions"
    base.mkdir()
    toys.publish(model, base, 1)
    return str(base)


@pytest.fixture(scope="package")
def shared(tmp_path_factory, model):
    """A server that no test changes, with room for many requests at once."""
    base = str(tmp_path_factory.mktemp("shared"))
    toys.publish(model, base, 1)
    with serving(base, max_concurrent=8) as (server, caller):
        yield server, caller


@pytest.fixture
def server(shared):
    return shared[0]


@pytest.fixture
def caller(shared):
    return shared[1]
