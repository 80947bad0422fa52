"""Settings: fields of StyleTransferConfig with texts, checks and scopes."""

from __future__ import annotations

import dataclasses
import math
import textwrap
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal

from tfnst.checks import check_choice, check_integer, check_number, check_truth

Scope = Literal["picture", "exported", "requested", "traced", "network", "machine"]

# Scopes of settings that change the picture: at each run of the compiled loop, which
# takes them as arguments or never sees them; by the loop that is compiled; or at each
# request to a server.
FIXED: frozenset[Scope] = frozenset({"picture", "exported"})
TRACED: frozenset[Scope] = FIXED | {"traced"}
REQUESTED: frozenset[Scope] = FIXED | {"requested"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting, as the command, forms and documents need it.

    `setting` declares it. Its name, type and default are those of the field.

    Attributes:
        name: name of the field.
        type: type of a value: bool, int, float, str or tuple.
        optional: whether a value may be None, which isn't checked.
        default: value of a setting that isn't given.
        help: a sentence, for `--help` and tooltips, too.
        details: further sentences, for documents.
        choices: all values of a setting that has few.
        low: smallest number.
        high: largest number.
        above: bound that a number must exceed.
        below: bound that a number must stay under.
        values: allowed numbers in words; by default from `low` and `high`.
        check: replaces the check by type and bounds: takes the name and a value and
            returns the value to keep, or raises ValueError.
        metavar: placeholder for the value in `--help`; the option then takes text.
        scopes: where it matters:
            `"picture"`, it changes the picture by more than rounding;
            `"exported"`, it has a meaning in an exported model;
            `"requested"`, a request to a server may carry it;
            `"traced"`, the compiled loop depends on it: runs that differ in it can't
            share a trace;
            `"network"`, it is about the network that compares pictures;
            `"machine"`, it says what a run may use of the machine, and isn't repeated
            with the run, which may happen elsewhere.
    """

    name: str
    type: type
    optional: bool
    default: Any
    help: str
    details: str = ""
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    values: str = ""
    check: Callable[[str, Any], Any] | None = None
    metavar: str | None = None
    scopes: frozenset[Scope] = FIXED

    def checked(self, value: Any) -> Any:
        """The value to keep for a value that was given.

        Raises:
            ValueError: for a value of another type or out of bounds.
        """
        if value is None and self.optional:
            return None
        if self.check is not None:
            return self.check(self.name, value)
        if self.choices:
            return check_choice(self.name, value, self.choices)
        if self.type is bool:
            return check_truth(self.name, value)
        if self.type is int:
            low, high = int(self.low), int(self.high)
            return check_integer(self.name, value, low, high, whole_floats=True)
        return check_number(
            self.name,
            value,
            self.allowed(),
            low=self.low,
            high=self.high,
            above=self.above,
            below=self.below,
        )

    def allowed(self) -> str:
        """The allowed numbers in words; empty where the bounds don't say."""
        if self.values or math.isinf(self.high):
            return self.values
        kind = "an integer" if self.type is int else "a number"
        return f"{kind} from {self.low:,.10g} to {self.high:,.10g}"

    def text(self) -> str:
        """Its help and details, and the numbers that are allowed."""
        allowed = self.allowed()
        sentence = f"{allowed[0].upper()}{allowed[1:]}." if allowed else ""
        return " ".join(filter(None, [self.help, self.details, sentence]))


def setting(default: Any, help: str, details: str = "", **about: Any) -> Any:
    """A field of a dataclass that is a setting.

    Args:
        default: value of a setting that isn't given.
        help: a sentence.
        details: further sentences.
        **about: other attributes of `Setting`.
    """
    about |= {"help": help, "details": details}
    return dataclasses.field(default=default, metadata=about)


def read_settings(config: type) -> tuple[Setting, ...]:
    """The settings of a dataclass, in their order."""
    hints = typing.get_type_hints(config)
    settings = []
    for field in dataclasses.fields(config):
        kinds = [hints[field.name]]
        if isinstance(kinds[0], types.UnionType):
            kinds = [*typing.get_args(kinds[0])]
        settings.append(
            Setting(
                name=field.name,
                type=typing.get_origin(kinds[0]) or kinds[0],
                optional=type(None) in kinds,
                default=field.default,
                **field.metadata,
            )
        )
    return tuple(settings)


def attributes_section(settings: Iterable[Setting]) -> str:
    """The section of a docstring that describes settings."""
    entries = []
    for each in settings:
        choices = ", ".join(f'`"{choice}"`' for choice in each.choices)
        entries.append(
            textwrap.fill(
                f"{each.name}: {each.text()} {choices and f'One of {choices}. '}"
                f"Default `{each.default!r}`.",
                initial_indent=" " * 4,
                subsequent_indent=" " * 8,
                width=80,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(["Attributes:", *entries])
