"""Reading files, and writing them whole or not at all, with errors that say why."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

from tfnst.checks import (
    ArgumentError,
    attach_refusal,
    one_line,
    refusal_in,
    show_type,
)

_REASONS = {
    errno.ENOENT: "which does not exist",
    errno.EISDIR: "which is a folder",
    errno.EACCES: "but permission was denied",
    errno.ENOSPC: "but the disk is full",
}
# Errors of the machine: what was asked for was right.
_MACHINE_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE),
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE),
)


class UnwrittenWarning(UserWarning):
    """A file beside the painted picture could not be written; the run goes on."""


def check_path(path: Any) -> None:
    """Checks that a value is a path; numbers would be taken for open files.

    Raises:
        ValueError: when it isn't text or a path.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        shown = repr(path) if isinstance(path, str) else show_type(path)
        raise ArgumentError("a path", shown)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file.

    Args:
        path: path of the file.

    Raises:
        OSError: when the file can't be read; `FileNotFoundError` and the like.
        ValueError: when `path` can't be a path.
    """
    check_path(path)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        expected = "a file that can be read"
        raise os_error(error, expected, show_path(path)) from error
    except ValueError as error:  # A null byte.
        raise ArgumentError("the path of a file", show_path(path)) from error


def decode_text(data: bytes) -> str:
    """Decodes a file that people edit, which may begin with a byte order mark.

    Raises:
        UnicodeError: when it is neither UTF-8 nor, with such a mark, UTF-16.
    """
    marks = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
    return data.decode("utf-16" if data.startswith(marks) else "utf-8-sig")


def write_file(path: str | os.PathLike[str], data: bytes | memoryview | None) -> None:
    """Writes a file, whole or not at all, as `replaced_file` does.

    A device or a pipe is written into instead, as it can't be replaced.

    Args:
        path: path of the file.
        data: bytes to write; None only tests whether the file could be written.

    Raises:
        OSError: when the file can't be written; `FileNotFoundError` and the like.
        ValueError: when `path` can't be a path.
    """
    check_path(path)
    if _leads_elsewhere(path):
        _write_into(path, data)
    elif data is None:
        target = _find_target(path)
        # Some file systems refuse colons and the like. The name itself isn't tried:
        # programs that wait for the file would find it.
        ending = os.path.basename(target)[-50:]
        hidden = _make_hidden(path, target, ending)
        with contextlib.suppress(OSError):
            os.unlink(hidden)
    else:
        with replaced_file(path) as hidden, open(hidden, "wb") as file:
            file.write(data)


@contextlib.contextmanager
def replaced_file(
    path: str | os.PathLike[str], *, folder: str | None = None
) -> Iterator[str]:
    """Gives the path of a hidden file to write, which replaces `path` in the end.

    If anything fails or interrupts the block, an older file at `path` stays as it was,
    and the hidden one is removed. The hidden file is on the same disk, and is renamed
    in one indivisible step. Where the system refuses that, as for a file that is a
    mount point of a container, its content is copied into `path`.

    Args:
        path: path of a file, but not of a device or a pipe.
        folder: folder of the hidden file, if it is on the same disk as the file's own.
            By default the file's own, where a kill leaves the hidden one behind.

    Raises:
        OSError: when the file can't be written; `FileNotFoundError` and the like.
        ValueError: when `path` can't be a path.
    """
    check_path(path)
    if _leads_elsewhere(path):
        raise ArgumentError("a regular file", show_path(path))
    target = _find_target(path)
    hidden = _make_hidden(path, target, folder=folder)
    try:
        yield hidden
        with open(hidden, "rb+") as file:
            _flush(file)
        _put_in_place(hidden, target)
    except OSError as error:
        if error.filename not in (hidden, target, None) or refusal_in(error):
            raise  # It is about another file, which the block reads.
        raise _folder_error(error, "can be written to", path, target) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(hidden)


def _make_hidden(
    path: str | os.PathLike[str],
    target: str,
    ending: str = "",
    folder: str | None = None,
) -> str:
    """Makes the empty file that is to replace another one, and returns its path.

    Args:
        path: path of the file to replace, as it was given.
        target: real path of that file.
        ending: end of the new file's name, before its suffix.
        folder: folder of the new file, as for `replaced_file`.

    Raises:
        OSError: when it can't be made.
    """
    # Not with tempfile: its files are private, and the umask, which determines the
    # permissions of this one, can only be read by changing it for every thread.
    hidden = f".tfnst-{secrets.token_hex(8)}{ending}.tmp"
    own = os.path.dirname(target)
    if folder is None or os.stat(folder).st_dev != os.stat(own).st_dev:
        folder = own
    hidden = os.path.join(folder, hidden)
    try:
        with open(hidden, "xb"):
            return hidden
    except OSError as error:
        # A file may be writable where its folder isn't: a mount point in a container
        # whose root is read-only.
        if not is_machine_error(error):
            with contextlib.suppress(OSError), open(target, "rb+"):
                handle, hidden = tempfile.mkstemp(prefix="tfnst-")
                os.close(handle)
                return hidden
        raise _folder_error(error, "can be written to", path, target) from error


def _flush(file: BinaryIO) -> None:
    """Writes a file's bytes through to the disk, if the file system can do that."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if is_machine_error(error):
            raise


def _put_in_place(hidden: str, target: str) -> None:
    """Replaces a file by another one, which takes over its permissions if possible."""
    if os.path.exists(target):
        with contextlib.suppress(OSError):
            os.chmod(hidden, stat.S_IMODE(os.stat(target).st_mode))
    try:
        os.replace(hidden, target)
    except OSError as error:
        if is_machine_error(error):
            raise
        _copy_into(hidden, target)


def _copy_into(source: str, target: str) -> None:
    """Copies a file's content; if that fails, no half of a new file is left."""
    is_new = not os.path.exists(target)
    try:
        with open(source, "rb") as read, open(target, "wb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            _flush(written)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                os.unlink(target)
        raise


def _folder_error(error: OSError, wanted: str, path: Any, target: str) -> OSError:
    """The error for a path whose folder is missing or can't be written to."""
    shown = f"{show_path(path)} in the folder {show_path(os.path.dirname(target))}"
    return os_error(error, f"a path in a folder that {wanted}", shown)


def _leads_elsewhere(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path leads to a device, a pipe or an unlinked file.

    None of them can be replaced by a new file; `/dev/stdout` can be any of them.
    """
    try:
        there = os.stat(path)
    except (OSError, ValueError):  # Nothing is there; `_find_target` says why.
        return False
    if not stat.S_ISREG(there.st_mode):
        return not stat.S_ISDIR(there.st_mode)
    try:
        return not os.path.samestat(there, os.stat(os.path.realpath(path)))
    except FileNotFoundError:
        return True


def _write_into(path: str | os.PathLike[str], data: bytes | memoryview | None) -> None:
    """Writes into a device, a pipe or an unlinked file."""
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        if kind in (stat.S_IFBLK, stat.S_IFSOCK):  # A disk would be destroyed.
            raise OSError(errno.EINVAL, "which is no file")
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        expected = "a file that can be written"
        raise os_error(error, expected, show_path(path)) from error


def _find_target(path: str | os.PathLike[str]) -> str:
    """The real path of the file to write, once it is known that it can be written."""
    shown = show_path(path)
    try:
        # Follow symbolic links, as open() does, so that a link stays a link.
        target = os.path.realpath(os.fsdecode(path))
    except ValueError as error:  # A null byte.
        raise ArgumentError("the path of a file", shown) from error
    try:
        os.stat(os.path.join(os.path.dirname(target), ""))
    except OSError as error:
        raise _folder_error(error, "exists", path, target) from error
    try:
        if stat.S_ISDIR(os.stat(target).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # The folder's permissions may allow a read-only file to be replaced, but
        # whoever protected it did not mean that.
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise os_error(error, "a file that can be written", shown) from error
    return target


def warn_unwritten(what: str, error: BaseException) -> None:
    """Warns that a file beside the painted picture could not be written.

    Args:
        what: the file in words, such as `"The plot"`.
        error: the reason.
    """
    said = f"{what} was not written: {one_line(error)}"
    warnings.warn(said, UnwrittenWarning, stacklevel=3)


def is_machine_error(error: BaseException) -> bool:
    """Returns whether the machine failed, as when its disk is full."""
    return isinstance(error, OSError) and error.errno in _MACHINE_ERRORS


def os_error(error: OSError, expected: str, shown: str) -> OSError:
    """The same error (class and errno), worded for an argument that is a path."""
    code = error.errno or errno.EIO
    reason = _REASONS.get(code) or error.strerror or "but the system gave no reason"
    refusal = ArgumentError(expected, f"{shown}, {reason}")
    same = attach_refusal(type(OSError(code, ""))(), refusal)
    # Set afterwards: as an argument, errno would put "[Errno 2]" before the message.
    same.errno = error.errno
    return same


def show_path(path: Any) -> str:
    """A path for errors: quoted, and cut in the middle if it is very long."""
    text = repr(os.fspath(path))
    return text if len(text) <= 200 else f"{text[:100]}...{text[-90:]}"
