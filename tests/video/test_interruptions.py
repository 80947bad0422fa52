"""Films whose painter is killed, and several processes that want one film."""

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
from tests.video.film_parts import add, frames, parts, repainted
from tfnst.video import folder_lock, kept_frames
from tfnst.video.folder_lock import is_locked
from tfnst.video.segments import FrameState

HOLDER = """
import sys
from fractions import Fraction
from tests.video.films import moving
from tfnst.video.frames import Frame
from tfnst.video.segments import FilmParts

step = Fraction(1, 25)
film = FilmParts(
    sys.argv[1], kind=".mp4", rate=1 / step, time_base=step,
    description={"steps": 5}, segment_frames=6,
)
film.append(Frame(0, 0 * step, step, moving(1)[0]))
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


def test_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "fcntl", None)
    first, second = parts(tmp_path / "parts"), parts(tmp_path / "parts")
    assert not is_locked(str(tmp_path / "parts"))
    for film in (first, second):
        film.close()
    assert not (tmp_path / "parts").exists()


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOTSUP, "not here")

    monkeypatch.setattr(folder_lock.fcntl, "flock", flock)
    with parts(tmp_path / "parts") as first, parts(tmp_path / "parts") as second:
        assert first.frames_done == second.frames_done == 0


@pytest.mark.parametrize("count", [3, 15])
def test_a_kill_while_the_folder_is_removed(tmp_path, monkeypatch, count):
    """What is left of a film that is complete isn't taken for the film."""
    folder, unlink = tmp_path / "parts", os.unlink
    for stop in range(1, 100):
        film = parts(folder, keep=2)
        for frame in frames(count):
            film.append(frame, FrameState(frame.picture, (0,)))
        left = stop

        def stopping(path):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            unlink(path)

        with monkeypatch.context() as context:
            context.setattr(os, "unlink", stopping)
            try:
                film._remove()
            except KeyboardInterrupt:
                film._lock.close()
            else:
                film._lock.close()
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
    real = {os: os.unlink, kept_frames: kept_frames.write_file}
    results = set()
    for stop in range(100):
        left = stop

        def stopping(real):
            def call(*arguments, **more):
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
                return real(*arguments, **more)

            return call

        film = parts(folder, **options)
        with monkeypatch.context() as context:
            context.setattr(os, "unlink", stopping(real[os]))
            context.setattr(kept_frames, "write_file", stopping(real[kept_frames]))
            try:
                add(film, wanted, 9)
            except KeyboardInterrupt:
                killed = True
            else:
                killed = False
            film._lock.close()
        # What was done is there, and of the frames as well.
        with parts(folder, **options) as film:
            done = film.pass_number * 3 + film.frames_done
            assert killed or done == 9
            state = film.last_state()
            if film.frames_done:
                number = film.number(film.frames_done - 1)
                assert state.past == (number,)
                np.testing.assert_array_equal(state.picture, wanted[number].picture)
            for number in range(film.frames):
                again = number in [film.number(i) for i in range(film.frames_done)]
                turn = film.pass_number - (not again)
                found, like = film._kept.read(number), repainted(wanted[number], turn)
                np.testing.assert_array_equal(found.picture, like.picture)
            add(film, wanted, 9 - done)
            film.finish(tmp_path / "out.mp4")
        results.add((tmp_path / "out.mp4").read_bytes())
        assert len(results) == 1
        if not killed:
            break
    assert stop > 20


# Imports little, so that it is killed while it paints.
PAINTER = """
import signal
import sys
from fractions import Fraction
from tests.video.films import moving
from tfnst.video.frames import Frame
from tfnst.video.segments import FilmParts

folder, path, kind, stop = sys.argv[1:]
step, pictures = Fraction(1, 25), moving(24)
print("ready", flush=True)
film = FilmParts(
    folder, kind=kind, rate=1 / step, time_base=step, description={"steps": 5},
    segment_frames=4, keep=3,
)
end = min(24, film.frames_done + int(stop))
for i in range(film.frames_done, end):
    if i:
        assert (film.last_pictures(1)[0] == pictures[i - 1]).all()
    film.append(Frame(i, i * step, step, pictures[i]))
    print(i, flush=True)
if end < 24:
    signal.pause()
film.finish(path)
"""


@pytest.mark.parametrize(
    ("kind", "kills"), [(".mp4", 3), pytest.param(".webp", 10, marks=pytest.mark.slow)]
)
def test_kills_and_the_same_film(tmp_path, kind, kills):
    whole = parts(tmp_path / "whole", kind, segment_frames=4, keep=3)
    for frame in frames(24):
        whole.append(frame)
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
        with parts(folder, kind, segment_frames=4, keep=3) as film:
            progress.append(film.frames_done)
        assert kill % 3 <= progress[-1] - progress[-2] <= 2
    subprocess.run([*command, "24"], check=True, stdout=subprocess.DEVNULL)
    assert path.read_bytes() == (tmp_path / f"whole{kind}").read_bytes()
    assert not folder.exists()


def test_every_state_that_a_kill_can_leave(tmp_path):
    """A kill leaves a prefix of the file operations; each is continued."""
    folder, wanted = tmp_path / "parts", frames(9)
    whole = parts(tmp_path / "whole", segment_frames=4, keep=2)
    for frame in wanted:
        whole.append(frame)
    whole.finish(tmp_path / "whole.mp4")
    for stage in ("hidden", "png", "json", "segment"):
        film = parts(folder, segment_frames=4, keep=2)
        for frame in wanted[:3]:
            film.append(frame)
        if stage == "hidden":
            (folder / f".tfnst-{'0' * 16}.tmp").write_bytes(b"half")
            (folder / "tail-000000.mkv").write_bytes(b"half")
        else:
            # As `append`, but stopped before the segment is encoded, or after.
            film._size = 5
            film.append(wanted[3])
        if stage == "json":
            (folder / "segment-000000.json").write_text(json.dumps([["0", "1"]]))
        if stage == "segment":
            film._size = 4
            images = {p.name: p.read_bytes() for p in folder.glob("frame-*.png")}
            film._finish_segment()
            for name, data in images.items():
                (folder / name).write_bytes(data)
        film.close()
        film = parts(folder, segment_frames=4, keep=2)
        assert film.frames_done == (3 if stage == "hidden" else 4)
        assert not list(folder.glob(".tfnst*"))
        pictures = sorted(p.name for p in folder.glob("frame-*.png"))
        assert len(pictures) == (3 if stage == "hidden" else 2)
        for frame in wanted[film.frames_done :]:
            film.append(frame)
        film.finish(tmp_path / "out.mp4")
        assert (tmp_path / "out.mp4").read_bytes() == (
            tmp_path / "whole.mp4"
        ).read_bytes()
