"""Files by path or by URL: what batches read from and write to."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import posixpath
import tempfile
from typing import Any

from tfnst.files import os_error, show_path


def is_url(path: Any) -> bool:
    """Whether a path is a URL, such as `s3://bucket/photo.jpg`."""
    return isinstance(path, str) and "://" in path


def is_path(source: Any) -> bool:
    """Whether a picture is named by a path or URL."""
    return isinstance(source, str | os.PathLike)


def join(folder: str | os.PathLike[str], name: str) -> str | pathlib.Path:
    """The path or URL of a file in a folder."""
    if is_url(folder):
        return posixpath.join(folder, name)
    return pathlib.Path(folder, name)


def file_name(path: str | os.PathLike[str]) -> str:
    """The last part of a path or URL."""
    return posixpath.basename(path) if is_url(path) else pathlib.Path(path).name


def absolute(path: str | os.PathLike[str]) -> str:
    """The path or URL for a process that works in another folder."""
    return path if is_url(path) else os.path.abspath(path)


def list_folder(path: str | os.PathLike[str]) -> list[str | pathlib.Path] | None:
    """The files in a folder, by name; None for what is no folder.

    Raises:
        OSError: when the folder can't be read.
        ValueError: for a URL that nothing here can open.
    """
    if not is_url(path):
        path = pathlib.Path(path)
        return sorted(path.iterdir()) if path.is_dir() else None
    system, inner = _open_url(path)
    if not system.isdir(inner):
        return None
    return sorted(map(system.unstrip_protocol, system.ls(inner, detail=False)))


def make_folder(path: str | os.PathLike[str]) -> None:
    """Makes a folder and those above it, where they are missing."""
    if is_url(path):
        system, inner = _open_url(path)
        system.makedirs(inner, exist_ok=True)
    else:
        os.makedirs(path, exist_ok=True)


def parent(path: str | os.PathLike[str]) -> str | pathlib.Path:
    """The folder of a file."""
    return posixpath.dirname(path) if is_url(path) else pathlib.Path(path).parent


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file."""
    if not is_url(path):
        return os.path.exists(path)
    system, inner = _open_url(path)
    return system.exists(inner)


def read_file(path: str | os.PathLike[str], *, name: str) -> bytes:
    """What a file holds.

    Args:
        path: path or URL.
        name: what errors call the path.

    Raises:
        OSError: when it can't be read; `FileNotFoundError` and the like.
        ValueError: for a URL that nothing here can open.
    """
    try:
        if not is_url(path):
            return pathlib.Path(path).read_bytes()
        system, inner = _open_url(path)
        return system.cat_file(inner)
    except OSError as error:
        expected = "a file that can be read"
        raise os_error(error, name, expected, show_path(path)) from error


def write_url(url: str, data: bytes) -> None:
    """Writes a file at a URL, whole or not at all.

    Raises:
        OSError: when it can't be written.
        ValueError: for a URL that nothing here can open.
    """
    system, inner = _open_url(url)
    with system.transaction, system.open(inner, "wb") as file:
        file.write(data)


class LocalCopy:
    """A local path for what is to be written to a path or URL.

    Used as a context: what is at the local path at its end goes to the URL.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._folder = None

    def __enter__(self) -> str | os.PathLike[str]:
        if not is_url(self._path):
            return self._path
        self._folder = tempfile.TemporaryDirectory(prefix="tfnst-")
        return pathlib.Path(self._folder.name, file_name(self._path))

    def __exit__(self, kind: Any, *_: object) -> None:
        if self._folder is None:
            return
        with self._folder as folder:
            if kind is None:
                local = pathlib.Path(folder, file_name(self._path))
                write_url(self._path, local.read_bytes())


def _open_url(url):
    """fsspec's file system for a URL, and the path in it."""
    expected = f"`path` must be one that can be opened. Received: {url!r}, "
    if importlib.util.find_spec("fsspec") is None:
        raise ValueError(f"{expected}which needs the package fsspec: tfnst[ray]")
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ValueError(f"{expected}{' '.join(str(error).split())}") from error
