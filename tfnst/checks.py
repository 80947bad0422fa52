"""Checks of arguments, and how their errors read: "`name` must be X. Received: Y"."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Sequence
from typing import Any


def argument_error(name: str, expected: str, received: str) -> ValueError:
    return ValueError(f"`{name}` must be {expected}. Received: {received}")


def show_type(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """One of the choices.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, str) or value not in choices:
        expected = f"one of {', '.join(map(repr, choices))}"
        raise argument_error(name, expected, repr(value))
    return value


def check_integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """An integer from `low` to `high`; any from `low` up where `high` is None.

    Args:
        name: what the error calls it.
        value: an integer, NumPy's included; True and False are not integers.
        low: the smallest allowed.
        high: the largest allowed.

    Raises:
        ValueError: for anything else.
    """
    number = None
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            number = operator.index(value)
    return _in_range(name, value, number, low, high)


def _in_range(
    name: str, value: Any, number: int | None, low: int, high: int | None
) -> int:
    if number is None or number < low or (high is not None and number > high):
        expected = (
            f"an integer, {low} or more"
            if high is None
            else f"an integer from {low} to {high}"
        )
        raise argument_error(name, expected, repr(value))
    return number
