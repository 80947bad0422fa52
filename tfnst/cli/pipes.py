"""Pictures through pipes: `-` is standard input or standard output."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tfnst.checks import ArgumentError
from tfnst.cli.options import Command
from tfnst.cli.reporting import STANDARD_OUTPUT, reporting
from tfnst.cli.terminal import EXIT_FAILED, fail

if TYPE_CHECKING:
    from tfnst.cli.outputs import Outputs
    from tfnst.images.style_images import StyleImage

PIPE = "-"


def through_pipes(command: Command) -> Command:
    """A command whose pictures may come and go through pipes.

    The command itself sees only files: temporary ones, as input may be read more than
    once, and output is sent only when it is whole.

    Args:
        command: function with the arguments `content`, `style` and `outputs`.
    """

    @functools.wraps(command)
    def piped(
        *, content: str, style: list[StyleImage], outputs: Outputs, **options: Any
    ) -> Any:
        with contextlib.ExitStack() as stack:
            if PIPE in (content, *(part.image for part in style)):
                files = {PIPE: stack.enter_context(_standard_input())}
                content = files.get(content, content)
                style = [
                    dataclasses.replace(part, image=files.get(part.image, part.image))
                    for part in style
                ]
            if outputs.output == PIPE:
                _check_pipe(outputs)
                path = stack.enter_context(_standard_output())
                outputs = dataclasses.replace(outputs, output=path)
            return command(content=content, style=style, outputs=outputs, **options)

    return piped


@contextlib.contextmanager
def _standard_input() -> Iterator[str]:
    """The path of a temporary file with the data from standard input."""
    with tempfile.TemporaryDirectory(prefix="tfnst-") as folder:
        path = os.path.join(folder, "standard_input")
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def _check_pipe(outputs: Outputs) -> None:
    """Checks that the picture can go to standard output.

    Raises:
        ValueError: when that is a terminal, or pictures on the way are asked for.
    """
    if os.isatty(1):
        raise ArgumentError(
            "a file, or - before a pipe", "'-' on a terminal", argument="output"
        )
    if outputs.save_every is not None:
        raise ArgumentError(
            "left out when the picture goes to standard output",
            str(outputs.save_every),
            argument="save_every",
        )


@contextlib.contextmanager
def _standard_output() -> Iterator[str]:
    """The path of a temporary file that is sent to standard output in the end.

    It is sent however the command ends. Anything printed until then, also by libraries,
    goes to standard error.
    """
    reporting().piped = True
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    folder = tempfile.mkdtemp(prefix="tfnst-")
    path = os.path.join(folder, "painted.png")
    try:
        yield path
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        try:
            with (
                os.fdopen(kept, "wb") as stream,
                contextlib.suppress(FileNotFoundError),
            ):
                stream.write(pathlib.Path(path).read_bytes())
        except OSError as error:
            fail(
                f"the picture could not be written to {STANDARD_OUTPUT}: "
                f"{error.strerror}; it is kept in {path}",
                EXIT_FAILED,
            )
        shutil.rmtree(folder, ignore_errors=True)
