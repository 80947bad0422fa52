"""Checks of arguments, with the wording of tfnst's errors."""

from __future__ import annotations

from typing import Any


def check_integer(name: str, value: Any, low: int, high: int) -> None:
    """Raises ValueError unless the value is an integer from `low` to `high`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not low <= value <= high
    ):
        raise argument_error(name, f"an integer from {low} to {high}", value)


def argument_error(name: str, expected: str, received: Any) -> ValueError:
    """Returns the error to raise for a bad argument."""
    return ValueError(f"`{name}` must be {expected}. Received: {received!r}")
