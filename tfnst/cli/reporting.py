"""How a command tells what it does: a line, a line of JSON, nothing, or all it logs."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tfnst.cli.options import Command, add_options
from tfnst.cli.terminal import say

if TYPE_CHECKING:
    from tfnst.transfer.results import TransferResult

STANDARD_OUTPUT = "standard output"


@dataclasses.dataclass
class Reporting:
    """What the options say about it; one for each call of a command.

    Attributes:
        json: whether the result is told as JSON.
        quiet: whether nothing is told but warnings and errors.
        verbose: whether what is logged is told, too.
        piped: whether the picture goes to standard output.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    piped: bool = False

    def notice(self, line: str) -> None:
        """Says something that is neither a warning nor an error."""
        if not self.quiet:
            say(line)

    def name_of(self, output: str) -> str:
        """What people call the file of the picture."""
        return STANDARD_OUTPUT if self.piped else output

    def tell(self, facts: Mapping[str, Any], line: str | None = None) -> None:
        """Tells on standard output what a command did.

        Args:
            facts: the result as plain values that JSON can hold.
            line: the result in words; None where a notice has said it.
        """
        if self.json:
            click.echo(json.dumps(facts, allow_nan=False))
        elif line is not None and not self.quiet:
            click.echo(line)


def reporting() -> Reporting:
    """What the options of the command that runs say about it."""
    context = click.get_current_context(silent=True)
    return Reporting() if context is None else context.ensure_object(Reporting)


def reporting_options(command: Command) -> Command:
    """Adds the options that `reporting` gives, and --verbose."""
    return add_options(
        command,
        json_option,
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Show no bar, and say nothing but warnings and errors.",
        ),
        verbose_option,
    )


def json_option(command: Command) -> Command:
    """Adds the option for a result as JSON."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Print the result as one line of JSON.",
    )(command)


def verbose_option(command: Command) -> Command:
    """Adds the option that shows what is logged under `tfnst`."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_log,
        help="Say what is loaded, how scales are painted, and how long it takes.",
    )(command)


def _remember(context: click.Context, option: click.Parameter, value: bool) -> None:
    setattr(context.ensure_object(Reporting), str(option.name), value)
    _check_verbosity(context)


def _log(context: click.Context, option: click.Parameter, value: bool) -> None:
    _remember(context, option, value)
    if not value:
        return
    handler = _TerminalHandler()
    logger = logging.getLogger("tfnst")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def undo() -> None:
        logger.setLevel(level)
        logger.removeHandler(handler)

    context.call_on_close(undo)


def _check_verbosity(context: click.Context) -> None:
    report = context.ensure_object(Reporting)
    if report.quiet and report.verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")


class _TerminalHandler(logging.Handler):
    """Says what is logged, above any bar."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def facts_of_run(result: TransferResult, output: str) -> dict[str, Any]:
    """A run's result as plain values that JSON can hold.

    Args:
        result: of the run.
        output: path of the picture.
    """
    height, width = result.array.shape[:2]
    last = result.losses[-1]
    names = ("content", "style", "total_variation", "total")
    return {
        "output": "-" if reporting().piped else output,
        "width": width,
        "height": height,
        "seconds": float(last["seconds"]),
        "losses": {name: float(last[name]) for name in names},
    } | result.manifest
