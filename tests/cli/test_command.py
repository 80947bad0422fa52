"""The command as a whole."""

import os
import subprocess
import sys

import pytest

import tfnst
from tests import processes
from tests.cli.helpers import TINY_OPTIONS, names
from tests.helpers import ROOT
from tfnst.cli import command


def test_help_does_not_load_tensorflow(tmp_path):
    code = (
        "import sys\n"
        "from tfnst.cli.command import cli\n"
        "for arguments in (['--help'], ['stylize', '--help'], ['info', '--help']):\n"
        "    cli.main(arguments, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'PIL', 'grpc'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        # What a run writes is checked before TensorFlow is loaded.
        "import tfnst.images.writing\n"
        "import tfnst.visualization.plots, tfnst.visualization.timelapse\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stylize" in done.stdout


def without_streams(closed, *arguments):
    """The command in a process without some of its streams, as Python starts it."""
    for descriptor in closed:
        os.close(descriptor)
        setattr(sys, ("stdin", "stdout", "stderr")[descriptor], None)
    sys.argv = ["tfnst", *arguments]
    command.main()


@pytest.mark.parametrize(("closed", "printed"), [((2,), "out.png: "), ((0, 1, 2), "")])
def test_closed_streams_are_opened_onto_nothing(pictures, closed, printed):
    done = processes.run(
        without_streams, closed, "stylize", "content.png", "style.png", "-o", "out.png",
        *TINY_OPTIONS, "--min-size", "48", cwd=pictures,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout[: len("out.png: ")] == printed
    # Nothing was written into it but the picture.
    assert tfnst.load_image(pictures / "out.png").shape == (1, 36, 48, 3)
    assert names(pictures) == ["content.png", "out.png", "style.png"]


def test_python_runs_it_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tfnst", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"tfnst, version {tfnst.__version__}\n"


def test_help_says_what_each_command_does_in_a_few_words():
    for name, each in command.cli.commands.items():
        text = each.get_short_help_str()
        assert text.endswith("."), name
        assert not text.endswith("..."), name
