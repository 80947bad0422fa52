"""What `tfnst stylize` tells: JSON, little, or nothing."""

import json
import re

import pytest

from tests.cli.helpers import TINY_OPTIONS, run_here, tfnst_command
from tests.cli.test_progress import start_on_terminal
from tests.helpers import ROOT, TINY
from tfnst.cli import terminal
from tfnst.images.manifest import read_manifest

ARGUMENTS = ["stylize", "content.png", "style.png", "-o", "out.png", *TINY_OPTIONS]


def documented(header):
    """The first cells of a table in docs/commands.md, without their backticks."""
    text = (ROOT / "docs" / "commands.md").read_text()
    table = text.split(f"| {header} | ", 1)[1].split("\n\n")[0]
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    return [word for row in rows for word in re.findall(r"\w+", row)]


def test_json_is_one_line_with_the_documented_keys(pictures, monkeypatch, capsys):
    code, out, err = run_here(monkeypatch, capsys, pictures, *ARGUMENTS, "--json")
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


def test_quiet_says_nothing_but_warnings_and_errors(pictures, monkeypatch, capsys):
    quiet = [*ARGUMENTS, "--quiet", "--max-time", "0.001s"]
    assert run_here(monkeypatch, capsys, pictures, *quiet) == (0, "", "")
    code, out, err = run_here(monkeypatch, capsys, pictures, *quiet, "--steps", "0")
    assert (code, out) == (2, "")
    assert err.startswith("tfnst: error: `steps` must be")
    done = tfnst_command(
        "stylize", "--from", "out.png", "style.png", "style.png", "-o", "new.png", "-q",
        cwd=pictures,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert [line for line in done.stderr.splitlines() if "tfnst" in line] == [
        "tfnst: warning: the content image is not the one that out.png was painted from"
    ]


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
