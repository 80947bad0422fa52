"""Completion in shells."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers import ROOT

PRESETS = ["fast", "balanced", "fine", "poster"]


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """A folder to work in, with a `tfnst` on the path."""
    program = tmp_path / "bin" / "tfnst"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nfrom tfnst.cli.command import main\nmain()\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(tmp_path))  # Nobody's own settings.
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "photo.jpg").touch()
    return tmp_path / "work"


def lines_of_docs():
    """The line for each shell on the page about commands."""
    text = (ROOT / "docs" / "commands.md").read_text()
    found = re.findall(r"^\| (\w+)[^|]* \| [^|]* \| `(.*)` \|$", text, re.MULTILINE)
    return {shell: line.replace(r"\|", "|") for shell, line in found}


def run_in(shell, script, folder):
    """The lines that a script prints in a shell; skips the test without that shell."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    done = subprocess.run(
        [program, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def bash(words, folder):
    """The completions of bash for the last word, which is being typed."""
    script = (
        f"{lines_of_docs()['bash']}\n"
        f"COMP_WORDS=({' '.join(words)})\n"
        f"COMP_CWORD={len(words) - 1}\n"
        "complete -p tfnst > /dev/null\n"
        "_tfnst_completion tfnst 2> /dev/null\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    return run_in("bash", script, folder)


def test_bash(on_path):
    assert bash(["tfnst", "stylize", "--preset", '""'], on_path) == PRESETS
    assert bash(["tfnst", "styl"], on_path) == ["styles", "stylize"]
    assert bash(["tfnst", "stylize", "--plo"], on_path) == ["--plot"]


def test_fish(on_path):
    def fish(typed):
        script = f"{lines_of_docs()['fish']}\ncomplete -C '{typed}'"
        return run_in("fish", script, on_path)

    assert sorted(fish("tfnst stylize --preset ")) == sorted(PRESETS)
    assert [line.split("\t")[0] for line in fish("tfnst styl")] == ["styles", "stylize"]
    assert fish("tfnst stylize ph") == ["photo.jpg"]


def test_zsh(on_path):
    def zsh(words):
        # Zsh's own functions only work while someone types; these print instead.
        script = (
            "compdef() { [[ $* == '_tfnst_completion tfnst' ]] }\n"
            "compadd() { print -l -- ${(P)@[-1]} }\n"
            "_describe() { print -l -- ${(P)3} }\n"
            "_path_files() { print -l files }\n"
            f"{lines_of_docs()['zsh']} || exit 1\n"
            f"words=({' '.join(words)}); CURRENT={len(words)}\n"
            "_tfnst_completion\n"
        )
        return run_in("zsh", script, on_path)

    assert zsh(["tfnst", "stylize", "--preset", "''"]) == PRESETS
    assert [line.split(":")[0] for line in zsh(["tfnst", "styl"])] == [
        *("styles", "stylize")
    ]
    assert zsh(["tfnst", "stylize", "ph"]) == ["files"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_words_that_each_shell_gets(shell, on_path):
    environment = os.environ | {
        "_TFNST_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "tfnst stylize --preset ",
        # Fish passes the word itself, the others its place.
        "COMP_CWORD": "" if shell == "fish" else "3",
    }
    printed = subprocess.run(
        ["tfnst"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(rf"\b({'|'.join(PRESETS)})\b", printed) == PRESETS
