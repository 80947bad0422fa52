"""Certificate files for TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import ssl
from collections.abc import Iterator
from typing import Any

import grpc

from tfnst.checks import ArgumentError, argument
from tfnst.files import read_file, show_path

_Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Certificates:
    """The certificate files for TLS, of gRPC and of the metrics.

    Attributes:
        certificate: PEM file with the server's certificate chain; None for no TLS.
        private_key: PEM file with the key of `certificate`.
        client_ca: PEM file with the authorities for clients' certificates; None to
            ask clients for no certificate.

    Raises:
        ValueError: when one file is given without another that it needs.
    """

    certificate: _Path | None = None
    private_key: _Path | None = None
    client_ca: _Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            pair = repr((self.certificate, self.private_key))
            raise ArgumentError(
                "given with `private_key`", pair, argument="certificate"
            )
        if self.client_ca is not None and self.certificate is None:
            expected = "given with `certificate` and `private_key`"
            raise ArgumentError(expected, repr(self.client_ca), argument="client_ca")

    def credentials(self) -> grpc.ServerCredentials | None:
        """Returns the credentials for gRPC; None without a certificate.

        Raises:
            OSError: when a file can't be read.
            ValueError: when one isn't valid.
        """
        if self.certificate is None or self.private_key is None:
            return None
        files = dataclasses.asdict(self)
        data: dict[str, bytes | None] = dict.fromkeys(files)
        for name, path in files.items():
            if path is not None:
                with argument(name):
                    data[name] = read_file(path)
        # Loaded by Python first, because gRPC doesn't say what is wrong with a file.
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with _valid("certificate", "a PEM file that goes with `private_key`", files):
            context.load_cert_chain(self.certificate, self.private_key)
        if self.client_ca is not None:
            with _valid("client_ca", "a PEM file of certificates", files):
                context.load_verify_locations(self.client_ca)
        return grpc.ssl_server_credentials(
            [(data["private_key"], data["certificate"])],
            data["client_ca"],
            require_client_auth=self.client_ca is not None,
        )

    def http_options(self) -> dict[str, Any]:
        """Returns the same as options of `prometheus_client.start_http_server`."""
        if self.certificate is None:
            return {}
        return {
            "certfile": self.certificate,
            "keyfile": self.private_key,
            "client_cafile": self.client_ca,
            "client_auth_required": self.client_ca is not None,
        }


@contextlib.contextmanager
def _valid(name: str, expected: str, files: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        received = f"{show_path(files[name])} ({error.reason or error})"
        raise ArgumentError(expected, received, argument=name) from error
