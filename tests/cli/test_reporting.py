"""The output of commands: JSON, little, nothing, or the log as well."""

import json
import logging
import re

import pytest

from tests.cli.helpers import TINY_OPTIONS
from tests.cli.test_progress import start_on_terminal
from tests.helpers import ROOT, TINY
from tfnst.cli import terminal
from tfnst.images.manifest import read_manifest
from tfnst.networks import load_backbone

ARGUMENTS = ["stylize", "content.png", "style.png", "-o", "out.png", *TINY_OPTIONS]


def documented(header):
    """The first cells of a table in docs/commands.md, without their backticks."""
    text = (ROOT / "docs" / "commands.md").read_text()
    table = text.split(f"| {header} | ", 1)[1].split("\n\n")[0]
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    return [word for row in rows for word in re.findall(r"\w+", row)]


def test_json_is_one_line_with_the_documented_keys(pictures, run):
    code, out, err = run(*ARGUMENTS, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    facts = json.loads(out)
    assert sorted(facts) == sorted(documented("key"))
    assert facts["output"] == "out.png"
    assert (facts["width"], facts["height"], facts["steps"]) == (48, 36, 12)
    losses = facts["losses"]
    weights = TINY.loss_weights()
    shares = (
        weights[f"{name}_weight"] * losses[name] for name in losses.keys() - {"total"}
    )
    assert losses["total"] == pytest.approx(sum(shares), rel=1e-5)
    told = read_manifest(pictures / "out.png")
    assert {name: facts[name] for name in told} == told


def test_quiet_says_nothing_but_warnings_and_errors(pictures, run):
    quiet = [*ARGUMENTS, "--quiet", "--max-time", "0.001s"]
    assert run(*quiet) == (0, "", "")
    code, out, err = run(*quiet, "--steps", "0")
    assert (code, out) == (2, "")
    assert err.startswith("tfnst: error: `steps` must be")
    code, out, err = run(
        "stylize", "--from", "out.png", "style.png", "style.png", "-o", "new.png", "-q",
        "--steps", "1", "--initial-steps", "1",
    )  # fmt: skip
    assert (code, out) == (0, "")
    assert err == (
        "tfnst: warning: the content image is not the one that out.png was painted "
        "from\n"
    )


def test_a_batch_tells_as_json_or_nothing(pictures, run):
    (pictures / "text.png").write_text("not a picture")
    batch = [
        "batch", "content.png", "text.png", "-s", "style.png", "-o", "out",
        *TINY_OPTIONS,
    ]  # fmt: skip
    code, out, err = run(*batch, "--json")
    assert (code, out.count("\n")) == (1, 1)
    assert err.startswith("tfnst: failed: out/text_style.png: `content_image` must")
    facts = json.loads(out)
    items = facts.pop("items")
    assert facts == {
        "output": "out", "report": "out/report.json", "contact_sheet": None,
        "painted": 1, "skipped": 0, "failed": 1, "left": 0,
    }  # fmt: skip
    report = json.loads((pictures / "out" / "report.json").read_text())
    assert items == report["items"]
    assert [item["status"] for item in items] == ["painted", "failed"]
    # A picture that failed is an error, which is said also then.
    code, out, told = run(*batch, "--quiet")
    assert (code, out, told) == (1, "", err)


def test_verbose_says_what_is_loaded_how_and_how_long(pictures, run):
    code, out, err = run(*ARGUMENTS, "--verbose")
    assert code == 0
    assert out.startswith("out.png: 48x36 pixels, 12 steps in ")
    expected = [
        r"read style\.png: 40x50 pixels",
        r"read content\.png: 80x60 pixels",
        r"painting on \w+ in float32",
        r"34x26 pixels are painted whole; this takes up to \d\.\d of \d+\.\d GiB of .*",
        r"scale 1 of 2, 34 pixels: 6 steps in \d+\.\d s, total loss [\d.]+",
        r"48x36 pixels are painted whole; .*",
        r"scale 2 of 2, 48 pixels: 6 steps in \d+\.\d s, total loss [\d.]+",
        r"painted in \d+\.\d s",
        r"wrote out\.png: 48x36 pixels, \d+ bytes",
    ]
    lines = [line for line in err.splitlines() if "loaded vgg19" not in line]
    assert len(lines) == len(expected), err
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(f"tfnst: {pattern}", line), line
    # Later commands in the same process say nothing of it.
    assert not logging.getLogger("tfnst").handlers
    assert run(*ARGUMENTS)[2] == ""
    both = run(*ARGUMENTS, "-q", "-v")
    assert both == (
        2, "", "tfnst: error: --quiet and --verbose exclude each other\n",
    )  # fmt: skip


def test_what_is_loaded_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="tfnst"):
        load_backbone("vgg16", weights=None, seed=3, last_layer="block1_conv1")
    (record,) = caplog.records
    assert record.name == "tfnst.networks.backbones"
    assert record.getMessage().startswith(
        "loaded vgg16, weights from random numbers, seed 3, in "
    )


@pytest.mark.slow
def test_quiet_shows_no_bar_on_a_terminal(pictures):
    process, output = start_on_terminal(pictures, "--quiet")
    shown = "".join(output)
    assert "tfnst" not in shown
    assert "%|" not in shown
    assert process.wait() == 0


def test_the_page_lists_all_exit_codes():
    codes = [value for name, value in vars(terminal).items() if name.startswith("EXIT")]
    assert sorted(map(int, documented("code"))) == sorted([0, *codes])
