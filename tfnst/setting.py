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

Scope = Literal[
    "picture",  # It changes the picture by more than rounding.
    "exported",  # It has a meaning in an exported model.
    "requested",  # A request to a server may carry it.
    "traced",  # The compiled loop depends on it: runs that differ in it share no trace.
    "network",  # It concerns the network that compares pictures.
    "trained",  # A network that learns a style learns by it.
    "at_once",  # It has a meaning where such a network paints.
    "machine",  # It concerns the use of the machine, and isn't repeated with a run.
]
# The usual scopes: of a setting that the compiled loop takes as an argument or never
# sees, of one that is compiled into the loop, and of one that each request may choose.
ORDINARY: frozenset[Scope] = frozenset({"picture", "exported"})
TRACED: frozenset[Scope] = ORDINARY | {"traced"}
REQUESTED: frozenset[Scope] = ORDINARY | {"requested"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting, as commands, forms and documents need it; `setting` declares one.

    Attributes:
        name: name of the field.
        type: type of a value: bool, int, float, str or tuple.
        optional: whether a value may be None.
        default: default of the field.
        help: sentence that describes it in `--help` and tooltips.
        details: further sentences for documents.
        choices: allowed values, where they are few.
        low: smallest allowed number.
        high: largest allowed number.
        above: bound that a number must exceed.
        below: bound that a number must stay under.
        values: allowed numbers in words; by default from `low` and `high`.
        check: function in place of the check by type and bounds; it takes the name and
            a value and returns the value to keep, or raises ValueError.
        metavar: placeholder for the value in `--help`; the option then takes text.
        scopes: scopes; see `Scope`.
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
    scopes: frozenset[Scope] = ORDINARY

    def checked(self, value: Any) -> Any:
        """A value in its own type, such as float for 1.

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
        if self.type is float:
            return check_number(
                self.name,
                value,
                self.allowed(),
                low=self.low,
                high=self.high,
                above=self.above,
                below=self.below,
            )
        return value

    def allowed(self) -> str:
        """The allowed numbers in words; empty if no bounds say it."""
        if self.values or math.isinf(self.high):
            return self.values
        kind = "an integer" if self.type is int else "a number"
        return f"{kind} from {self.low:,.10g} to {self.high:,.10g}"

    def text(self) -> str:
        """The help, the details and the allowed numbers, in sentences."""
        allowed = self.allowed()
        sentence = f"{allowed[0].upper()}{allowed[1:]}." if allowed else ""
        return " ".join(filter(None, [self.help, self.details, sentence]))


def setting(default: Any, help: str, details: str = "", **about: Any) -> Any:
    """Declares a setting as a field of a dataclass.

    Args:
        default: default of the field.
        help: sentence for `--help`, tooltips and documents.
        details: further sentences for documents.
        **about: other attributes of `Setting`; name and type are those of the field.
    """
    about |= {"help": help, "details": details}
    return dataclasses.field(default=default, metadata=about)


def settings_of(config: type) -> tuple[Setting, ...]:
    """The settings of a dataclass, in their order."""
    hints = typing.get_type_hints(config)
    return tuple(
        _read_field(field, hints[field.name]) for field in dataclasses.fields(config)
    )


def _read_field(field: dataclasses.Field[Any], hint: Any) -> Setting:
    """The setting of a field with an annotation such as `tuple[str, ...] | None`."""
    kinds = [hint]
    if isinstance(hint, types.UnionType):
        kinds = list(typing.get_args(hint))
    return Setting(
        name=field.name,
        type=typing.get_origin(kinds[0]) or kinds[0],
        optional=types.NoneType in kinds,
        default=field.default,
        **field.metadata,
    )


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
