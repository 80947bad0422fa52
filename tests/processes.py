"""Processes that start with TensorFlow already loaded.

Loading it takes a process about three seconds. Here a server loads it once and forks
itself for every process. Commands that are to start from nothing, as users' do, don't
belong here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from multiprocessing import forkserver, reduction
from typing import IO, Any

from tests.helpers import ROOT

# Elsewhere TensorFlow doesn't survive a fork, so each process loads it for itself.
_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
_CONTEXT: Any = multiprocessing.get_context(_METHOD)


class Process:
    """A function in a process of its own, with the methods of `subprocess.Popen`.

    Args:
        function: called in the process, which imports it by its name.
        *arguments: of the function.
        cwd: working directory.
        stdout: a file, its descriptor or `subprocess.DEVNULL`.
        stderr: as `stdout`.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: Any,
        cwd: os.PathLike[str] | str,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
        stderr: IO[bytes] | int = subprocess.DEVNULL,
    ) -> None:
        with open(os.devnull, "wb") as nowhere:
            streams = _Streams(
                nowhere if stream == subprocess.DEVNULL else stream
                for stream in (stdout, stderr)
            )
            # Daemons end with the tests, even if one failed and left them behind.
            self._process = _CONTEXT.Process(
                target=_call,
                args=(function, arguments, streams, os.fspath(cwd), dict(os.environ)),
                daemon=True,
            )
            _start_server()
            self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    function: Callable[..., object],
    *arguments: Any,
    cwd: os.PathLike[str] | str,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Calls a function in a process of its own, as `subprocess.run` does a program."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = Process(function, *arguments, cwd=cwd, stdout=stdout, stderr=stderr)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        printed = []
        for stream in (stdout, stderr):
            stream.seek(0)
            printed.append(stream.read().decode())
    return subprocess.CompletedProcess(arguments, process.wait(), *printed)


def start_tfnst(*arguments: os.PathLike[str] | str, **options: Any) -> Process:
    """The `tfnst` command as a `Process`."""
    return Process(_tfnst, *map(str, arguments), **options)


def run_tfnst(
    *arguments: os.PathLike[str] | str, **options: Any
) -> subprocess.CompletedProcess[str]:
    """The `tfnst` command, once it has ended; the options are those of `run`."""
    return run(_tfnst, *map(str, arguments), **options)


def _tfnst(*arguments: str) -> None:
    from tfnst.cli import command

    sys.argv = ["tfnst", *arguments]
    command.main()


class _Streams:
    """Standard output and standard error, which travel as duplicated descriptors."""

    def __init__(self, streams: Iterable[IO[bytes] | int]) -> None:
        self._descriptors = [s if isinstance(s, int) else s.fileno() for s in streams]

    def __getstate__(self) -> list[Any]:
        return [reduction.DupFd(descriptor) for descriptor in self._descriptors]

    def __setstate__(self, state: list[Any]) -> None:
        self._descriptors = [duplicate.detach() for duplicate in state]

    def replace(self) -> None:
        for number, descriptor in enumerate(self._descriptors, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _call(
    function: Callable[..., object],
    arguments: tuple[Any, ...],
    streams: _Streams,
    cwd: str,
    environment: dict[str, str],
) -> None:
    streams.replace()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)


def _start_server() -> None:
    """Starts the server that is forked, unless it runs."""
    if _METHOD != "forkserver":
        return
    _CONTEXT.set_forkserver_preload(["tests.preloaded"])
    # The server finds modules from where it starts.
    before = os.getcwd()
    os.chdir(ROOT)
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(before)
