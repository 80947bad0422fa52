"""The bar of a run, and Ctrl-C."""

import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from PIL import Image

from tests import processes
from tests.cli.helpers import TFNST, TINY_OPTIONS, names

PAINTING = "tfnst.transfer.style_transfer.stylize"


def read_terminal(descriptor):
    with open(descriptor, "rb", buffering=0) as stream:
        try:
            while chunk := stream.read(1024):
                yield chunk.decode(errors="replace")
        except OSError:  # the other end is closed
            return


def start_on_terminal(folder, *options, new=False, stdout=subprocess.DEVNULL):
    """The command with a terminal as its standard error.

    Args:
        folder: where it runs.
        *options: of the command.
        new: whether its process starts from nothing, as users' do.
        stdout: a file.
    """
    ours, theirs = pty.openpty()
    arguments = [
        "stylize", "content.png", "style.png", "-o", "out.png", *TINY_OPTIONS, *options
    ]  # fmt: skip
    streams = {"stdout": stdout, "stderr": theirs}
    if new:
        process = subprocess.Popen([*TFNST, *arguments], cwd=folder, **streams)
    else:
        process = processes.start_tfnst(*arguments, cwd=folder, **streams)
    os.close(theirs)
    # Whatever happens, the tests end.
    killer = threading.Timer(300, process.kill)
    killer.daemon = True
    killer.start()
    return process, read_terminal(ours)


def interrupt(process, output, number=signal.SIGINT):
    """What a run shows that is interrupted once its bar shows losses."""
    shown = ""
    for chunk in output:
        if "content" not in shown and "content" in shown + chunk:
            process.send_signal(number)
        shown += chunk
    assert process.wait() == 130
    return shown


def test_a_terminal_gets_a_bar(pictures):
    process, output = start_on_terminal(pictures)
    shown = "".join(output)
    assert process.wait() == 0
    assert re.search(r"100%\|.*48px 12/12 [\d.]+/s  content [\d.]+ style", shown)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_ctrl_c_keeps_the_picture_so_far(pictures, number):
    started = start_on_terminal(
        pictures, "--steps", "100000", "--timelapse", "film.gif"
    )
    shown = interrupt(*started, number)
    assert re.search(
        r"tfnst: stopped after \d+ steps; the picture so far is out\.png", shown
    )
    with Image.open(pictures / "out.png") as out:
        assert out.size == (48, 36)
    with Image.open(pictures / "film.gif") as film:
        assert film.size == (48, 36)
    assert "tfnst: stopping after this step" in shown
    assert "Traceback" not in shown


@pytest.fixture
def interruptible():
    """Restores the effect of Ctrl-C on a terminal, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("place", ["tfnst.cli.stylize.quiet_start", PAINTING])
def test_ctrl_c_before_there_is_a_picture(pictures, place, monkeypatch, stylize):
    monkeypatch.setattr(place, lambda *_, **__: signal.raise_signal(signal.SIGINT))
    done = stylize()
    message = "tfnst: error: interrupted before there was a picture to keep\n"
    assert done == (130, "", message)
    assert names(pictures) == ["content.png", "style.png"]


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(sys.platform != "linux", reason="it reads what Linux tells")
def test_ctrl_c_while_tensorflow_loads(pictures):
    process, output = start_on_terminal(pictures, new=True)
    libraries = pathlib.Path(f"/proc/{process.pid}/maps")
    while "libtensorflow" not in libraries.read_text():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    shown = "".join(output)
    assert process.wait() == 130
    assert "Traceback" not in shown
    assert "interrupted before there was a picture to keep" in shown
    assert names(pictures) == ["content.png", "style.png"]
