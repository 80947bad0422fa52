"""`tfnst serve`."""

from __future__ import annotations

import logging
from typing import Any

import click

from tfnst.cli.options import file_option
from tfnst.cli.settings import given
from tfnst.cli.terminal import EXIT_FAILED, fail, quiet_start


@click.command(short_help="Serves a model as TensorFlow Serving does.")
# Not required, so that a removed option is refused first.
@click.argument("directory", metavar="DIRECTORY", type=click.Path(), required=False)
@click.option("--name", metavar="TEXT", help="Name of the model in requests.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=int, metavar="N", help="Port for gRPC; 0 for any.")
@click.option(
    "--max-concurrent", type=int, metavar="N", help="Most runs at the same time."
)
@click.option("--max-queue", type=int, metavar="N", help="Most requests that wait.")
@click.option("--max-message-bytes", type=int, metavar="N", help="Longest request.")
@click.option(
    "--max-pending-bytes",
    type=int,
    metavar="N",
    help="Most bytes of all requests that arrive, wait or run.",
)
@click.option(
    "--max-memory",
    type=float,
    metavar="X",
    help="Most memory in GiB; requests that need more wait or are refused.",
)
@click.option(
    "--poll-seconds",
    type=float,
    metavar="X",
    help="Seconds between checks for new versions.",
)
@click.option(
    "--grace",
    type=float,
    metavar="X",
    help="Seconds that running requests are given when the server stops.",
)
@file_option("--certificate", help="The server's certificate chain; turns on TLS.")
@file_option("--private-key", help="The key of --certificate.")
@file_option("--client-ca", help="The authorities for clients; turns on mutual TLS.")
@click.option("--metrics-port", type=int, metavar="N", help="Port for Prometheus.")
@click.option(
    "--reflection/--no-reflection",
    default=None,
    help="Describe the services to clients that ask; by default it does.",
)
@click.option(
    "--check", is_flag=True, help="Only load the model, run its warm-up, and leave."
)
@file_option("--model-config-file", help="Removed.", hidden=True)
@file_option("--admin-token-file", help="Removed.", hidden=True)
def serve(directory: Any, check: bool, **options: Any) -> None:
    """Serves the newest SavedModel in DIRECTORY as TensorFlow Serving does.

    Ctrl-C or SIGTERM stops it once the requests it has accepted are answered.
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
        fail("the model can't be served; the lines above say why", EXIT_FAILED)
