"""Checks of arguments: what they return, and what their errors say."""

import errno
import math
import pathlib
import pickle
import re
from functools import partial

import numpy as np
import pytest

from tests.helpers import message
from tfnst.checks import (
    ArgumentError,
    argument,
    attach_refusal,
    check_choice,
    check_integer,
    check_layer_weights,
    check_layers,
    check_number,
    check_seconds,
    check_text,
    refusal_in,
    rename_argument,
)

WHOLE = partial(check_integer, low=0, whole_floats=True)
SHARE = partial(check_number, expected="a number above 0 and below 1", above=0, below=1)


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (partial(check_choice, choices=("a", "b")), "b", "b"),
        (partial(check_integer, low=0, high=5), 5, 5),
        (partial(check_integer, low=0), np.int64(10**9), 10**9),
        (WHOLE, 7.0, 7),
        (WHOLE, np.float32(7), 7),
        (partial(check_number, expected="a number", low=0, high=1), 1, 1.0),
        (SHARE, np.float64(0.5), 0.5),
        (check_seconds, "1.5h", 5400.0),
        (check_seconds, "90", 90.0),
        (check_text, pathlib.Path("a.h5"), "a.h5"),
        (check_layers, "a", ("a",)),
        (check_layers, ["a", "b"], ("a", "b")),
        (partial(check_layer_weights, count=2), [0, np.float32(1)], (0.0, 1.0)),
    ],
)
def test_returns_plain_values(check, value, expected):
    checked = check("x", value)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("check", "expected", "values"),
    [
        (
            partial(check_choice, choices=("a", "b")),
            "one of 'a', 'b'",
            ["c", "", 3, None, ["a"], np.array(["a", "b"])],
        ),
        (
            partial(check_integer, low=0, high=5),
            "an integer from 0 to 5",
            [-1, 6, True, np.True_, "3", 3.0, math.nan, None, [3]],
        ),
        (
            partial(check_integer, low=2),
            "an integer, 2 or more",
            [1, False, "3", 3.0, None],
        ),
        (WHOLE, "an integer, 0 or more", [7.5, -1.0, math.inf, math.nan, "7", True]),
        (
            SHARE,
            "a number above 0 and below 1",
            [0, 1, -0.1, math.nan, math.inf, 10**400, "0.5", True, None, [0.5]],
        ),
        (
            check_seconds,
            "a number of seconds above 0, or text such as '90s', '5m' or '1h'",
            [0, "", "m", "5 days", math.inf, 10**400, True, None],
        ),
        (check_text, "a name or a path", ["", 3, None, b"a"]),
        (
            check_layers,
            "one or more different layer names",
            [(), "", ["a", "a"], [["a"]], ["a", 3], 3, None],
        ),
        (
            partial(check_layer_weights, count=2),
            "one finite number per layer (2), each 0 or more and not all 0",
            [[1], [1, -1], [0, 0], [1, math.nan], [1, 10**400], "ab", 1],
        ),
    ],
)
def test_names_what_is_wrong(check, expected, values):
    for value in values:
        text = re.escape(f"`x` must be {expected}. Received: {value!r}")
        with pytest.raises(ArgumentError, match=f"^{text}$"):
            check("x", value)


def read_nothing():
    raise ArgumentError("a picture", "nothing", verb="must have")


def open_missing():
    refusal = ArgumentError("a file", "'a.png', which does not exist")
    error = attach_refusal(FileNotFoundError(), refusal)
    error.errno = errno.ENOENT
    raise error


@pytest.mark.parametrize(
    ("fail", "kind", "said"),
    [
        (read_nothing, ArgumentError, "must have a picture. Received: nothing"),
        (
            open_missing,
            FileNotFoundError,
            "must be a file. Received: 'a.png', which does not exist",
        ),
    ],
)
def test_errors_get_the_name_that_the_innermost_caller_knows(fail, kind, said):
    assert message(kind, fail) == f"The value {said}"
    with pytest.raises(kind) as caught, argument("outer"), argument("inner"):
        fail()
    assert str(caught.value) == f"`inner` {said}"
    refusal = refusal_in(caught.value)
    assert refusal.argument == "inner"
    assert f"{refusal.verb} {refusal.expected}. Received: {refusal.received}" == said
    assert refusal.describe("It") == f"It {said}"
    rename_argument(caught.value, "renamed")
    assert str(caught.value) == f"`renamed` {said}"


@pytest.mark.parametrize("fail", [read_nothing, open_missing])
def test_errors_can_be_sent_to_another_process(fail):
    with pytest.raises((ValueError, OSError)) as caught, argument("x"):
        fail()
    sent = pickle.loads(pickle.dumps(caught.value))
    assert type(sent) is type(caught.value)
    assert str(sent) == str(caught.value)
    assert refusal_in(sent).argument == "x"


def test_other_errors_stay_as_they_are():
    with pytest.raises(ValueError, match=r"^other$") as caught, argument("x"):
        raise ValueError("other")
    assert refusal_in(caught.value) is None
    rename_argument(caught.value, "y")
    assert str(caught.value) == "other"
