"""A real export in the embedded server: how its runs end, and what it measures."""

import contextlib
import io
import re
import shutil
import time
import urllib.request
from concurrent import futures

import grpc
import numpy as np
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
    with serving_export(base) as server:
        yield server


@pytest.fixture(scope="module")
def full_server(tiny_model):
    """A server of the export as it is."""
    with serving_export(tiny_model) as server:
        yield server


@contextlib.contextmanager
def serving_export(base):
    with ModelServer(base, port=0, metrics_port=0) as server:
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


@contextlib.contextmanager
def asking(server):
    """A function that sends a request of one step, and returns the outputs."""
    with connected(server) as channel:
        call = Caller(channel)

        def ask(signature, **inputs):
            request = toys.predict_request(signature, name="tfnst", steps=1, **inputs)
            return call(request).outputs

        yield ask


@pytest.fixture
def ask(server):
    with asking(server) as ask:
        yield ask


@pytest.fixture
def ask_in_full(full_server):
    with asking(full_server) as ask:
        yield ask


def decode_metrics(server, signature):
    """How many runs have decoded files, and how many seconds that took."""
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=LIMIT) as page:
        text = page.read().decode()
    labels = f'model="tfnst",signature="{signature}"'
    values = []
    for name in ("count", "sum"):
        start = re.escape(f"tfnst_decode_seconds_{name}{{{labels}}} ")
        found = re.search(f"^{start}(.+)$", text, re.MULTILINE)
        values.append(float(found[1]) if found else 0.0)
    return tuple(values)


def seconds_of(outputs):
    (seconds,) = outputs["decode_seconds"].float_val
    return seconds


def shows_shorter(seconds, ask_small):
    """Whether decoding small files takes far less than `seconds`, to which it is added.

    On a busy machine it may take several tries to be seen.
    """
    limit = min(seconds) / 5

    def is_shorter():
        seconds.append(seconds_of(ask_small()))
        return 0 < seconds[-1] < limit

    return until(is_shorter)


def test_metrics_say_how_long_files_take_to_decode(server, ask):
    def ask_for(file):
        return ask("serving_default", content_bytes=file, style_bytes=SMALL)

    before = decode_metrics(server, "serving_default")
    seconds = [seconds_of(ask_for(LARGE))]
    assert shows_shorter(seconds, lambda: ask_for(SMALL))
    count, total = np.subtract(decode_metrics(server, "serving_default"), before)
    assert count == len(seconds)
    assert total == pytest.approx(sum(seconds), rel=1e-6)


def test_files_that_are_no_pictures_are_not_counted(server, ask):
    before = decode_metrics(server, "serving_default")
    with pytest.raises(grpc.RpcError, match="which is neither"):
        ask("serving_default", content_bytes=b"no picture", style_bytes=SMALL)
    assert decode_metrics(server, "serving_default") == before


@pytest.mark.slow
def test_requests_that_decode_nothing_are_not_counted(full_server, ask_in_full):
    before = decode_metrics(full_server, "serving_default")
    arrays = {"content_image": CONTENT[None], "style_image": STYLE[None]}
    assert "decode_seconds" not in ask_in_full("stylize", **arrays)
    assert decode_metrics(full_server, "serving_default") == before
    assert decode_metrics(full_server, "stylize") == (0, 0)


@pytest.mark.slow
def test_seconds_are_counted_even_if_they_are_not_asked_for(full_server, ask_in_full):
    count, seconds = decode_metrics(full_server, "serving_default")
    outputs = ask_in_full(
        "serving_default",
        outputs=["image_bytes"],
        content_bytes=LARGE,
        style_bytes=SMALL,
    )
    assert set(outputs) == {"image_bytes"}
    later, total = decode_metrics(full_server, "serving_default")
    assert later == count + 1
    assert total > seconds


@pytest.mark.slow
def test_every_file_of_a_blend_counts(full_server, ask_in_full):
    # Nor do the warm-up requests count.
    assert decode_metrics(full_server, "blend") == (0, 0)
    files = {
        "content_bytes": SMALL,
        "style_bytes": [SMALL, SMALL],
        "mask_bytes": [SMALL, b""],
        "region_bytes": [SMALL, b""],
    }
    seconds = []
    for name, value in files.items():
        large = LARGE if value == SMALL else [LARGE, value[1]]
        seconds.append(seconds_of(ask_in_full("blend", **files | {name: large})))
    assert shows_shorter(seconds, lambda: ask_in_full("blend", **files))
    assert decode_metrics(full_server, "blend")[0] == len(seconds)
