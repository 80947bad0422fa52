"""How a command tells what it did: a line for people, a line of JSON, or nothing."""

from __future__ import annotations

import dataclasses
import json
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
        piped: whether the picture goes to standard output.
    """

    json: bool = False
    quiet: bool = False
    piped: bool = False

    def notice(self, line: str) -> None:
        """Says something that is neither a warning nor an error."""
        if not self.quiet:
            say(line)

    def name_of(self, output: str) -> str:
        """What people call the file of the picture."""
        return STANDARD_OUTPUT if self.piped else output

    def tell(
        self, result: TransferResult, output: str, line: str | None = None
    ) -> None:
        """Tells on standard output what a run gave.

        Args:
            result: of the run.
            output: path of the picture.
            line: the result in words; None where a notice has said it.
        """
        if self.json:
            facts = _facts(result, "-" if self.piped else output)
            click.echo(json.dumps(facts, allow_nan=False))
        elif line is not None and not self.quiet:
            click.echo(line)


def reporting() -> Reporting:
    """What the options of the command that runs say about it."""
    context = click.get_current_context(silent=True)
    return Reporting() if context is None else context.ensure_object(Reporting)


def reporting_options(command: Command) -> Command:
    """Adds the options that `reporting` gives."""
    return add_options(
        command,
        click.option(
            "--json",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Print the result as one line of JSON.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Show no bar, and say nothing but warnings and errors.",
        ),
    )


def _remember(context: click.Context, option: click.Parameter, value: bool) -> None:
    setattr(context.ensure_object(Reporting), str(option.name), value)


def _facts(result: TransferResult, output: str) -> dict[str, Any]:
    """The result as plain values that JSON can hold."""
    height, width = result.array.shape[:2]
    last = result.losses[-1]
    names = ("content", "style", "total_variation", "total")
    return {
        "output": output,
        "width": width,
        "height": height,
        "seconds": float(last["seconds"]),
        "losses": {name: float(last[name]) for name in names},
    } | result.manifest
