"""The benchmarks measure what they claim to."""

import json
import subprocess
import sys

import pytest

from benchmarks import large, versus_pytorch
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
    row = large.row(json.loads(json.dumps(measured)), measured["seconds"] / 2)
    assert row.split()[0] == "0.02"
    assert row.split()[2] == "2.00"


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
        "many",
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
