"""A lock on a folder, so that two processes don't write into it at once."""

from __future__ import annotations

import contextlib
import errno
import os
from types import ModuleType
from typing import Any

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # On Windows.
    fcntl = None

LOCK = "lock"
# Errors of file systems without such locks, some network folders among them.
_UNKNOWN = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def lock_folder(folder: str, *, locks: Any = fcntl) -> contextlib.ExitStack:
    """Locks a folder until the result is closed, or the process ends in any way.

    The lock keeps out only those who ask for it. On Windows and on file systems without
    such locks nobody is kept out.

    Args:
        folder: path of a folder that exists. The lock is a file in it.
        locks: the module `fcntl`, or None where there is none.

    Raises:
        BlockingIOError: when another process, or this one, has locked it.
        OSError: when the file can't be made.
    """
    if locks is None:
        return contextlib.ExitStack()
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(os.path.join(folder, LOCK), "ab"))
        try:
            locks.flock(file, locks.LOCK_EX | locks.LOCK_NB)
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
        if not os.fstat(file.fileno()).st_nlink:
            # Whoever had it has just removed it.
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        return stack.pop_all()
