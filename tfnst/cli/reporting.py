"""The output of commands: a line, a line of JSON, nothing, or the log as well."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import click

from tfnst.cli.options import together
from tfnst.cli.terminal import EXIT_INTERRUPTED, say

STANDARD_OUTPUT = "standard output"


@dataclasses.dataclass
class Reporting:
    """The way in which a command reports; there is one for each call.

    Attributes:
        json: whether the result is printed as JSON.
        quiet: whether only warnings and errors are printed.
        verbose: whether log messages are printed, too.
        piped: whether the picture goes to standard output.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    piped: bool = False

    def notice(self, line: str) -> None:
        """Prints a line that is neither a warning nor an error."""
        if not self.quiet:
            say(line)

    def name_of(self, output: str) -> str:
        """The name of the picture's file for people."""
        return STANDARD_OUTPUT if self.piped else output

    def tell(self, facts: Mapping[str, Any], line: str | None = None) -> None:
        """Prints the result of a command on standard output.

        Args:
            facts: result as plain values that JSON can hold.
            line: result in words; None if a notice has already said it.
        """
        if self.json:
            click.echo(json.dumps(facts, allow_nan=False))
        elif line is not None and not self.quiet:
            click.echo(line)

    def interrupted(self, facts: Mapping[str, Any], line: str) -> NoReturn:
        """Prints the result of a command that was interrupted, and ends it.

        Args:
            facts: result so far as plain values that JSON can hold.
            line: result so far in words, a notice.
        """
        self.notice(line)
        self.tell(facts)
        sys.exit(EXIT_INTERRUPTED)


def reporting() -> Reporting:
    """The reporting of the running command."""
    context = click.get_current_context(silent=True)
    return Reporting() if context is None else context.ensure_object(Reporting)


class _TerminalHandler(logging.Handler):
    """Prints log messages above any bar."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def _remember(context: click.Context, option: click.Parameter, value: bool) -> None:
    report = context.ensure_object(Reporting)
    setattr(report, str(option.name), value)
    if report.quiet and report.verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")


@contextlib.contextmanager
def logging_to(handler: logging.Handler, name: str = "tfnst") -> Iterator[None]:
    """Passes the log messages of a package of tfnst to a handler."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def _log(context: click.Context, option: click.Parameter, value: bool) -> None:
    _remember(context, option, value)
    if value:
        context.with_resource(logging_to(_TerminalHandler()))


# The three options that `reporting` gives.
_flag = functools.partial(click.option, is_flag=True, expose_value=False)
json_option = _flag(
    "--json", callback=_remember, help="Print the result as one line of JSON."
)
_quiet_option = _flag(
    "-q",
    "--quiet",
    callback=_remember,
    help="Print only warnings and errors, and no progress bar.",
)
verbose_option = _flag(
    "-v",
    "--verbose",
    callback=_log,
    help="Also print what is loaded, how scales are painted, and the times.",
)
reporting_options = together(json_option, _quiet_option, verbose_option)
