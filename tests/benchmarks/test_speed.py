"""The benchmarks measure what they claim to."""

import json
import subprocess
import sys
import time

import pytest

from benchmarks import large, startup, versus_pytorch
from tests.helpers import ROOT

HELP = """
import contextlib, runpy, sys
for name in sys.argv[1:]:
    sys.argv = ["benchmark", "--help"]
    with contextlib.suppress(SystemExit):
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    heavy = {"tensorflow", "keras", "torch", "h5py"} & set(sys.modules)
    assert not heavy, (name, heavy)
"""
COMMANDS = (
    *("large", "many", "quality", "serving", "short", "startup", "step_time"),
    *("time_to_quality", "versus_pytorch", "versus_tutorial", "video"),
)


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_phases_of_a_command_are_measured(tmp_path):
    command = [
        "stylize", *startup.PICTURES, "--size", "48", "--min-size", "48",
        "--weights", "none", "--backbone", "vgg16", "--initial-steps", "2",
        "--precision", "float32",
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


def test_pytorch_gets_the_kernels_that_tfnst_has():
    task = versus_pytorch.torch_task(64, 1)
    names = [name for name, *_ in task.layers]
    assert names[:3] == ["block1_conv1", "block1_conv2", "block1_pool"]
    assert names[-1] == "block5_conv1"
    shapes = {
        name: kernel.shape for name, kernel, _ in task.layers if kernel is not None
    }
    assert shapes["block1_conv1"] == (64, 3, 3, 3)
    assert shapes["block5_conv1"] == (512, 512, 3, 3)


@pytest.fixture
def float32_case():
    config = versus_pytorch.CONFIG.replace(precision="float32")
    return versus_pytorch.tfnst_case(config, 64)


@pytest.mark.slow
def test_pytorchs_steps_give_the_same_losses(float32_case):
    pytest.importorskip("torch")
    variants = [
        versus_pytorch.Variant("float32", "contiguous", False),
        versus_pytorch.Variant("float32", "channels last", True),
        versus_pytorch.Variant("bfloat16", "channels last", False),
    ]
    with versus_pytorch.torch_cases(64, variants, 1) as cases:
        names = [case.name for case in cases]
        versus_pytorch.compare_losses([float32_case, *cases])
    assert names[0] == "PyTorch float32, contiguous"
    assert names[-1] == "PyTorch bfloat16, channels last"


@pytest.mark.slow
def test_pytorchs_steps_do_without_a_compiler(float32_case, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.setenv("CXX", "no-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    variants = [
        versus_pytorch.Variant("float32", "contiguous", compiled)
        for compiled in (True, False)
    ]
    with versus_pytorch.torch_cases(64, variants, 1) as cases:
        (case,) = cases
        versus_pytorch.compare_losses([float32_case, case])
    assert case.name == "PyTorch float32, contiguous"
    printed = capsys.readouterr().out
    assert "Left out: PyTorch float32, contiguous, compiled: " in printed


def test_losses_that_differ_are_an_error():
    one, other = (
        versus_pytorch.Case(
            name, "float32", lambda loss=loss: versus_pytorch.Step(loss, 1, 1)
        )
        for name, loss in [("tfnst", 1.0), ("PyTorch", 1.002)]
    )
    with pytest.raises(AssertionError, match="PyTorch"):
        versus_pytorch.compare_losses([one, other])
    other.precision = "bfloat16"
    versus_pytorch.compare_losses([one, other])


def test_a_step_is_timed():
    step = versus_pytorch.Step.timed(lambda: time.sleep(0.05) or 3.0)
    assert step.loss == 3.0
    assert step.processor < 0.05 <= step.wall


@pytest.mark.parametrize(
    ("processor", "ratios", "best"),
    [
        (False, ["1.00", "1.50", "2.00"], "1.50 times as fast as contiguous"),
        (True, ["1.00", "3.00", "2.00"], "2.00 times as fast as channels last"),
    ],
)
def test_tfnst_is_compared_with_the_best_of_pytorchs(capsys, processor, ratios, best):
    cases = []
    for name, wall, busy in [
        ("tfnst", [1.0, 2.0, 9.0], [2.0, 4.0, 4.0]),
        ("contiguous", [3.0, 3.0, 3.0], [12.0, 12.0, 12.0]),
        ("channels last", [4.0, 4.0, 4.0], [8.0, 8.0, 8.0]),
    ]:
        steps = [
            versus_pytorch.Step(1.0, *times) for times in zip(wall, busy, strict=True)
        ]
        case = versus_pytorch.Case(name, "float32", lambda: None, steps)
        cases.append(case)
    assert cases[0].seconds(2, processor=False) == 2.0
    assert cases[0].seconds(2, processor=True) == 2.0
    versus_pytorch.show(256, cases, 2, processor=processor)
    *rows, summary = capsys.readouterr().out.strip().splitlines()
    assert [row.split()[-1] for row in rows[1:]] == ratios
    assert summary.strip() == f"tfnst is {best}"


def test_help_loads_nothing_heavy():
    command = [sys.executable, "-c", HELP, *COMMANDS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(COMMANDS)
