"""Files that `tfnst stylize` can't write, and those it saves all the same."""

import errno
import os
import re
import signal

import numpy as np
import pytest

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names
from tfnst.engines import whole
from tfnst.images.writing import MAX_WEBP_SIZE
from tfnst.transfer.results import TransferResult
from tfnst.transfer.run import Run
from tfnst.visualization import sheet


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


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--sheet", "full/s.png"], "the sheet"),
        (["--timelapse", "full/f.gif"], "the timelapse"),
        (["--plot", "full/p.png"], "the plot"),
        (["--checkpoint", "full/c"], "the checkpoint"),
    ],
)
def test_what_is_beside_the_picture_may_fail(full, pictures, arguments, what, stylize):
    pytest.importorskip("matplotlib")
    code, out, err = stylize("--sheet", "s.png", *arguments)
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


def test_pictures_on_the_way_may_fail(pictures, monkeypatch, stylize):
    replace = os.replace

    def fail(source, target):
        if "-" in os.path.basename(target):
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    code, _, err = stylize("--save-every", "6")
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
    full, pictures, monkeypatch, stylize, tmp_path
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    code, out, err = stylize("-o", "full/out.png")
    assert (code, out) == (1, "")
    found = re.fullmatch(
        r"tfnst: error: `output` must .* but the disk is full; "
        r"the picture is kept in (\S+)\n",
        err,
    )
    assert found, err
    code, _, _ = stylize()
    assert code == 0
    np.testing.assert_array_equal(
        tfnst.load_image(found[1]), tfnst.load_image(pictures / "out.png")
    )


def test_a_disk_that_is_full_at_once_is_no_bad_input(monkeypatch, stylize):
    opened = open

    def fail(path, *rest, **more):
        if ".tfnst-" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *rest, **more)

    monkeypatch.setattr("builtins.open", fail)
    code, out, err = stylize()
    assert (code, out) == (1, "")
    assert err.endswith("but the disk is full\n")


def test_what_could_not_be_saved_is_refused_at_once(pictures, stylize):
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
        code, out, err = stylize(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith(f"tfnst: error: {message}")
    assert names(pictures) == ["content.png", "style.png"]


def test_a_report_that_cannot_be_written_is_said(pictures, monkeypatch, run):
    replace, reports = os.replace, []

    def fail(source, target):
        if target.endswith("report.json"):
            reports.append(target)
            if len(reports) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    arguments = ["batch", "content.png", "-s", "style.png", "-o", "out", *TINY_OPTIONS]
    code, out, err = run(*arguments)
    assert (code, out) == (1, "out: 1 painted; out/report.json\n")
    assert err.startswith("tfnst: warning: the report was not written: `report` must ")
    assert names(pictures / "out") == ["content_style.png", "report.json"]


def test_an_interrupt_after_the_picture_says_where_it_is(
    pictures, monkeypatch, stylize
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sheet, "comparison_sheet", interrupt)
    code, _, err = stylize("--sheet", "sheet.png")
    assert (code, err) == (130, "tfnst: error: interrupted; the picture is out.png\n")
    assert names(pictures) == ["content.png", "out.png", "style.png"]


@pytest.mark.parametrize("times", [1, 2])
def test_one_interrupt_does_not_cost_a_picture_that_is_being_saved(
    pictures, times, monkeypatch, stylize
):
    real = TransferResult.write

    def write(*arguments, **options):
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        real(*arguments, **options)

    monkeypatch.setattr(TransferResult, "write", write)
    code, _, err = stylize()
    message = "tfnst: error: interrupted before there was a picture to keep\n"
    assert (code, err) == ((0, "") if times == 1 else (130, message))
    assert ("out.png" in names(pictures)) == (times == 1)


def test_a_loss_that_is_never_finite_leaves_nothing(pictures, monkeypatch, stylize):
    real = whole.WholeEngine._losses

    def losses(*arguments):
        measured = real(*arguments)
        return measured._replace(total=float("nan") * measured.total)

    monkeypatch.setattr(whole.WholeEngine, "_losses", losses)
    # No other test paints with this engine.
    unique = ["--seed", "99", "--min-size", "48"]
    code, out, err = stylize(*unique)
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"tfnst: error: The loss is no longer finite at step 1 of 6 \(.*\); smaller "
        r"weights or a smaller `learning_rate` help\n",
        err,
    ), err
    assert names(pictures) == ["content.png", "style.png"]


def test_names_that_are_too_long_fail_before_they_are_painted(
    pictures, monkeypatch, run
):
    long = "x" * 250 + ".png"
    (pictures / "content.png").rename(pictures / long)
    monkeypatch.setattr(Run, "paint", None)
    code, out, err = run(
        "batch", long, "-s", "style.png", "-s", long, "-o", "out", *TINY_OPTIONS
    )
    assert (code, out) == (1, "out: 2 failed; out/report.json\n")
    assert err.count("`output` must be a file that can be written. Received: ") == 2
