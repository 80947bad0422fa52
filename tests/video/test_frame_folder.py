"""Folders of painted frames: several passes, kills, and runs that go on."""

import errno
import json
import os
import shutil
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers import message
from tests.video.film_frames import (
    add,
    append,
    frames,
    open_folder,
    output,
    read,
    repainted,
    write,
)
from tests.video.films import RATE, moving
from tfnst.video.frames import Frame


def assert_same_frames(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.number == other.number
        assert (one.time, one.duration) == (other.time, other.duration)
        np.testing.assert_array_equal(one.picture, other.picture)


def test_a_run_goes_on_where_it_was(tmp_path):
    wanted = frames(5)
    for number in range(5):
        with open_folder(tmp_path / "parts") as folder:
            assert folder.frames_done == len(folder) == number
            if number:
                assert folder.state.scenes == (3, number - 1)
                np.testing.assert_array_equal(
                    folder.state.traces.seen, wanted[number - 1].picture
                )
            else:
                assert folder.state is None
            append(folder, wanted[number], scenes=(3, number))
    with open_folder(tmp_path / "parts") as folder:
        assert_same_frames(list(folder), wanted)
        assert folder[4].number == 4
        folder.close(remove=True)
    assert not (tmp_path / "parts").exists()


def test_a_folder_without_frames_does_not_stay(tmp_path):
    with open_folder(tmp_path / "parts"):
        assert (tmp_path / "parts" / "run.json").exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [".mp4", pytest.param(".gif", marks=pytest.mark.slow)])
def test_memory_does_not_depend_on_length(tmp_path, kind):
    peaks = []
    for count in (24, 120):
        pictures = moving(24, 96, 96)
        tracemalloc.start()
        with open_folder(tmp_path / "parts") as folder:
            for i in range(count):
                append(folder, Frame(i, i / RATE, 1 / RATE, pictures[i % 24]))
            write(output(tmp_path, kind), folder)
            folder.close(remove=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A picture has 27 kB.
    assert peaks[1] < peaks[0] + 200_000


def test_errors_of_folders(tmp_path):
    path = tmp_path / "parts"
    with open_folder(path) as folder:
        append(folder, frames(1)[0])
    assert message(ValueError, open_folder, path, steps=6) == (
        "`resume` must be a run with the same settings. "
        f"Received: {str(path)!r}, whose run had another `steps`"
    )
    said = message(ValueError, open_folder, path, passes=2, steps=6)
    assert said.endswith("whose run had another `passes`, another `steps`")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("Dear all")
    said = message(ValueError, open_folder, tmp_path / "other")
    assert said.startswith("`resume` must be a folder with parts of a film. Received")
    assert said.endswith("which holds 'letter.txt'")
    (tmp_path / "file").write_text("")
    said = message(FileExistsError, open_folder, tmp_path / "file")
    assert said.startswith("`resume` must be a folder that can be written to.")


@pytest.mark.parametrize("text", ['{"version": 2, "kind": ".mp4"}', "{", "[1]"])
def test_films_of_older_versions_are_not_continued(tmp_path, text):
    path = tmp_path / "parts"
    path.mkdir()
    (path / "run.json").write_text(text)
    assert message(ValueError, open_folder, path) == (
        "`resume` must be a film that this version of tfnst has begun; finish it with "
        "the version that did, or remove the folder to start over. "
        f"Received: {str(path)!r}"
    )
    (path / "segment-000000.mkv").write_text("")
    said = message(ValueError, open_folder, path)
    assert "remove the folder to start over" in said


def test_room_on_the_disk(tmp_path, monkeypatch):
    free = SimpleNamespace(free=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    path = tmp_path / "parts"
    with open_folder(path) as folder:
        # 3 bytes for each pixel of a frame.
        folder.check_room(651, (32, 32))
        folder.check_room(None, (32, 32))
        folder.check_room(651, (16, 32), pictures=True)
        assert message(ValueError, folder.check_room, 652, (32, 32)) == (
            "`output` must be on a disk with 0.00 GB free for the painted frames; a "
            f"smaller `size` needs less. Received: {str(path)!r}, where 0.00 GB are "
            "free"
        )
        append(folder, frames(1)[0])
        # Frames that are painted need no more room.
        folder.check_room(652, (32, 32))
    with open_folder(tmp_path / "passes", passes=2) as folder:
        folder.check_room(651, (16, 32))
        said = message(ValueError, folder.check_room, 652, (16, 32))
        assert said.startswith("`output` must be on a disk with ")


def no_room(source, target):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    wanted = frames(3)
    with open_folder(tmp_path / "parts") as folder:
        append(folder, wanted[0])
        with monkeypatch.context() as context:
            context.setattr(os, "replace", no_room)
            said = message(OSError, append, folder, wanted[1])
        assert said.startswith("`output` must be ")
        assert said.endswith("but the disk is full")
    with open_folder(tmp_path / "parts") as folder:
        assert len(folder) == 1
        for frame in wanted[1:]:
            append(folder, frame)
        assert_same_frames(list(folder), wanted)


# Several passes.


@pytest.mark.parametrize("passes", [2, 3])
def test_passes_go_forward_and_backward(tmp_path, passes):
    wanted, seen = frames(9), []
    with open_folder(tmp_path / "parts", passes) as folder:
        assert (folder.pass_number, folder.backward, folder.number(0)) == (0, False, 0)
        add(folder, wanted, 9)
        assert (folder.frames, folder.frames_done) == (9, 9)
        for number in range(1, passes):
            assert folder.end_pass()
            assert folder.backward == (number == 1)
            assert (folder.pass_number, folder.frames_done) == (number, 0)
            assert folder.state is None
            for done in range(9):
                index = folder.number(done)
                like, source = wanted[index], folder.source(index)
                before = repainted(like, number - 1)
                assert_same_frames([source, folder[index]], [like, before])
                seen.append(index)
                append(folder, repainted(like, number), source.picture, (7, 8))
                assert folder.state.scenes == (7, 8)
                assert_same_frames([folder[index]], [repainted(like, number)])
        assert not folder.end_pass()
        assert_same_frames(
            list(folder), [repainted(each, passes - 1) for each in wanted]
        )
        # Two files for each frame, and what the folder is about.
        assert len(os.listdir(tmp_path / "parts")) == 2 * 9 + 3
    assert seen == [*range(8, -1, -1), *range(9)][: 9 * (passes - 1)]


def test_an_early_end_in_a_later_pass(tmp_path):
    wanted = frames(15)
    like = [repainted(wanted[i], int(i >= 10)) for i in range(15)]
    with open_folder(tmp_path / "parts", 2) as folder:
        add(folder, wanted, 20)
        assert_same_frames(list(folder), like)
    with open_folder(tmp_path / "parts", 2) as folder:
        assert (folder.pass_number, folder.frames_done) == (1, 5)
        assert_same_frames(list(folder), like)


def test_a_film_in_passes_is_read_as_it_was_painted(tmp_path):
    wanted = frames(3)
    with open_folder(tmp_path / "parts", 2) as folder:
        add(folder, wanted, 6)
        write(tmp_path / "out.webp", folder)
    found = read(tmp_path / "out.webp")
    assert [frame.time for frame in found] == [frame.time for frame in wanted]
    assert json.loads((tmp_path / "parts" / "run.json").read_bytes())["steps"] == 5
