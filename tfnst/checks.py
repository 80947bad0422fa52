"""How errors name an argument: "`name` must be X. Received: Y"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def argument_error(name: str, expected: str, received: str) -> ValueError:
    return ValueError(f"`{name}` must be {expected}. Received: {received}")


def show_type(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def check_choice(argument: str, value: str, choices: Sequence[str]) -> None:
    """Raises ValueError for what isn't one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {value!r}"
        )
