"""The code blocks of the documents, and a runner with tiny settings for them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests import processes
from tests.helpers import ROOT, TINY
from tfnst.config import StyleTransferConfig

LANGUAGES = ("python", "sh")
# Replacements for the defaults of settings, random weights among them.
_TINY = {
    name: getattr(TINY, name)
    for name in (
        *("weights", "precision", "content_layers", "style_layers"),
        *("size", "min_size", "steps", "initial_steps"),
    )
}
_PORT = "8500"


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block of a document.

    Attributes:
        page: path of the document, relative to the root.
        number: number of the block on its page, from 1.
        language: `"python"` or `"sh"`.
        text: the code.
    """

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"


def pages() -> list[str]:
    """The documents whose blocks are run, README.md first."""
    found = sorted((ROOT / "docs").glob("*.md"))
    return ["README.md", *(path.relative_to(ROOT).as_posix() for path in found)]


def blocks_of(page: str) -> list[Block]:
    """The Python and shell blocks of a document."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    chosen = [each for each in found if each[0] in LANGUAGES]
    return [Block(page, i, *each) for i, each in enumerate(chosen, 1)]


class Runner:
    """Runs the blocks of a document, one after the other, in a folder.

    Sizes and steps are replaced by tiny ones. Blocks that need no shell run in
    processes that have already loaded TensorFlow, or in this process, which is faster.

    Args:
        folder: working folder.
        here: whether blocks run in this process.
    """

    def __init__(self, folder: pathlib.Path, *, here: bool = False) -> None:
        self._folder = folder
        self._here = here
        self._shells: list[int] = []
        self._servers: list[processes.Process] = []
        self._programs = folder / ".programs"
        self._programs.mkdir()
        for name in ("examples", "tfnst"):
            (folder / name).symlink_to(ROOT / name)
        program = self._programs / "tfnst"
        program.write_text(
            f"#!{sys.executable}\nimport sys\nfrom tests.project import documents\n"
            "documents.tiny_command(*sys.argv[1:])\n"
        )
        program.chmod(0o755)
        # A link to Python would not find the packages of its environment.
        python = self._programs / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])

    def run(self, block: Block) -> None:
        """Runs a block; the error of a failing block includes its output."""
        print(f"{block}:\n{block.text}", flush=True)
        text = self._tiny(block.text)
        if block.language == "python":
            script = self._folder / f".block_{block.number}.py"
            script.write_text(text)
            self._call(block, tiny_script, str(script))
        elif commands := _plain_commands(text):
            for program, *words in commands:
                function = {"tfnst": tiny_command, "python": tiny_script}[program]
                if words[-1] == "&":
                    server = processes.Process(function, *words[:-1], cwd=self._folder)
                    self._servers.append(server)
                else:
                    self._call(block, function, *words)
                if words[0] == "export":
                    # The warm-up would take longer than the blocks' requests.
                    for path in self._folder.glob("models/*/*/assets.extra"):
                        shutil.rmtree(path)
        else:
            self._run_in_shell(block, text)

    def _call(self, block: Block, function: Callable[..., None], *words: str) -> None:
        """Runs a script or a command to its end."""
        if not self._here:
            done = processes.run(function, *words, cwd=self._folder, timeout=300)
            self._check(block, done.returncode, done.stdout + done.stderr)
            return
        before, argv, code = os.getcwd(), sys.argv, 0
        os.chdir(self._folder)
        try:
            function(*words)
        except SystemExit as error:
            code = error.code or 0
        finally:
            os.chdir(before)
            sys.argv = argv
        self._check(block, code, "")

    def _tiny(self, text: str) -> str:
        text = re.sub(r"(--(?:min-)?size |\b(?:min_)?size=)\d+", r"\g<1>48", text)
        text = re.sub(r"(--(?:initial-)?steps |\binitial_steps=)\d+", r"\g<1>2", text)
        text = re.sub(r"(--save-every )\d+", r"\g<1>3", text)
        text = re.sub(r"(--wait )\d+", r"\g<1>300", text)
        # The first request to a server without a warm-up traces its graph.
        text = text.replace("tfnst request ", "tfnst request --timeout 300 ")
        return text.replace(f"127.0.0.1:{_PORT}", f"127.0.0.1:{self._port}").replace(
            "tfnst serve ", f"tfnst serve --port {self._port} "
        )

    def _run_in_shell(self, block: Block, text: str) -> None:
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
        log = self._folder / f".log_{block.number}"
        with open(log, "wb") as out:
            shell = subprocess.Popen(
                ["bash", "-e", "-o", "pipefail", "-c", text],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # Its background processes can be ended with it.
                start_new_session=True,
            )
        self._shells.append(shell.pid)
        code = shell.wait(timeout=300)
        self._check(block, code, log.read_text(errors="replace"))

    @staticmethod
    def _check(block: Block, code: int | None, printed: str) -> None:
        assert code == 0, f"{block} ended with {code}:\n{block.text}\n{printed}"

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the background processes of the blocks."""
        for server in self._servers:
            server.kill()
        for pid in self._shells:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
                time.sleep(1)
                os.killpg(pid, signal.SIGKILL)


def tiny_command(*arguments: str) -> None:
    """The `tfnst` command with tiny settings as defaults."""
    from tfnst.cli import command

    sys.argv = ["tfnst", *arguments]
    with _tiny_defaults():
        command.main()


def tiny_script(path: str, *arguments: str) -> None:
    """A script with tiny settings as defaults."""
    sys.argv = [path, *arguments]
    with _tiny_defaults():
        runpy.run_path(path, run_name="__main__")


@contextlib.contextmanager
def _tiny_defaults() -> Iterator[None]:
    """Replaces the defaults of settings in this process."""
    from tfnst.cli import settings

    defaults = StyleTransferConfig.__init__.__kwdefaults__
    before = {name: defaults[name] for name in _TINY}
    try:
        _set_defaults(defaults, settings.DEFAULTS, _TINY)
        yield
    finally:
        _set_defaults(defaults, settings.DEFAULTS, before)


def _set_defaults(
    defaults: dict[str, Any], config: StyleTransferConfig, values: dict[str, Any]
) -> None:
    """Changes the defaults of the class and of the command."""
    defaults.update(values)
    for name, value in values.items():
        object.__setattr__(config, name, value)


def _plain_commands(text: str) -> list[list[str]]:
    """The words of each command; none unless all are tfnst's and need no shell.

    The words of a background command end with &.
    """
    lines = text.replace("\\\n", " ").strip().splitlines()
    commands = [shlex.split(line) for line in lines]
    if any(
        words[0] != "tfnst" and not (words[0] == "python" and words[1].endswith(".py"))
        for words in commands
    ):
        return []
    if any(re.search(r"[|&<>$]", re.sub(r" &$", "", line)) for line in lines):
        return []
    return commands
