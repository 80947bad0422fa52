"""Startup of `tfnst`: imports, help, and `tfnst stylize` phase by phase.

Each run has its own process; the figures are medians.

    python benchmarks/startup.py [--rounds 5] [--without matplotlib,pandas]

The phases of a command are timed inside its process: its functions, the import of
TensorFlow, and the first preview. Some phases run at the same time, so they add up to
more than the total. "Steps alone" are all steps of the same run, repeated in the same
process with nothing left to trace.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples" / "images"
PICTURES = [str(SAMPLES / "photo_cat.jpg"), str(SAMPLES / "style_mosaic.jpg")]

# In the order in which they are printed.
PREVIEW, TOTAL, ALONE = "first preview", "the command", "steps alone"
PHASES = (
    "import tensorflow",
    "import tfnst's modules",
    "reading pictures",
    "weights",
    "building the extractor",
    "tracing style targets",
    "tracing the entry of a scale",
    "tracing steps",
    "first style targets",
    "first entry of a scale",
    "first step",
    PREVIEW,
    "saving",
    TOTAL,
    ALONE,
)


class Times(NamedTuple):
    """Seconds of a phase."""

    wall: float
    processor: float  # of all threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each case")
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--steps", type=int, help="steps at the finer scales")
    parser.add_argument(
        "--without",
        default="",
        metavar="PACKAGES",
        help="act as if these packages weren't installed, such as matplotlib,pandas, "
        "which Keras imports where they are",
    )
    parser.add_argument("--phases-of", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phases_of is not None:
        json.dump(measure_phases(**arguments.phases_of), sys.stdout)
        return
    hidden = list(filter(None, arguments.without.split(",")))
    command = ["stylize", *PICTURES, "--size", str(arguments.size)]
    if arguments.steps is not None:
        command += ["--steps", str(arguments.steps)]
    starts, runs = collections.defaultdict(list), []
    for _ in range(arguments.rounds):
        for name, start in _starts().items():
            starts[name].append(_timed(start))
        runs.append(phases_in_process(command, hidden))
    for name, each in starts.items():
        print(f"{name:30} {statistics.median(each):8.3f} s")
    print("\n".join(["", *report(runs)]))


def _starts() -> dict[str, list[str]]:
    """The commands that only start something."""
    tfnst = [sys.executable, "-m", "tfnst"]
    return {
        "Python alone": [sys.executable, "-c", ""],
        "import tfnst": [sys.executable, "-c", "import tfnst"],
        "tfnst --help": [*tfnst, "--help"],
        "tfnst stylize --help": [*tfnst, "stylize", "--help"],
    }


def _timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def _median(each: list[Times]) -> Times:
    return Times(*(statistics.median(values) for values in zip(*each, strict=True)))


def report(runs: list[dict[str, Times]]) -> list[str]:
    """The lines of a table of medians, and the main ratios.

    Args:
        runs: results of `measure_phases`.
    """
    medians = {phase: _median([Times(*run[phase]) for run in runs]) for phase in PHASES}
    lines = [f"{'seconds':30} {'wall':>8} {'processor':>10}"]
    lines += [f"{n:30} {t.wall:8.3f} {t.processor:10.3f}" for n, t in medians.items()]
    ratio = Times(*(a / b for a, b in zip(medians[TOTAL], medians[ALONE], strict=True)))
    preview, tensorflow = medians[PREVIEW], medians["import tensorflow"]
    lines += [
        "",
        f"first preview after {preview.wall:.2f} s ({preview.processor:.2f} in "
        f"processor time), of which TensorFlow's import takes {tensorflow.wall:.2f} s "
        f"({tensorflow.processor:.2f})",
        f"the command takes {ratio.wall:.2f} times its steps alone "
        f"({ratio.processor:.2f} in processor time)",
    ]
    return lines


def phases_in_process(command: list[str], hidden: list[str]) -> dict[str, Times]:
    """As `measure_phases`, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = {
            "command": [*command, "--output", f"{folder}/painted.png"],
            "hidden": hidden,
            "began": time.time(),
        }
        done = subprocess.run(
            [sys.executable, __file__, "--phases-of", json.dumps(arguments)],
            check=True,
            stdout=subprocess.PIPE,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    return json.loads(done.stdout)


def measure_phases(
    command: list[str], hidden: list[str], began: float
) -> dict[str, Times]:
    """Runs a command in this process, which must be a fresh one.

    Args:
        command: the arguments of `tfnst`: `stylize`, pictures and options.
        hidden: packages to act as if they weren't installed.
        began: `time.time()` when the process was started.

    Returns:
        The times of each phase.
    """
    if hidden:
        sys.meta_path.insert(0, _Hidden(hidden))
    clock = _Clock(began)
    from tfnst.cli import stylize
    from tfnst.cli.command import cli

    @contextlib.contextmanager
    def start() -> Iterator[None]:
        """Replaces `quiet_start`, around the import of TensorFlow."""
        with clock.phase("import tensorflow"):
            import tensorflow  # noqa: F401 (for the time it takes)
        with clock.phase("import tfnst's modules"):
            import tfnst.transfer.style_transfer  # noqa: F401 (the same)
        clock.watch_run()
        yield

    stylize.quiet_start = start
    # Standard output is for the times.
    with contextlib.redirect_stdout(sys.stderr):
        cli.main(command, standalone_mode=False)
        clock.note(TOTAL, clock.since_start())
        first, clock.times = clock.times, {}
        # A second run, of which only the steps count.
        clock.adding = {"first step"}
        stylize.quiet_start = contextlib.nullcontext
        cli.main(command, standalone_mode=False)
    times = first | {ALONE: clock.times["first step"]}
    return {phase: times[phase] for phase in PHASES}


class _Hidden:
    """Import finder that hides packages."""

    def __init__(self, packages: list[str]) -> None:
        self._packages = packages

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class _Clock:
    """Times of phases.

    Args:
        began: `time.time()` when the process was started.

    Attributes:
        times: times of each phase, when it is first entered.
        adding: phases whose later times are added.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self.times: dict[str, Times] = {}
        self.adding = {"reading pictures"}

    def since_start(self) -> Times:
        """Times since the process was started."""
        return Times(time.time() - self._began, time.process_time())

    def note(self, phase: str, times: Times) -> None:
        """Keeps the times of a phase, unless it has some."""
        if phase in self.adding and phase in self.times:
            times = Times(*map(sum, zip(times, self.times.pop(phase), strict=True)))
        self.times.setdefault(phase, times)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Context of a phase."""
        start, processor = time.perf_counter(), time.process_time()
        yield
        wall = time.perf_counter() - start
        self.note(name, Times(wall, time.process_time() - processor))

    def watch(self, owner: Any, function: str, phase: str) -> None:
        """Times a function of a module or class."""
        inner: Callable[..., Any] = getattr(owner, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.phase(phase):
                return inner(*args, **kwargs)

        setattr(owner, function, timed)

    def watch_run(self) -> None:
        """Times the functions of a run."""
        from tfnst.cli.outputs import Outputs
        from tfnst.engines.whole import WholeEngine
        from tfnst.losses.objective import Objective
        from tfnst.networks import backbones, features
        from tfnst.transfer import style_transfer
        from tfnst.transfer.pictures import PreparedPictures
        from tfnst.visualization.progress_bar import ProgressBar

        self.watch(style_transfer, "load_style", "reading pictures")
        self.watch(style_transfer, "load_content", "reading pictures")
        self.watch(backbones, "load_backbone", "weights")
        self.watch(features, "build_feature_extractor", "building the extractor")
        # TensorFlow calls these only to trace them.
        self.watch(Objective, "style_targets", "tracing style targets")
        self.watch(WholeEngine, "enter", "tracing the entry of a scale")
        self.watch(WholeEngine, "_run_steps", "tracing steps")
        self.watch(PreparedPictures, "style_targets", "first style targets")
        self.watch(WholeEngine, "enter_scale", "first entry of a scale")
        self.watch(WholeEngine, "run", "first step")
        self.watch(Outputs, "save_picture", "saving")
        show = ProgressBar.__call__

        def see(bar: ProgressBar, run: Any) -> None:
            if PREVIEW not in self.times:
                run.image()
                self.note(PREVIEW, self.since_start())
            show(bar, run)

        ProgressBar.__call__ = see  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
