"""Ctrl-C while Python is busy with a single instruction."""

import ctypes
import os
import pty
import signal
import sys
import threading
import time

import pytest

from tests import processes
from tests.cli.test_progress import read_terminal
from tfnst.cli.signals import StopSignals


def one_long_step(release):
    """Waits for a file in code that no handler interrupts, as TensorFlow's is."""
    # The other thread goes on when this one waits, and no earlier.
    sys.setswitchinterval(300)
    library = ctypes.CDLL(None)
    lock = ctypes.create_string_buffer(256)
    library.pthread_mutex_init(lock, None)
    locked, waits = threading.Event(), threading.Event()

    def hold():
        library.pthread_mutex_lock(lock)
        locked.set()
        waits.wait()
        print("begun", flush=True)
        while not os.path.exists(release):
            time.sleep(0.01)
        library.pthread_mutex_unlock(lock)

    threading.Thread(target=hold, daemon=True).start()
    locked.wait()
    # Ends a step that would never end by itself.
    with StopSignals(grace=0.05) as stop:
        stop.begun = True
        waits.set()
        library.pthread_mutex_lock(lock)
        print("stopping", stop.stopping, flush=True)


def interrupt(folder, numbers):
    """The exit code of a step that gets some signals, and what it printed."""
    printed, release = folder / "printed.txt", folder / "release"
    ours, theirs = pty.openpty()
    with open(printed, "wb") as stdout:
        process = processes.Process(
            one_long_step, release, cwd=folder, stdout=stdout, stderr=theirs
        )
    os.close(theirs)
    killer = threading.Timer(300, process.kill)
    killer.daemon = True
    killer.start()
    while not printed.read_text() and process.poll() is None:
        time.sleep(0.01)
    first, *others = numbers
    process.send_signal(first)
    shown = ""
    for chunk in read_terminal(ours):
        told = "stopping after this step" in shown
        shown += chunk
        if not told and "stopping after this step" in shown:
            # It has received the first one.
            for number in others:
                process.send_signal(number)
            if not others:
                release.touch()
    code = process.wait()
    killer.cancel()
    return code, printed.read_text(), shown.replace("\r", "").split("\n")


FIRST = ["", "tfnst: stopping after this step"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_one_ends_the_process(tmp_path, number):
    code, printed, shown = interrupt(tmp_path, [number, number])
    assert (code, printed) == (130, "begun\n")
    assert shown == [*FIRST, "", "tfnst: ended at once, within a step", ""]


def test_the_first_one_waits_for_the_step(tmp_path):
    code, printed, shown = interrupt(tmp_path, [signal.SIGINT])
    assert (code, printed) == (0, "begun\nstopping True\n")
    assert shown == [*FIRST, ""]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_ignores_isnt_lost():
    class Loud:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with StopSignals() as stop:
        loud = Loud()
        del loud  # An exception in a destructor goes nowhere.
        stop.begun = True
        assert stop.stopping


def test_handlers_are_those_of_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for _ in range(3):
        with StopSignals():
            assert signal.getsignal(signal.SIGINT) != before[0]
        now = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        assert now == before
        descriptor = signal.set_wakeup_fd(-1)
        assert descriptor == -1
