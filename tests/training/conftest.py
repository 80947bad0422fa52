import pytest

from tests.training.helpers import train


@pytest.fixture(scope="session")
def network():
    return train()
