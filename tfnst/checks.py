"""Errors about arguments, and checks that raise them.

Each check takes an argument's name and value, and returns the value to use, in the type
that its signature says. It raises ArgumentError for anything else.
"""

from __future__ import annotations

import contextlib
import math
import operator
import os
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, TypeVar

_SECONDS = {"s": 1, "m": 60, "h": 3600}


class ArgumentError(ValueError):
    """An argument that can't be used ::

        `argument` must be EXPECTED. Received: RECEIVED

    Functions that don't know their caller's name for a value raise it without one; the
    function that users call fills it in, by the context manager `argument`.

    Functions of tensors (losses, optimisers) raise ValueError itself: in a user's
    `tf.function`, AutoGraph passes on only classes that it knows.

    Args:
        expected: description of the values that can be used.
        received: description of the value.
        argument: name of the argument; None until it is known.
        verb: words before `expected`. Default `"must be"`.
    """

    def __init__(
        self,
        expected: str,
        received: str,
        *,
        argument: str | None = None,
        verb: str = "must be",
    ) -> None:
        super().__init__(expected, received)
        self.argument = argument
        self.expected = expected
        self.received = received
        self.verb = verb

    def __str__(self) -> str:
        return self.describe(f"`{self.argument}`" if self.argument else "The value")

    def describe(self, subject: str) -> str:
        """The sentence, with another subject than the argument's name."""
        return f"{subject} {self.verb} {self.expected}. Received: {self.received}"


_AnyError = TypeVar("_AnyError", bound=Exception)


def attach_refusal(error: _AnyError, refusal: ArgumentError) -> _AnyError:
    """Attaches an ArgumentError, the refusal, to an error of another class.

    So a missing file stays a FileNotFoundError, and has the words and the fields of an
    error about an argument.
    """
    vars(error)["refusal"] = refusal
    error.args = (str(refusal),)
    return error


def refusal_in(error: BaseException) -> ArgumentError | None:
    """The ArgumentError that an error is, or that is attached to it; else None."""
    return error if isinstance(error, ArgumentError) else vars(error).get("refusal")


def argument_in(error: BaseException) -> str | None:
    """Name of the argument that an error is about; None if it has none."""
    refusal = refusal_in(error)
    return None if refusal is None else refusal.argument


def rename_argument(error: Exception, name: str) -> None:
    """Gives another name to the argument that an error is about."""
    refusal = refusal_in(error)
    if refusal is not None:
        refusal.argument = name
        if refusal is not error:
            attach_refusal(error, refusal)


@contextlib.contextmanager
def argument(name: str) -> Iterator[None]:
    """Names the argument in errors of the block that don't name one yet."""
    try:
        yield
    except Exception as error:
        refusal = refusal_in(error)
        if refusal is not None and refusal.argument is None:
            rename_argument(error, name)
        raise


def one_line(error: BaseException) -> str:
    """An error's message in one line, or its class where the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__


def show_type(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _is_truth(value: Any) -> bool:
    """Returns whether a value is True or False, which may be NumPy's."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"


def check_choice(argument: str, value: Any, choices: Sequence[str]) -> str:
    """One of the choices."""
    if not isinstance(value, str) or value not in choices:
        expected = f"one of {', '.join(map(repr, choices))}"
        raise ArgumentError(expected, repr(value), argument=argument)
    return value


def check_choice_or_object(
    argument: str, value: Any, choices: Sequence[str], methods: Sequence[str]
) -> Any:
    """One of the choices, or a hashable object of a user's own with these methods."""
    if isinstance(value, str):
        return check_choice(argument, value, choices)
    own = isinstance(value, Hashable) and not isinstance(value, type)
    if not own or not all(callable(getattr(value, each, None)) for each in methods):
        named = ", ".join(map(repr, choices))
        needed = " and ".join(f"`{method}`" for method in methods)
        expected = f"one of {named}, or a hashable object with the methods {needed}"
        raise ArgumentError(expected, repr(value), argument=argument)
    return value


def check_truth(argument: str, value: Any) -> bool:
    """True or False, which may be NumPy's."""
    if not _is_truth(value) or getattr(value, "shape", ()) != ():
        raise ArgumentError("True or False", repr(value), argument=argument)
    return bool(value)


def check_integer(
    argument: str,
    value: Any,
    low: int,
    high: int | None = None,
    *,
    whole_floats: bool = False,
) -> int:
    """An integer from `low` to `high`, or any from `low` up where `high` is None.

    Args:
        argument: name of the argument.
        value: an integer, which may be NumPy's. True and False are not integers.
        low: smallest value allowed.
        high: largest value allowed.
        whole_floats: True if 7.0 counts as 7.
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
        raise ArgumentError(expected, repr(value), argument=argument)
    return number


def check_number(
    argument: str,
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
        argument: name of the argument.
        value: a number, which may be NumPy's. True and False are not numbers.
        expected: bounds in words, for the error.
        low: smallest value allowed.
        high: largest value allowed.
        above: bound that the value must exceed.
        below: bound that the value must stay under.
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
        raise ArgumentError(expected, repr(value), argument=argument)
    return number


def check_seconds(argument: str, value: Any) -> float:
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
        raise ArgumentError(expected, repr(value), argument=argument)
    return seconds


def check_text(argument: str, value: Any) -> str:
    """A name or a path, as text."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ArgumentError("a name or a path", repr(value), argument=argument)
    return os.fspath(value)


def check_layers(argument: str, value: Any) -> tuple[str, ...]:
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
        raise ArgumentError(expected, repr(value), argument=argument)
    return layers


def check_layer_weights(argument: str, value: Any, count: int) -> tuple[float, ...]:
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
        raise ArgumentError(expected, repr(value), argument=argument)
    return numbers
