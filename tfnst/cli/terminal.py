"""Messages of commands on the terminal, and their exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from tfnst.files import UnwrittenWarning, warn_unwritten

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def open_streams() -> None:
    """Opens the null device as each standard stream that the caller has closed.

    Otherwise the next file that is opened would take its place, and libraries would
    print into that file.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            break
        os.set_inheritable(descriptor, True)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (until the end)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Hides TensorFlow's start-up messages while it is imported.

    They come from C++, some of them before TF_CPP_MIN_LOG_LEVEL is read, so only
    redirecting the file descriptor itself silences them. They are shown if the user has
    set the variable.
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
    """Prints a line to standard error, above any bar."""
    from tqdm import tqdm  # Not at the top: it would take a fifth of `--help`'s time.

    with contextlib.suppress(OSError):  # Nobody reads it any more.
        # A plain print would tear a bar apart.
        tqdm.write(f"tfnst: {line}", file=sys.stderr)


class Warnings:
    """Prints warnings as lines, and notes whether a file could not be written."""

    def __init__(self) -> None:
        self.unwritten = False

    def show(
        self, message: Warning | str, category: type[Warning], *_: Any, **__: Any
    ) -> None:
        """Prints a warning, in place of `warnings.showwarning`."""
        self.unwritten |= issubclass(category, UnwrittenWarning)
        say(f"warning: {message}")


@contextlib.contextmanager
def extra_file(what: str) -> Iterator[None]:
    """Turns any failure to write a file beside the painted picture into a warning.

    The command continues, and exits with EXIT_FAILED.

    Args:
        what: description of the file.
    """
    try:
        yield
    except Exception as error:  # Whatever it is, it must not cost the painting.
        warn_unwritten(what, error)


def fail(line: str, code: int) -> NoReturn:
    """Prints an error and ends the command."""
    say(f"error: {line}")
    sys.exit(code)
