"""How long the fuzzers run: shortly in the tests, long by `make fuzz`."""

import functools
import inspect
import os

import pytest
from hypothesis import HealthCheck, given, settings

# Cases of each fuzzer. In the tests they are the same each time.
EXAMPLES = int(os.environ.get("TFNST_FUZZ", "0"))


def cases(few, many, **strategies):
    """Has a test called with arguments that are drawn, besides its fixtures.

    Args:
        few: cases in the short tier.
        many: cases in a slow test besides; the first ones are the same.
        **strategies: the arguments.
    """

    def decorate(check):
        def test(number, **fixtures):
            @settings(
                max_examples=EXAMPLES or number,
                derandomize=not EXAMPLES,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(**strategies)
            def fuzzer(**drawn):
                check(**fixtures, **drawn)

            fuzzer()

        functools.update_wrapper(test, check)
        names = [n for n in inspect.signature(check).parameters if n not in strategies]
        # What pytest has to bring.
        test.__signature__ = inspect.Signature(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
            for name in ("number", *names)
        )
        return pytest.mark.parametrize(
            "number",
            [few, pytest.param(many, marks=pytest.mark.slow)],
            ids=["few", "many"],
        )(test)

    return decorate
