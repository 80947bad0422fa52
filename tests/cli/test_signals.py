"""Ctrl-C while Python is busy with a single instruction."""

import hashlib
import signal
import subprocess
import time

import pytest

from tests import processes
from tfnst.cli.signals import StopSignals


def one_long_step(iterations):
    """Waits for a signal in code that no handler interrupts, as TensorFlow's is."""
    with StopSignals() as signals:
        signals.begun = True
        print("begun", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", iterations)
        print("stopping", signals.stopping, flush=True)


def interrupt(folder, iterations, numbers):
    """The exit code of a step that gets some signals, and what it printed."""
    printed = folder / "printed.txt"
    with open(printed, "wb") as stdout:
        process = processes.Process(
            one_long_step, iterations, cwd=folder, stdout=stdout
        )
    deadline = time.monotonic() + 60
    while not printed.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in numbers:
        time.sleep(0.2)
        process.send_signal(number)
    try:
        return process.wait(20), printed.read_text()
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_one_ends_the_process(tmp_path, number):
    code, printed = interrupt(tmp_path, 2 * 10**8, [number, number])
    assert (code, printed) == (130, "begun\n")


def test_the_first_one_waits_for_the_step(tmp_path):
    code, printed = interrupt(tmp_path, 2 * 10**6, [signal.SIGINT])
    assert (code, printed) == (0, "begun\nstopping True\n")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_ignores_isnt_lost():
    class Loud:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with StopSignals() as signals:
        loud = Loud()
        del loud  # An exception in a destructor goes nowhere.
        signals.begun = True
        assert signals.stopping


def test_handlers_are_those_of_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for _ in range(3):
        with StopSignals():
            assert signal.getsignal(signal.SIGINT) != before[0]
        now = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        assert now == before
        descriptor = signal.set_wakeup_fd(-1)
        assert descriptor == -1
