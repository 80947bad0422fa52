"""Planning a batch: which picture is painted in which style, and its file's name."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from tfnst.batch import storage
from tfnst.batch.items import BatchItem
from tfnst.batch.sources import show_source
from tfnst.checks import (
    ArgumentError,
    argument,
    argument_error,
    check_choice,
    show_type,
)
from tfnst.files import check_path
from tfnst.images.formats import SUFFIXES
from tfnst.images.open_files import read_open_files
from tfnst.images.save_options import SaveOptions
from tfnst.images.style_images import style_images, style_paths
from tfnst.paths import NamedPath, check_outputs, named_paths


def plan_items(
    contents: Iterable[Any],
    styles: Iterable[Any],
    output: str | os.PathLike[str] | None,
    *,
    pairs: bool = False,
    suffix: str = ".png",
    saving: SaveOptions | None = None,
) -> list[BatchItem]:
    """The items of a batch: for each style every content, or pairs of them.

    Args:
        contents: the pictures to paint; each as for `tfnst.stylize`.
        styles: the styles to paint them in; each as for `tfnst.stylize`.
        output: folder or URL of the painted pictures; None to keep them in memory.
        pairs: pair the first content with the first style, and so on.
        suffix: suffix of the files, which chooses their format.
        saving: how they will be saved; SaveOptions() by default.

    Raises:
        ValueError: for an empty list, pairs of lists of different lengths, a bad
            suffix, two pictures with the same name, or one that would replace another
            that is painted.
    """
    for name, pictures in (("contents", contents), ("styles", styles)):
        single = isinstance(pictures, str | bytes | os.PathLike)
        if single or not isinstance(pictures, Iterable):
            raise argument_error(name, "a list of pictures", show_type(pictures))
    if output is not None:
        with argument("output"):
            check_path(output)
    # They may be iterators.
    held = read_open_files(list(contents), list(styles))
    contents, styles = (list(pictures) for pictures in held)
    for name, pictures in (("contents", contents), ("styles", styles)):
        if not pictures:
            expected = "one picture or more"
            raise ArgumentError(expected, "none", argument=name, verb="must hold")
    check_choice("suffix", suffix, SUFFIXES)
    (saving or SaveOptions()).check_format(suffix)
    if pairs:
        if len(contents) != len(styles):
            raise argument_error(
                "styles",
                "as many as `contents` to be paired with them",
                f"{len(styles)} styles and {len(contents)} contents",
            )
        indices = [(i, i) for i in range(len(contents))]
    else:
        indices = [(i, j) for j in range(len(styles)) for i in range(len(contents))]
    items = []
    planned: dict[str, str] = {}
    for i, j in indices:
        path = None
        if output is not None:
            stem = f"{_file_stem(contents[i], i + 1)}_{_file_stem(styles[j], j + 1)}"
            path = storage.join(output, stem + suffix)
            item = f"{show_source(contents[i])} in {show_source(styles[j])}"
            if stem in planned:
                raise ValueError(
                    "`contents` and `styles` must have different names. "
                    f"Received: {planned[stem]}, and {item}, which would both be "
                    f"written to {path}"
                )
            planned[stem] = item
        items.append(BatchItem(contents[i], styles[j], path))
    check_outputs(
        [
            *named_paths(*(("contents", content) for content in contents)),
            *(path for style in styles for path in _style_paths(style)),
        ],
        named_paths(*(("output", item.output) for item in items)),
    )
    return items


def _style_paths(style_image: Any) -> list[NamedPath]:
    """The files of a style; an empty blend, which will fail, has none."""
    with contextlib.suppress(ValueError):
        return style_paths(style_images(style_image))
    return []


def _file_stem(source: Any, number: int) -> str:
    """What to call a picture in file names: after its own file, or by number."""
    if storage.is_path(source):
        return pathlib.PurePath(storage.file_name(source)).stem
    return f"{number:04}"
