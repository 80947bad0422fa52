"""Channels to a server: retries, proxies and TLS."""

import contextlib
import json
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest

from tests.certificates import write_certificate
from tests.client.stand_in import LIMIT, PAINTED, PNG, Code, Server, answer
from tfnst.client import (
    DeadlineError,
    ServerUnavailableError,
    ServingError,
    StylizeClient,
    channels,
)
from tfnst.server import model_server

SOON = {"retry_seconds": 0.05}


def test_a_ping_may_wait_behind_a_picture_on_a_slow_link():
    # By default gRPC gives up a connection whose ping isn't answered for a minute.
    assert (
        dict(channels.channel_options(1, 1.0))["grpc.http2.ping_timeout_ms"] == 600_000
    )
    assert dict(model_server._OPTIONS)["grpc.http2.ping_timeout_ms"] == 600_000


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED])
def test_repeats_what_may_pass(server, code):
    server.answers = [(code, "not now")] * 3 + [answer(version=9)]
    large = (np.random.default_rng(0).random((400, 400, 3)) * 255).astype(np.uint8)
    with StylizeClient(server.target, timeout=LIMIT, **SOON) as client:
        # Larger than what gRPC keeps for a retry by default.
        assert client.stylize(large, PAINTED).model_version == 9
    assert len(server.requests) == 4
    assert len(server.requests[0].inputs["content_bytes"].string_val[0]) > 2**18
    assert all(request == server.requests[0] for request in server.requests)


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_gives_up_after_so_many_attempts(server, attempts):
    server.answers = [(Code.UNAVAILABLE, "not now")]
    with (
        StylizeClient(
            server.target, timeout=LIMIT, max_attempts=attempts, **SOON
        ) as client,
        pytest.raises(ServerUnavailableError),
    ):
        client.stylize(PNG, PAINTED)
    assert len(server.requests) == attempts


def test_waits_between_attempts_and_keeps_the_deadline(server):
    service = json.loads(dict(channels.channel_options(5, 1.0))["grpc.service_config"])
    (method,) = service["methodConfig"]
    assert method["retryPolicy"]["initialBackoff"] == "1.0s"
    server.answers = [(Code.UNAVAILABLE, "not now")]
    start = time.monotonic()
    with (
        StylizeClient(server.target, retry_seconds=100) as client,
        pytest.raises(DeadlineError),
    ):
        client.stylize(PNG, PAINTED, timeout=0.5)
    assert time.monotonic() - start > 0.4
    assert len(server.requests) <= 1


def test_waits_for_a_server_that_comes_late():
    first = Server()
    first.close()
    failed = threading.Event()

    def watch(state):
        if state == grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            failed.set()

    with (
        StylizeClient(first.target, timeout=LIMIT, max_attempts=5) as client,
        futures.ThreadPoolExecutor(1) as threads,
    ):
        client._channel.subscribe(watch)
        call = threads.submit(client.stylize, PNG, PAINTED)
        assert failed.wait(LIMIT)
        assert not call.done()
        with contextlib.closing(Server(port=first.port)) as late:
            assert late.port == first.port
            assert call.result(LIMIT).model_version == 3


def test_no_server():
    server = Server()
    server.close()
    with (
        StylizeClient(server.target, timeout=LIMIT, max_attempts=1) as client,
        pytest.raises(ServerUnavailableError, match=r"^No server answers at 127") as e,
    ):
        client.stylize(PNG, PAINTED)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("environment", "target", "expected"),
    [
        ({}, "127.0.0.1:1", None),
        ({"http_proxy": "http://a:1"}, "127.0.0.1:1", "http_proxy"),
        ({"http_proxy": "http://a:1", "grpc_proxy": "http://b:1"}, "a:1", "grpc_proxy"),
        ({"https_proxy": "http://a:1"}, "dns:///host.example:1", "https_proxy"),
        ({"HTTP_PROXY": "http://a:1"}, "127.0.0.1:1", None),
        ({"http_proxy": "http://a:1"}, "unix:///a/b", None),
        ({"http_proxy": "http://a:1", "no_proxy": "x, 0.0.1"}, "127.0.0.1:1", None),
        ({"http_proxy": "http://a:1", "no_proxy": "example"}, "a.example:1", None),
        (
            {"http_proxy": "http://a:1", "no_proxy": "a", "no_grpc_proxy": "b"},
            "a:1",
            "http_proxy",
        ),
    ],
)
def test_names_the_proxy_as_grpc_finds_it(environment, target, expected, monkeypatch):
    for name in ("http", "https", "grpc", "no", "no_grpc"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert channels.proxy_variable(target) == expected


def test_a_proxy_that_does_not_answer(server, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with (
        StylizeClient(server.target, timeout=LIMIT, max_attempts=1) as client,
        pytest.raises(ServerUnavailableError) as error,
    ):
        client.stylize(PNG, PAINTED)
    assert str(error.value).startswith(
        f"No server answers at {server.target}; check the address, whether the server "
        "is running, and whether it requires TLS, and the proxy in the environment "
        "variable http_proxy: "
    )
    assert server.requests == []


@pytest.mark.parametrize("mutual", [False, True])
def test_tls(tmp_path, mutual):
    pytest.importorskip("cryptography")
    authority = write_certificate(tmp_path, "ca")
    for name in ("server", "client"):
        write_certificate(tmp_path, name, authority)
    write_certificate(tmp_path, "stranger")
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    server = Server(
        credentials=grpc.ssl_server_credentials(
            [(files["server.key"], files["server.crt"])],
            files["ca.crt"] if mutual else None,
            mutual,
        )
    )
    own = {
        "client_certificate": tmp_path / "client.crt",
        "client_key": tmp_path / "client.key",
    }
    trusted = {"root_certificates": tmp_path / "ca.crt", **(own if mutual else {})}
    other = {"root_certificates": tmp_path / "stranger.crt", **(own if mutual else {})}
    strangers = [
        (other, "has a certificate that isn't trusted; .*: unable to get local issuer"),
        ({}, "whether it requires TLS"),
    ]
    if mutual:
        without = {"root_certificates": tmp_path / "ca.crt"}
        strangers.append((without, "whether it requires TLS"))
    with contextlib.closing(server):
        with StylizeClient(server.target, timeout=LIMIT, **trusted) as client:
            assert client.stylize(PNG, PAINTED).model_version == 3
        assert server.contexts[0].auth_context()["transport_security_type"] == [b"ssl"]
        for options, message in strangers:
            with (
                StylizeClient(
                    server.target, timeout=LIMIT, max_attempts=1, **options
                ) as client,
                pytest.raises(ServingError, match=message) as caught,
            ):
                client.stylize(PNG, PAINTED)
            assert caught.value.code == Code.UNAVAILABLE
        assert len(server.requests) == 1


def test_a_certificate_for_another_name(tmp_path):
    pytest.importorskip("cryptography")
    authority = write_certificate(tmp_path, "ca")
    write_certificate(tmp_path, "server", authority)  # For 127.0.0.1.
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    server = Server(
        credentials=grpc.ssl_server_credentials(
            [(files["server.key"], files["server.crt"])]
        )
    )
    with (
        contextlib.closing(server),
        StylizeClient(
            f"localhost:{server.port}", root_certificates=tmp_path / "ca.crt"
        ) as client,
        pytest.raises(ServingError) as caught,
    ):
        client.wait_until_ready(3600)
    assert str(caught.value) == (
        f"The server at localhost:{server.port} has a certificate that isn't trusted; "
        "use the name that it is for, or `root_certificates` with its authority: "
        "Hostname mismatch, certificate is not valid for 'localhost'."
    )


@pytest.mark.parametrize(
    "name", ["root_certificates", "client_certificate", "client_key"]
)
def test_a_file_that_is_missing(tmp_path, name):
    (tmp_path / "there.pem").write_text("-----BEGIN CERTIFICATE-----")
    files = dict.fromkeys(
        ("root_certificates", "client_certificate", "client_key"),
        tmp_path / "there.pem",
    )
    missing = tmp_path / "missing.pem"
    with pytest.raises(FileNotFoundError) as caught:
        StylizeClient("localhost:1", **files | {name: missing})
    assert str(caught.value) == (
        f"`{name}` must be a file that can be read. Received: '{missing}', which does "
        "not exist"
    )
