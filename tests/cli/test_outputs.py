"""Files that `tfnst stylize` can't write, and what is saved all the same."""

import errno
import os
import re

import numpy as np
import pytest

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names, run_here
from tfnst.images.writing import MAX_WEBP_SIZE

pytestmark = pytest.mark.slow


@pytest.fixture
def full(monkeypatch, pictures):
    """A folder on a disk that is full once the painting has begun."""
    (pictures / "full").mkdir()
    replace = os.replace

    def fail(source, target):
        if os.path.basename(os.path.dirname(target)) == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    return pictures / "full"


def stylize(monkeypatch, capsys, folder, *arguments):
    return run_here(
        *(monkeypatch, capsys, folder, "stylize", "content.png", "style.png"),
        *(*TINY_OPTIONS, *arguments),
    )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--sheet", "full/s.png"], "the sheet"),
        (["--timelapse", "full/f.gif"], "the film"),
        (["--plot", "full/p.png"], "the plot"),
        (["--checkpoint", "full/c"], "the checkpoint"),
    ],
)
def test_what_is_beside_the_picture_may_fail(
    full, pictures, arguments, what, monkeypatch, capsys
):
    pytest.importorskip("matplotlib")
    code, out, err = stylize(
        monkeypatch, capsys, pictures, "-o", "out.png", "--sheet", "s.png", *arguments
    )
    assert (code, out[:8]) == (1, "out.png:")
    name = arguments[0].removeprefix("--")
    path = arguments[1]
    assert err == (
        f"tfnst: warning: {what} was not written: `{name}` must be a path in a folder "
        f"that can be written to. Received: {path!r} in the folder {str(full)!r}, but "
        "the disk is full\n"
    )
    assert tfnst.load_image(pictures / "out.png").shape == (1, 36, 48, 3)
    assert names(full) == []
    assert ("s.png" in names(pictures)) == (name != "sheet")


def test_pictures_on_the_way_may_fail(pictures, monkeypatch, capsys):
    replace = os.replace

    def fail(source, target):
        if "-" in os.path.basename(target):
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    code, _, err = stylize(
        monkeypatch, capsys, pictures, "-o", "out.png", "--save-every", "6"
    )
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 2
    for line, step in zip(lines, ("06", "12"), strict=True):
        assert line.startswith(
            "tfnst: warning: a picture on the way was not written: `save_every` must "
        )
        assert f"out-{step}.png" in line
    assert names(pictures) == ["content.png", "out.png", "style.png"]


def test_a_picture_whose_place_is_full_is_kept_elsewhere(
    full, pictures, monkeypatch, capsys, tmp_path
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    code, out, err = stylize(monkeypatch, capsys, pictures, "-o", "full/out.png")
    assert (code, out) == (1, "")
    found = re.fullmatch(
        r"tfnst: error: `output` must .* but the disk is full; "
        r"the picture is kept in (\S+)\n",
        err,
    )
    assert found, err
    code, _, _ = stylize(monkeypatch, capsys, pictures, "-o", "out.png")
    assert code == 0
    np.testing.assert_array_equal(
        tfnst.load_image(found[1]), tfnst.load_image(pictures / "out.png")
    )


def test_a_disk_that_is_full_at_once_is_no_bad_input(pictures, monkeypatch, capsys):
    opened = open

    def fail(path, *rest, **more):
        if ".tfnst-" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *rest, **more)

    monkeypatch.setattr("builtins.open", fail)
    code, out, err = stylize(monkeypatch, capsys, pictures, "-o", "out.png")
    assert (code, out) == (1, "")
    assert err.endswith("but the disk is full\n")


def test_what_could_not_be_saved_is_refused_at_once(pictures, monkeypatch, capsys):
    for arguments, message in (
        (["-o", "x" * 300 + ".png"], "`output` must be a file that can be written. "),
        (
            ["-o", "x" * 245 + ".png", "--save-every", "6"],
            "`save_every` must be a file that can be written. ",
        ),
        (
            ["-o", "out.webp", "--size", str(MAX_WEBP_SIZE + 1)],
            "`output` must be in a format that holds 16384 pixels a side. "
            "Received: 'out.webp'",
        ),
    ):
        code, out, err = stylize(monkeypatch, capsys, pictures, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith(f"tfnst: error: {message}")
    assert names(pictures) == ["content.png", "style.png"]


def test_a_report_that_cannot_be_written_is_said(pictures, monkeypatch, capsys):
    replace, reports = os.replace, []

    def fail(source, target):
        if target.endswith("report.json"):
            reports.append(target)
            if len(reports) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    arguments = ["batch", "content.png", "-s", "style.png", "-o", "out", *TINY_OPTIONS]
    code, out, err = run_here(monkeypatch, capsys, pictures, *arguments)
    assert (code, out) == (1, "out: 1 painted; out/report.json\n")
    assert err.startswith("tfnst: warning: the report was not written: `report` must ")
    assert names(pictures / "out") == ["content_style.png", "report.json"]
