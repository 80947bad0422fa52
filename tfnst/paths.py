"""Comparison of paths: nothing that is read may be written over."""

from __future__ import annotations

import contextlib
import os
import stat
import unicodedata
from collections.abc import Hashable, Iterable
from typing import Any

from tfnst.checks import ArgumentError
from tfnst.files import show_path

NamedPath = tuple[str, str | os.PathLike[str]]


def check_outputs(inputs: Iterable[NamedPath], outputs: Iterable[NamedPath]) -> None:
    """Checks that no output is an input, and no two outputs are the same file.

    Files are compared, not their names: links, and names that differ in ways that the
    file system ignores, lead to the same file. Devices and pipes may be given more than
    once.

    Args:
        inputs: paths to read, each with the name of its argument. They may be URLs, or
            missing.
        outputs: paths to write, in the same form. They may be missing.

    Raises:
        ValueError: for an output that is given twice; the error names both arguments.
    """
    read = {_key(path): (name, path) for name, path in inputs}
    read.pop(None, None)
    written: dict[Hashable, NamedPath] = {}
    for name, path in outputs:
        key = _key(path)
        if key is None:
            continue
        other = read.get(key) or written.get(key)
        if other is not None and _are_same(path, other[1]):
            shown = show_path(path)
            if os.fspath(path) != os.fspath(other[1]):
                shown += f", which is the same file as {show_path(other[1])}"
            expected = f"a file other than `{other[0]}`"
            raise ArgumentError(expected, shown, argument=name)
        written[key] = name, path


def named_paths(*sources: tuple[str, Any]) -> list[NamedPath]:
    """The arguments that are paths, each with its name."""
    return [(n, s) for n, s in sources if isinstance(s, str | os.PathLike)]


def _key(path: str | os.PathLike[str]) -> Hashable | None:
    """A value that paths of the same file share; None for devices and pipes."""
    with contextlib.suppress(OSError, ValueError):
        there = os.stat(path)
        return (there.st_dev, there.st_ino) if stat.S_ISREG(there.st_mode) else None
    with contextlib.suppress(OSError, ValueError):
        folder, rest = _split(path)
        there = os.stat(folder)
        # Coarser than most file systems; `_are_same` looks at this one.
        rest = unicodedata.normalize("NFC", rest).casefold()
        return (there.st_dev, there.st_ino, rest)
    return os.fsdecode(path)


def _split(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The deepest folder on a path that exists, and the rest of the path."""
    folder, rest = os.path.split(os.path.realpath(os.fsdecode(path)))
    while not os.path.exists(folder):
        folder, last = os.path.split(folder)
        rest = os.path.join(last, rest)
    return folder, rest


def _are_same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Returns whether paths with a common key lead to the same file."""
    if os.path.exists(one):
        return True
    (folder, first), (_, second) = _split(one), _split(other)
    return first == second or _ignores_case(folder)


def _ignores_case(folder: str) -> bool:
    """Returns whether the file system also finds a folder by its name in other case."""
    parent, name = os.path.split(folder)
    other = os.path.join(parent, name.swapcase())
    return other != folder and os.path.exists(other) and os.path.samefile(folder, other)
