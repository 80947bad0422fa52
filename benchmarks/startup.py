"""How long it takes to start: imports, the command's help, and a first small picture.

The times are medians of several runs, each in a process of its own.

    python benchmarks/startup.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each case")
    arguments = parser.parse_args()
    tfnst = [sys.executable, "-m", "tfnst"]
    with tempfile.TemporaryDirectory() as folder:
        pictures = [SAMPLES / "photo_cat.jpg", SAMPLES / "style_mosaic.jpg"]
        settings = ["--size", "64", "--steps", "1", "-o", f"{folder}/cat.png"]
        cases = {
            "Python alone": [sys.executable, "-c", ""],
            "import tfnst": [sys.executable, "-c", "import tfnst"],
            "tfnst --help": [*tfnst, "--help"],
            "tfnst stylize --help": [*tfnst, "stylize", "--help"],
            "import tensorflow": [sys.executable, "-c", "import tensorflow"],
            "a 64-pixel picture of 1 step": [*tfnst, "stylize", *pictures, *settings],
        }
        times = {name: [] for name in cases}
        for _ in range(arguments.rounds):
            for name, command in cases.items():
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                times[name].append(time.perf_counter() - start)
    for name, each in times.items():
        print(f"{name:30} {statistics.median(each):7.3f} s")


if __name__ == "__main__":
    main()
