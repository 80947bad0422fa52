"""Certificate files for TLS, read again when they change."""

from __future__ import annotations

import dataclasses
import logging
import os
import ssl
import threading
from typing import Any

import grpc

from tfnst.server.arguments import argument_error

_Path = str | os.PathLike[str]
_logger = logging.getLogger("tfnst.server")


@dataclasses.dataclass(frozen=True)
class _Read:
    """Contents of the files."""

    key_and_chain: tuple[bytes, bytes]
    client_ca: bytes | None
    context: ssl.SSLContext


class Certificates:
    """The certificate files for TLS, for gRPC and for other servers.

    Each handshake checks whether they have changed. While they don't fit together, for
    example because only one has been replaced yet, the old ones stay in use.

    Args:
        certificate: PEM file with the server's certificate chain; None for no TLS.
        private_key: PEM file with the key of `certificate`.
        client_ca: PEM file with the authorities for clients' certificates; None to
            ask clients for no certificate.

    Raises:
        ValueError: when one file is given without another that it needs.
    """

    def __init__(
        self,
        certificate: _Path | None = None,
        private_key: _Path | None = None,
        client_ca: _Path | None = None,
    ) -> None:
        pair = (certificate, private_key)
        if (certificate is None) != (private_key is None):
            raise argument_error("certificate", "given with `private_key`", pair)
        if client_ca is not None and certificate is None:
            expected = "given with `certificate` and `private_key`"
            raise argument_error("client_ca", expected, client_ca)
        self._certificate, self._private_key = certificate, private_key
        self._client_ca = client_ca
        self._lock = threading.Lock()
        self._state: Any = None
        self._read: _Read | None = None

    def credentials(self) -> grpc.ServerCredentials | None:
        """Returns the credentials for gRPC; None without a certificate.

        Raises:
            OSError: when a file can't be read or isn't valid.
        """
        if self._certificate is None:
            return None
        self._load()
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._configuration,
            require_client_authentication=self._client_ca is not None,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """Returns an SSL context for the same TLS; None without a certificate.

        Raises:
            OSError: as for `credentials`.
        """
        if self._certificate is None:
            return None
        context = self._load().context

        def choose(connection: Any, _name: Any, _context: Any) -> None:
            connection.context = self._newest().context

        context.sni_callback = choose
        return context

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        read = self._newest()
        return grpc.ssl_server_certificate_configuration(
            [read.key_and_chain], root_certificates=read.client_ca
        )

    def _newest(self) -> _Read:
        """Reads the files, or returns their last valid contents."""
        try:
            return self._load()
        except OSError as error:
            _logger.warning("The certificates can't be read again: %s", error)
            if self._read is None:
                raise
            return self._read

    def _load(self) -> _Read:
        with self._lock:
            state = [self._describe(path) for path in self._paths()]
            if self._read is None or state != self._state:
                self._state = state
                self._read = self._read_files()
            return self._read

    def _paths(self) -> list[_Path]:
        paths = (self._certificate, self._private_key, self._client_ca)
        return [path for path in paths if path is not None]

    def _describe(self, path: _Path) -> tuple[int, int, int]:
        status = os.stat(path)
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _read_files(self) -> _Read:
        if self._certificate is None or self._private_key is None:
            raise AssertionError("without a certificate there is nothing to read")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self._certificate, self._private_key)
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except ssl.SSLError as error:
            names = ", ".join(str(path) for path in self._paths())
            raise OSError(f"the certificate is not valid: {error} ({names})") from error
        client_ca = None if self._client_ca is None else _read_file(self._client_ca)
        key, chain = _read_file(self._private_key), _read_file(self._certificate)
        return _Read((key, chain), client_ca, context)


def _read_file(path: _Path) -> bytes:
    with open(path, "rb") as file:
        return file.read()
