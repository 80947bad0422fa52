"""Channels to a server: retries, sizes of messages, keep-alive and TLS."""

from __future__ import annotations

import json
import os
from typing import Any

import grpc

_FIRST_BACKOFF = 1.0


def channel_options(max_attempts: int) -> list[tuple[str, Any]]:
    """Options of a channel that tries a call so many times, 1 to 5."""
    method = {
        "name": [{"service": "tensorflow.serving.PredictionService"}],
        "retryPolicy": {
            "maxAttempts": max(2, max_attempts),
            "initialBackoff": f"{_FIRST_BACKOFF}s",
            "maxBackoff": f"{16 * _FIRST_BACKOFF}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
        },
    }
    service = {
        # Where a name stands for several servers, each gets its share of the calls;
        # else all go to the first one, for as long as the channel lives.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [method],
    }
    return [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_retries", int(max_attempts > 1)),
        ("grpc.service_config", json.dumps(service)),
        # Pictures are larger than the 256 KiB that gRPC else keeps for a repetition.
        ("grpc.per_rpc_retry_buffer_size", 2**31 - 1),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # A server that is gone without a word is noticed in a run of hours. Servers
        # drop clients that ask more often than each 5 minutes.
        ("grpc.keepalive_time_ms", 310_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def open_channel(
    target: str,
    options: list[tuple[str, Any]],
    root_certificates: Any,
    client_certificate: Any,
    client_key: Any,
) -> grpc.Channel:
    """A channel to `host:port`; with TLS where there is a path of certificates.

    Raises:
        ValueError: for certificates that don't go together or are none.
        OSError: when one can't be read.
    """
    if (client_certificate is None) != (client_key is None):
        given = (client_certificate, client_key)
        raise ValueError(
            f"`client_certificate` must be given with `client_key`. Received: {given!r}"
        )
    if client_key is not None and root_certificates is None:
        raise ValueError(
            "`root_certificates` must be given with `client_certificate`. "
            "Received: None"
        )
    if root_certificates is None:
        return grpc.insecure_channel(target, options)
    credentials = grpc.ssl_channel_credentials(
        _read_pem("root_certificates", root_certificates),
        _read_pem("client_key", client_key),
        _read_pem("client_certificate", client_certificate),
    )
    return grpc.secure_channel(target, credentials, options)


def _read_pem(name: str, path: Any) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        data = file.read()
    if b"-----BEGIN " not in data:
        raise ValueError(f"`{name}` must be a PEM file. Received: {os.fspath(path)!r}")
    return data
