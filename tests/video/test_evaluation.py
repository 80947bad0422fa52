"""Measures of painted films."""

import json

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.cli.helpers import run_here
from tests.helpers import message, picture
from tests.video.films import write_film
from tests.video.moving_photos import frame, panned, photo
from tests.video.test_coherence import Pan, no_motion
from tfnst.video.evaluation import Steadiness, evaluate_video
from tfnst.video.reading import open_film

STYLE = picture(40, 44, seed=2)


def measure(pictures, painted, flow, gap=2):
    steadiness = Steadiness(gap, flow)
    for number, pair in enumerate(zip(pictures, painted, strict=True)):
        steadiness.add(frame(pair[0], number), pair[1])
    return steadiness.result()


def test_what_moves_with_the_film_is_steady():
    pictures = panned(4)
    for painted in (pictures, [255 - each for each in pictures]):
        result = measure(pictures, painted, Pan())
        assert result[:2] == (0, 0)
        assert result[2:] == (None, 0)


def test_flicker_is_measured_in_8_bit_values():
    pictures = panned(5)
    flat = [np.full_like(pictures[0], 100 + 6 * i) for i in range(5)]
    result = measure(pictures, flat, Pan(), gap=3)
    assert result.warping_error == pytest.approx(6)
    assert result.warping_error_gap == pytest.approx(18)


def test_a_single_frame_that_is_painted_otherwise():
    painted = panned(5)
    painted[3] = 255 - painted[3]
    result = measure(panned(5), painted, Pan(), gap=3)
    assert result.warping_error > 50
    # From the first to that one, and from the second to the last.
    assert result.warping_error_gap > 35


def test_noise_of_its_own_in_each_frame():
    rng = np.random.default_rng(0)
    painted = [
        np.uint8(np.clip(rng.normal(128, 10, (48, 64, 3)), 0, 255)) for _ in range(4)
    ]
    result = measure([photo(48, 64)] * 4, painted, no_motion)
    # The square root of twice the variance.
    assert result.warping_error == pytest.approx(200**0.5, rel=0.02)
    assert result.warping_error_gap == pytest.approx(200**0.5, rel=0.02)


def test_only_what_is_seen_in_both_counts():
    pictures = panned(2)
    painted = [each.copy() for each in pictures]
    # What comes into sight.
    painted[1][:, -2:] = painted[1][-1:] = 0
    assert measure(pictures, painted, Pan()).warping_error == 0
    # A frame that has nothing of the one before.
    other = [np.full((48, 64, 3), level, np.uint8) for level in (0, 255)]
    assert measure(other, other, no_motion).warping_error is None


def test_drift_is_where_nothing_moves():
    source = [photo(48, 64).copy() for _ in range(4)]
    painted = [np.full((48, 64, 3), 100, np.uint8) for _ in range(4)]
    for i in range(4):
        source[i][:, 48:] = np.roll(source[i], 5 * i, axis=0)[:, 48:]
        source[i][:, 48:] = np.where(i % 2, 255 - source[i][:, 48:], source[i][:, 48:])
        painted[i][..., 0] += i
        painted[i][:, 48:] += np.uint8(40 * i)
    result = measure(source, painted, no_motion)
    # One channel of three by three.
    assert result.drift == pytest.approx(1)
    assert 0.65 < result.still < 0.76


@pytest.fixture
def films(tmp_path, monkeypatch):
    """A pan, in.mp4, the same in other colours, and films that don't fit."""
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "in.mp4", panned(8))
    write_film(tmp_path / "painted.mp4", [255 - each for each in panned(8)])
    write_film(tmp_path / "short.mp4", panned(1))
    write_film(tmp_path / "tall.mp4", [photo(64, 48)] * 3)
    tfnst.save_image(STYLE, tmp_path / "style.png")
    return tmp_path


def test_films(films):
    few = {"weights": None, "samples": 1, "flow": Pan()}
    same = evaluate_video("in.mp4", STYLE, "in.mp4", **few)
    assert same.warping_error < 4  # The encoder's.
    assert (same.frames, same.gap, same.drift) == (8, 5, None)
    painted = tfnst.evaluate_video("in.mp4", STYLE, "painted.mp4", **few)
    assert painted.warping_error < 4
    assert painted.pictures.content_cosine > same.pictures.content_cosine
    assert same.pictures.content_cosine == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "chosen", [(0, 7), pytest.param((0, 2, 4, 5, 7), marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("films")
def test_frames_are_the_means_of_some(chosen):
    found = evaluate_video(
        "in.mp4", STYLE, "painted.mp4", weights=None, samples=len(chosen)
    )
    with open_film("in.mp4") as source, open_film("painted.mp4") as painted:
        rows = [
            tfnst.evaluate(one.picture, STYLE, other.picture, weights=None)
            for one, other in zip(source, painted, strict=True)
            if one.number in chosen
        ]
    for name in tfnst.Evaluation.measures():
        mean = np.mean([getattr(row, name) for row in rows])
        assert getattr(found.pictures, name) == pytest.approx(mean, rel=1e-4), name


def test_a_painted_film_of_another_size_and_a_part(films):
    large = [
        np.asarray(Image.fromarray(each).resize((96, 72), Image.BICUBIC))
        for each in panned(8)[2:7:2]
    ]
    write_film(films / "large.mp4", large)
    cut = {"start": 0.08, "end": 0.28, "every": 2}
    found = evaluate_video("in.mp4", STYLE, "large.mp4", weights=None, samples=1, **cut)
    assert (found.frames, found.warping_error_gap) == (3, None)
    assert found.pictures.content_cosine < 0.02


def test_films_that_do_not_fit(films):
    def wrong(*films, kind=ValueError, **arguments):
        one, other = films
        return message(kind, evaluate_video, one, STYLE, other, **arguments)

    assert wrong("in.mp4", "tall.mp4") == (
        "`stylized_film` must be of the shape of the film, 64:48, at any size. "
        "Received: a film of 48x64 pixels"
    )
    assert wrong("short.mp4", "in.mp4").startswith(
        "`stylized_film` must be a film of at most as many frames as were painted, 1. "
    )
    assert wrong("in.mp4", "short.mp4").startswith(
        "`stylized_film` must be a film of 2 frames or more. "
    )
    assert wrong("in.mp4", "in.mp4", gap=1).startswith("`gap` must be an integer, 2 ")
    assert wrong("in.mp4", "in.mp4", samples=0).startswith("`samples` must be ")
    assert wrong("in.mp4", "no.mp4", kind=FileNotFoundError).startswith(
        "`stylized_film` must be "
    )


def test_the_command(films, monkeypatch, capsys):
    def run(painted, *options):
        arguments = ("evaluate", "--film", "in.mp4", "style.png", painted)
        code, printed, errors = run_here(
            monkeypatch, capsys, films, *arguments, "--weights", "none", *options
        )
        assert (code, errors) == (0, "")
        return printed

    wanted = evaluate_video("in.mp4", "style.png", "painted.mp4", weights=None)
    printed = run("painted.mp4")
    for name in ("warping_error", "warping_error_gap"):
        assert f"{name:24}{getattr(wanted, name):9.4f}   levels" in printed
    assert f"{'drift':24}        -   levels" in printed
    gram = wanted.pictures.style_gram
    assert f"{'style_gram':24}{gram:9.4f}   " in printed
    assert "8 frames" in printed
    write_film(films / "brief.mp4", panned(2))
    wanted = evaluate_video("in.mp4", "style.png", "brief.mp4", weights=None)
    printed = run("brief.mp4", "--json", "--every", "1")
    assert json.loads(printed) == json.loads(json.dumps(wanted.to_dict()))


def test_options_for_films_only(films, monkeypatch, capsys):
    for option in (("--start", "1"), ("--end", "1"), ("--every", "2")):
        arguments = ("evaluate", "style.png", "style.png", "style.png", *option)
        code, _, errors = run_here(monkeypatch, capsys, films, *arguments)
        assert code == 2
        assert errors == f"tfnst: error: {option[0]} goes with --film\n"
    # Those that say what goes without saying.
    arguments = ("evaluate", "style.png", "style.png", "style.png", "--weights", "none")
    code, printed, errors = run_here(
        monkeypatch, capsys, films, *arguments, "--start", "0", "--every", "1"
    )
    assert (code, errors) == (0, "")
    assert "style_gram" in printed
