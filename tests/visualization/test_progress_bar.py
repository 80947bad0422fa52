"""The bar of a run."""

import io
import re

import tfnst
from tests.visualization.helpers import progress


def test_a_bar_shows_the_step_and_the_losses():
    shown = io.StringIO()
    bar = tfnst.ProgressBar(file=shown, ncols=120, ascii=False)
    for fraction in (0.2, 1.0):
        bar(progress(fraction))
    last = shown.getvalue().split("\r")[-1]
    assert re.fullmatch(
        r"100%\|█{12}\| \d\d:\d\d<00:00  48px 1001/1001 [\d.]+/s  "
        r"content [\d.]+ style [\d.]+ total [\d.]+ *\n",
        last,
    )


def test_each_run_gets_a_bar():
    shown = io.StringIO()
    bar = tfnst.ProgressBar(file=shown, ncols=100)
    for fraction in (0.2, 0.5):  # It is stopped there.
        bar(progress(fraction))
    for fraction in (0.3, 1.0):
        bar(progress(fraction))
    lines = shown.getvalue().split("\n")
    assert [line.split("\r")[-1][:4] for line in lines] == [" 50%", "100%", ""]
