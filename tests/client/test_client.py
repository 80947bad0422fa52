"""Clients: deadlines, closing, the status of a model, and arguments."""

import json
import signal
import subprocess
import sys
import threading
import time
import traceback
import types
from concurrent import futures

import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from tests.client.stand_in import LIMIT, PAINTED, PNG, Code, answer
from tests.helpers import ROOT
from tfnst.client import (
    DeadlineError,
    ModelVersionStatus,
    ServingError,
    StylizeClient,
    messages,
)
from tfnst.client import client as module


@pytest.mark.parametrize(
    ("client_timeout", "call", "expected"),
    [
        (None, {}, 60 + 100 * 512 * 512 * 15 / 1e6),
        (None, {"size": 1000, "steps": 3}, 360),
        (None, {"size": 64, "steps": 1}, 60 + 0.4096),
        (None, {"size": 16384, "steps": 100_000}, 7 * 24 * 3600),
        (90, {"size": 1000}, 90),
        (90, {"timeout": 33.5}, 33.5),
    ],
)
def test_the_deadline_fits_the_work(server, client_timeout, call, expected):
    server.answers = [lambda context: answer(losses=(context.time_remaining(), 0, 0))]
    with StylizeClient(server.target, timeout=client_timeout) as client:
        start = time.monotonic()
        left = client.stylize(PNG, PAINTED, **call).content_loss
        seconds = time.monotonic() - start
    # It is sent with few digits, rounded up.
    assert expected - seconds - 1 < left < expected * 1.01


def test_a_deadline_that_passes(server, client):
    gone = threading.Event()

    def wait(context):
        assert context.add_callback(gone.set)
        gone.wait(LIMIT)
        return answer()

    server.answers = [wait]
    for seconds in (0.5, 5, 50):  # On a busy machine the request may arrive late.
        start = time.monotonic()
        with pytest.raises(DeadlineError) as error:
            client.stylize(PNG, PAINTED, timeout=seconds)
        assert time.monotonic() - start > 0.8 * seconds
        assert str(error.value) == (
            f"The server at {server.target} did not answer within {seconds} seconds; "
            "allow a longer `timeout`, or ask for fewer `steps` or a smaller `size`."
        )
        if server.requests:
            break
    assert isinstance(error.value, TimeoutError)
    assert error.value.code is Code.DEADLINE_EXCEEDED
    assert gone.wait(LIMIT)
    assert len(server.requests) == 1


def test_a_closed_client(server, client):
    client.close()
    for call in (lambda: client.stylize(PNG, PAINTED), client.status):
        with pytest.raises(ServingError, match=rf"^The client of {server.target} is c"):
            call()
    assert server.requests == server.status_requests == []


def test_a_very_long_timeout(server, client):
    assert client.stylize(PNG, PAINTED, timeout=9.3e9).model_version == 3
    assert client.stylize(PNG, PAINTED, timeout=1e300).model_version == 3


def test_closing_ends_a_call(server):
    started, leave = threading.Event(), threading.Event()

    def wait(context):
        started.set()
        leave.wait(LIMIT)
        return answer()

    server.answers = [wait]
    client = StylizeClient(server.target, timeout=LIMIT)
    with futures.ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.stylize, PNG, PAINTED)
        assert started.wait(LIMIT)
        client.close()
        with pytest.raises(ServingError, match=r"client was closed|CANCELLED"):
            call.result(LIMIT)
        leave.set()


def test_an_interrupt_cancels_the_call(server, client):
    main, cancelled = threading.main_thread().ident, threading.Event()

    def waits_for_the_answer():
        # Not while gRPC is still sending and may hold its locks.
        names = [
            frame.f_code.co_name
            for frame, _ in traceback.walk_stack(sys._current_frames()[main])
        ]
        return names[0] == "wait" and "result" in names

    def wait(context):
        assert context.add_callback(cancelled.set)
        while not waits_for_the_answer():
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)
        cancelled.wait(LIMIT)
        return answer()

    server.answers = [wait]
    # A shell's background processes ignore the signal, and Python inherits this.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            client.stylize(PNG, PAINTED)
    finally:
        signal.signal(signal.SIGINT, before)
    assert cancelled.wait(LIMIT)


def test_threads_share_a_client(server, client):
    def echo(context):
        return answer(losses=(0, 0, 0), version=5)

    server.answers = [echo]
    with futures.ThreadPoolExecutor(8) as threads:
        calls = [
            threads.submit(client.stylize, PNG, PAINTED, seed=seed)
            for seed in range(16)
        ]
        assert [call.result(LIMIT).model_version for call in calls] == [5] * 16
    seeds = sorted(request.inputs["seed"].int_val[0] for request in server.requests)
    assert seeds == list(range(16))


def versions(*states):
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, state, error in states:
        item = response.model_version_status.add(version=version, state=state)
        if error:
            item.status.error_code, item.status.error_message = 3, error
    return response


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"name": "tfnst"}),
        ({"version": 2}, {"name": "tfnst", "version": {"value": 2}}),
        ({"version_label": "stable"}, {"name": "tfnst"}),
    ],
)
def test_status(server, options, expected):
    server.status_answers = [
        versions((3, 30, ""), (1, 50, "bad weights"), (2, 40, ""), (4, 10, ""))
    ]
    with StylizeClient(server.target, **options) as client:
        assert client.status() == [
            ModelVersionStatus(1, "END", "bad weights"),
            ModelVersionStatus(2, "UNLOADING", ""),
            ModelVersionStatus(3, "AVAILABLE", ""),
            ModelVersionStatus(4, "START", ""),
        ]
    assert server.status_requests == [
        get_model_status_pb2.GetModelStatusRequest(
            model_spec=model_pb2.ModelSpec(**expected)
        )
    ]


def test_a_status_that_takes_too_long(server, client):
    gone = threading.Event()

    def wait(context):
        context.add_callback(gone.set)
        gone.wait(LIMIT)
        return versions()

    server.status_answers = [wait]
    with pytest.raises(DeadlineError) as error:
        client.status(timeout=0.2)
    assert str(error.value) == (
        f"The server at {server.target} did not answer within 0.2 seconds; allow a "
        "longer `timeout`."
    )


def test_states_are_those_of_tensorflow_serving():
    state = get_model_status_pb2.ModelVersionStatus.State
    assert {n: k for k, n in state.items() if n} == messages.STATES
    assert tf.float32.as_datatype_enum == messages.FLOAT
    assert tf.int32.as_datatype_enum == messages.INT32
    assert tf.string.as_datatype_enum == messages.STRING


@pytest.fixture
def clock(monkeypatch):
    """The client's clock, which only advances while it sleeps; calls may take long."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "_STATUS_SECONDS", LIMIT)
    return clock


def test_waits_until_a_version_is_there(server, client, clock):
    server.status_answers = [
        (Code.UNAVAILABLE, "starting"),
        (Code.NOT_FOUND, "Could not find any versions of model tfnst"),
        versions((1, 20, "")),
        versions((1, 30, ""), (2, 20, "")),
    ]
    client.wait_until_ready(LIMIT)
    assert len(server.status_requests) == 4
    assert clock.monotonic() == 1.5


def test_waits_no_longer_than_told(server, client, clock):
    server.status_answers = [versions((1, 50, "no\nweights"), (2, 20, ""))]
    with pytest.raises(DeadlineError) as error:
        client.wait_until_ready(20)
    assert str(error.value) == (
        f"The server at {server.target} did not have the model 'tfnst' ready within "
        "20 seconds: version 1 is END (no weights), version 2 is LOADING"
    )
    assert clock.monotonic() == 20
    server.status_answers = [(Code.PERMISSION_DENIED, "no")]
    with pytest.raises(ServingError, match=r"failed with PERMISSION_DENIED: no$"):
        client.wait_until_ready(LIMIT)


# The client itself


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "localhost"}, "`target` must be HOST:PORT. Received: 'localhost'"),
        (
            {"target": "http://a:8500"},
            "`target` must be HOST:PORT. Received: 'http://a:8500'",
        ),
        *[
            (
                {"target": f"{host}:{port}"},
                "`target` must be HOST:PORT, with a port from 1 to 65535. "
                f"Received: '{host}:{port}'",
            )
            for host, port in (("a", 99999), ("dns:///a", 65536), ("a", 0))
        ],
        ({"target": None}, "`target` must be HOST:PORT. Received: None"),
        ({"model": ""}, "`model` must be a non-empty string. Received: ''"),
        (
            {"version": -1},
            f"`version` must be an integer from 0 to {2**63 - 1}. Received: -1",
        ),
        (
            {"version": "1"},
            f"`version` must be an integer from 0 to {2**63 - 1}. Received: '1'",
        ),
        (
            {"version": 2**63},
            f"`version` must be an integer from 0 to {2**63 - 1}. Received: {2**63}",
        ),
        (
            {"version": 1, "version_label": "a"},
            "`version` must be left out with `version_label`. Received: 1",
        ),
        (
            {"version_label": ""},
            "`version_label` must be a non-empty string. Received: ''",
        ),
        (
            {"max_attempts": 6},
            "`max_attempts` must be an integer from 1 to 5. Received: 6",
        ),
        (
            {"retry_seconds": 0},
            "`retry_seconds` must be a finite number of seconds above 0. Received: 0",
        ),
        (
            {"timeout": 0},
            "`timeout` must be a finite number of seconds above 0. Received: 0",
        ),
        (
            {"timeout": float("inf")},
            "`timeout` must be a finite number of seconds above 0. Received: inf",
        ),
        (
            {"client_key": "k"},
            "`client_certificate` must be given with `client_key`. "
            "Received: (None, 'k')",
        ),
        (
            {"client_certificate": "c", "client_key": "k"},
            "`root_certificates` must be given with `client_certificate`. "
            "Received: None",
        ),
        (
            {"root_certificates": __file__},
            f"`root_certificates` must be a PEM file. Received: {__file__!r}",
        ),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (compared below)
        StylizeClient(**{"target": "localhost:8500", **options})
    assert str(error.value) == message


@pytest.mark.parametrize("target", ["[::1]:8500", "dns:///a:1", "unix:///a/b"])
def test_targets(target):
    with StylizeClient(target) as client:
        assert client.target == target


def test_bad_timeouts_of_calls(client, server):
    for call in (
        lambda timeout: client.stylize(PNG, PNG, timeout=timeout),
        lambda timeout: client.status(timeout=timeout),
        client.wait_until_ready,
    ):
        with pytest.raises(ValueError, match=r"^`timeout` must be a finite number"):
            call(-1)
    assert server.requests == server.status_requests == []


def test_takes_no_tensorflow():
    # With a whole call, which includes lazy imports.
    code = """
import json, sys
from tfnst.client import ServerUnavailableError, StylizeClient
import numpy as np
with StylizeClient("127.0.0.1:1", max_attempts=1) as client:
    try:
        client.stylize(np.zeros((20, 20)), np.zeros((20, 20)), timeout=300)
    except ServerUnavailableError:
        pass
names = ("tensorflow", "tensorflow_serving", "keras", "h5py")
print(json.dumps([name for name in names if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(done.stdout) == []
