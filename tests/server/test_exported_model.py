"""A real export in the embedded server: how its runs end."""

import time
from concurrent import futures

import grpc
import psutil
import pytest

from tests.helpers import picture
from tfnst.client import DeadlineError, ServerBusyError, StylizeClient
from tfnst.server import ModelServer

pytestmark = pytest.mark.slow

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
AN_HOUR = {"size": 256, "steps": 100_000}  # Longer than that, on two cores.


@pytest.fixture(scope="module")
def target(tiny_model):
    """The address of a server."""
    with ModelServer(tiny_model, port=0) as server:
        assert server.wait_until_available(120)
        yield f"127.0.0.1:{server.port}"


def cpu_seconds(seconds):
    """CPU seconds that this process, and so the server in it, uses meanwhile."""
    start = time.process_time()
    time.sleep(seconds)
    return time.process_time() - start


@pytest.mark.slow
def test_a_deadline_ends_an_hours_work(target):
    with StylizeClient(target) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineError) as caught:
            client.stylize(CONTENT, STYLE, timeout=5, **AN_HOUR)
        seconds = time.monotonic() - start
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 4.9 < seconds < 6
    # The client itself may have answered; what matters is that the work ends.
    time.sleep(max(0, 6 - seconds))
    assert cpu_seconds(1) < 0.2


def test_a_client_that_leaves_ends_its_run(target):
    with futures.ThreadPoolExecutor(1) as pool:
        with StylizeClient(target) as client:
            call = pool.submit(client.stylize, CONTENT, STYLE, **AN_HOUR)
            while cpu_seconds(0.3) < 0.1:
                assert not call.done()
        assert call.exception(timeout=30)
    time.sleep(1)
    assert cpu_seconds(0.5) < 0.1


def test_a_run_that_needs_too_much_memory_is_refused(tiny_model):
    with ModelServer(tiny_model, port=0, max_memory=64) as server:
        assert server.wait_until_available(120)
        idle = psutil.Process().memory_info().rss
        limit = server._limit
        deadline = time.monotonic() + 10
        while not limit.idle_bytes and time.monotonic() < deadline:
            time.sleep(0.05)
        assert 0.5 * idle < limit.idle_bytes < 1.5 * idle
        limit._max_bytes = limit.idle_bytes + 0.3 * 2**30
        target = f"127.0.0.1:{server.port}"
        with StylizeClient(target, max_attempts=1) as client:
            assert client.stylize(CONTENT, STYLE).image.size == (48, 36)
            with pytest.raises(ServerBusyError, match="The request takes about"):
                client.stylize(CONTENT, STYLE, size=256)


def test_serves_on_after_that(target):
    with StylizeClient(target) as client:
        response = client.stylize(CONTENT, STYLE)
    assert response.image.size == (48, 36)
