"""Runs the short benchmarks one after the other and describes the machine.

python benchmarks/short.py [--out bench.txt]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import pathlib
import platform
import subprocess
import sys

import psutil

FOLDER = pathlib.Path(__file__).parent
BENCHMARKS = {
    "Start-up": ["startup.py"],
    "Steps": ["step_time.py"],
    "Large pictures": ["large.py", "--pixels", "1,4", "--max-memory", "2.5"],
    "Against PyTorch": ["versus_pytorch.py", "--no-compile", "--sizes=512"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("bench.txt"),
        help="file for the results",
    )
    arguments = parser.parse_args()
    with arguments.out.open("w") as out:

        def say(line: str) -> None:
            print(line, flush=True)
            out.write(f"{line}\n")

        say(describe_machine())
        for name, (script, *options) in BENCHMARKS.items():
            say(f"\n{name}\n")
            if script == "versus_pytorch.py" and not importlib.util.find_spec("torch"):
                say("skipped: PyTorch isn't installed (see benchmarks/README.md)")
                continue
            command = [sys.executable, FOLDER / script, *options]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            say(run.stdout.rstrip())


def describe_machine() -> str:
    """The processor, the memory and the versions, in two lines."""
    # Imported here, so that --help doesn't load TensorFlow.
    from tfnst.processor import instructions

    model = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("tfnst", "tensorflow", "keras")
    )
    return (
        f"{model}, {len(psutil.Process().cpu_affinity())} cores "
        f"({', '.join(instructions() or ['instructions unknown'])}), {memory:.0f} GiB\n"
        f"Python {platform.python_version()}, {versions}"
    )


if __name__ == "__main__":
    main()
