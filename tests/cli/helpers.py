"""Running the command, in another process or in this one."""

import os
import subprocess
import sys
import warnings

from tests import processes
from tfnst.cli import command

# The settings of `tests.helpers.TINY`.
TINY_OPTIONS = [
    *("--weights", "none"),
    *("--precision", "float32"),
    *("--content-layers", "block2_conv1"),
    *("--style-layers", "block1_conv1,block2_conv1"),
    *("--size", "48", "--min-size", "32", "--steps", "6"),
    *("--initial-steps", "6"),
]
TFNST = [sys.executable, "-c", "from tfnst.cli.command import main; main()"]


def tfnst_command(*arguments, cwd):
    """The command in a process that has TensorFlow loaded already."""
    return processes.run_tfnst(*arguments, cwd=cwd)


def new_tfnst_command(*arguments, cwd):
    """The command in a process that starts from nothing, as users' do."""
    # Tests that run the command in this process have set the variable for good.
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [*TFNST, *map(str, arguments)],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def run_here(monkeypatch, capsys, folder, *arguments):
    """The command in this process: its exit code, and what it printed."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tfnst", *arguments])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    # Set by the command, and inherited by those in other processes.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    code = 0
    try:
        command.main()
    except SystemExit as error:
        code = error.code
    return code, *capsys.readouterr()


def names(folder):
    """The files in a folder."""
    return sorted(path.name for path in folder.iterdir())
