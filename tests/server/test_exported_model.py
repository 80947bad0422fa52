"""A real export in the embedded server: how its runs end, and what it measures."""

import io
import shutil
import time
from concurrent import futures

import grpc
import psutil
import pytest
import tensorflow as tf
from PIL import Image

from tests import toys
from tests.helpers import picture
from tests.server.helpers import LIMIT, Caller, busy, connected, idle, until
from tfnst.client import DeadlineError, StylizeClient
from tfnst.server import ModelServer
from tfnst.server.servables import WARM_UP_FILE

# The README's blocks serve an export in the short tier.
pytestmark = pytest.mark.slow

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
AN_HOUR = {"size": 256, "steps": 100_000}  # Longer than that, on two cores.


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    """A server in which only the default signature is warmed up, which takes less."""
    base = tmp_path_factory.mktemp("one_signature") / "base"
    shutil.copytree(tiny_model, base)
    (path,) = base.glob(f"*/{WARM_UP_FILE}")
    record = next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record)
    with ModelServer(base, port=0) as server:
        assert server.wait_until_available(LIMIT)
        yield server


@pytest.fixture
def target(server):
    """The address of a server."""
    return f"127.0.0.1:{server.port}"


def test_a_deadline_ends_an_hours_work(server, target):
    with StylizeClient(target) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineError) as caught:
            client.stylize(CONTENT, STYLE, timeout=1, **AN_HOUR)
        assert time.monotonic() - start > 0.9
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    # The client itself may have answered; what matters is that the work ends.
    assert until(lambda: server._limit.running == 0)
    assert until(idle)


def test_a_client_that_leaves_ends_its_run(server, target):
    with futures.ThreadPoolExecutor(1) as pool:
        with StylizeClient(target) as client:
            call = pool.submit(client.stylize, CONTENT, STYLE, **AN_HOUR)
            assert until(lambda: server._limit.running == 1)
            assert until(busy)
            assert not call.done()
        assert call.exception(LIMIT)
    assert until(lambda: server._limit.running == 0)
    assert until(idle)


def test_memory_limits_how_many_requests_run(tiny_model):
    idle = psutil.Process().memory_info().rss / 2**30
    with ModelServer(tiny_model, port=0, max_memory=idle, max_concurrent=8) as server:
        client = StylizeClient(f"127.0.0.1:{server.port}")
        assert until(lambda: [v.state for v in client.status()] == ["END"])
        (version,) = client.status()
        client.close()
    assert version.error.startswith("its largest request takes ")


def test_serves_on_after_that(target):
    with StylizeClient(target) as client:
        response = client.stylize(CONTENT, STYLE)
    assert response.image.size == (48, 36)


def jpeg(width, height):
    file = io.BytesIO()
    image = Image.effect_noise((width, height), 50).convert("RGB")
    image.save(file, "JPEG", progressive=True)
    return file.getvalue()


# A tenth of a second's work, against less than a millisecond.
SMALL, LARGE = jpeg(64, 48), jpeg(2000, 1500)


@pytest.fixture
def ask(server):
    """A function that sends a request of one step, and returns the outputs."""
    with connected(server) as channel:
        call = Caller(channel)

        def ask(signature, **inputs):
            request = toys.predict_request(signature, name="tfnst", steps=1, **inputs)
            return call(request).outputs

        yield ask


def seconds_of(outputs):
    (seconds,) = outputs["decode_seconds"].float_val
    return seconds


@pytest.mark.parametrize(
    ("signature", "files"),
    [
        ("serving_default", {"content_bytes": SMALL, "style_bytes": SMALL}),
        (
            "blend",
            {
                "content_bytes": SMALL,
                "style_bytes": [SMALL, SMALL],
                "mask_bytes": [SMALL, b""],
                "region_bytes": [SMALL, b""],
            },
        ),
    ],
)
def test_decoding_of_every_file_is_timed(ask, signature, files):
    seconds = []
    for name, value in files.items():
        large = LARGE if value == SMALL else [LARGE, value[1]]
        seconds.append(seconds_of(ask(signature, **files | {name: large})))
    # On a busy machine it may take several tries to be seen.
    assert until(lambda: 0 < seconds_of(ask(signature, **files)) < min(seconds) / 5)
