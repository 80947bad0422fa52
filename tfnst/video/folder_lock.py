"""A lock on a folder, so that two processes don't write into it at once."""

from __future__ import annotations

import errno
import os
from types import ModuleType
from typing import IO, Any

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # On Windows.
    fcntl = None

LOCK = "lock"
# Errors of file systems without such locks, some network folders among them.
_UNKNOWN = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class FolderInUseError(Exception):
    """Raised when another process holds the lock."""


class FolderLock:
    """A lock on a folder, which lasts until `close` or the end of the process.

    The system frees it however the process ends. It keeps out only those who ask for
    it. On Windows and on file systems without such locks nobody is kept out.

    Args:
        folder: path of a folder that exists. The lock is a file in it.
        locks: the module `fcntl`, or None where there is none.

    Raises:
        FolderInUseError: when another process, or another lock in this one, has it.
        OSError: when the file can't be made.
    """

    def __init__(self, folder: str, *, locks: Any = fcntl) -> None:
        self._file: IO[bytes] | None = None
        if locks is None:
            return
        path = os.path.join(folder, LOCK)
        file = open(path, "ab")  # noqa: SIM115 - it stays open.
        try:
            locks.flock(file, locks.LOCK_EX | locks.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise FolderInUseError(folder) from error
        except OSError as error:
            if error.errno not in _UNKNOWN:
                file.close()
                raise
        if not os.fstat(file.fileno()).st_nlink:
            # Whoever had it has just removed it.
            file.close()
            raise FolderInUseError(folder)
        self._file = file

    def close(self) -> None:
        """Lets others have the folder."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_locked(folder: str) -> bool:
    """Returns whether another process has the lock on a folder."""
    if not os.path.exists(os.path.join(folder, LOCK)):
        return False
    try:
        FolderLock(folder).close()
    except FolderInUseError:
        return True
    except OSError:
        pass
    return False
