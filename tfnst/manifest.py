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
from PIL import Image, PngImagePlugin

from tfnst.version import __version__

# PNG has text under a keyword of one's own, TIFF a description, the others Exif's
# comment.
PNG_KEYWORD = "tfnst"
_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131
_EXIF_POINTER, _USER_COMMENT = 0x8769, 0x9286
# Exif: eight bytes that say how the comment is encoded. JSON is kept to ASCII.
_ASCII = b"ASCII\0\0\0"
_PACKAGES = ("tensorflow", "keras", "numpy", "pillow")
# Above what JPEG's Exif segment holds, and what nobody's settings reach.
MAX_BYTES = 32_000


def describe_source(source: Any) -> dict[str, str | None]:
    """Which picture it is: the name of its file, and its SHA-256.

    Args:
        source: as for `tfnst.images.load_image`.

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
        style_image: from `tfnst.styles.describe_style`.
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


def save_options(manifest: dict[str, Any] | None, format: str) -> dict[str, Any]:
    """What `PIL.Image.Image.save` is to be given for a manifest to be written.

    Args:
        manifest: from `build_manifest`; None writes none.
        format: Pillow's name of the file format: PNG, JPEG, WEBP or TIFF.

    Raises:
        ValueError: for a manifest that is too long for a picture's file.
    """
    if manifest is None:
        return {}
    text = json.dumps(manifest)
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"`manifest` must be at most {MAX_BYTES} bytes of JSON. "
            f"Received: {len(text)} bytes"
        )
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt(PNG_KEYWORD, text)
        return {"pnginfo": chunks}
    software = f"tfnst {__version__}"
    if format == "TIFF":
        return {"tiffinfo": {_DESCRIPTION: text, _SOFTWARE: software}}
    exif = Image.Exif()
    exif[_SOFTWARE] = software
    exif.get_ifd(_EXIF_POINTER)[_USER_COMMENT] = _ASCII + text.encode()
    return {"exif": exif}


def read_manifest(source: str | os.PathLike[str] | bytes) -> dict[str, Any] | None:
    """The manifest in a picture's file; None for a picture without one.

    Args:
        source: the file's path, or what it holds.

    Raises:
        OSError: when the file can't be read.
    """
    if not isinstance(source, bytes):
        with open(source, "rb") as file:
            source = file.read()
    # Whatever a strange file leads Pillow to, there is no manifest in it.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(source)) as image:
        if image.format == "PNG":
            text = image.text[PNG_KEYWORD]
        elif image.format == "TIFF":
            text = image.tag_v2[_DESCRIPTION]
        else:
            comment = image.getexif().get_ifd(_EXIF_POINTER)[_USER_COMMENT]
            text = bytes(comment).removeprefix(_ASCII)
        manifest = json.loads(text)
        if isinstance(manifest, dict) and "settings" in manifest:
            return manifest
    return None
