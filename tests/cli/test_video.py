"""`tfnst video`."""

import json
import os
import signal

import numpy as np
import pytest

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names, run_here
from tests.helpers import TINY, picture
from tests.video.film_frames import assert_same_films, read
from tests.video.films import write_film
from tests.video.moving_photos import photo, with_square
from tests.video.test_flow import flo
from tfnst.cli.video import video
from tfnst.config import FRAME_STEPS, TEMPORAL_WEIGHT

OPTIONS = [*TINY_OPTIONS, "--steps", "2", "--initial-steps", "2", "--frame-steps", "1"]
CONFIG = TINY.replace(steps=2, initial_steps=2)


@pytest.fixture
def films(tmp_path):
    """A folder with in.mp4, eight frames with a moving square, and style.png."""
    write_film(tmp_path / "in.mp4", [with_square(8 + 3 * i) for i in range(8)])
    tfnst.save_image(picture(50, 40, seed=2), tmp_path / "style.png")
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys, films):
    def call(*arguments, film="in.mp4", output="out.mp4", options=OPTIONS):
        command = ["video", film, "style.png", "-o", output, *options, *arguments]
        return run_here(monkeypatch, capsys, films, *map(str, command))

    return call


def test_it_paints_as_python_does(films, run):
    arguments = ["--start", "0.04", "--every", "2", "--passes", "2", "--json"]
    code, printed, errors = run(*arguments)
    assert (code, errors) == (0, "")
    result = tfnst.stylize_video(
        films / "in.mp4",
        films / "style.png",
        films / "like.mp4",
        start=0.04,
        every=2,
        passes=2,
        frame_steps=1,
        config=CONFIG,
    )
    assert_same_films(films / "out.mp4", films / "like.mp4")
    facts = json.loads(printed)
    for name in ("width", "height", "frames", "painted", "shots", "steps", "complete"):
        assert facts[name] == getattr(result, name), name
    assert facts["output"] == "out.mp4"
    assert facts["config"] == CONFIG.to_dict()
    assert names(films) == ["in.mp4", "like.mp4", "out.mp4", "style.png"]


def test_a_line_says_what_was_painted(films, run):
    code, printed, errors = run()
    assert (code, errors) == (0, "")
    assert printed.startswith("out.mp4: 8 frames of 48x36 pixels in ")
    assert printed.endswith(" s, 1 of them the first of a scene\n")
    assert run("--quiet")[:2] == (0, "")


def test_defaults_are_those_of_python():
    options = {option.name: option.default for option in video.params}
    assert options["frame_steps"] == FRAME_STEPS
    assert options["temporal_weight"] == TEMPORAL_WEIGHT
    assert options["passes"] == 1


def test_a_preview_is_short_and_small(films, run):
    write_film(films / "long.mp4", [photo(48, 64)] * 60)
    assert run("--preview", film="long.mp4")[0] == 0
    assert len(read(films / "out.mp4")) == 50
    assert run("--preview", "--start", "1", "--end", "1.1", film="long.mp4")[0] == 0
    assert len(read(films / "out.mp4")) == 3


def test_flow_of_another_program(films, run):
    (films / "flow").mkdir()
    for now in range(3):
        for then in range(3):
            path = films / "flow" / f"flow_{now}_{then}.flo"
            path.write_bytes(flo(np.full((9, 12, 2), now - then)))
    code, _, errors = run("--flow", "flow", "--end", "0.1")
    assert (code, errors) == (0, "")
    code, _, errors = run("--flow", "flow", "--end", "0.15")
    assert code == 2
    assert errors.startswith("tfnst: error: `flow` must be ")
    assert "flow_3_2.flo" in errors
    # What was painted before isn't lost.
    assert (films / "out.mp4.parts").exists()


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["--start", "99"], "`start` must be less than the 0.320 seconds of the film."),
        (["--start", "-1"], "Invalid value for '--start'"),
        (["--preview", "--end", "0"], "`end` must be seconds after `start`."),
        (["--every", "0"], "Invalid value for '--every'"),
        (["--frame-steps", "0"], "Invalid value for '--frame-steps'"),
        (["--passes", "0"], "Invalid value for '--passes'"),
        (["--crf", "99"], "`crf` must be an integer from 0 to 51."),
        (["--init-image", "style.png"], "`init_image` must be one of 'content', 's"),
        (["--max-time", "5m"], "`max_time` must be None for a film, which can be "),
        (["--flow", "missing"], "`flow` must be a folder of .flo files. Received: "),
        (["--weights", "no.h5"], "`weights` must be "),
    ],
)
def test_bad_options(films, run, arguments, start):
    code, printed, errors = run(*arguments)
    assert (code, printed) == (2, "")
    assert errors.startswith(f"tfnst: error: {start}"), errors
    assert errors.count("\n") == 1
    assert names(films) == ["in.mp4", "style.png"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *(("film", path) for path in ("text.mp4", "no.mp4", "no/%d.png")),
        *(("output", path) for path in ("out.txt", "no/out.mp4", "in.mp4")),
        *(("output", path) for path in ("./in.mp4", "style.png")),
    ],
)
def test_bad_files(films, run, name, path):
    (films / "text.mp4").write_text("not a film")
    before = names(films)
    code, printed, errors = run(**{name: path})
    assert (code, printed) == (2, "")
    assert errors.startswith(f"tfnst: error: `{name}` must be "), errors
    assert path in errors
    assert errors.count("\n") == 1
    assert names(films) == before


def test_a_command_without_an_output(films, monkeypatch, capsys):
    code, _, errors = run_here(
        monkeypatch, capsys, films, "video", "in.mp4", "style.png"
    )
    assert code == 2
    assert errors == "tfnst: error: Missing option '-o' / '--output'.\n"


def interrupt_after(monkeypatch, when):
    """Sends Ctrl-C to this process as soon as it has written a file of that name."""
    replace = os.replace

    def write(source, target):
        replace(source, target)
        if os.path.basename(target) == when:
            monkeypatch.setattr(os, "replace", replace)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "replace", write)


@pytest.mark.parametrize("passes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_leaves_a_film_that_can_be_completed(films, run, passes, monkeypatch):
    more = ["--passes", str(passes)]
    assert run(*more, output="whole.mp4")[0] == 0
    # In the first pass, or the second.
    last = "frame-0-00000003.png" if passes == 1 else "frame-1-00000005.png"
    interrupt_after(monkeypatch, last)
    code, _, errors = run(*more)
    assert code == 130, errors
    painted = len(read(films / "out.mp4"))
    assert 4 <= painted < 8 if passes == 1 else painted == 8
    assert errors == (
        f"tfnst: stopped; the {painted} frames so far are out.mp4; --resume continues\n"
    )
    code, _, errors = run(*more)
    assert (code, errors) == (
        2,
        "tfnst: error: `resume` must be True to continue the unfinished film in "
        "'out.mp4.parts'; or remove that folder to start over. Received: False\n",
    )
    code, printed, errors = run("--resume", "--json", *more)
    assert (code, errors) == (0, "")
    left = json.loads(printed)["painted"]
    assert left == 8 - painted if passes == 1 else 0 < left <= 8
    assert_same_films(films / "out.mp4", films / "whole.mp4")
    assert not os.path.exists(films / "out.mp4.parts")


def test_ctrl_c_before_the_first_frame(films, run, monkeypatch):
    interrupt_after(monkeypatch, "run.json")
    code, _, errors = run()
    assert code == 130
    assert errors in (
        "\ntfnst: error: interrupted\n",
        "tfnst: stopped; no frame was finished\n",
    )
    assert names(films) == ["in.mp4", "style.png"]
