"""Channels to a server: retries, message sizes, keep-alive and TLS."""

from __future__ import annotations

import json
import os
import socket
import ssl
from typing import Any

import grpc

from tfnst.checks import ArgumentError, argument
from tfnst.files import read_file

# Environment variables in which gRPC finds a proxy, and the hosts to reach without it.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_NO_PROXY_VARIABLES = ("no_grpc_proxy", "no_proxy")
_CONNECT_SECONDS = 5.0
_Path = str | os.PathLike[str]


def channel_options(max_attempts: int, retry_seconds: float) -> list[tuple[str, Any]]:
    """Options of a channel; see `StylizeClient`."""
    method = {
        "name": [{"service": "tensorflow.serving.PredictionService"}],
        "retryPolicy": {
            "maxAttempts": max(2, max_attempts),
            "initialBackoff": f"{retry_seconds}s",
            "maxBackoff": f"{16 * retry_seconds}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
        },
    }
    service = {
        # Where a name stands for several servers, each gets its share of the calls; by
        # default the first one would get all of them.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [method],
    }
    return [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_retries", int(max_attempts > 1)),
        ("grpc.service_config", json.dumps(service)),
        # By default gRPC keeps 256 KiB for a retry; pictures are larger.
        ("grpc.per_rpc_retry_buffer_size", 2**31 - 1),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # Detects a server that vanishes during a run of hours. Servers drop clients
        # that ping more often than every 5 minutes.
        ("grpc.keepalive_time_ms", 310_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # On a slow link a ping waits behind megabytes of picture.
        ("grpc.http2.ping_timeout_ms", 600_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def open_channel(
    target: str,
    options: list[tuple[str, Any]],
    *,
    root_certificates: _Path | None = None,
    client_certificate: _Path | None = None,
    client_key: _Path | None = None,
) -> grpc.Channel:
    """A channel to a server, over TLS if `root_certificates` is given.

    Args:
        target: `"host:port"`, or another name that gRPC understands.
        options: options from `channel_options`.
        root_certificates: PEM file with the authorities to trust.
        client_certificate: PEM file with the client's certificate, for mutual TLS.
        client_key: PEM file with its key.

    Raises:
        ValueError: when the files don't go together, or one isn't a PEM file.
        OSError: when one can't be read.
    """
    if (client_certificate is None) != (client_key is None):
        received = repr((client_certificate, client_key))
        raise ArgumentError(
            "given with `client_key`", received, argument="client_certificate"
        )
    if client_key is not None and root_certificates is None:
        raise ArgumentError(
            "given with `client_certificate`", "None", argument="root_certificates"
        )
    if root_certificates is None:
        return grpc.insecure_channel(target, options)
    credentials = grpc.ssl_channel_credentials(
        _read_pem("root_certificates", root_certificates),
        _read_pem("client_key", client_key),
        _read_pem("client_certificate", client_certificate),
    )
    return grpc.secure_channel(target, credentials, options)


def proxy_variable(target: str) -> str | None:
    """The environment variable that names a proxy on the way to a target, if any."""
    if target.startswith(("unix:", "unix-abstract:")):
        return None
    host = target.rpartition("/")[2].rpartition(":")[0].strip("[]")
    for name in _NO_PROXY_VARIABLES:
        if value := os.environ.get(name):
            suffixes = [each.strip() for each in value.split(",")]
            if any(suffix and host.endswith(suffix) for suffix in suffixes):
                return None
            break
    return next((name for name in _PROXY_VARIABLES if os.environ.get(name)), None)


def certificate_problem(target: str, root_certificates: _Path) -> str | None:
    """The reason why the certificate of a server isn't trusted.

    gRPC doesn't always say it: where a name has two addresses, the error may be about
    the other one.

    Returns:
        A sentence; None if the certificate is trusted, or can't be had.
    """
    host, _, port = target.rpartition("/")[2].rpartition(":")
    host = host.strip("[]")
    context = ssl.create_default_context(cafile=root_certificates)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # As gRPC.
    try:
        with (
            socket.create_connection((host, int(port)), _CONNECT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return None


def _read_pem(name: str, path: _Path | None) -> bytes | None:
    if path is None:
        return None
    with argument(name):
        data = read_file(path)
        if b"-----BEGIN " not in data:
            raise ArgumentError("a PEM file", repr(os.fspath(path)))
    return data
