"""Films whose painter is killed, and several processes that want one film."""

import contextlib
import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import message
from tests.video.film_frames import add, append, frames, open_folder, repainted
from tests.video.test_frame_folder import assert_same_frames
from tfnst.video.folder_lock import lock_folder

HOLDER = """
import sys
from tests.video.film_frames import append, frames, open_folder

folder = open_folder(sys.argv[1])
append(folder, frames(1)[0])
print("ready", flush=True)
sys.stdin.read()
"""
IN_USE = (
    "`output` must be a film that no other process is painting. "
    "Received: a film whose parts in {!r} are in use"
)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / "parts"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"ready\n"
        left = sorted(os.listdir(folder))
        for resume in (True, False):
            said = message(ValueError, open_folder, folder, resume=resume)
            assert said == IN_USE.format(str(folder))
        assert sorted(os.listdir(folder)) == left
        holder.kill()
        holder.wait()
        with open_folder(folder) as film:
            assert film.frames_done == 1
            # Nor the same process twice.
            assert message(ValueError, open_folder, folder) == IN_USE.format(
                str(folder)
            )
    open_folder(folder).close()


def test_where_there_are_no_locks(tmp_path):
    first, second = (lock_folder(str(tmp_path), locks=None) for _ in range(2))
    for lock in (first, second):
        lock.close()
    assert not list(tmp_path.iterdir())


class NoLocks:
    """The module `fcntl` on a file system without locks."""

    LOCK_EX, LOCK_NB = 2, 4

    @staticmethod
    def flock(file, operation):
        raise OSError(errno.ENOTSUP, "not here")


def test_file_systems_without_locks(tmp_path):
    first, second = (lock_folder(str(tmp_path), locks=NoLocks) for _ in range(2))
    for lock in (first, second):
        lock.close()


@contextlib.contextmanager
def killed_after(monkeypatch, count):
    """Lets so many files be replaced or removed, and then none, as after a kill.

    The list that it gives is empty if there weren't so many.
    """
    kills = []

    def stopping(real):
        def call(*arguments):
            nonlocal count
            count -= 1
            if count < 0:
                kills.append(True)
                raise KeyboardInterrupt
            return real(*arguments)

        return call

    with monkeypatch.context() as context:
        for name in ("unlink", "replace"):
            context.setattr(os, name, stopping(getattr(os, name)))
        with contextlib.suppress(KeyboardInterrupt):
            yield kills


def test_a_kill_while_the_folder_is_removed(tmp_path, monkeypatch):
    """What is left of a film that is complete isn't taken for the film."""
    path = tmp_path / "parts"
    for stop in range(1, 100):
        film = open_folder(path)
        for frame in frames(3):
            append(film, frame)
        with killed_after(monkeypatch, stop) as kills:
            film.close(remove=True)
        film.close()
        if not kills:
            break
        with open_folder(path) as film:
            assert film.frames_done == 0
        assert not path.exists()
    assert stop > 5


@pytest.mark.parametrize(
    ("passes", "count"), [(1, 2), pytest.param(3, 3, marks=pytest.mark.slow)]
)
def test_a_film_goes_on_after_every_kill(tmp_path, monkeypatch, passes, count):
    """Killed at each of the files that is written or removed in turn."""
    wanted, path = frames(count), tmp_path / "parts"
    like = [repainted(frame, passes - 1) for frame in wanted]
    for stop in range(200):
        film = open_folder(path, passes)
        with killed_after(monkeypatch, stop) as kills:
            add(film, wanted, passes * count)
        film.close()
        # Of a file that was being written.
        (path / f".tfnst-{'0' * 16}.tmp").write_bytes(b"half")
        with open_folder(path, passes) as film:
            done = film.pass_number * count + film.frames_done
            assert kills or done == passes * count
            if film.frames_done:
                number = film.number(film.frames_done - 1)
                assert film.state.scenes == (number,)
                np.testing.assert_array_equal(
                    film.state.traces.seen, wanted[number].picture
                )
            ended = [film.number(i) for i in range(film.frames_done)]
            turns = [film.pass_number - (i not in ended) for i in range(film.frames)]
            assert_same_frames(
                list(film),
                [repainted(*each) for each in zip(wanted, turns, strict=False)],
            )
            add(film, wanted, passes * count - done)
            assert_same_frames(list(film), like)
            film.close(remove=True)
        if not kills:
            break
    assert stop >= 2 * passes * count
