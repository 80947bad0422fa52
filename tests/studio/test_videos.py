"""Videos: painted, stopped, limited."""

import inspect

import av
import numpy as np
import pytest

from tests.helpers import TINY
from tests.studio.helpers import make_pictures, make_run, make_task
from tests.video.films import moving, write_film
from tfnst.images.writing import save_image
from tfnst.studio import panels, run_queue
from tfnst.studio.limits import Limits
from tfnst.studio.painters import LocalPainter
from tfnst.studio.tasks import VideoOptions
from tfnst.video.video import stylize_video


@pytest.fixture
def studio(open_studio):
    return open_studio()


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "waves.mkv"
    write_film(path, moving(5), codec="ffv1")
    return path


@pytest.fixture
def task(studio, tmp_path, video):
    (style,) = make_pictures(tmp_path, "style.png")

    def make(content=video, **options):
        return make_task(
            content,
            style,
            config=TINY.replace(steps=2, initial_steps=2),
            video=VideoOptions(**{"frame_steps": 2} | options),
            suffix=".mp4",
        )

    return make


def frames_of(path):
    """The pictures of a video."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def paint(run, limits=None):
    """Paints a run's video: its path."""
    return LocalPainter(TINY).paint(run, run.task, limits or Limits())


def test_defaults_are_those_of_stylize_video():
    parameters = inspect.signature(stylize_video).parameters
    defaults = {name: parameters[name].default for name in vars(VideoOptions())}
    assert vars(VideoOptions()) == defaults


def test_a_video_is_that_of_stylize_video(studio, task, video, tmp_path):
    run = make_run(studio.history("someone"), task())
    path = paint(run)
    expected = tmp_path / "expected.mp4"
    stylize_video(
        video,
        list(run.task.styles),
        expected,
        frame_steps=2,
        config=run.task.config,
    )
    for ours, theirs in zip(frames_of(path), frames_of(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert path.name.endswith("_waves_style.mp4")
    assert studio.history("someone").videos() == [path]
    assert studio.history("someone").entries() == []
    now = run.progress
    assert (now.frames_done, now.frames, now.fraction) == (5, 5, 1.0)
    assert now.preview is not None
    assert now.seconds_left == 0


@pytest.mark.parametrize("leave", [False, True])
def test_the_frames_so_far_are_a_video_unless_nobody_waits(studio, task, leave):
    def stop_after_two(run):
        if run.progress.frames_done == 2:
            run.stop(leave=leave)

    history = studio.history("someone")
    run = make_run(history, task(), told=stop_after_two)
    path = paint(run)
    if leave:
        assert path is None
        assert history.videos() == []
    else:
        assert len(frames_of(path)) == 2
    assert not list(history.folder.glob("*.parts"))


def test_a_video_ends_where_the_host_says(studio, task):
    run = make_run(studio.history("someone"), task())
    path = paint(run, Limits(max_frames=3))
    assert len(frames_of(path)) == 3
    run.outcomes.append(path)
    run.state = run_queue.DONE
    assert panels.status(run).startswith(
        "Its time is over. 3 of 5 frames are painted in "
    )
    run = make_run(studio.history("someone"), task())
    with pytest.raises(ValueError, match="Time ran out before the first frame"):
        paint(run, Limits(max_seconds=1e-9))


def test_too_many_frames_are_refused_before_the_work(studio, task):
    studio.limits = Limits(max_frames=2)
    with pytest.raises(ValueError, match="has 5 frames to paint; the limit is 2"):
        studio.check_limits(task())
    studio.check_limits(task(every=3))
    studio.check_limits(task(end=0.08))


def test_a_video_is_looked_at(studio, video, tmp_path):
    info, first = studio.look_at_video(str(video))
    text = panels.video(info, first)
    assert "48 by 32 pixels, 25 frames a second, 0.2 s" in text
    assert "data:image/jpeg;base64," in text
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    with pytest.raises(ValueError, match="`film` must be"):
        studio.look_at_video(str(bad))


def test_a_list_of_other_files_is_no_film(studio, task, tmp_path):
    """FFmpeg would show the files of the server that it names."""
    write_film(tmp_path / "private.ts", moving(2))
    private = (tmp_path / "private.ts").as_uri()
    for name, text in (
        ("x.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\n{private}\n"),
        ("self.mp4", "ffconcat version 1.0\nfile 'self.mp4'\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ValueError, match="`film` must be a film that can be read"):
            studio.look_at_video(str(path))
        with pytest.raises(ValueError, match="`film` must be a film that can be read"):
            studio.check_limits(task(path))


def test_a_video_that_takes_long_keeps_nobody_waiting(open_studio, tmp_path, video):
    (path,) = make_pictures(tmp_path, "photo.png")
    studio = open_studio(reading_seconds=0.01)
    with studio.reading():
        assert studio.check_picture(str(path)) is None
        studio.look_at_video(str(video))
        # If two take long, the page says so.
        with studio.reading():
            with pytest.raises(run_queue.BusyError, match="Too many files are being"):
                studio.look_at_video(str(video))
            save_image(np.zeros((40, 40, 3)), path)
            assert studio.check_picture(str(path)).startswith("Too many files")
    assert studio.check_picture(str(path)) is None
