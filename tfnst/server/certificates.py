"""Certificate files for TLS."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import ssl
from typing import Any

import grpc

from tfnst.server.arguments import argument_error

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
            pair = (self.certificate, self.private_key)
            raise argument_error("certificate", "given with `private_key`", pair)
        if self.client_ca is not None and self.certificate is None:
            expected = "given with `certificate` and `private_key`"
            raise argument_error("client_ca", expected, self.client_ca)

    def credentials(self) -> grpc.ServerCredentials | None:
        """Returns the credentials for gRPC; None without a certificate.

        Raises:
            OSError: when a file can't be read or isn't valid.
        """
        if self.certificate is None or self.private_key is None:
            return None
        # Read by Python first, because gRPC doesn't say what is wrong with a file.
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.certificate, self.private_key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except ssl.SSLError as error:
            paths = (self.certificate, self.private_key, self.client_ca)
            names = ", ".join(str(path) for path in paths if path is not None)
            raise OSError(f"the certificate is not valid: {error} ({names})") from error
        key = pathlib.Path(self.private_key).read_bytes()
        chain = pathlib.Path(self.certificate).read_bytes()
        authorities = self.client_ca and pathlib.Path(self.client_ca).read_bytes()
        return grpc.ssl_server_credentials(
            [(key, chain)], authorities, require_client_auth=self.client_ca is not None
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
