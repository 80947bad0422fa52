"""The benchmarks measure what they claim to."""

import json
import subprocess
import sys

import pytest

from benchmarks import large, startup, versus_pytorch
from tests.helpers import ROOT

pytestmark = pytest.mark.slow

HELP = """
import runpy, sys
name, sys.argv = sys.argv[1], ["benchmark", "--help"]
try:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
except SystemExit:
    pass
heavy = {"tensorflow", "keras", "torch", "h5py"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_large_picture_is_measured(capsys):
    measured = large.run(
        megapixels=0.02,
        max_memory=None,
        steps=3,
        precision="float32",
        backbone="vgg16",
    )
    assert measured["megapixels"] == pytest.approx(0.02, rel=0.02)
    assert measured["seconds"] > 0
    assert 0.1 < measured["peak"] < 64
    assert not measured["plan"]["head_side"]
    assert "0.02" in large.row(json.loads(json.dumps(measured)))


def test_the_phases_of_a_command_are_measured(tmp_path):
    command = [
        "stylize", *startup.PICTURES, "--size", "48", "--min-size", "48",
        "--weights", "none", "--backbone", "vgg16", "--initial-steps", "2",
    ]  # fmt: skip
    times = startup.phases_in_process(command, ["matplotlib", "pandas"])
    assert list(times) == list(startup.PHASES)
    for wall, processor in times.values():
        assert 0 < wall < 600
        assert 0 <= processor < 600
    wall, processor = zip(*times.values(), strict=True)
    total = startup.PHASES.index(startup.TOTAL)
    assert max(wall[:total]) < wall[total]
    assert max(processor[:total]) < processor[total]
    # The steps of the second run were counted once.
    assert wall[total + 1] < wall[total]


def test_startups_ratios_are_those_of_medians():
    def run(preview, total, alone):
        times = dict.fromkeys(startup.PHASES, (1.0, 2.0))
        return times | {
            startup.PREVIEW: (preview, 5.0),
            startup.TOTAL: (total, 12.0),
            startup.ALONE: (alone, 8.0),
        }

    lines = startup.report([run(3, 9, 4), run(2, 6, 4), run(7, 5, 4)])
    assert "the command                       6.000     12.000" in lines
    assert lines[-2:] == [
        "first preview after 3.00 s (5.00 in processor time), of which TensorFlow's "
        "import takes 1.00 s (2.00)",
        "the command takes 1.50 times its steps alone (1.50 in processor time)",
    ]


def test_pytorchs_step_gives_the_same_losses():
    pytest.importorskip("torch")
    config = versus_pytorch.CONFIG.replace(precision="float32")
    cases = [
        versus_pytorch.tfnst_case(config, 64),
        versus_pytorch.torch_case(config, 64, "channels_last"),
    ]
    versus_pytorch.compare_losses(cases)
    for case in cases:
        case.end()


@pytest.mark.parametrize(
    "name",
    [
        "large",
        "quality",
        "serving",
        "short",
        "startup",
        "step_time",
        "time_to_quality",
        "versus_pytorch",
        "versus_tutorial",
        "video",
    ],
)
def test_help_loads_nothing_heavy(name):
    command = [sys.executable, "-c", HELP, f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout
