"""`tfnst serve`."""

from __future__ import annotations

import logging
from typing import Any

import click

from tfnst.cli.options import file_option
from tfnst.cli.settings import given
from tfnst.cli.terminal import EXIT_FAILED, fail, quiet_start


@click.command(short_help="Serves models like TensorFlow Serving.")
@click.argument("directory", type=click.Path(), required=False)
@click.option(
    "--name", metavar="TEXT", help="Name of the model in requests.  [default: tfnst]"
)
@file_option(
    "--model-config-file",
    help="File with models and labels, in the format of TensorFlow Serving, in place "
    "of DIRECTORY.",
)
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]"
)
@click.option(
    "--port",
    type=int,
    metavar="N",
    help="Port for gRPC; 0 takes a free one.  [default: 8500]",
)
@click.option(
    "--max-concurrent",
    type=int,
    metavar="N",
    help="Largest number of runs at a time.  [default: 1]",
)
@click.option(
    "--max-queue",
    type=int,
    metavar="N",
    help="Largest number of waiting requests.  [default: 16]",
)
@click.option(
    "--max-message-bytes",
    type=int,
    metavar="N",
    help="Largest size of a request in bytes.  [default: 67108864]",
)
@click.option(
    "--max-pending-bytes",
    type=int,
    metavar="N",
    help="Largest total size in bytes of all requests that arrive, wait or run.  "
    "[default: 2147483648]",
)
@click.option(
    "--max-memory",
    type=float,
    metavar="X",
    help="Memory limit in GiB; requests that need more wait or are refused.",
)
@click.option(
    "--poll-seconds",
    type=float,
    metavar="X",
    help="Seconds between checks for new versions.  [default: 1]",
)
@click.option(
    "--grace",
    type=float,
    metavar="X",
    help="Seconds after which a stopping server cancels its requests; by default it "
    "completes them.",
)
@file_option("--certificate", help="PEM file with the certificate chain; turns on TLS.")
@file_option("--private-key", help="PEM file with the key of --certificate.")
@file_option(
    "--client-ca",
    help="PEM file with the authorities for clients' certificates; turns on mutual "
    "TLS.",
)
@click.option(
    "--metrics-port",
    type=int,
    metavar="N",
    help="Port for Prometheus metrics; by default there are none.",
)
@file_option(
    "--admin-token-file",
    help="File with the token for reload requests; without it, reloading is refused.",
)
@click.option(
    "--reflection/--no-reflection",
    default=None,
    help="Describe the services to clients that ask, which is the default.",
)
@click.option(
    "--check", is_flag=True, help="Only load the models, run their warm-up, and exit."
)
def serve(directory: str | None, check: bool, **options: Any) -> None:
    """Serves the SavedModels in DIRECTORY like TensorFlow Serving.

    Ctrl-C or SIGTERM stops the server once the requests that it has accepted are
    answered. On SIGHUP it reads --model-config-file again.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with quiet_start():
        from tfnst import server
    chosen = given(options)
    if not check:
        server.serve(directory, **chosen)
        return
    chosen.pop("grace", None)
    if not server.ModelServer(directory, **chosen).check():
        fail("not every model can be served; the lines above say why", EXIT_FAILED)
