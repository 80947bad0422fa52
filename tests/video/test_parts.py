"""Films that are being painted: chunks, passes, and runs that go on."""

import os
import tracemalloc

import numpy as np
import pytest

from tests.helpers import message
from tests.video.film_parts import (
    add,
    append,
    frames,
    last_pictures,
    output,
    parts,
    read,
    repainted,
)
from tests.video.films import RATE, moving
from tfnst.video.frames import Frame


def test_a_run_goes_on_where_it_was(tmp_path):
    wanted = frames(20)
    whole = parts(tmp_path / "whole", keep=4)
    for frame in wanted:
        append(whole, frame)
    whole.finish(tmp_path / "whole.mp4")
    for number in range(20):
        film = parts(tmp_path / "parts", keep=4)
        assert film.frames_done == number
        last = last_pictures(film, 4)
        assert len(last) == min(4, number)
        for one, other in zip(last, wanted[number - len(last) :], strict=False):
            np.testing.assert_array_equal(one, other.picture)
        append(film, wanted[number])
        film.close()
    parts(tmp_path / "parts", keep=4).finish(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.parametrize("kind", [".mp4", ".png"])
def test_an_early_end_gives_a_film_and_keeps_the_parts(tmp_path, kind):
    path, shown = output(tmp_path, kind)
    wanted = frames(15)
    film = parts(tmp_path / "parts", kind)
    for frame in wanted[:8]:
        append(film, frame)
    with film:
        film.finish(path, complete=False)
    assert len(read(shown)) == 8
    assert not list((tmp_path / "parts").glob("tail*"))
    film = parts(tmp_path / "parts", kind)
    assert film.frames_done == 8
    for frame in wanted[8:]:
        append(film, frame)
    film.finish(path)
    assert len(read(shown)) == 15
    assert not (tmp_path / "parts").exists()


def test_the_disk_holds_one_chunk_of_pictures(tmp_path):
    film = parts(tmp_path / "parts", keep=2)
    for frame in frames(30):
        append(film, frame)
        names = os.listdir(tmp_path / "parts")
        assert sum(name.endswith(".png") for name in names) <= 6 + 2 + 1  # A state.
        assert not any(name.startswith(".") for name in names)
    assert len(last_pictures(film, 2)) == 2
    assert sum(name.startswith("segment") for name in names) == 2 * 5
    film.close()


@pytest.mark.parametrize("kind", [".mp4", pytest.param(".gif", marks=pytest.mark.slow)])
def test_memory_does_not_depend_on_length(tmp_path, kind):
    peaks = []
    for count in (24, 120):
        film = parts(tmp_path / "parts", kind)
        pictures = moving(24, 96, 96)
        tracemalloc.start()
        for i in range(count):
            append(film, Frame(i, i / RATE, 1 / RATE, pictures[i % 24]))
        film.finish(tmp_path / f"out{kind}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A picture has 27 kB.
    assert peaks[1] < peaks[0] + 200_000


def test_errors_of_folders(tmp_path):
    folder = tmp_path / "parts"
    with parts(folder) as film:
        append(film, frames(1)[0])
    assert message(ValueError, parts, folder, description={"steps": 6}) == (
        "`resume` must be a run with the same settings. "
        f"Received: {str(folder)!r}, whose run had another `steps`"
    )
    said = message(ValueError, lambda: parts(folder, ".gif", crf=20))
    assert said.endswith("whose run had another `crf`, another `kind`")
    (folder / "run.json").write_text("{")
    said = message(ValueError, parts, folder)
    assert said.endswith("whose run had no settings that can be read")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("Dear all")
    said = message(ValueError, parts, tmp_path / "other")
    assert said.startswith("`resume` must be a folder with parts of a film. Received")
    assert said.endswith("which holds 'letter.txt'")
    (tmp_path / "file").write_text("")
    said = message(FileExistsError, parts, tmp_path / "file")
    assert said.startswith("`resume` must be a folder that can be written to.")
    said = message(ValueError, parts, tmp_path / "new", crf=99)
    assert said.startswith("`crf` must be an integer from 0 to 51.")


def test_errors_of_frames_and_outputs(tmp_path):
    film = parts(tmp_path / "parts")
    said = message(ValueError, film.finish, tmp_path / "out.mp4")
    assert said == "`output` must be a film of 1 frame or more. Received: no frames"
    first, second = frames(2)
    said = message(ValueError, append, film, second)
    assert said.startswith("`frame` must be number 0.")
    append(film, first)
    said = message(FileNotFoundError, film.finish, tmp_path / "no" / "out.mp4")
    assert said.startswith("`output` must be a path in a folder that exists.")
    film.close()
    with parts(tmp_path / "parts") as film:
        assert film.frames_done == 1


def test_a_failure_leaves_the_older_film(tmp_path, monkeypatch):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    film = parts(tmp_path / "parts")
    for frame in frames(8):
        append(film, frame)
    (tmp_path / "parts" / "segment-000000.mkv").write_bytes(b"broken")
    with film, pytest.raises(ValueError, match="Invalid data"):
        film.finish(path)
    assert path.read_bytes() == b"older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "parts"]


# Several passes.


def sources(film, numbers):
    return [film.kept.picture("source", number) for number in numbers]


@pytest.mark.parametrize("passes", [2, 3])
def test_passes_go_forward_and_backward(tmp_path, passes):
    wanted, seen = frames(9), []
    with parts(tmp_path / "parts", ".png", keep=4, passes=passes) as film:
        assert (film.pass_number, film.backward, film.number(0)) == (0, False, 0)
        add(film, wanted, 9)
        assert (film.frames, film.frames_done) == (9, 9)
        for number in range(1, passes):
            assert film.end_pass()
            assert film.backward == (number == 1)
            assert (film.pass_number, film.frames_done) == (number, 0)
            assert film.last_state() is None
            for index in film.numbers_left():
                before, source = film.kept.frame(index), sources(film, [index])[0]
                like = wanted[index]
                np.testing.assert_array_equal(source, like.picture)
                np.testing.assert_array_equal(
                    before.picture, repainted(like, number - 1).picture
                )
                assert (before.time, before.duration) == (like.time, like.duration)
                seen.append(index)
                append(film, repainted(like, number), source, (7, 8))
                assert film.last_state().scenes == (7, 8)
                last = [wanted[i] for i in seen[-film.frames_done :][-2:]]
                for found, same in (
                    (last_pictures(film, 2), [repainted(x, number) for x in last]),
                    (sources(film, film.last_numbers(2)), last),
                ):
                    for one, other in zip(found, same, strict=True):
                        np.testing.assert_array_equal(one, other.picture)
        assert not film.end_pass()
        film.finish(tmp_path / "out")
    assert seen == [*range(8, -1, -1), *range(9)][: 9 * (passes - 1)]
    for found, like in zip(read(tmp_path / "out"), wanted, strict=True):
        np.testing.assert_array_equal(
            found.picture, repainted(like, passes - 1).picture
        )


def test_an_early_end_in_a_later_pass(tmp_path):
    wanted = frames(15)
    with parts(tmp_path / "parts", ".png", passes=2) as film:
        add(film, wanted, 20)
        film.finish(tmp_path / "out", complete=False)
        assert film.frames == 15
        for number, found in enumerate(read(tmp_path / "out")):
            like = repainted(wanted[number], int(number >= 10))
            np.testing.assert_array_equal(found.picture, like.picture)
        assert not list((tmp_path / "parts").glob("tail*"))
    with parts(tmp_path / "parts", ".png", passes=2) as film:
        assert (film.pass_number, film.frames_done) == (1, 5)
