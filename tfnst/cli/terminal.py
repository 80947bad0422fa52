"""What commands say on the terminal, and the codes that they end with."""

from __future__ import annotations

import contextlib
import os
import sys

from tqdm import tqdm

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def quiet_start():
    """Keeps TensorFlow's start-up notes off the terminal while it is imported.

    They come from C++, some of them before TF_CPP_MIN_LOG_LEVEL is looked at, so only
    the file descriptor itself can be turned away. Who sets the variable sees them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def say(line: str) -> None:
    # A bar on the same terminal would be torn by a plain print.
    with contextlib.suppress(BrokenPipeError):
        tqdm.write(f"tfnst: {line}", file=sys.stderr)


def fail(line: str, code: int) -> None:
    say(f"error: {line}")
    sys.exit(code)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
