"""`tfnst stylize` with pictures through pipes."""

import io
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

import tfnst
from tests import processes
from tests.cli.helpers import TFNST, TINY_OPTIONS, names
from tests.cli.test_progress import interrupt, start_on_terminal
from tests.helpers import TINY
from tfnst.cli import command
from tfnst.images.manifest import read_manifest


def piped(folder, *arguments, **settings):
    """The command with its streams as bytes; temporary files go into `folder/tmp`."""
    (folder / "tmp").mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    return subprocess.run(
        [*TFNST, "stylize", *arguments],
        cwd=folder,
        env=kept | {"TMPDIR": str(folder / "tmp")},
        check=False,
        timeout=300,
        **settings,
    )


def test_a_picture_comes_and_goes_through_pipes(pictures):
    data = (pictures / "content.png").read_bytes()
    done = piped(
        pictures, "-", "style.png:2", "-", "-o", "-", "--json", *TINY_OPTIONS,
        "--min-size", "48", input=data,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    styles = [
        tfnst.StyleImage(image=pictures / "style.png", weight=2),
        tfnst.StyleImage(image=pictures / "content.png"),
    ]
    expected = tfnst.stylize(pictures / "content.png", styles, config=TINY, min_size=48)
    with Image.open(io.BytesIO(done.stdout)) as out:
        assert out.format == "PNG"
        np.testing.assert_array_equal(np.asarray(out), np.asarray(expected.image))
    told = read_manifest(done.stdout)
    sha256 = expected.manifest["content_image"]["sha256"]
    assert told["content_image"]["sha256"] == sha256
    # The line isn't in the picture's way.
    facts = json.loads(done.stderr)
    assert (facts["output"], facts["width"], facts["height"]) == ("-", 48, 36)
    assert not names(pictures / "tmp")


def with_temporary_files_in(folder, *arguments):
    """The command, which puts temporary files into a folder."""
    tempfile.tempdir = folder
    sys.argv = ["tfnst", *arguments]
    command.main()


def test_a_pipe_that_nobody_reads_costs_no_picture(pictures):
    (pictures / "tmp").mkdir()
    reading, writing = os.pipe()
    os.close(reading)
    with open(pictures / "errors.txt", "wb") as errors:
        process = processes.Process(
            with_temporary_files_in, str(pictures / "tmp"),
            "stylize", "content.png", "style.png", "-o", "-", *TINY_OPTIONS,
            "--min-size", "48", cwd=pictures, stdout=writing, stderr=errors,
        )  # fmt: skip
    os.close(writing)
    assert process.wait(300) == 1
    error = (pictures / "errors.txt").read_text().splitlines()[-1]
    found = re.fullmatch(
        r"tfnst: error: the picture could not be written to standard output: "
        r"Broken pipe; it is kept in (.*\.png)",
        error,
    )
    assert found, error
    kept = pathlib.Path(found[1])
    assert kept.parent.parent == pictures / "tmp"
    with Image.open(kept) as out:
        assert out.size == (48, 36)


def test_ctrl_c_sends_the_picture_so_far(pictures):
    with open(pictures / "piped.png", "wb") as stream:
        started = start_on_terminal(
            pictures, "-o", "-", "--steps", "100000", stdout=stream
        )
    shown = interrupt(*started)
    assert re.search(
        r"tfnst: stopped after \d+ steps; the picture so far is standard output", shown
    )
    with Image.open(pictures / "piped.png") as out:
        assert out.size == (48, 36)


def test_what_comes_must_be_a_picture(pictures, monkeypatch, run):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"text")))
    code, out, err = run("stylize", "-", "style.png", "-o", "out.png", *TINY_OPTIONS)
    assert (code, out) == (2, "")
    assert re.fullmatch(
        r"tfnst: error: `content_image` must be .*standard_input.*\n", err
    )
    assert not (pictures / "out.png").exists()


def test_no_picture_goes_to_a_terminal(pictures):
    ours, theirs = pty.openpty()
    done = piped(
        pictures, "content.png", "style.png", "-o", "-", *TINY_OPTIONS, stdout=theirs
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert done.stderr == (
        b"tfnst: error: `output` must be a file, or - before a pipe. "
        b"Received: '-' on a terminal\n"
    )


def test_pictures_on_the_way_need_a_file(monkeypatch, stylize):
    monkeypatch.setattr("os.isatty", lambda _: False)
    code, out, err = stylize("-o", "-", "--save-every", "3")
    assert (code, out) == (2, "")
    assert err.startswith("tfnst: error: `save_every` must be left out when")


def test_a_file_of_that_name_is_written_by_its_path(pictures, run):
    (pictures / "-").write_bytes((pictures / "content.png").read_bytes())
    code, out, err = run("stylize", "./-", "style.png", "-o", "out.png", *TINY_OPTIONS)
    assert (code, err) == (0, "")
    assert out.startswith("out.png: 48x36 pixels, 12 steps in ")
