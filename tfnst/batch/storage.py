"""Files at paths and URLs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import posixpath
import tempfile
from collections.abc import Iterator
from typing import Any, TypeGuard

from tfnst import files
from tfnst.checks import ArgumentError, one_line
from tfnst.files import os_error, show_path


def is_url(path: Any) -> TypeGuard[str]:
    """Returns whether a picture or path is a URL, such as `s3://bucket/photo.jpg`."""
    return isinstance(path, str) and "://" in path


def is_path(source: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Returns whether a picture is given by its path or URL."""
    return isinstance(source, str | os.PathLike)


def join(folder: str | os.PathLike[str], name: str) -> str | pathlib.Path:
    """Returns the path or URL of a file in a folder.

    Args:
        folder: path or URL of the folder.
        name: name of the file, or its path from the folder.
    """
    if is_url(folder):
        return posixpath.join(folder, name)
    return pathlib.Path(folder, name)


def file_name(path: str | os.PathLike[str]) -> str:
    """Returns the last part of a path or URL."""
    return posixpath.basename(path) if is_url(path) else pathlib.Path(path).name


def url_file_name(source: Any) -> str | None:
    """Returns the last part of a picture's URL; None for any other picture."""
    return file_name(source) if is_url(source) else None


def absolute(path: str | os.PathLike[str]) -> str:
    """Returns a path or URL for a process that runs in another folder."""
    return path if is_url(path) else os.path.abspath(path)


def list_folder(path: str | os.PathLike[str]) -> list[str | pathlib.Path] | None:
    """Lists the files in a folder, sorted by name; None if it isn't a folder.

    Raises:
        OSError: when the folder can't be read.
        ValueError: for a URL that nothing here can open.
    """
    if not is_url(path):
        folder = pathlib.Path(path)
        return sorted(folder.iterdir()) if folder.is_dir() else None
    system, inner = _open_url(path)
    if not system.isdir(inner):
        return None
    return sorted(map(system.unstrip_protocol, system.ls(inner, detail=False)))


def is_same_folder(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Returns whether two paths or URLs name the same folder."""
    if is_url(one) or is_url(other):
        return str(one).rstrip("/") == str(other).rstrip("/")
    return os.path.isdir(other) and os.path.samefile(one, other)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Makes a folder, and its parents, unless it exists."""
    if is_url(path):
        system, inner = _open_url(path)
        system.makedirs(inner, exist_ok=True)
    else:
        os.makedirs(path, exist_ok=True)


def parent(path: str | os.PathLike[str]) -> str | pathlib.Path:
    """Returns the folder of a file."""
    return posixpath.dirname(path) if is_url(path) else pathlib.Path(path).parent


def is_file(path: str | os.PathLike[str]) -> bool:
    """Returns whether there is a file; a device, a pipe or a folder is none."""
    if not is_url(path):
        return os.path.isfile(path)
    system, inner = _open_url(path)
    return system.exists(inner)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Reads the bytes of a file.

    Args:
        path: path or URL of the file.

    Raises:
        OSError: when it can't be read; `FileNotFoundError` and the like.
        ValueError: for a URL that nothing here can open.
    """
    if not is_url(path):
        return files.read_file(path)
    try:
        system, inner = _open_url(path)
        return system.cat_file(inner)
    except OSError as error:
        expected = "a file that can be read"
        raise os_error(error, expected, show_path(path)) from error


def write_url(url: str, data: bytes) -> None:
    """Writes a file at a URL, whole or not at all.

    Raises:
        OSError: when it can't be written.
        ValueError: for a URL that nothing here can open.
    """
    system, inner = _open_url(url)
    with system.transaction, system.open(inner, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def local_copy(path: str | os.PathLike[str]) -> Iterator[str | os.PathLike[str]]:
    """Gives a local path to write to, for a path or URL.

    The file is uploaded to a URL when the context ends without an error.
    """
    if not is_url(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tfnst-") as folder:
        local = pathlib.Path(folder, file_name(path))
        yield local
        write_url(path, local.read_bytes())


def _open_url(url: str) -> tuple[Any, str]:
    """Returns fsspec's file system for a URL, and the path within it."""
    expected = "a URL that can be opened"
    if importlib.util.find_spec("fsspec") is None:
        reason = "which needs fsspec: pip install 'tfnst[ray]'"
        raise ArgumentError(expected, f"{url!r}, {reason}")
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        received = f"{url!r}: {one_line(error)}"
        raise ArgumentError(expected, received) from error
