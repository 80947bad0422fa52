"""The manifest of a picture: what it was painted from, by which settings and versions.

It travels inside the picture's file, so that a picture can say how it was made, and so
that a batch knows which of its pictures are there already.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.files import os_error, show_path
from tfnst.images.metadata import EXIF_IFD
from tfnst.version import __version__

# PNG has text under a keyword of one's own, TIFF a description, the others Exif's
# comment.
PNG_KEYWORD = "tfnst"
_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131
_USER_COMMENT = 0x9286
# Exif: eight bytes that say how the comment is encoded. JSON is kept to ASCII.
_ASCII = b"ASCII\0\0\0"
_PACKAGES = ("tensorflow", "keras", "numpy", "pillow")
# Above what JPEG's Exif segment holds, and what nobody's settings reach.
MAX_BYTES = 32_000


def describe_source(source: Any) -> dict[str, str | None]:
    """Which picture it is: the name of its file, and its SHA-256.

    Args:
        source: as for `tfnst.images.reading.load_image`.

    Returns:
        `name`, the file's name without its folder or None; and `sha256`, of the
        file's bytes or of the array's values, None for an open file.

    Raises:
        OSError: when a file can't be read.
    """
    name = None
    if isinstance(source, str | os.PathLike):
        name = os.path.basename(os.fsdecode(source))
        with open(source, "rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    elif isinstance(source, bytes | bytearray | memoryview):
        digest = hashlib.sha256(source)
    elif hasattr(source, "read"):
        return {"name": None, "sha256": None}
    else:
        array = np.ascontiguousarray(source)
        digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
        digest.update(array.view(np.uint8).reshape(-1).data)
    return {"name": name, "sha256": digest.hexdigest()}


def without_names(source: Any) -> Any:
    """What `describe_source` says, but for the names of files; of a list, of each."""
    if isinstance(source, list):
        return [without_names(each) for each in source]
    if not isinstance(source, dict):
        return source
    return {name: value for name, value in source.items() if name != "name"}


def build_manifest(
    *,
    settings: dict[str, Any],
    content_image: dict[str, str | None],
    style_image: Any,
    **facts: Any,
) -> dict[str, Any]:
    """The manifest of a run.

    Args:
        settings: of the run, from `StyleTransferConfig.to_dict`.
        content_image: from `describe_source`.
        style_image: from `tfnst.images.style_images.describe_style`.
        **facts: what else there is to say; plain values that JSON can hold.
    """
    versions = {"tfnst": __version__}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "content_image": content_image,
        "style_image": style_image,
        "settings": settings,
        **facts,
        "versions": versions,
    }


def add_manifest(
    manifest: dict[str, Any], format: str, exif: dict[int, Any]
) -> str | None:
    """Adds a manifest to the Exif tags that a picture's file is to hold.

    Args:
        manifest: from `build_manifest`.
        format: Pillow's name of the file format: PNG, JPEG, WEBP or TIFF.
        exif: from `tfnst.images.metadata.build_exif`; what the manifest takes the place
            of is lost.

    Returns:
        For PNG the text under `PNG_KEYWORD`, which leaves the tags alone; else None.

    Raises:
        ValueError: for a manifest that is too long for a picture's file.
    """
    text = json.dumps(manifest)
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"`manifest` must be at most {MAX_BYTES} bytes of JSON. "
            f"Received: {len(text)} bytes"
        )
    exif[_SOFTWARE] = f"tfnst {__version__}"
    if format == "PNG":
        return text
    if format == "TIFF":
        exif[_DESCRIPTION] = text
    else:
        comment = {_USER_COMMENT: _ASCII + text.encode()}
        exif[EXIF_IFD] = exif.get(EXIF_IFD, {}) | comment
    return None


def read_manifest(
    source: str | os.PathLike[str] | bytes, *, name: str = "path"
) -> dict[str, Any] | None:
    """The manifest in a picture's file; None for a picture without one.

    Args:
        source: the file's path, or what it holds.
        name: what errors call the path. Default `"path"`.

    Raises:
        OSError: when the file can't be read; `FileNotFoundError` and the like.
        ValueError: for what can't be a path.
    """
    if not isinstance(source, bytes):
        source = _read(source, name)
    # Whatever a strange file leads Pillow to, there is no manifest in it.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(source)) as image:
        if image.format == "PNG":
            text = image.text[PNG_KEYWORD]
        elif image.format == "TIFF":
            text = image.tag_v2[_DESCRIPTION]
        else:
            comment = image.getexif().get_ifd(EXIF_IFD)[_USER_COMMENT]
            text = bytes(comment).removeprefix(_ASCII)
        manifest = json.loads(text)
        if isinstance(manifest, dict) and "settings" in manifest:
            return manifest
    return None


def _read(path, name):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        expected = "a file that can be read"
        raise os_error(error, name, expected, show_path(path)) from error
    except ValueError as error:  # A null byte.
        raise ValueError(
            f"`{name}` must be the path of a file. Received: {show_path(path)}"
        ) from error


def read_painted(path, name):
    """How a picture was painted."""
    pass

    manifest = read_manifest(path, name=name)
    if manifest is None:
        raise ValueError(
            f"`{name}` must be a picture that tfnst has painted. "
            f"Received: {str(path)!r}, in which nothing says so"
        )
    return manifest
