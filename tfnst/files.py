"""Files that are written whole or not at all, and errors that say what was wrong."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import Any


def write_file(
    path: str | os.PathLike, data: bytes | memoryview | None, *, name: str
) -> None:
    """Writes a file, whole or not at all.

    The bytes go to a hidden file in the same folder, which then takes the place of
    `path`; whatever fails or interrupts on the way, an older file at `path` stays as
    it was.

    Args:
        path: of the file.
        data: what it is to hold; None only tries whether it could be written.
        name: what errors call the path.

    Raises:
        OSError: when the file can't be written; `FileNotFoundError` and the like.
        ValueError: for what can't be a path.
    """
    target = _find_target(path, name)
    folder = os.path.dirname(target)
    hidden = os.path.join(folder, f".tfnst-{secrets.token_hex(8)}.tmp")
    try:
        # Not by tempfile: its files are private, and the umask, which says what this
        # one may be, can only be read by changing it for every thread.
        with open(hidden, "xb") as file:
            if data is not None:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if data is not None:
            if os.path.exists(target):
                os.chmod(hidden, stat.S_IMODE(os.stat(target).st_mode))
            os.replace(hidden, target)
    except OSError as error:
        expected = "a path in a folder that can be written to"
        shown = f"{show_path(path)} in the folder {show_path(folder)}"
        raise os_error(error, name, expected, shown) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(hidden)


def _find_target(path: Any, name: str) -> str:
    """The real path to write to."""
    shown = show_path(path)
    try:
        # Through symbolic links, as open() writes, so that a link stays a link.
        target = os.path.realpath(os.fsdecode(path))
    except ValueError as error:  # A null byte.
        raise ValueError(
            f"`{name}` must be the path of a file. Received: {shown}"
        ) from error
    folder = os.path.dirname(target)
    try:
        os.stat(os.path.join(folder, ""))
    except OSError as error:
        expected = "a path in a folder that exists"
        shown = f"{shown} in the folder {show_path(folder)}"
        raise os_error(error, name, expected, shown) from error
    try:
        if stat.S_ISDIR(os.stat(target).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # A file may be read-only in a folder where it could yet be replaced.
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise os_error(error, name, "a file that can be written", shown) from error
    return target


def os_error(error: OSError, name: str, expected: str, shown: str) -> OSError:
    """The same error (class and errno), its message naming argument and value."""
    reasons = {
        errno.ENOENT: "which does not exist",
        errno.EISDIR: "which is a folder",
        errno.EACCES: "which permissions forbid",
        errno.ENOSPC: "but the disk is full",
    }
    reason = reasons.get(error.errno, error.strerror or "which failed")
    kind = type(OSError(error.errno or errno.EIO, ""))
    renamed = kind(f"`{name}` must be {expected}. Received: {shown}, {reason}")
    # Set afterwards, since with errno as an argument "[Errno 2]" would lead the line.
    renamed.errno = error.errno
    return renamed


def show_path(path: Any) -> str:
    text = repr(os.fspath(path))
    return text if len(text) <= 200 else f"{text[:100]}...{text[-90:]}"
