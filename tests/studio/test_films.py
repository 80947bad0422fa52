"""Films: painted in turns, stopped, limited."""

import inspect
import itertools
import threading

import av
import numpy as np
import pytest

from tests.helpers import TINY
from tests.studio.helpers import make_job, make_pictures, wait_for
from tests.video.films import moving, write_film
from tfnst.images.writing import save_image
from tfnst.studio import film_painter, jobs, panels
from tfnst.studio import studio as studio_module
from tfnst.studio.jobs import JobQueue
from tfnst.studio.limits import Limits
from tfnst.studio.orders import Film
from tfnst.studio.painters import LocalPainter
from tfnst.studio.studio import Studio, StyleInput
from tfnst.video.video import stylize_video

FILM = Film(frame_steps=2)


@pytest.fixture
def studio(tmp_path):
    studio = Studio(str(tmp_path / "painted"), config=TINY, limits=Limits())
    yield studio
    studio.close()


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "waves.mkv"
    write_film(path, moving(5), codec="ffv1")
    return path


@pytest.fixture
def order(studio, tmp_path, film):
    (style,) = make_pictures(tmp_path, "style.png")

    def make(**options):
        return studio.order_film(
            studio.history("someone"),
            str(film),
            [StyleInput(image=style)],
            TINY.replace(steps=2, initial_steps=2),
            Film(**{"frame_steps": 2} | options),
            ".mp4",
        )

    return make


def frames_of(path):
    """The pictures of a film."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def paint(job, limits=None):
    """Paints what a job asks for, in as many turns as it takes; their number."""
    painter, limits = LocalPainter(TINY), limits or Limits()
    for turn in itertools.count(1):
        outcome = painter.paint(job, job.order, limits)
        job.unfinished = outcome if isinstance(outcome, jobs.Unfinished) else None
        if job.unfinished is None:
            return outcome, turn


def test_defaults_are_those_of_stylize_video():
    parameters = inspect.signature(stylize_video).parameters
    defaults = {name: parameters[name].default for name in vars(Film())}
    assert vars(Film()) == defaults


def test_a_film_is_that_of_stylize_video(studio, order, film, tmp_path):
    job = make_job(studio.history("someone"), order())
    path, _ = paint(job)
    expected = tmp_path / "expected.mp4"
    stylize_video(
        film,
        list(job.order.styles),
        expected,
        frame_steps=2,
        config=job.order.config,
    )
    for ours, theirs in zip(frames_of(path), frames_of(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert path.name.endswith("_waves_style.mp4")
    assert studio.history("someone").films() == [path]
    assert studio.history("someone").entries() == []
    now = job.progress
    assert (now.frames_done, now.frames, now.fraction) == (5, 5, 1.0)
    assert now.preview is not None
    assert now.seconds_left == 0


@pytest.mark.slow
def test_a_film_gives_way_and_comes_out_the_same(studio, order, monkeypatch):
    history = studio.history("someone")
    whole, turns = paint(make_job(history, order()))
    assert turns == 1
    monkeypatch.setattr(film_painter, "TURN_SECONDS", 0.0)
    job = make_job(history, order())
    job.others_wait = True
    path, turns = paint(job)
    assert turns == 5
    for ours, theirs in zip(frames_of(path), frames_of(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [each.suffix for each in history.folder.iterdir() if each.is_file()] == [
        ".mp4",
        ".mp4",
    ]
    assert not list(history.folder.glob("*.parts"))


class StopsAfter(film_painter.FilmWatcher):
    """Has the job stopped, or left, once so many frames are done."""

    frames, leave = 2, False

    def __call__(self, progress):
        if progress.frames_done >= self.frames:
            self._job.stop(leave=self.leave)
        super().__call__(progress)


@pytest.mark.parametrize("leave", [False, True])
def test_the_frames_so_far_are_a_film_unless_nobody_waits(
    studio, order, monkeypatch, leave
):
    monkeypatch.setattr(film_painter, "FilmWatcher", StopsAfter)
    monkeypatch.setattr(StopsAfter, "leave", leave)
    history = studio.history("someone")
    job = make_job(history, order())
    path, _ = paint(job)
    if leave:
        assert path is None
        assert history.films() == []
    else:
        assert len(frames_of(path)) == 2
    assert not list(history.folder.glob("*.parts"))


def test_a_film_ends_where_the_host_says(studio, order):
    job = make_job(studio.history("someone"), order())
    path, _ = paint(job, Limits(max_frames=3))
    assert len(frames_of(path)) == 3
    job.outcomes.append(path)
    job.state = jobs.DONE
    assert panels.status(job, 0, loading=False).startswith(
        "Its time is over. 3 of 5 frames are painted in "
    )
    job = make_job(studio.history("someone"), order())
    with pytest.raises(ValueError, match="over before the first frame"):
        paint(job, Limits(max_seconds=1e-9))


def test_others_are_painted_while_a_film_is_in_the_queue(
    studio, order, tmp_path, monkeypatch
):
    monkeypatch.setattr(film_painter, "TURN_SECONDS", 0.0)
    begun = threading.Event()

    class Tells(film_painter.FilmWatcher):
        def __call__(self, progress):
            begun.set()
            wait_for(lambda: self._job.others_wait or picture.ended)
            super().__call__(progress)

    monkeypatch.setattr(film_painter, "FilmWatcher", Tells)
    history = studio.history("someone")
    content, style = make_pictures(tmp_path, "content.png", "style.png")
    queue = JobQueue(LocalPainter(TINY), Limits())
    film = make_job(history, order(), visitor="one")
    picture = make_job(
        history,
        studio.order(history, str(content), [StyleInput(image=style)], TINY),
        visitor="two",
    )
    queue.start()
    queue.submit(film)
    assert begun.wait(300)
    queue.submit(picture)
    wait_for(lambda: picture.ended)
    assert picture.state == jobs.DONE
    assert not film.ended
    wait_for(lambda: film.ended)
    assert film.state == jobs.DONE
    assert len(frames_of(film.film)) == 5
    # Nothing is repeated from the film, so its copy goes.
    assert not film.order.content.exists()
    assert picture.order.content.exists()
    queue.close()


@pytest.mark.parametrize("leave", [False, True])
def test_a_film_that_has_given_way_can_be_stopped(studio, order, monkeypatch, leave):
    monkeypatch.setattr(film_painter, "TURN_SECONDS", 0.0)
    job = make_job(studio.history("someone"), order())
    job.others_wait = True
    unfinished = LocalPainter(TINY).paint(job, job.order, Limits())
    assert unfinished.parts.is_dir()
    # As it waits for its next turn.
    queue = JobQueue(LocalPainter(TINY), Limits())
    queue.submit(job)
    job.unfinished = unfinished
    assert panels.status(job, 1, loading=False) == (
        "1 of 5 frames are painted. Waiting for its turn. It is next."
    )
    if leave:
        queue.leave(job.tab)
        assert (job.state, job.film) == (jobs.LEFT, None)
        assert not unfinished.path.exists()
    else:
        queue.stop(job.key)
        assert job.state == jobs.STOPPED
        assert len(frames_of(job.film)) == 1
    assert not unfinished.parts.exists()


def test_too_many_frames_are_refused_before_the_work(studio, tmp_path, film):
    studio.limits = Limits(max_frames=2)
    (style,) = make_pictures(tmp_path, "style.png")
    history = studio.history("someone")
    given = history, str(film), [StyleInput(image=style)], TINY
    with pytest.raises(ValueError, match="of 2 frames, and these are 5: let it end"):
        studio.order_film(*given, Film(), ".mp4")
    assert not (history.folder / "sources").exists()
    studio.order_film(*given, Film(every=3), ".mp4")
    studio.order_film(*given, Film(end=0.08), ".mp4")


def test_a_film_is_looked_at(studio, film, tmp_path):
    info, first = studio.look_at_film(str(film))
    text = panels.film(info, first)
    assert "48 by 32 pixels, 25 frames a second, 0.2 s" in text
    assert "data:image/jpeg;base64," in text
    bad = tmp_path / "bad.mp4"
    bad.write_text("no film")
    with pytest.raises(ValueError, match="`film` must be"):
        studio.look_at_film(str(bad))


def test_a_list_of_other_files_is_no_film(studio, tmp_path):
    """FFmpeg would show the files of the server that it names."""
    write_film(tmp_path / "private.ts", moving(2))
    private = (tmp_path / "private.ts").as_uri()
    (style,) = make_pictures(tmp_path, "style.png")
    history = studio.history("someone")
    for name, text in (
        ("x.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\n{private}\n"),
        ("self.mp4", "ffconcat version 1.0\nfile 'self.mp4'\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ValueError, match="`film` must be a film that can be read"):
            studio.look_at_film(str(path))
        given = history, str(path), [StyleInput(image=style)], TINY
        with pytest.raises(ValueError, match="`film` must be a film that can be read"):
            studio.order_film(*given, Film(), ".mp4")


def test_a_film_that_takes_long_keeps_nobody_waiting(studio, tmp_path, monkeypatch):
    (path,) = make_pictures(tmp_path, "photo.png")
    reading, go_on = threading.Semaphore(0), threading.Event()

    def open_slowly(path):
        reading.release()
        assert go_on.wait(300)
        raise ValueError("no film")

    def look():
        with pytest.raises(ValueError, match="no film"):
            studio.look_at_film("slow.mp4")

    monkeypatch.setattr(studio_module, "open_film", open_slowly)
    monkeypatch.setattr(studio_module, "_MOST_WAITING", 0.01)
    threads = [threading.Thread(target=look) for _ in range(2)]
    threads[0].start()
    assert reading.acquire(timeout=300)
    assert studio.check_picture(str(path)) is None
    # Where several do, it is said.
    threads[1].start()
    assert reading.acquire(timeout=300)
    with pytest.raises(jobs.BusyError, match="Too many files are being read"):
        studio.look_at_film("other.mp4")
    save_image(np.zeros((40, 40, 3)), path)
    assert studio.check_picture(str(path)).startswith("Too many files")
    go_on.set()
    for thread in threads:
        thread.join(300)
    assert studio.check_picture(str(path)) is None
