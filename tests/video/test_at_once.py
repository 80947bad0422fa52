"""Films painted by a network."""

import json
import os
import signal

import av
import numpy as np
import pytest

import tfnst
from tests.cli.helpers import names, run_here
from tests.helpers import message
from tests.training.helpers import untrained
from tests.video.film_frames import read
from tests.video.films import samples, sine, write_film
from tests.video.moving_photos import panned
from tfnst.ops.resizing import resize_image
from tfnst.transfer.network_style import NetworkStyle

SIZE = 48


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with a film of six frames with sound, and a network."""
    folder = tmp_path_factory.mktemp("at_once")
    write_film(folder / "in.mp4", panned(6), sound=sine(6 / 25))
    style = untrained()
    # With less contrast, less is lost as frames are encoded.
    last = style.network.enlarging[-1].convolution.kernel
    last.assign(0.2 * last)
    style.save(folder / "style.keras")
    return folder


@pytest.fixture
def folder(source, tmp_path, monkeypatch):
    for name in names(source):
        os.symlink(source / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paint(output="out.mp4", style="style.keras", **others):
    """Paints the film; returns the result and what the callback saw."""
    seen = []
    others = {"callback": seen.append, "size": SIZE, **others}
    return tfnst.stylize_video("in.mp4", style, output, **others), seen


def wanted(**settings):
    """The frames of the film, each painted as a picture."""
    network = tfnst.load_network("style.keras")
    return [
        np.asarray(network.stylize(frame.picture, size=SIZE, **settings).image)
        for frame in read("in.mp4")
    ]


def test_frames_are_painted_as_pictures_are(folder):
    result, seen = paint()
    assert [(p.frames_done, p.frames) for p in seen] == [(i, 6) for i in range(1, 7)]
    for progress, like in zip(seen, wanted(), strict=True):
        np.testing.assert_array_equal(progress.picture, like)
    assert (result.output, result.frames, result.painted) == ("out.mp4", 6, 6)
    assert (result.width, result.height, result.complete) == (48, 36, True)
    assert (result.shots, result.steps, result.still) == (0, 0, 0.0)
    assert result.network["name"] == "style.keras"
    source, painted = read("in.mp4"), read("out.mp4")
    assert [f.time for f in painted] == [f.time for f in source]
    assert [f.duration for f in painted] == [f.duration for f in source]
    for frame, progress in zip(painted, seen, strict=True):
        assert np.abs(frame.picture - progress.picture.astype(int)).mean() < 4
    np.testing.assert_allclose(samples("out.mp4")[0], samples("in.mp4")[0], atol=1e-4)
    with av.open("out.mp4") as film:
        comment = json.loads(film.metadata["comment"])
    assert comment["size"] == SIZE
    assert comment["network"] == result.network
    # Nothing else is left on the disk.
    assert names(folder) == ["in.mp4", "out.mp4", "style.keras"]


def test_a_range_of_frames_that_keep_their_colours(folder):
    kept = {"preserve_color": "luminance"}
    result, seen = paint("out.webm", start=0.04, every=2, **kept)
    assert result.frames == 3
    for progress, like in zip(seen, wanted(**kept)[1::2], strict=True):
        np.testing.assert_array_equal(progress.picture, like)


def test_a_network_for_a_part_of_the_frames(folder):
    mask = np.zeros((36, 48), np.float32)
    mask[:, 24:] = 1
    part = tfnst.StyleImage(image="style.keras", region=mask)
    _, seen = paint("out/%d.png", end=0.04, style=part)
    (painted,), content = [p.picture for p in seen], read("in.mp4")[0].picture
    np.testing.assert_array_equal(painted[:, 24:], wanted()[0][:, 24:])
    small = np.asarray(resize_image(content[np.newaxis] / np.float32(255), 36, 48))[0]
    assert np.abs(painted[:, :24] / 255 - small[:, :24]).max() < 0.003


@pytest.mark.parametrize("output", ["out.gif", "out.webp", "out/%03d.png"])
def test_animations_and_pictures(folder, output):
    result, seen = paint(output, every=2)
    assert (result.frames, len(seen)) == (3, 3)
    painted = read(output)
    if output != "out/%03d.png":
        assert [f.duration for f in painted] == [
            f.duration * 2 for f in read("in.mp4")[:3]
        ]
    else:
        np.testing.assert_array_equal(painted[1].picture, seen[1].picture)
    assert np.abs(painted[2].picture - seen[2].picture.astype(int)).mean() < 6


def test_a_film_that_is_stopped_ends_there(folder):
    def stop(progress):
        if progress.frames_done == 3:
            progress.stop()

    result, _ = paint(callback=stop)
    assert (result.frames, result.complete) == (3, False)
    assert len(read("out.mp4")) == 3
    assert len(samples("out.mp4")[0][0]) == pytest.approx(3 / 25 * 48000, abs=2500)
    assert names(folder) == ["in.mp4", "out.mp4", "style.keras"]


def test_a_film_that_fails_leaves_nothing(folder):
    def fail(progress):
        if progress.frames_done == 3:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        paint(callback=fail)
    assert names(folder) == ["in.mp4", "style.keras"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_steps", 8),
        ("temporal_weight", 0.0),
        ("passes", 2),
        ("flow", lambda first, second: None),
        ("resume", True),
        ("steps", 30),
        ("max_time", 60),
        ("seamless", True),
        ("init_image", "noise"),
    ],
)
def test_what_only_a_run_uses_is_refused(folder, name, value):
    text = message(ValueError, paint, **{name: value})
    assert text.startswith(f"`{name}` has no effect ")
    assert "network" in text
    assert "leave it out" in text
    assert names(folder) == ["in.mp4", "style.keras"]


def test_a_painter_of_frames_takes_pictures():
    text = message(ValueError, tfnst.FilmPainter, untrained())
    assert text.startswith("`style_image` must be a picture; a network paints each ")


def test_the_command(folder, monkeypatch, capsys):
    def run(*more):
        arguments = ["in.mp4", "style.keras", "-o", "out.mp4", "--size", str(SIZE)]
        return run_here(monkeypatch, capsys, folder, "video", *arguments, *more)

    code, printed, errors = run()
    assert (code, errors) == (0, "")
    assert printed.startswith("out.mp4: 6 frames of 48x36 pixels in ")
    assert printed.endswith(" s\n")
    code, printed, errors = run("--json")
    assert json.loads(printed)["network"]["name"] == "style.keras"
    code, _, errors = run("--frame-steps", "8")
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith("tfnst: error: `frame_steps` has no effect where a ")

    stylize = NetworkStyle.stylize

    def interrupted(*arguments, **settings):
        frames.append(arguments)
        if len(frames) == 3:
            signal.raise_signal(signal.SIGINT)
        return stylize(*arguments, **settings)

    frames = []
    monkeypatch.setattr(NetworkStyle, "stylize", interrupted)
    code, _, errors = run()
    assert code == 130
    assert errors == "tfnst: stopped; the 3 frames so far are out.mp4\n"
    assert len(read("out.mp4")) == 3


@pytest.mark.slow
def test_memory_does_not_grow(folder, monkeypatch):
    import psutil

    write_film(folder / "long.mp4", panned(10) * 20)
    used = []

    def watch(progress):
        used.append(psutil.Process().memory_info().rss)

    tfnst.stylize_video("long.mp4", "style.keras", "out.mp4", size=SIZE, callback=watch)
    assert len(used) == 200
    assert max(used[150:]) - max(used[60:110]) < 8 * 2**20
