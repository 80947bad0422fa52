"""`tfnst serve`."""

from __future__ import annotations

import logging

import click

from tfnst.cli.terminal import quiet_start


@click.command()
@click.argument("directory", type=click.Path())
@click.option("--name", metavar="TEXT", help="What requests call the model.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=int, metavar="N", help="Port for gRPC; 0 for any.")
@click.option("--max-concurrent", type=int, metavar="N", help="Most runs at a time.")
@click.option("--max-queue", type=int, metavar="N", help="Most requests that wait.")
@click.option(
    "--poll-seconds", type=float, metavar="X", help="Between looks for versions."
)
@click.option("--grace", type=float, metavar="X", help="Seconds for the last requests.")
@click.option("--certificate", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option("--private-key", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option("--client-ca", type=click.Path(), metavar="FILE", help="For mutual TLS.")
@click.option("--metrics-port", type=int, metavar="N", help="Port for Prometheus.")
def serve(directory, **options):
    """Serves the SavedModels in DIRECTORY as TensorFlow Serving does.

    Stops on Ctrl-C or SIGTERM, once the requests that it has are answered.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with quiet_start():
        from tfnst import server
    # What isn't given is left to the server, where the defaults live.
    server.serve(directory, **{k: v for k, v in options.items() if v is not None})
