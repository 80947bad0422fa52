"""The `tfnst` command: parse, call, print.

TensorFlow is imported only when a command needs it, so `--help` is quick.
"""

from __future__ import annotations

import sys
import warnings

import click

from tfnst.checks import one_line
from tfnst.cli import (
    batch,
    evaluate,
    export,
    info,
    list_styles,
    recolor,
    request,
    serve,
    studio,
    stylize,
    train,
    video,
    weights,
)
from tfnst.cli.terminal import (
    EXIT_BAD_INPUT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Warnings,
    fail,
    open_streams,
)
from tfnst.files import UnwrittenWarning, is_machine_error
from tfnst.version import __version__


def main() -> None:
    """Runs the command; entry point of the console script."""
    open_streams()
    shown = Warnings()
    warnings.showwarning = shown.show
    warnings.simplefilter("always", UnwrittenWarning)
    try:
        cli.main(standalone_mode=False, prog_name="tfnst")
        if shown.unwritten:
            sys.exit(EXIT_FAILED)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        fail(error.format_message(), EXIT_BAD_INPUT)
    except (ValueError, OSError, ImportError) as error:
        code = EXIT_FAILED if is_machine_error(error) else EXIT_BAD_INPUT
        fail(one_line(error), code)
    except MemoryError as error:
        said = one_line(error) if str(error) else "out of memory; try a smaller --size"
        fail(said, EXIT_FAILED)
    except (KeyboardInterrupt, click.Abort):
        fail("interrupted", EXIT_INTERRUPTED)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="tfnst")
def cli() -> None:
    """Paints pictures in the style of other pictures."""


for command in (
    stylize.stylize,
    train.train,
    list_styles.list_styles,
    batch.batch,
    export.export,
    serve.serve,
    request.request,
    video.video,
    studio.studio,
    recolor.recolor,
    evaluate.evaluate,
    info.info,
    weights.weights,
):
    cli.add_command(command)
