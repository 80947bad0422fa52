"""Timelapses of runs, and several callbacks."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY, paint_in_tiles, picture
from tests.visualization.helpers import progress
from tfnst.checks import argument
from tfnst.visualization.timelapse import check_timelapse_path

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)


def shown(path):
    """The frames of an animation, and the milliseconds that each is shown."""
    frames, durations = [], []
    with Image.open(path) as image:
        for i in range(image.n_frames):
            image.seek(i)
            image.load()
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
    return frames, durations


def test_another_run_begins_another_timelapse(tmp_path):
    timelapse = tfnst.Timelapse()
    for size in (48, 40):
        result = tfnst.stylize(
            CONTENT, STYLE, config=TINY, size=size, callback=timelapse
        )
        assert len(timelapse) > 1
        timelapse.save(tmp_path / "film.gif")
        frames, _ = shown(tmp_path / "film.gif")
        assert {frame.shape for frame in frames} == {result.array.shape}
    once = {"steps": 1, "initial_steps": 1, "min_size": 48}
    for _ in range(2):
        tfnst.stylize(CONTENT, STYLE, config=TINY, callback=timelapse, **once)
        assert len(timelapse) == 1


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_frames_are_even_over_the_work(tmp_path, suffix):
    timelapse = tfnst.Timelapse(frames=11)
    for fraction, level in ((0.01, 0.0), (0.02, 0.9), (0.3, 0.2), (0.35, 0.9)):
        timelapse(progress(fraction, level, (26, 34)))
    timelapse(progress(0.5, 0.5))
    timelapse(progress(1.0, 1.0))
    assert len(timelapse) == 4
    path = tmp_path / f"film{suffix}"
    timelapse.save(path)
    frames, durations = shown(path)
    assert [frame.shape for frame in frames] == [(36, 48, 3)] * 4
    means = [frame.mean() / 255 for frame in frames]
    np.testing.assert_allclose(means, [0, 0.2, 0.5, 1], atol=0.02)
    # Three, two and five twelfths of a second; the last is held.
    np.testing.assert_allclose(durations, [250, 167, 417, 2000], atol=10)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_frames_are_no_larger_than_asked_for(tmp_path):
    timelapse = tfnst.Timelapse(size=32, frames=5)
    timelapse(progress(0.1, sides=(20, 24)))
    timelapse(progress(0.5, sides=(300, 400)))
    timelapse(progress(0.9, sides=(300, 400)))
    assert max(max(image.size) for _, image in timelapse._frames) == 32
    timelapse.save(
        tmp_path / "film.gif", last_image=Image.new("RGB", (400, 300), "white")
    )
    frames, _ = shown(tmp_path / "film.gif")
    assert {frame.shape for frame in frames} == {(24, 32, 3)}
    assert frames[-1].min() == 255
    # Never enlarged.
    timelapse = tfnst.Timelapse()
    timelapse(progress(1.0))
    timelapse.save(tmp_path / "film.gif")
    assert shown(tmp_path / "film.gif")[0][0].shape == (36, 48, 3)


def test_a_run_is_filmed_beside_another_callback(tmp_path):
    timelapse, seen = tfnst.Timelapse(), []
    plain = tfnst.stylize(CONTENT, STYLE, config=TINY)
    result = tfnst.stylize(
        CONTENT, STYLE, config=TINY, callback_steps=1, callback=[timelapse, seen.append]
    )
    np.testing.assert_array_equal(result.array, plain.array)
    assert len(seen) == len(timelapse) == 12
    timelapse.save(tmp_path / "film.webp", last_image=result.image)
    frames, _ = shown(tmp_path / "film.webp")
    assert 4 < len(frames) <= 12  # Equal frames become one.
    last = np.asarray(result.image).astype(int)
    first, end = (np.abs(frames[i] - last).mean() for i in (0, -1))
    assert end < 12  # WebP is lossy, above all in chroma.
    assert end < first


def test_the_former_name(tmp_path):
    with pytest.warns(DeprecationWarning, match=r"use `tfnst\.Timelapse` instead"):
        film = tfnst.Film(size=32)
    film(progress(1.0))
    film.save(tmp_path / "film.gif")
    assert shown(tmp_path / "film.gif")[0][0].shape == (24, 32, 3)


@pytest.mark.parametrize("callback", [3, [print, None], "film"])
def test_callbacks_are_functions(callback):
    with pytest.raises(ValueError, match=r"^`callback` must be a function, or a list"):
        tfnst.stylize(CONTENT, STYLE, config=TINY, callback=callback)


def test_mp4(tmp_path):
    av = pytest.importorskip("av")
    timelapse = tfnst.Timelapse(frames=11)
    timelapse(progress(0.0, 0.0, (27, 35)))
    timelapse(progress(0.5, 0.4, (37, 49)))
    timelapse(progress(1.0, 1.0, (37, 49)))
    path = tmp_path / "film.mp4"
    timelapse.save(path)
    with av.open(io.BytesIO(path.read_bytes())) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 12
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
    # Even sides, and two seconds of the last frame.
    assert {frame.shape for frame in frames} == {(38, 50, 3)}
    means = [frame.mean() / 255 for frame in frames]
    np.testing.assert_allclose(means, [0] * 5 + [0.4] * 5 + [1] * 24, atol=0.03)


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    message = (
        r"^`timelapse` must be a \.gif or \.webp file unless PyAV is installed: "
        r"pip install 'tfnst\[film\]'\. Received: '.*film\.mp4'$"
    )
    with pytest.raises(ImportError, match=message), argument("timelapse"):
        check_timelapse_path(tmp_path / "film.mp4")
    check_timelapse_path(tmp_path / "film.gif")


def test_what_can_not_be_filmed_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"^`path` must be .*\.gif, \.webp or \.mp4"):
        tfnst.Timelapse().save(tmp_path / "film.avi")
    with pytest.raises(ValueError, match=r"^`Timelapse` must have been a callback"):
        tfnst.Timelapse().save(tmp_path / "film.gif")
    with pytest.raises(OSError, match="must be a path in a folder that"):
        check_timelapse_path(tmp_path / "no" / "film.gif")
    for name, value in (("size", 16), ("size", 2048), ("frames", 1), ("frames", True)):
        with pytest.raises(ValueError, match=rf"^`{name}` must be an integer from "):
            tfnst.Timelapse(**{name: value})
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_timelapse_of_tiles_with_colours_kept(monkeypatch, tmp_path):
    paint_in_tiles(monkeypatch)
    timelapse = tfnst.Timelapse(size=32)
    config = TINY.replace(preserve_color="luminance")
    result = tfnst.stylize(CONTENT, STYLE, config=config, callback=timelapse)
    timelapse.save(tmp_path / "film.webp", last_image=result.image)
    assert shown(tmp_path / "film.webp")[0][-1].shape == (24, 32, 3)
