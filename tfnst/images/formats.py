"""The file formats that pictures are written in, by the suffixes of their paths."""

from __future__ import annotations

import os
from typing import Any

from tfnst.built_in import find_built_in
from tfnst.checks import ArgumentError, show_type
from tfnst.files import show_path

# Pillow's names of the formats.
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
SUFFIXES = tuple(FORMATS)
# Suffixes that folders of pictures are searched for.
READ_SUFFIXES = (*SUFFIXES, ".heic", ".heif")
# Suffix of the files of networks that have learned a style.
NETWORK_SUFFIX = ".keras"


def is_network(source: Any) -> bool:
    """Returns whether a style is given by a network's file, or is a built-in style.

    Raises:
        ValueError: for the name of neither a file nor a built-in style.
    """
    if find_built_in(source) is not None:
        return True
    return isinstance(source, str | os.PathLike) and os.fsdecode(
        source
    ).lower().endswith(NETWORK_SUFFIX)


def check_suffix(path: Any, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """The path's suffix in lower case, once it is one of `suffixes`.

    Raises:
        ValueError: when it is any other, or `path` isn't a path.
    """
    expected = f"a path that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError(expected, show_type(path))
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    if suffix not in suffixes:
        raise ArgumentError(expected, show_path(path))
    return suffix
