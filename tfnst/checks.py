"""Checks of arguments, and how their errors read: "`name` must be X. Received: Y".

Each check takes the argument's name and value and returns the value to use, in the type
that it says; it raises ValueError for anything else.
"""

from __future__ import annotations

import contextlib
import math
import operator
import os
from collections.abc import Hashable, Sequence
from typing import Any

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def argument_error(name: str, expected: str, received: str) -> ValueError:
    return ValueError(f"`{name}` must be {expected}. Received: {received}")


def one_line(error: BaseException) -> str:
    """An error's message in one line, or else its class."""
    return " ".join(str(error).split()) or type(error).__name__


def show_type(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _is_truth(value: Any) -> bool:
    """Whether a value is True or False, perhaps NumPy's, which counts as a number."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """One of the choices."""
    if not isinstance(value, str) or value not in choices:
        expected = f"one of {', '.join(map(repr, choices))}"
        raise argument_error(name, expected, repr(value))
    return value


def check_choice_or_object(
    name: str, value: Any, choices: Sequence[str], methods: Sequence[str]
) -> Any:
    """One of the choices, or a hashable object of a user's own with these methods."""
    if isinstance(value, str):
        return check_choice(name, value, choices)
    own = isinstance(value, Hashable) and not isinstance(value, type)
    if not own or not all(callable(getattr(value, each, None)) for each in methods):
        named = ", ".join(map(repr, choices))
        needed = " and ".join(f"`{method}`" for method in methods)
        expected = f"one of {named}, or a hashable object with the methods {needed}"
        raise argument_error(name, expected, repr(value))
    return value


def check_truth(name: str, value: Any) -> bool:
    """True or False, which may be NumPy's."""
    if not _is_truth(value) or getattr(value, "shape", ()) != ():
        raise argument_error(name, "True or False", repr(value))
    return bool(value)


def check_integer(
    name: str,
    value: Any,
    low: int,
    high: int | None = None,
    *,
    whole_floats: bool = False,
) -> int:
    """An integer from `low` to `high`, or any from `low` up where `high` is None.

    Args:
        name: of the argument.
        value: an integer, which may be NumPy's. True and False are not integers.
        low: the smallest allowed.
        high: the largest allowed.
        whole_floats: whether 7.0 counts as 7.
    """
    number = None
    if not _is_truth(value) and not isinstance(value, str):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            number = int(value) if whole_floats else operator.index(value)
    # 7.5 isn't the integer that it was cut to.
    if (
        number is None
        or number != value
        or number < low
        or (high is not None and number > high)
    ):
        expected = (
            f"an integer, {low} or more"
            if high is None
            else f"an integer from {low} to {high}"
        )
        raise argument_error(name, expected, repr(value))
    return number


def check_number(
    name: str,
    value: Any,
    expected: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite number within bounds.

    Args:
        name: of the argument.
        value: a number, which may be NumPy's. True and False are not numbers.
        expected: the bounds in words, for the error.
        low: the smallest allowed.
        high: the largest allowed.
        above: what it must be greater than.
        below: what it must be less than.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if (
        _is_truth(value)
        or isinstance(value, str)
        or not math.isfinite(number)
        or not low <= number <= high
        or not above < number < below
    ):
        raise argument_error(name, expected, repr(value))
    return number


def check_seconds(name: str, value: Any) -> float:
    """Seconds above 0, from a number or from a text such as '90', '90s', '5m', '1h'."""
    number, factor = value, 1
    if isinstance(value, str) and value[-1:] in _SECONDS:
        number, factor = value[:-1], _SECONDS[value[-1]]
    try:
        seconds = factor * float(number)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not 0 < seconds < math.inf:
        expected = "a number of seconds above 0, or text such as '90s', '5m' or '1h'"
        raise argument_error(name, expected, repr(value))
    return seconds


def check_text(name: str, value: Any) -> str:
    """A name or a path, as text."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise argument_error(name, "a name or a path", repr(value))
    return os.fspath(value)


def check_layers(name: str, value: Any) -> tuple[str, ...]:
    """One or more different layer names; a single one may be given as text."""
    try:
        layers = (value,) if isinstance(value, str) else tuple(value)
    except TypeError:
        layers = ()
    if (
        not layers
        or not all(isinstance(layer, str) and layer for layer in layers)
        or len(set(layers)) != len(layers)
    ):
        expected = "one or more different layer names"
        raise argument_error(name, expected, repr(value))
    return layers


def check_layer_weights(name: str, value: Any, count: int) -> tuple[float, ...]:
    """One finite number for each of `count` layers, each 0 or more and not all 0."""
    try:
        numbers = tuple(float(weight) for weight in value)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if (
        len(numbers) != count
        or not all(math.isfinite(n) and n >= 0 for n in numbers)
        or not any(numbers)
    ):
        expected = (
            f"one finite number per layer ({count}), each 0 or more and not all 0"
        )
        raise argument_error(name, expected, repr(value))
    return numbers
