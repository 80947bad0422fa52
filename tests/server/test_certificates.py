"""TLS, for calls and for the metrics."""

import socket
import ssl
import urllib.request

import grpc
import pytest

from tests import toys
from tests.certificates import write_certificate
from tests.server.helpers import (
    LIMIT,
    NOT_SERVING,
    Caller,
    Code,
    running,
    serving,
    status_request,
)
from tfnst.server import ModelServer


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths of certificates and keys: one authority, a server and a client."""
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("tls")
    authority = write_certificate(folder, "authority")
    for name in ("server", "client"):
        write_certificate(folder, name, authority)
    return {
        f"{path.stem}{'_key' * (path.suffix == '.key')}": path
        for path in folder.iterdir()
    }


def mutual(files):
    return {
        "certificate": files["server"],
        "private_key": files["server_key"],
        "client_ca": files["authority"],
    }


def calling(server, **credentials):
    credentials = grpc.ssl_channel_credentials(
        **{name: path.read_bytes() for name, path in credentials.items()}
    )
    return grpc.secure_channel(f"127.0.0.1:{server.port}", credentials)


# Without a model, a server starts at once, and says that it can't answer.


def test_tls(tmp_path, files):
    tls = {"certificate": files["server"], "private_key": files["server_key"]}
    with running(tmp_path, **tls) as (server, plain):
        with calling(server, root_certificates=files["authority"]) as channel:
            assert Caller(channel).health() == NOT_SERVING
        assert plain.refused(status_request())[0] == Code.UNAVAILABLE


def test_mutual_tls(base, files):
    with serving(base, **mutual(files)) as (server, _):
        known = {
            "root_certificates": files["authority"],
            "private_key": files["client_key"],
            "certificate_chain": files["client"],
        }
        with calling(server, **known) as channel:
            response = Caller(channel)(toys.predict_request(a=[1], b=[2]))
            assert list(response.outputs["total"].float_val) == [3]
        with calling(server, root_certificates=files["authority"]) as channel:
            code, _ = Caller(channel).refused(status_request())
            assert code == Code.UNAVAILABLE


def test_metrics(tmp_path, files):
    with running(tmp_path, metrics_port=0, **mutual(files)) as (server, _):
        context = ssl.create_default_context(cafile=files["authority"])
        url = f"https://127.0.0.1:{server.metrics_port}/metrics"
        with pytest.raises(OSError):  # noqa: PT011 (refused, in one way or other)
            urllib.request.urlopen(url, timeout=LIMIT, context=context)
        context.load_cert_chain(files["client"], files["client_key"])
        with urllib.request.urlopen(url, timeout=LIMIT, context=context) as response:
            assert b"tfnst_queue_length 0.0" in response.read()


def test_a_metrics_client_that_never_shakes_hands(tmp_path, files):
    tls = {"certificate": files["server"], "private_key": files["server_key"]}
    with running(tmp_path, metrics_port=0, **tls) as (server, _):
        address = ("127.0.0.1", server.metrics_port)
        with socket.create_connection(address, LIMIT):
            context = ssl.create_default_context(cafile=files["authority"])
            url = f"https://127.0.0.1:{server.metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=LIMIT, context=context) as page:
                assert b"tfnst_queue_length 0.0" in page.read()
            server.stop()


def test_files_that_are_no_certificates(tmp_path, files):
    key, certificate = files["server_key"], files["server"]
    missing = files["server"].with_suffix(".none")
    for options, kind, text in (
        (
            {"certificate": key, "private_key": certificate},
            ValueError,
            "`certificate` must be a PEM file that goes with `private_key`. Received: "
            f"'{key}' (",
        ),
        (
            {"certificate": missing, "private_key": key},
            FileNotFoundError,
            "`certificate` must be a file that can be read. Received: "
            f"'{missing}', which does not exist",
        ),
        (
            {"certificate": certificate, "private_key": missing},
            FileNotFoundError,
            "`private_key` must be a file that can be read.",
        ),
        (
            {**mutual(files), "client_ca": key},
            ValueError,
            "`client_ca` must be a PEM file of certificates. Received: ",
        ),
    ):
        with pytest.raises(kind) as caught:
            ModelServer(tmp_path, port=0, **options).start()
        assert str(caught.value).startswith(text)
