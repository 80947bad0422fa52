"""`tfnst serve`."""

from __future__ import annotations

import logging
from typing import Any

import click

from tfnst.cli.options import file_option, number_option
from tfnst.cli.settings import given
from tfnst.cli.terminal import EXIT_BAD_INPUT, EXIT_FAILED, fail, quiet_start

_REMOVED = ("model_config_file", "admin_token_file")
_INSTEAD = (
    "this server has one model, whose newest version answers. For several models, "
    "labels, version policies and HandleReloadConfigRequest, use TensorFlow Serving; "
    "see serving/README.md."
)


@click.command(short_help="Serves a model like TensorFlow Serving.")
# Not required, so that a removed option is refused first.
@click.argument("directory", metavar="DIRECTORY", type=click.Path(), required=False)
@click.option(
    "--name", metavar="TEXT", help="Name of the model in requests.  [default: tfnst]"
)
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]"
)
@number_option(
    "--port",
    help="Port for gRPC; 0 takes a free one.  [default: 8500]",
)
@number_option(
    "--max-concurrent",
    help="Largest number of runs at a time.  [default: 1]",
)
@number_option(
    "--max-queue",
    help="Largest number of waiting requests.  [default: 16]",
)
@number_option(
    "--max-message-bytes",
    help="Largest size of a request in bytes.  [default: 67108864]",
)
@number_option(
    "--max-pending-bytes",
    help="Largest total size in bytes of all requests that arrive, wait or run.  "
    "[default: 2147483648]",
)
@number_option(
    "--max-memory",
    type=float,
    help="Memory limit in GiB, which limits --max-concurrent by the largest request "
    "that the export states.",
)
@number_option(
    "--poll-seconds",
    type=float,
    help="Seconds between checks for new versions.  [default: 1]",
)
@number_option(
    "--grace",
    type=float,
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
@number_option(
    "--metrics-port",
    help="Port for Prometheus metrics; by default there are none.",
)
@click.option(
    "--reflection/--no-reflection",
    default=None,
    help="Describe the services to clients that ask, which is the default.",
)
@click.option(
    "--check", is_flag=True, help="Only load the model, run its warm-up, and exit."
)
@file_option("--model-config-file", help="Removed.", hidden=True)
@file_option("--admin-token-file", help="Removed.", hidden=True)
def serve(directory: Any, check: bool, **options: Any) -> None:
    """Serves the newest SavedModel in DIRECTORY like TensorFlow Serving.

    Ctrl-C or SIGTERM stops the server once the requests that it has accepted are
    answered.
    """
    for name in _REMOVED:
        if options.pop(name) is not None:
            fail(f"`{name}` was removed: {_INSTEAD}", EXIT_BAD_INPUT)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with quiet_start():
        from tfnst import server
    chosen = given(options)
    if not check:
        server.serve(directory, **chosen)
        return
    chosen.pop("grace", None)
    if not server.ModelServer(directory, **chosen).check():
        fail("the model can't be served; the lines above say why", EXIT_FAILED)
