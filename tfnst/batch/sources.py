"""Source pictures of a batch: found in folders and tables, and fetched."""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from tfnst.batch import storage
from tfnst.built_in import built_in_styles
from tfnst.checks import ArgumentError, argument, one_line, show_type
from tfnst.files import decode_text, show_path
from tfnst.images.formats import NETWORK_SUFFIX, READ_SUFFIXES

_COLUMNS = ("content", "style")
# Spreadsheets write semicolons where a comma separates decimals.
_DELIMITERS = ",;\t"


def find_pictures(
    paths: Iterable[str | os.PathLike[str]],
    *,
    apart_from: str | os.PathLike[str] | None = None,
    networks: bool = False,
) -> list[str | os.PathLike[str]]:
    """Replaces each folder among the paths with the pictures in it.

    Args:
        paths: paths or URLs of files, which are kept as they are, and of folders. A
            folder's pictures are the files with the suffix of a picture, sorted by
            name; hidden files and folders within it are left out.
        apart_from: folder of the painted pictures, which may not be among the paths:
            the next batch would paint what this one has painted.
        networks: whether the files of networks count as pictures.

    Raises:
        ValueError: for a folder without pictures, and for `apart_from`.
        OSError: when a folder can't be read.
    """
    suffixes = (*READ_SUFFIXES, NETWORK_SUFFIX) if networks else READ_SUFFIXES
    found: list[str | os.PathLike[str]] = []
    for path in paths:
        files = storage.list_folder(path)
        if files is None:
            found.append(path)
            continue
        if apart_from is not None and storage.is_same_folder(path, apart_from):
            raise ArgumentError(
                "a folder other than those of the pictures",
                repr(str(path)),
                argument="output",
            )
        pictures = [f for f in files if _is_picture(storage.file_name(f), suffixes)]
        if not pictures:
            raise ArgumentError(
                f"pictures or folders of pictures ({', '.join(suffixes)})",
                f"{str(path)!r}, a folder without pictures",
            )
        found += pictures
    return found


def read_pairs(
    path: str | os.PathLike[str],
) -> tuple[list[str | pathlib.Path], list[str | pathlib.Path]]:
    """Reads contents and styles from a CSV file, in columns `content` and `style`.

    Its columns are separated by commas, semicolons or tabs. Capitals in their names,
    spaces around values, and rows without any values make no difference.

    Args:
        path: path or URL of the file. Paths in it are relative to its folder; styles
            may also be the names of built-in ones.

    Raises:
        ValueError: when the file doesn't have these columns, or one of them is empty
            in some line.
        OSError: when it can't be read.
    """
    expected = "a CSV file whose first line names the columns content and style"
    shown = show_path(path)
    try:
        with argument("pairs"):
            text = decode_text(storage.read_file(path))
        rows = list(_read_rows(text))
    except (UnicodeError, csv.Error) as error:
        received = f"{shown}: {one_line(error)}"
        raise ArgumentError(expected, received, argument="pairs") from error
    header = [name.casefold() for name in rows[0][1]] if rows else []
    for column in _COLUMNS:
        if column not in header:
            received = f"{shown}, which has no column {column}"
            raise ArgumentError(expected, received, argument="pairs")
    expected += ", with a pair in every other line"
    if len(rows) == 1:
        raise ArgumentError(expected, f"{shown}, which has no pairs", argument="pairs")
    folder, columns = storage.parent(path), []
    for column in _COLUMNS:
        names = []
        for line, row in rows[1:]:
            name = "".join(row[header.index(column) :][:1])
            if not name:
                received = f"{shown}, which has no {column} in line {line}"
                raise ArgumentError(expected, received, argument="pairs")
            there = name if storage.is_url(name) else storage.join(folder, name)
            named = column == "style" and name in built_in_styles()
            names.append(name if named and not storage.is_file(there) else there)
        columns.append(names)
    return columns[0], columns[1]


def _read_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a table that have any values, each with its line's number."""
    delimiter = max(_DELIMITERS, key=text.lstrip().partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for row in reader:
        row = [value.strip() for value in row]
        if any(row):
            yield reader.line_num, row


def fetch(source: Any) -> Any:
    """Replaces a URL with the bytes there; any other picture stays as it is.

    Args:
        source: a picture as `stylize` takes it, or a URL.

    Raises:
        OSError: when nothing can be read there.
        ValueError: for a URL that nothing here can open.
    """
    return storage.read_file(source) if storage.is_url(source) else source


def show_source(source: Any) -> str:
    """Names a picture for reports and errors: by path or URL, or by type."""
    return os.fsdecode(source) if storage.is_path(source) else show_type(source)


def _is_picture(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes) and not name.startswith(".")
