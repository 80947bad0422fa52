"""Films that are being painted: segments, interruptions, and what becomes of them."""

import dataclasses
import errno
import json
import os
import random
import subprocess
import sys
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.video.films import RATE, moving, packets, samples, sine, write_film
from tfnst.video import folder_lock, kept_frames
from tfnst.video.folder_lock import is_locked
from tfnst.video.frames import Frame
from tfnst.video.outputs import check_film_output, film_kind
from tfnst.video.reading import open_film
from tfnst.video.segments import FilmParts, FrameState

KINDS = (".mp4", ".webm", ".gif", ".webp", ".png", ".jpg")


def frames(count, height=32, width=48, start=0):
    """Frames of a film at the usual rate."""
    return [
        Frame(i, (start + i) / RATE, 1 / RATE, picture)
        for i, picture in enumerate(moving(count, height, width))
    ]


def parts(folder, kind=".mp4", **options):
    options = {
        "rate": RATE,
        "time_base": 1 / RATE,
        "description": {"steps": 5},
        "segment_frames": 6,
        **options,
    }
    return FilmParts(folder, kind=kind, **options)


def output(tmp_path, kind):
    """A path for a film of a kind, and the path that it is read by."""
    if kind in (".png", ".jpg"):
        (tmp_path / "out").mkdir(exist_ok=True)
        pattern = tmp_path / "out" / f"%05d{kind}"
        return pattern, pattern
    path = tmp_path / f"out{kind}"
    return path, path


def read(path):
    with open_film(path) as reader:
        return list(reader)


# How far decoded values are from those that were written, on average.
ERRORS = {".mp4": 4, ".webm": 4, ".gif": 16, ".webp": 5, ".png": 0, ".jpg": 4}


@pytest.mark.parametrize("sides", [(32, 48), (33, 51)])
@pytest.mark.parametrize("kind", KINDS)
def test_films_of_every_kind(tmp_path, kind, sides):
    path, shown = output(tmp_path, kind)
    assert check_film_output(path) == kind
    film = parts(tmp_path / "parts", kind)
    wanted = frames(15, *sides)
    for frame in wanted:
        film.append(frame)
    assert (film.frames_done, film.end) == (15, Fraction(15, 25))
    film.finish(path)
    assert not (tmp_path / "parts").exists()
    found = read(shown)
    assert len(found) == 15
    rate = 24 if kind in (".png", ".jpg") else 25
    assert [frame.time for frame in found] == [Fraction(i, rate) for i in range(15)]
    height, width = sides
    if kind == ".mp4":  # Sides are even; what is added repeats the edge.
        assert found[0].picture.shape == (height + height % 2, width + width % 2, 3)
        edge = found[0].picture[:, width - 1 :].astype(int)
        assert np.ptp(edge, axis=1).mean() < 8
    else:
        assert found[0].picture.shape == (height, width, 3)
    for number, frame in enumerate(found):
        picture = frame.picture[:height, :width].astype(int)
        errors = [abs(picture - other.picture).mean() for other in wanted]
        assert np.argmin(errors) == number
        assert errors[number] <= ERRORS[kind]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "out" if kind in (".png", ".jpg") else f"out{kind}"
    ]


def test_mp4_files_say_what_their_colours_are(tmp_path):
    for kind in (".mp4", ".webm"):
        film = parts(tmp_path / "parts", kind)
        film.append(frames(1)[0])
        film.finish(tmp_path / f"out{kind}", metadata={"comment": "painted"})
        with open_film(tmp_path / f"out{kind}") as reader:
            info = reader.info
            assert (
                reader._source._container.metadata.get(
                    "comment", reader._source._container.metadata.get("COMMENT")
                )
                == "painted"
            )
        assert (info.color_range, info.matrix) == ("limited", 1)
        assert (info.primaries, info.transfer) == (1, 1)


TIMES = [0, 33, 34, 90, 290, 291, 500, 1700, 1710, 1720, 1730, 1731, 3000]


@pytest.mark.parametrize("kind", [".mp4", ".webm", ".webp"])
def test_times_that_vary_are_kept(tmp_path, kind):
    base = Fraction(1, 1000)
    film = parts(tmp_path / "parts", kind, time_base=base, segment_frames=3)
    ends = [*TIMES[1:], 3050]
    for i, picture in enumerate(moving(len(TIMES))):
        start, length = TIMES[i] * base, (ends[i] - TIMES[i]) * base
        film.append(Frame(i, 7 + start, length, picture))
    film.finish(tmp_path / f"out{kind}")
    found = read(tmp_path / f"out{kind}")
    if kind == ".webp":
        # Browsers don't show frames for 10 ms or less, so nor does the reader.
        with Image.open(tmp_path / "out.webp") as image:
            durations = []
            for i in range(image.n_frames):
                image.seek(i)
                image.load()
                durations.append(image.info["duration"])
        assert durations == [b - a for a, b in zip(TIMES, ends, strict=True)]
        return
    assert [frame.time * 1000 for frame in found] == TIMES
    assert found[-1].duration == Fraction(1, 20)


def test_ntsc_times_are_exact_in_mp4(tmp_path):
    base = Fraction(1001, 30000)
    film = parts(tmp_path / "parts", rate=1 / base, time_base=base)
    for i, picture in enumerate(moving(20)):
        film.append(Frame(i, i * base, base, picture))
    film.finish(tmp_path / "out.mp4")
    found = read(tmp_path / "out.mp4")
    assert [frame.time for frame in found] == [i * base for i in range(20)]
    with open_film(tmp_path / "out.mp4") as reader:
        assert reader.info.duration == 20 * base


def test_gif_times_do_not_drift(tmp_path):
    film = parts(tmp_path / "parts", ".gif", time_base=Fraction(1, 30))
    for i, picture in enumerate(moving(31)):
        film.append(Frame(i, Fraction(i, 30), Fraction(1, 30), picture))
    film.finish(tmp_path / "out.gif")
    found = read(tmp_path / "out.gif")
    assert [frame.time for frame in found] == [
        Fraction(round(100 * i / 30), 100) for i in range(31)
    ]
    assert found[-1].duration == Fraction(3, 100)


# Sound.


def painted(tmp_path, film, kind, **options):
    """A film painted as it is, and its path."""
    path = tmp_path / f"out{kind}"
    with open_film(film) as reader:
        info = reader.info
        made = parts(tmp_path / "parts", kind, rate=info.rate, time_base=info.time_base)
        for frame in reader.frames(**options):
            made.append(frame)
        made.finish(path, sound_from=film)
    return path


@pytest.mark.parametrize(
    ("source", "codec", "kind"),
    [
        (".mp4", "aac", ".mp4"),
        (".mkv", "aac", ".mp4"),
        (".ts", "aac", ".mp4"),
        (".mkv", "libopus", ".webm"),
        (".mkv", "libopus", ".mp4"),
    ],
)
def test_sound_is_copied_where_it_can_be(tmp_path, source, codec, kind):
    film = tmp_path / f"film{source}"
    write_film(film, moving(50), sound=sine(2), sound_codec=codec)
    path = painted(tmp_path, film, kind)
    with open_film(film) as reader:
        origin = reader.info.origin
    before = [p for p in packets(film, "audio") if p[0] - origin < 2]
    after = packets(path, "audio")
    if source == ".ts":  # Headers of ADTS go.
        before = [(t, data[7:]) for t, data in before]
    assert [data for _, data in after] == [data for _, data in before]
    gaps = [float(b - origin - a) for (a, _), (b, _) in zip(after, before, strict=True)]
    assert max(gaps) - min(gaps) < 0.002
    assert abs(np.mean(gaps)) < 0.03
    sound, first = samples(path)
    assert abs(first + sound.shape[1] / 48000 - 2) < 0.05


@pytest.mark.parametrize(
    ("codec", "kind"), [("aac", ".webm"), ("pcm_s16le", ".mp4"), ("pcm_s16le", ".webm")]
)
@pytest.mark.parametrize("start", [0, 0.8])
def test_other_sound_is_encoded_anew(tmp_path, codec, kind, start):
    film = tmp_path / "film.mkv"
    write_film(film, moving(50), sound=chirp(2), sound_codec=codec)
    path = painted(tmp_path, film, kind, start=start, end=1.6)
    check_in_sync(path, start, 1.6)


@pytest.mark.parametrize(
    ("codec", "kind"), [("aac", ".mp4"), ("libopus", ".webm"), ("libopus", ".mp4")]
)
def test_part_of_the_sound_in_sync(tmp_path, codec, kind):
    film = tmp_path / "film.mkv"
    write_film(film, moving(50), sound=chirp(2), sound_codec=codec)
    path = painted(tmp_path, film, kind, start=0.8, end=1.6)
    check_in_sync(path, 0.8, 1.6)


def chirp(seconds):
    """Sound whose pitch rises, so that each moment sounds different."""
    moment = np.arange(round(seconds * 48000)) / 48000
    wave = 0.4 * np.sin(2 * np.pi * (300 + 600 * moment) * moment)
    return np.stack([wave, wave]).astype(np.float32)


def check_in_sync(path, start, end, moment=0.3):
    """The sound at a time of the painted film is that of the film `start` later."""
    sound, first = samples(path)
    assert first + sound.shape[1] / 48000 == pytest.approx(end - start, abs=0.05)
    with open_film(path) as reader:
        first -= float(reader.info.origin)
    length = 12000
    begin = round((moment - first) * 48000)
    heard = sound[0, begin : begin + length]
    source = chirp(2)[0]
    expected = round((start + moment) * 48000)
    shifts = range(-1500, 1501, 5)
    scores = [
        float(heard @ source[expected + s : expected + s + length]) for s in shifts
    ]
    assert abs(shifts[int(np.argmax(scores))]) <= 100  # 2 ms.


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_that_starts_late(tmp_path, codec):
    film = tmp_path / "film.mkv"
    write_film(
        film, moving(50), sound=chirp(2), sound_codec=codec, sound_start=48 * 400
    )
    check_in_sync(painted(tmp_path, film, ".mp4"), -0.4, 1.6, moment=0.8)


def test_sound_that_ends_early(tmp_path):
    film = tmp_path / "film.mkv"
    write_film(film, moving(50), sound=chirp(0.5), sound_codec="pcm_s16le")
    sound, first = samples(painted(tmp_path, film, ".mp4"))
    assert first + sound.shape[1] / 48000 == pytest.approx(0.5, abs=0.05)


def test_films_without_sound(tmp_path):
    film = tmp_path / "film.mp4"
    write_film(film, moving(5))
    with open_film(painted(tmp_path, film, ".mp4")) as reader:
        assert not reader.info.has_sound


# Going on.


def test_a_run_goes_on_where_it_was(tmp_path):
    wanted = frames(20)
    whole = parts(tmp_path / "whole", keep=4)
    for frame in wanted:
        whole.append(frame)
    whole.finish(tmp_path / "whole.mp4")
    for number in range(20):
        film = parts(tmp_path / "parts", keep=4)
        assert film.frames_done == number
        last = film.last_pictures(4)
        assert len(last) == min(4, number)
        for one, other in zip(last, wanted[number - len(last) :], strict=False):
            np.testing.assert_array_equal(one, other.picture)
        film.append(wanted[number])
        film.close()
    parts(tmp_path / "parts", keep=4).finish(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.parametrize("kind", [".mp4", ".png"])
def test_an_early_end_gives_a_film_and_keeps_the_parts(tmp_path, kind):
    path, shown = output(tmp_path, kind)
    wanted = frames(15)
    film = parts(tmp_path / "parts", kind)
    for frame in wanted[:8]:
        film.append(frame)
    with film:
        film.finish(path, complete=False)
    assert len(read(shown)) == 8
    assert not list((tmp_path / "parts").glob("tail*"))
    film = parts(tmp_path / "parts", kind)
    assert film.frames_done == 8
    for frame in wanted[8:]:
        film.append(frame)
    film.finish(path)
    assert len(read(shown)) == 15
    assert not (tmp_path / "parts").exists()


def test_the_disk_holds_one_segment_of_pictures(tmp_path):
    film = parts(tmp_path / "parts", keep=2)
    for frame in frames(30):
        film.append(frame)
        names = os.listdir(tmp_path / "parts")
        assert sum(name.endswith(".png") for name in names) <= 6 + 2
        assert not any(name.startswith(".") for name in names)
    assert len(film.last_pictures(2)) == 2
    assert sum(name.startswith("segment") for name in names) == 2 * 5
    film.close()


@pytest.mark.parametrize("kind", [".mp4", ".gif"])
def test_memory_does_not_depend_on_length(tmp_path, kind):
    peaks = []
    for count in (24, 120):
        film = parts(tmp_path / "parts", kind)
        pictures = moving(24, 96, 96)
        tracemalloc.start()
        for i in range(count):
            film.append(Frame(i, i / RATE, 1 / RATE, pictures[i % 24]))
        film.finish(tmp_path / f"out{kind}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A picture has 27 kB.
    assert peaks[1] < peaks[0] + 200_000


def test_errors_of_folders(tmp_path):
    folder = tmp_path / "parts"
    with parts(folder) as film:
        film.append(frames(1)[0])
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
    said = message(ValueError, film.append, second)
    assert said.startswith("`frame` must be number 0, at 0 seconds or later.")
    film.append(first)
    said = message(ValueError, film.finish, tmp_path / "out.gif")
    assert said.startswith("`output` must be a film of the kind .mp4.")
    said = message(FileNotFoundError, film.finish, tmp_path / "no" / "out.mp4")
    assert said.startswith("`output` must be a path in a folder that exists.")
    assert message(ValueError, film.last_pictures, 1).startswith("`count` must be")
    film.close()
    with parts(tmp_path / "parts") as film:
        assert film.frames_done == 1


def test_a_failure_leaves_the_older_film(tmp_path, monkeypatch):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    film = parts(tmp_path / "parts")
    for frame in frames(8):
        film.append(frame)
    (tmp_path / "parts" / "segment-000000.mkv").write_bytes(b"broken")
    with film, pytest.raises(ValueError, match="Invalid data"):
        film.finish(path)
    assert path.read_bytes() == b"older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "parts"]


def test_what_paths_ask_for(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    for path, kind in [
        ("a.MP4", ".mp4"),
        ("a.webm", ".webm"),
        ("frames", ".png"),
        ("frames/", ".png"),
        (tmp_path / "folder.mp4", ".png"),
        ("frames/%05d.jpeg", ".jpg"),
        ("frames/%d.png", ".png"),
    ]:
        assert film_kind(path) == kind
    for path in ("a.avi", "a.png", "a%d.mp4", "a%d.tif"):
        said = message(ValueError, film_kind, path)
        assert said.startswith("`output` must be a path that ends in .mp4, .webm, .gif")


def test_outputs_are_checked_first(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"")
    said = message(ValueError, check_film_output, film, film=film)
    assert said.startswith("`output` must be a file other than `film`.")
    folder = tmp_path / "frames"
    folder.mkdir()
    for path in (folder, folder / "%05d.png"):
        for source in (folder, folder / "*.png"):
            said = message(ValueError, check_film_output, path, film=source)
            assert said.startswith("`output` must be a folder other than that of")
    assert check_film_output(folder, film=film) == ".png"
    said = message(
        FileNotFoundError, check_film_output, tmp_path / "a" / "b" / "%d.png"
    )
    assert said.startswith("`output` must be in a folder that can be written to.")
    if os.path.exists("/dev/null"):
        (tmp_path / "null.mp4").symlink_to("/dev/null")
        said = message(ValueError, check_film_output, tmp_path / "null.mp4")
        assert said.startswith("`output` must be a regular file.")


# Several passes.


def repainted(frame, number):
    """A frame as a pass paints it."""
    return dataclasses.replace(frame, picture=frame.picture + np.uint8(9 * number))


def add(film, wanted, count):
    """Adds so many frames over all passes; whether there are more."""
    while count:
        if film.pass_number:
            left = [
                dataclasses.replace(frame, picture=source)
                for frame, source in film.next_frames()
            ]
        else:
            left = wanted[film.frames_done :]
        for frame in left[:count]:
            film.append(
                repainted(frame, film.pass_number),
                FrameState(frame.picture, (frame.number,)),
                frame.picture,
            )
        count -= len(left[:count])
        if len(left) <= count and not film.end_pass():
            return False
    return True


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
            for before, source in film.next_frames():
                like = wanted[before.number]
                np.testing.assert_array_equal(source, like.picture)
                np.testing.assert_array_equal(
                    before.picture, repainted(like, number - 1).picture
                )
                assert (before.time, before.duration) == (like.time, like.duration)
                seen.append(before.number)
                film.append(repainted(like, number), FrameState(source, (7, 8)))
                assert film.last_state().past == (7, 8)
                last = [wanted[i] for i in seen[-film.frames_done :][-2:]]
                for found, same in (
                    (film.last_pictures(2), [repainted(x, number) for x in last]),
                    (film.last_sources(2), last),
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


# Other processes.


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".mp4", ".webp"])
def test_ten_kills_and_the_same_film(tmp_path, kind):
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
    for kill in range(10):
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
