"""Films that are painted, interrupted and continued."""

import os
import random
import shutil
import signal
import time
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

import tfnst
from tests import processes
from tests.helpers import TINY, message, picture
from tests.video.film_frames import assert_same_films, read
from tests.video.films import (
    RATE,
    samples,
    sine,
    write_film,
)
from tests.video.moving_photos import panned, photo, with_square
from tfnst.video.flow import FlowFiles
from tfnst.video.reading import open_film
from tfnst.video.video import parts_folder

STYLE = picture(50, 40, seed=2)
QUICK = TINY.replace(steps=2, initial_steps=2)
SETTINGS = {"config": QUICK, "frame_steps": 1}
SQUARES = [with_square(8 + 3 * i) for i in range(6)]


def stop_after(frames):
    """A callback that stops within the frame after so many."""

    def watch(progress):
        if progress.frames_done >= frames and progress.run is not None:
            progress.stop()

    return watch


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with a film of six frames, and a style. Leave it as it is."""
    folder = tmp_path_factory.mktemp("source")
    write_film(folder / "in.mp4", SQUARES)
    tfnst.save_image(STYLE, folder / "style.png")
    return folder


@pytest.fixture
def folder(source, tmp_path, monkeypatch):
    """A folder to work in, with copies of the film and of the style."""
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The film, painted without a break."""
    path = tmp_path_factory.mktemp("whole") / "whole.mp4"
    tfnst.stylize_video(source / "in.mp4", STYLE, path, **SETTINGS)
    return path


@pytest.fixture(scope="module")
def whole_in_passes(source, tmp_path_factory):
    """The film, painted in three passes without a break, and what the callback saw."""
    path, seen = tmp_path_factory.mktemp("passes") / "whole", []
    result = tfnst.stylize_video(
        source / "in.mp4", STYLE, path, passes=3, callback=seen.append, **SETTINGS
    )
    return path, result, seen


def test_a_film(folder):
    seen, before = [], {*os.listdir()}

    def see(progress):
        seen.append(progress)
        # Whenever it is killed, nothing half-written stays but in the film's folder.
        assert {*os.listdir()} == before | {"out.mp4.parts"}

    result = tfnst.stylize_video(
        "in.mp4", "style.png", "out.mp4", callback=see, **SETTINGS
    )
    assert (result.output, result.frames, result.painted) == ("out.mp4", 6, 6)
    assert (result.shots, result.complete) == (1, True)
    assert (result.width, result.height, result.config) == (48, 36, QUICK)
    assert result.steps >= 2 + 5
    assert 0 < result.still < 1
    assert result.seconds > 0
    source, painted = read("in.mp4"), read("out.mp4")
    assert [f.time for f in painted] == [f.time for f in source]
    assert [f.duration for f in painted] == [f.duration for f in source]
    assert not os.path.exists("out.mp4.parts")
    # The callback has been told of every frame, and of steps within them.
    done = [p for p in seen if p.picture is not None]
    assert [(p.frames_done, p.frames) for p in done] == [(i, 6) for i in range(1, 7)]
    # And, in the end, of every frame that is encoded.
    assert [p.encoded for p in seen[-6:]] == [i / 6 for i in range(1, 7)]
    assert {p.encoded for p in seen[:-6]} == {None}
    assert {p.picture.shape for p in done} == {(36, 48, 3)}
    assert any(p.run is not None and p.picture is None for p in seen)
    # Of luma: colours are stored at half the size.
    luma = np.array([0.2126, 0.7152, 0.0722])
    errors = [
        np.abs(p.picture @ luma - f.picture @ luma).mean()
        for p, f in zip(done, painted, strict=True)
    ]
    assert max(errors) < 3


@pytest.mark.parametrize("output", ["out.webm", "out.gif", "out.webp", "out/%03d.png"])
def test_other_kinds_of_films(folder, whole, output):
    result = tfnst.stylize_video("in.mp4", STYLE, output, end=0.1, **SETTINGS)
    assert result.frames == 3
    for found, like in zip(read(output), read(whole)[:3], strict=True):
        assert np.abs(found.picture.astype(int) - like.picture).mean() < 20


def test_parts_of_a_film(folder):
    result = tfnst.stylize_video(
        "in.mp4", STYLE, "out", start=0.04, end=0.18, every=2, **SETTINGS
    )
    # Those at 0.04 and 0.12.
    assert result.frames == len(os.listdir("out")) == 2


def test_a_folder_of_pictures(folder):
    os.mkdir("pictures")
    for i, each in enumerate(panned(3)):
        Image.fromarray(each).save(f"pictures/{i}.png")
    result = tfnst.stylize_video("pictures", STYLE, "out.mp4", rate=10, **SETTINGS)
    assert result.frames == 3
    assert [f.time for f in read("out.mp4")] == [Fraction(i, 10) for i in range(3)]


def test_uneven_times_are_kept(folder):
    write_film("uneven.mp4", panned(4), times=[0, 1, 3, 7])
    tfnst.stylize_video("uneven.mp4", STYLE, "out.mp4", **SETTINGS)
    assert [f.time * RATE for f in read("out.mp4")] == [0, 1, 3, 7]


def test_sound_and_length_are_those_of_the_source(folder):
    write_film("sound.mp4", panned(3) * 2, sound=sine(6 / 25))
    tfnst.stylize_video("sound.mp4", STYLE, "out.mp4", **SETTINGS)
    (sound, start), (wanted, wanted_start) = samples("out.mp4"), samples("sound.mp4")
    assert start == pytest.approx(wanted_start, abs=1e-3)
    assert sound.shape == wanted.shape
    np.testing.assert_allclose(sound, wanted, atol=1e-4)
    last, wanted = read("out.mp4")[-1], read("sound.mp4")[-1]
    assert last.time + last.duration == wanted.time + wanted.duration


def test_names_with_colons_are_no_urls(folder):
    write_film(folder / "12:30.mp4", panned(3) * 2, sound=sine(6 / 25))
    for output in ("data:x.mp4", "take:2.webm", "a:b.gif", "http:"):
        result = tfnst.stylize_video(
            "12:30.mp4", STYLE, output, end=0.05, flow=no_motion, **SETTINGS
        )
        assert (result.frames, len(read(output))) == (2, 2)
    for output in ("data:x.mp4", "take:2.webm"):
        with open_film(output) as reader:
            assert reader.info.has_sound


def no_motion(first, second):
    return np.zeros((*first.picture.shape[:2], 2), np.float32)


def test_sound_and_title_of_a_film_that_was_stopped(folder):
    track = {"sound": sine(6 / 25), "codec": "pcm_s16le"}
    write_film("sound.mkv", SQUARES, tracks=[track], metadata={"title": "Squares"})
    arguments = "sound.mkv", STYLE, "out.mp4"
    tfnst.stylize_video(*arguments, callback=stop_after(2), **SETTINGS)
    assert len(samples("out.mp4")[0][0]) == pytest.approx(2 / 25 * 48000, abs=2500)
    made = os.stat("out.mp4.parts/sound-0.mp4")
    # Left by a run that was killed as it wrote.
    (folder / "out.mp4.parts" / "sound-7.mp4").write_bytes(b"half")

    def watch(progress):
        assert os.stat("out.mp4.parts/sound-0.mp4").st_mtime_ns == made.st_mtime_ns

    tfnst.stylize_video(*arguments, resume=True, callback=watch, **SETTINGS)
    tfnst.stylize_video("sound.mkv", STYLE, "whole.mp4", **SETTINGS)
    assert (folder / "out.mp4").read_bytes() == (folder / "whole.mp4").read_bytes()
    with open_film("out.mp4") as reader:
        assert reader.info.title == "Squares"
    assert not os.path.exists("out.mp4.parts")


def check_passes(output, result, seen, passes):
    """That a film of six frames was painted in so many passes."""
    assert (result.frames, result.painted) == (6, 6 * passes)
    assert (result.shots, result.complete) == (1, True)
    done = [(p.frames_done, p.frames) for p in seen if p.picture is not None]
    assert done == [(i, 6 * passes) for i in range(1, 6 * passes + 1)]
    assert not os.path.exists(f"{output}.parts")
    # The frames of the last pass, in the film's order.
    last = [p.picture for p in seen if p.picture is not None][-6:]
    found = [each.picture for each in read(output)]
    for one, other in zip(found, last[:: 1 if passes % 2 else -1], strict=True):
        np.testing.assert_array_equal(one, other)
    return np.stack(found).astype(int)


def test_several_passes(folder, whole_in_passes):
    found = check_passes(*whole_in_passes, 3)
    first = [p.picture for p in whole_in_passes[2] if p.picture is not None][:6]
    assert np.abs(found - np.stack(first)).mean() > 0.2


def test_a_last_pass_that_goes_backward(folder):
    seen = []
    result = tfnst.stylize_video(
        "in.mp4", STYLE, "out", passes=2, callback=seen.append, **SETTINGS
    )
    check_passes("out", result, seen, 2)


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(2, marks=pytest.mark.slow),
        6,  # Between two passes.
        pytest.param(8, marks=pytest.mark.slow),
        pytest.param(13, marks=pytest.mark.slow),
    ],
)
def test_passes_that_are_stopped_can_be_played_and_continued(
    folder, whole_in_passes, frames
):
    def paint(**arguments):
        return tfnst.stylize_video(
            "in.mp4", STYLE, "out", passes=3, **arguments, **SETTINGS
        )

    result = paint(callback=stop_after(frames))
    assert not result.complete
    done = result.painted
    assert frames <= done <= frames + 1
    assert result.frames == len(read("out")) == min(done, 6)
    result = paint(resume=True)
    assert (result.complete, result.frames, result.painted) == (True, 6, 18 - done)
    assert_same_films("out", whole_in_passes[0])


@pytest.mark.parametrize("frames", [1, 4])
def test_a_film_that_is_stopped_can_be_played_and_continued(folder, whole, frames):
    result = tfnst.stylize_video(
        "in.mp4", STYLE, "out.mp4", callback=stop_after(frames), **SETTINGS
    )
    # A frame whose last step it was is kept.
    assert frames <= result.frames <= frames + 1
    frames = result.frames
    assert (result.complete, result.painted) == (False, frames)
    assert len(read("out.mp4")) == frames
    # Neither the memory nor the quality of the file matters to the frames.
    again = {"resume": True, "max_memory": 16.0, "crf": 17}
    result = tfnst.stylize_video("in.mp4", STYLE, "out.mp4", **again, **SETTINGS)
    assert (result.complete, result.frames, result.painted) == (True, 6, 6 - frames)
    assert (result.width, result.height) == (48, 36)
    assert_same_films("out.mp4", whole)
    assert not os.path.exists("out.mp4.parts")


def test_a_film_that_is_stopped_within_the_first_frame(folder):
    result = tfnst.stylize_video(
        "in.mp4", STYLE, "out.mp4", callback=stop_after(0), **SETTINGS
    )
    assert (result.complete, result.frames) == (False, 0)
    assert sorted(os.listdir()) == ["in.mp4", "style.png"]


def test_resume_begins_if_there_is_nothing(folder):
    result = tfnst.stylize_video(
        "in.mp4", STYLE, "out.mp4", end=0.05, resume=True, **SETTINGS
    )
    assert (result.complete, result.frames) == (True, 2)


def test_other_runs_are_not_continued(folder):
    tfnst.stylize_video("in.mp4", STYLE, "out.mp4", callback=stop_after(2), **SETTINGS)
    left = sorted(os.listdir("out.mp4.parts"))
    write_film(folder / "other.mp4", panned(3))

    def again(film="in.mp4", style=STYLE, **changes):
        arguments = SETTINGS | {"resume": True} | changes
        return message(
            ValueError, tfnst.stylize_video, film, style, "out.mp4", **arguments
        )

    for changes in (
        {"frame_steps": 2},
        {"temporal_weight": 1},
        {"passes": 2},
        {"end": 0.15},
        {"content_weight": 2.0},
        {"film": "other.mp4"},
        {"style": picture(50, 40, seed=3)},
        {"flow": FlowFiles(".")},
    ):
        text = again(**changes)
        assert text.startswith("`resume` must be a run with the same settings. "), text
    assert again(resume=False) == (
        "`resume` must be True to continue the unfinished film in 'out.mp4.parts'; or "
        "remove that folder to start over. Received: False"
    )
    assert sorted(os.listdir("out.mp4.parts")) == left


def test_a_disk_without_room_is_found_first(folder, monkeypatch):
    free = SimpleNamespace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    said = message(
        ValueError, tfnst.stylize_video, "in.mp4", STYLE, "out.mp4", **SETTINGS
    )
    # Six frames of 48 by 36 pixels.
    assert said.startswith("`output` must be on a disk with 0.00 GB free for ")
    assert said.endswith("Received: 'out.mp4.parts', where 0.00 GB are free")
    assert sorted(os.listdir()) == ["in.mp4", "style.png"]


def test_what_fails_at_first_leaves_nothing(folder):
    for changes in (
        {"start": 99},
        {"flow": lambda first, second: np.zeros(3), "end": 0.01, "start": 0.001},
        {"weights": "missing.h5"},
    ):
        with pytest.raises((ValueError, OSError)):
            tfnst.stylize_video("in.mp4", STYLE, "out.mp4", **SETTINGS | changes)
        assert sorted(os.listdir()) == ["in.mp4", "style.png"]


def test_an_error_within_a_film_can_be_mended(folder, whole):
    def fail(progress):
        if progress.frames_done == 3:
            raise OSError("no more room")

    with pytest.raises(OSError, match="no more room"):
        tfnst.stylize_video("in.mp4", STYLE, "out.mp4", callback=fail, **SETTINGS)
    assert not os.path.exists("out.mp4")
    tfnst.stylize_video("in.mp4", STYLE, "out.mp4", resume=True, **SETTINGS)
    assert_same_films("out.mp4", whole)


def test_one_line_says_what_is_wrong(folder):
    (folder / "text.mp4").write_text("not a film")
    write_film(folder / "still.mp4", [photo(48, 64)])

    def wrong(kind, film="in.mp4", output="out.mp4", **arguments):
        return message(kind, tfnst.stylize_video, film, STYLE, output, **arguments)

    assert wrong(ValueError, "text.mp4").startswith("`film` must be ")
    assert wrong(FileNotFoundError, "no.mp4").startswith("`film` must be ")
    assert wrong(ValueError, output="in.mp4").startswith("`output` must be ")
    assert wrong(ValueError, output="out.txt").startswith("`output` must be ")
    assert wrong(FileNotFoundError, output="no/out.mp4").startswith("`output` must be")
    for name, value in (
        *(("start", x) for x in (-1, float("nan"), "1", 99)),
        *(("end", x) for x in (0, -1, float("nan"), float("inf"))),
        *(("every", x) for x in (0, 1.5, True)),
        *(("frame_steps", x) for x in (0, 1001)),
        *(("passes", x) for x in (0, 21, 1.5)),
        *(("temporal_weight", x) for x in (-1, float("nan"))),
        *(("crf", x) for x in (-1, 52)),
        ("rate", 25),
        ("max_time", 5),
        ("init_image", "given"),
    ):
        text = wrong(ValueError, **{name: value})
        assert text.startswith(f"`{name}` must be "), text
    assert sorted(p for p in os.listdir() if "out" in p) == []


def test_where_parts_are_kept():
    assert parts_folder("a/out.mp4") == os.path.join("a", "out.mp4.parts")
    assert parts_folder("frames/") == "frames.parts"
    assert parts_folder("frames/%05d.png") == os.path.join("frames", "05d.png.parts")


def paint_some(passes, most):
    """What the processes do that are killed: they paint some frames, and wait."""
    painted = 0

    def watch(progress):
        nonlocal painted
        painted += progress.picture is not None
        if painted == most:
            signal.pause()

    tfnst.stylize_video(
        "in.mp4", STYLE, "out.mp4", resume=True, passes=passes, callback=watch,
        **SETTINGS,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("passes", "count"), [(1, 44), (3, 12)])
def test_ten_kills_and_the_same_film(folder, passes, count):
    pictures = [with_square(4 + i) for i in range(count)]
    write_film(folder / "in.mp4", [*pictures, *panned(count // 4)])
    frames = passes * (count + count // 4)
    began = time.perf_counter()
    tfnst.stylize_video("in.mp4", STYLE, "whole.mp4", passes=passes, **SETTINGS)
    each = (time.perf_counter() - began) / frames
    rng, kept = random.Random(0), [0]
    for _ in range(10):
        # It waits after some frames, so that it isn't done before it is killed,
        # however fast it is.
        process = processes.Process(paint_some, passes, frames // 10, cwd=folder)
        # Once it paints, for some frames.
        deadline = time.monotonic() + 300
        while _frames_kept(folder) <= kept[-1]:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 4 * each))
        process.kill()
        process.wait(300)
        kept.append(_frames_kept(folder))
    assert kept == sorted(set(kept))
    tfnst.stylize_video(
        "in.mp4", STYLE, "out.mp4", resume=True, passes=passes, **SETTINGS
    )
    assert_same_films("out.mp4", "whole.mp4")
    assert (folder / "out.mp4").read_bytes() == (folder / "whole.mp4").read_bytes()
    assert not (folder / "out.mp4.parts").exists()


def _frames_kept(folder):
    """How many frames are safe, over all passes."""
    path = folder / "out.mp4.parts" / "state.npz"
    if not path.exists():
        return 0
    with np.load(path) as state:
        pass_number, done, frames = state["counts"]
        return pass_number * frames + done


@pytest.mark.slow
def test_memory_does_not_grow(folder):
    write_film(folder / "long.mp4", [with_square(4 + i % 40) for i in range(200)])
    process, used = psutil.Process(), []

    def watch(progress):
        if progress.picture is not None:
            used.append(process.memory_info().rss)

    tfnst.stylize_video("long.mp4", STYLE, "out.mp4", callback=watch, **SETTINGS)
    first, last = max(used[20:70]), max(used[150:])
    assert last - first < 8 * 2**20, (first, last)
