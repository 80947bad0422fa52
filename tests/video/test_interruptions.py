"""Films whose painter is killed, and several processes that want one film."""

import contextlib
import errno
import json
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.helpers import message
from tests.video.film_parts import add, append, frames, parts, repainted
from tfnst.video.folder_lock import FolderLock, is_locked
from tfnst.video.kept_frames import KeptFrames

HOLDER = """
import sys
from fractions import Fraction
from tests.video.film_parts import append
from tests.video.films import moving
from tfnst.video.frames import Frame
from tfnst.video.parts import FilmParts

step = Fraction(1, 25)
film = FilmParts(
    sys.argv[1], suffix=".mp4", rate=1 / step, time_base=step,
    description={"steps": 5}, chunk_frames=6,
)
append(film, Frame(0, 0 * step, step, moving(1)[0]))
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
        assert is_locked(str(folder))
        left = sorted(os.listdir(folder))
        assert message(ValueError, parts, folder) == IN_USE.format(str(folder))
        assert sorted(os.listdir(folder)) == left
        holder.kill()
        holder.wait()
        assert not is_locked(str(folder))
        with parts(folder) as film:
            assert film.frames_done == 1
            assert is_locked(str(folder))
    assert not is_locked(str(folder))


def test_where_there_are_no_locks(tmp_path):
    first, second = (FolderLock(str(tmp_path), locks=None) for _ in range(2))
    assert not is_locked(str(tmp_path))
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
    first, second = (FolderLock(str(tmp_path), locks=NoLocks) for _ in range(2))
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


@pytest.mark.parametrize("count", [3, 15])
def test_a_kill_while_the_folder_is_removed(tmp_path, monkeypatch, count):
    """What is left of a film that is complete isn't taken for the film."""
    folder = tmp_path / "parts"
    for stop in range(1, 100):
        film = parts(folder, keep=2)
        for frame in frames(count):
            append(film, frame)
        with killed_after(monkeypatch, stop) as kills:
            film._folder.close(remove=True)
        film._folder.close(remove=False)
        if not kills:
            break
        with parts(folder, keep=2) as film:
            assert film.frames_done == 0
        assert not folder.exists()
    assert stop > count // 6


@pytest.mark.slow
def test_passes_go_on_after_every_kill(tmp_path, monkeypatch):
    """Killed at each of the files that is written or removed in turn."""
    wanted, folder = frames(3), tmp_path / "parts"
    options = {"keep": 2, "passes": 3}
    results = set()
    for stop in range(200):
        film = parts(folder, **options)
        with killed_after(monkeypatch, stop) as kills:
            add(film, wanted, 9)
        film._folder.close(remove=False)
        # What was done is there, and of the frames as well.
        with parts(folder, **options) as film:
            done = film.pass_number * 3 + film.frames_done
            assert kills or done == 9
            state = film.last_state()
            if film.frames_done:
                number = film.number(film.frames_done - 1)
                assert state.scenes == (number,)
                np.testing.assert_array_equal(state.traces, wanted[number].picture)
            kept = KeptFrames(str(folder))
            for number in range(film.frames):
                again = number in [film.number(i) for i in range(film.frames_done)]
                turn = film.pass_number - (not again)
                found, like = kept.frame(number), repainted(wanted[number], turn)
                np.testing.assert_array_equal(found.picture, like.picture)
            add(film, wanted, 9 - done)
            film.finish(tmp_path / "out.mp4")
        results.add((tmp_path / "out.mp4").read_bytes())
        assert len(results) == 1
        if not kills:
            break
    assert stop > 40


# Imports little, so that it is killed while it paints.
PAINTER = """
import signal
import sys
from fractions import Fraction
from tests.video.film_parts import append, last_pictures
from tests.video.films import moving
from tfnst.video.frames import Frame
from tfnst.video.parts import FilmParts

folder, path, suffix, stop = sys.argv[1:]
step, pictures = Fraction(1, 25), moving(24)
print("ready", flush=True)
film = FilmParts(
    folder, suffix=suffix, rate=1 / step, time_base=step, description={"steps": 5},
    chunk_frames=4, keep=3,
)
end = min(24, film.frames_done + int(stop))
for i in range(film.frames_done, end):
    if i:
        assert (last_pictures(film, 1)[0] == pictures[i - 1]).all()
    append(film, Frame(i, i * step, step, pictures[i]))
    print(i, flush=True)
if end < 24:
    signal.pause()
film.finish(path)
"""


@pytest.mark.parametrize(
    ("kind", "kills"), [(".mp4", 3), pytest.param(".webp", 10, marks=pytest.mark.slow)]
)
def test_kills_and_the_same_film(tmp_path, kind, kills):
    whole = parts(tmp_path / "whole", kind, chunk_frames=4, keep=3)
    for frame in frames(24):
        append(whole, frame)
    whole.finish(tmp_path / f"whole{kind}")
    folder, path = tmp_path / "parts", tmp_path / f"out{kind}"
    command = [sys.executable, "-c", PAINTER, str(folder), str(path), kind]
    rng = random.Random(0)
    progress = [0]
    # Each painter waits after its second frame, so that none can be done before
    # it is killed, however fast it is.
    for kill in range(kills):
        painter = subprocess.Popen([*command, "2"], stdout=subprocess.PIPE)
        with painter:
            for _ in range(1 + kill % 3):  # ready, one frame, two frames
                assert painter.stdout.readline()
            time.sleep(rng.uniform(0, 0.02))
            painter.kill()
        with parts(folder, kind, chunk_frames=4, keep=3) as film:
            progress.append(film.frames_done)
        assert kill % 3 <= progress[-1] - progress[-2] <= 2
    subprocess.run([*command, "24"], check=True, stdout=subprocess.DEVNULL)
    assert path.read_bytes() == (tmp_path / f"whole{kind}").read_bytes()
    assert not folder.exists()


def test_every_state_that_a_kill_can_leave(tmp_path, monkeypatch):
    """Killed at each of the files that the last frame of a chunk writes or removes."""
    folder, wanted = tmp_path / "parts", frames(9)
    whole = parts(tmp_path / "whole", chunk_frames=4, keep=2)
    for frame in wanted:
        append(whole, frame)
    whole.finish(tmp_path / "whole.mp4")
    found = set()
    for stop in range(100):
        film = parts(folder, chunk_frames=4, keep=2)
        for frame in wanted[:3]:
            append(film, frame)
        with killed_after(monkeypatch, stop) as kills:
            append(film, wanted[3])
        film._folder.close(remove=False)
        left = {path.name for path in folder.iterdir()}
        (folder / f".tfnst-{'0' * 16}.tmp").write_bytes(b"half")
        (folder / "tail-000000.mkv").write_bytes(b"half")
        if "segment-000000.mkv" not in left and "segment-000000.json" in left:
            (folder / "segment-000000.json").write_text(json.dumps([["0", "1"]]))
        film = parts(folder, chunk_frames=4, keep=2)
        added = "frame-00000003.png" in left
        assert film.frames_done == (4 if added else 3)
        assert not list(folder.glob(".tfnst*"))
        pictures = sorted(p.name for p in folder.glob("frame-*.png"))
        assert len(pictures) == (2 if added else 3)
        found.add((added, *sorted(name for name in left if "segment" in name)))
        for frame in wanted[film.frames_done :]:
            append(film, frame)
        film.finish(tmp_path / "out.mp4")
        assert (tmp_path / "out.mp4").read_bytes() == (
            tmp_path / "whole.mp4"
        ).read_bytes()
        if not kills:
            break
    # Before the frame, with it, with the times of the chunk, and with the chunk.
    assert len(found) == 4
