"""Shared by the browser tests: the studio in its own process, and what people do."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time

from tests.cli.helpers import TFNST

# So long that somebody has to stop it.
LONG = ["--steps", "50000", "--initial-steps", "50000", "--max-steps", "50000"]
SECONDS = 300  # Most that anything may take; machines are slow now and then.
PAINT_MS = 1000 * SECONDS


class Server:
    """`tfnst studio` in a process of its own.

    Args:
        folder: where it writes.
        *options: of the command.
        app: path of a script to run instead of the command, as hosts do.
    """

    def __init__(self, folder, *options, app=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        #: Contexts of a browser that show its page.
        self.contexts = []
        self.output = folder / "painted"
        self.log = folder / "log.txt"
        self._command = [
            *(*TFNST, "studio", "--port", str(self.port)),
            *("--output", str(self.output), *options),
        ]
        self._environment = dict(os.environ)
        if app is not None:
            self._command = [sys.executable, str(app)]
            self._environment |= {
                "GRADIO_SERVER_NAME": "127.0.0.1",
                "GRADIO_SERVER_PORT": str(self.port),
                # Nothing is to be fetched.
                "TFNST_WEIGHTS": str(folder / "missing.h5"),
            }

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS
        while f"The studio is at {self.url}" not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        # A page that waits for an answer would call a stopped server an error.
        for context in self.contexts:
            context.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
        self.log.unlink()

    def text(self):
        """The log."""
        return self.log.read_text()

    def pictures(self):
        """The painted pictures, oldest first."""
        return sorted(self.output.glob("*.png"))


def hand_in(page, where, path):
    """Chooses a file."""
    page.set_input_files(f"#{where} input[type=file]", path)
    page.wait_for_selector(f"#{where} img")


def drop(page, where, path):
    """Drops a file, as from a file manager."""
    data = base64.b64encode(path.read_bytes()).decode()
    transfer = page.evaluate_handle(
        """([data, name]) => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, {type: "image/png"}));
            return transfer;
        }""",
        [data, path.name],
    )
    page.dispatch_event(f"#{where} button", "drop", {"dataTransfer": transfer})
    page.wait_for_selector(f"#{where} img")


def paint(page):
    """Presses Paint, and waits for the painting, of which there may be an older one."""
    page.evaluate(
        """() => document.querySelectorAll("#comparison .comparison").forEach(
            each => each.classList.add("old"))"""
    )
    page.click("#paint")
    page.wait_for_selector("#comparison .comparison:not(.old)", timeout=PAINT_MS)


def download(page, button="#download"):
    """What is downloaded."""
    with page.expect_download() as downloading:
        page.click(button)
    return downloading.value.path().read_bytes()


def open_editor(page, name):
    """Opens the drawer of a mask editor: the middle of its canvas."""
    page.click(f"#{name}s > button")
    canvas = page.wait_for_selector(f"#{name}-editor canvas")
    page.wait_for_timeout(2000)  # Until the picture is on it.
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def brush(page, *points):
    """Paints a line."""
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=10)
    page.mouse.up()
    page.wait_for_timeout(1000)


def choose(page, label, option):
    """Chooses from a list."""
    page.click(f"#{label} input")
    page.click(f"[role=option]:has-text('{option}')")
