"""Ctrl-C: the first one asks a run to stop, a second one aborts it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from tfnst.cli.terminal import EXIT_INTERRUPTED

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into a request to stop; a second one aborts.

    Python runs signal handlers between two of its instructions, and a step of a huge
    picture is a single one that takes minutes. So a thread watches the signals as they
    come, and ends the process if it doesn't end by itself after the second.

    Args:
        grace: seconds after the second signal for the main thread to end by itself.

    Attributes:
        begun: whether there is anything to stop; until then, a signal aborts at once.
        stopping: whether a stop was requested.
    """

    def __init__(self, grace: float = 2.0) -> None:
        self.begun = self.stopping = False
        self._grace = grace
        self._handlers: dict[int, Any] = {}
        self._left = threading.Event()

    def __enter__(self) -> StopSignals:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        threading.Thread(target=self._watch, daemon=True).start()
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _SIGNALS:
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before)
        # The thread reads to the end, and closes the other end of the pipe.
        os.close(self._writer)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        aborts = not self.begun or self.stopping
        # Python ignores exceptions in a destructor; then the first step stops.
        self.stopping = True
        if aborts:
            raise KeyboardInterrupt

    def _watch(self) -> None:
        """Reads the numbers of signals as they come, in a thread."""
        seen = 0
        with open(self._reader, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                seen += number[0] in _SIGNALS
                if seen == 1 and self.begun:
                    _tell(b"stopping after this step")
                if seen > 1 and not self._left.wait(self._grace):
                    _tell(b"ended at once, within a step")
                    os._exit(EXIT_INTERRUPTED)


def _tell(line: bytes) -> None:
    """Writes a line to a terminal, past any buffer that others may be writing to."""
    with contextlib.suppress(OSError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\ntfnst: " + line + b"\n")
