"""The pictures that a batch is given: found in folders and tables, and fetched."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from tfnst.batch import storage
from tfnst.checks import argument_error, show_type
from tfnst.images.formats import READ_SUFFIXES
from tfnst.images.reading import read_once
from tfnst.images.style_images import StyleImage


def find_pictures(
    paths: Iterable[str | os.PathLike[str]],
    *,
    name: str = "contents",
    apart_from: str | os.PathLike[str] | None = None,
) -> list[str | os.PathLike[str]]:
    """Replaces each folder among the paths with the pictures in it.

    Args:
        paths: paths or URLs of files, which are kept as they are, and of folders. A
            folder's pictures are the files with the suffix of a picture, sorted by
            name; hidden files and folders within it are left out.
        name: what errors call them. Default `"contents"`.
        apart_from: the folder of the painted pictures, which may not be among them:
            the next batch would paint what this one has painted.

    Raises:
        ValueError: for a folder without pictures, and for that of the painted ones.
        OSError: when a folder can't be read.
    """
    found: list[str | os.PathLike[str]] = []
    for path in paths:
        files = storage.list_folder(path)
        if files is None:
            found.append(path)
            continue
        if apart_from is not None and storage.is_same_folder(path, apart_from):
            raise argument_error(
                "output", f"a folder other than that of the {name}", repr(str(path))
            )
        pictures = [file for file in files if _is_picture(storage.file_name(file))]
        if not pictures:
            raise argument_error(
                name,
                f"pictures or folders of pictures ({', '.join(READ_SUFFIXES)})",
                f"{str(path)!r}, a folder without pictures",
            )
        found += pictures
    return found


def read_pairs(
    path: str | os.PathLike[str],
) -> tuple[list[str | pathlib.Path], list[str | pathlib.Path]]:
    """The contents and styles in a CSV file with the columns `content` and `style`.

    Args:
        path: path or URL of the file. Paths in it are relative to its folder.

    Raises:
        ValueError: when the file doesn't have these columns, or one of them is empty
            in some line.
        OSError: when it can't be read.
    """
    expected = "a CSV file whose first line names the columns content and style"
    try:
        text = storage.read_file(path, name="pairs").decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise argument_error("pairs", expected, str(path)) from error
    contents, styles = (
        _read_column(rows, column, path, expected) for column in ("content", "style")
    )
    return contents, styles


def _read_column(
    rows: list[dict[str, str | None]],
    column: str,
    path: str | os.PathLike[str],
    expected: str,
) -> list[str | pathlib.Path]:
    """The paths in one column of a table of pairs."""
    names = [row.get(column) or "" for row in rows]
    if not names or not all(names):
        lines = [line for line, name in enumerate(names, 2) if not name]
        where = f" in line {lines[0]}" if lines else ""
        raise argument_error(
            "pairs",
            f"{expected}, with a pair in every other line",
            f"{str(path)!r}, which has no {column}{where}",
        )
    folder = storage.parent(path)
    return [
        name if storage.is_url(name) else storage.join(folder, name) for name in names
    ]


def fetch(source: Any, *, name: str) -> Any:
    """Replaces a URL with the bytes there; any other picture stays as it is.

    Args:
        source: a picture as `stylize` takes it, or a URL.
        name: what errors call it.

    Raises:
        OSError: when nothing can be read there.
        ValueError: for a URL that nothing here can open.
    """
    return storage.read_file(source, name=name) if storage.is_url(source) else source


class OpenFiles:
    """Reads the open files among pictures, each once, as a batch needs them often."""

    def __init__(self) -> None:
        # By identity, with the files themselves, which keeps the identities valid.
        self._held: dict[int, tuple[Any, Any]] = {}

    def hold(self, source: Any) -> Any:
        """A content or style image as `stylize` takes it, with bytes for open files."""
        if isinstance(source, list | tuple):
            return [self.hold(each) for each in source]
        if isinstance(source, StyleImage):
            pictures = ("image", "mask", "region")
            held = {name: self.hold(getattr(source, name)) for name in pictures}
            return dataclasses.replace(source, **held)
        if not hasattr(source, "read"):
            return source
        if id(source) not in self._held:
            self._held[id(source)] = source, read_once(source)
        return self._held[id(source)][1]


def show_source(source: Any) -> str:
    """How reports and errors show a picture: its path or URL, or its type."""
    return os.fsdecode(source) if storage.is_path(source) else show_type(source)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(READ_SUFFIXES) and not name.startswith(".")
