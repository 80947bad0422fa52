"""How long the fuzzers run: shortly in the tests, long by `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

# Cases of each fuzzer. In the tests they are the same each time.
EXAMPLES = int(os.environ.get("TFNST_FUZZ", "0"))


def cases(number):
    """The settings of a fuzzer that takes a number of cases in the tests."""
    return settings(
        max_examples=EXAMPLES or number,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
