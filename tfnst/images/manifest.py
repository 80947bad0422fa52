"""The manifest of a picture: its sources, its settings, and the versions of packages.

It is stored inside the picture's file, so that a picture can say how it was made, and
so that a batch knows which of its pictures it has painted already.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from tfnst.checks import ArgumentError, show_type
from tfnst.files import read_file, show_path
from tfnst.images.decoding import open_path, read_pil
from tfnst.images.metadata import EXIF_IFD
from tfnst.images.source import PictureSource
from tfnst.version import __version__

# PNG stores text under any keyword, TIFF has a description, the others have Exif's
# comment.
PNG_KEYWORD = "tfnst"
_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131
_USER_COMMENT = 0x9286
# Exif: eight bytes that name the comment's encoding. The JSON is plain ASCII.
_ASCII = b"ASCII\0\0\0"
_PACKAGES = ("tensorflow", "keras", "numpy", "pillow")
# More than any settings need, and half the size of JPEG's Exif segment.
MAX_BYTES = 32_000


def describe_source(
    source: Any, *, file_name: str | None = None
) -> dict[str, str | None]:
    """Identifies a picture by the name of its file and its SHA-256.

    Args:
        source: as for `tfnst.images.reading.load_image`.
        file_name: name of the file that the bytes in `source` come from. By default
            the last part of a path, and None for anything else.

    Returns:
        `name`, the file's name without its folder, or None; and `sha256`, the digest
        of the file's bytes, of the array's values, or of a PIL image's as they are
        painted, which depend on its palette, too; None for an open file.

    Raises:
        OSError: when a file can't be read.
        ValueError: for a PIL image that isn't whole, and for what is no picture.
    """
    shown = PictureSource(show_type(source))
    if isinstance(source, str | os.PathLike):
        shown = shown.shown_as(show_path(source))
        with open_path(source, shown) as file:
            name = file_name or os.path.basename(os.fsdecode(source))
            return describe_file(file, shown, file_name=name)
    if isinstance(source, bytes | bytearray | memoryview):
        return _description(hashlib.sha256(source), file_name)
    if isinstance(source, Image.Image):
        rgb, info = read_pil(source, shown.shown_as(f"PIL image of mode {source.mode}"))
        return describe_arrays(rgb, info.alpha, file_name=file_name)
    if hasattr(source, "read"):
        return {"name": file_name, "sha256": None}
    if hasattr(source, "__array__") and not np.asarray(source).dtype.hasobject:
        return describe_arrays(source, file_name=file_name)
    raise shown.kind_error()


def describe_file(
    file: BinaryIO, source: PictureSource, *, file_name: str | None
) -> dict[str, str | None]:
    """Identifies an open file, as `describe_source`; it is read to its end.

    Raises:
        OSError: when it can't be read.
    """
    digest = hashlib.sha256()
    try:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    except OSError as error:
        raise source.os_error(error) from error
    return _description(digest, file_name)


def describe_arrays(
    *arrays: Any, file_name: str | None = None
) -> dict[str, str | None]:
    """Identifies arrays or tensors by their values; None adds nothing."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            array = np.ascontiguousarray(array)
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.view(np.uint8).reshape(-1).data)
    return _description(digest, file_name)


def _description(digest: Any, file_name: str | None) -> dict[str, str | None]:
    return {"name": file_name, "sha256": digest.hexdigest()}


def without_names(source: Any) -> Any:
    """The description of a picture, or of each in a list, without file names.

    Args:
        source: description from `describe_source` or
            `tfnst.images.style_images.describe_style`; anything else, as a strange
            manifest may hold, is returned as it is.
    """
    if isinstance(source, list):
        return [without_names(each) for each in source]
    if not isinstance(source, dict):
        return source
    return {name: value for name, value in source.items() if name != "name"}


def network_of(manifest: dict[str, Any]) -> tuple[Any, Any]:
    """Name and hash of the weights; None where a strange manifest has neither."""
    weights = manifest.get("weights")
    sha256 = weights.get("sha256") if isinstance(weights, dict) else None
    return manifest.get("backbone"), sha256


def build_manifest(
    *,
    settings: dict[str, Any],
    content_image: dict[str, str | None],
    style_image: Any,
    **facts: Any,
) -> dict[str, Any]:
    """Builds the manifest of a run.

    Args:
        settings: settings of the run, from `StyleTransferConfig.to_dict`.
        content_image: description from `describe_source`.
        style_image: description from `tfnst.images.style_images.describe_style`.
        **facts: other facts worth recording, as plain values that JSON can hold.
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
    """Adds a manifest to the Exif tags of a picture's file.

    Args:
        manifest: manifest from `build_manifest`.
        format: Pillow's name of the file format: PNG, JPEG, WEBP or TIFF.
        exif: tags to change, from `tfnst.images.metadata.build_exif`. The manifest
            replaces the comment, or in TIFF the description.

    Returns:
        For PNG the manifest as text, to be stored under `PNG_KEYWORD` instead; None
        for the other formats.

    Raises:
        ValueError: when the manifest is too long for a picture's file.
    """
    text = json.dumps(manifest)
    if len(text) > MAX_BYTES:
        expected = f"at most {MAX_BYTES} bytes of JSON"
        raise ArgumentError(expected, f"{len(text)} bytes", argument="manifest")
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
    source: str | os.PathLike[str] | bytes,
) -> dict[str, Any] | None:
    """The manifest in a picture's file; None for a picture without one.

    Args:
        source: path or bytes of the file.

    Raises:
        OSError: when the file can't be read; `FileNotFoundError` and the like.
        ValueError: when `source` can't be a path.
    """
    data = source if isinstance(source, bytes) else read_file(source)
    # A file that makes Pillow raise, whatever the error, holds no manifest.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as image:
        text: str | bytes
        if isinstance(image, PngImagePlugin.PngImageFile):
            text = image.text[PNG_KEYWORD]
        elif isinstance(image, TiffImagePlugin.TiffImageFile):
            text = image.tag_v2[_DESCRIPTION]
        else:
            comment = image.getexif().get_ifd(EXIF_IFD)[_USER_COMMENT]
            text = bytes(comment).removeprefix(_ASCII)
        manifest = json.loads(text)
        if isinstance(manifest, dict) and "settings" in manifest:
            return manifest
    return None


def find_manifest(source: Any) -> dict[str, Any] | None:
    """The manifest of a picture that is a file with one; None for any other picture.

    Args:
        source: as for `tfnst.images.reading.load_image`.

    Raises:
        ValueError, OSError: as `read_manifest`.
    """
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if isinstance(source, str | os.PathLike | bytes):
        return read_manifest(source)
    return None


def without_manifest(exif: dict[int, Any]) -> dict[int, Any]:
    """The Exif tags of a painted picture, without those that hold its manifest.

    Args:
        exif: tags from `tfnst.images.metadata.read_info`.
    """
    kept = dict(exif)
    if str(kept.get(_DESCRIPTION, "")).startswith("{"):
        del kept[_DESCRIPTION]
    photo = dict(kept.get(EXIF_IFD, {}))
    comment = photo.get(_USER_COMMENT)
    if isinstance(comment, bytes) and comment.startswith(_ASCII + b"{"):
        del photo[_USER_COMMENT]
        kept[EXIF_IFD] = photo
    return kept


def read_painted(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest in the file of a picture that tfnst has painted.

    Raises:
        OSError: when the file can't be read; `FileNotFoundError` and the like.
        ValueError: when it holds no manifest.
    """
    manifest = read_manifest(path)
    if manifest is None:
        expected = "a picture that tfnst has painted"
        received = f"{show_path(path)}, which holds no manifest"
        raise ArgumentError(expected, received)
    return manifest
