"""The stand-in for a server, and a client of it."""

import contextlib

import pytest

from tests.client.stand_in import LIMIT, Server
from tfnst.client import StylizeClient


@pytest.fixture
def server():
    with contextlib.closing(Server()) as server:
        yield server


@pytest.fixture
def client(server):
    with StylizeClient(server.target, timeout=LIMIT) as client:
        yield client
