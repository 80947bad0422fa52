"""Planning a batch: pairs of content and style, and the names of their files."""

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
    check_choice,
    show_type,
)
from tfnst.config import StyleTransferConfig
from tfnst.files import check_path
from tfnst.images.formats import SUFFIXES
from tfnst.images.open_files import read_open_files
from tfnst.images.save_options import SaveOptions
from tfnst.images.style_images import style_images, style_paths
from tfnst.paths import NamedPath, check_outputs, named_paths
from tfnst.transfer.style_network import check_painting_settings, find_networks


def plan_items(
    contents: Iterable[Any],
    styles: Iterable[Any],
    output: str | os.PathLike[str] | None,
    *,
    pairs: bool = False,
    suffix: str = ".png",
    saving: SaveOptions | None = None,
) -> list[BatchItem]:
    """Makes the items of a batch: for each style every content, or pairs of them.

    Args:
        contents: the pictures to paint; each as for `tfnst.stylize`.
        styles: the styles to paint them in; each as for `tfnst.stylize`.
        output: folder or URL of the painted pictures; None to keep them in memory.
        pairs: pairs the first content with the first style, and so on.
        suffix: suffix of the files, which determines their format.
        saving: options for saving the pictures; SaveOptions() by default.

    Raises:
        ValueError: for an empty list, pairs of lists of different lengths, a bad
            suffix, two pictures with the same name, or one that would replace another
            that is painted.
    """
    contents, styles = _read_lists(contents, styles)
    if output is not None:
        with argument("output"):
            check_path(output)
    check_choice("suffix", suffix, SUFFIXES)
    (saving or SaveOptions()).check_format(suffix)
    items = []
    for i, j in _indices(len(contents), len(styles), pairs):
        path = None
        if output is not None:
            stem = f"{_file_stem(contents[i], i + 1)}_{_file_stem(styles[j], j + 1)}"
            path = storage.join(output, stem + suffix)
        items.append(BatchItem(contents[i], styles[j], path))
    _check_names(items)
    check_outputs(
        [
            *named_paths(*(("contents", content) for content in contents)),
            *(path for style in styles for path in _style_paths(style)),
        ],
        named_paths(*(("output", item.output) for item in items)),
    )
    return items


def check_settings(items: list[BatchItem], config: StyleTransferConfig) -> None:
    """Checks the settings of a batch in which networks paint all pictures.

    Beside pictures that are optimised, settings without effect on a network are let
    pass.

    Raises:
        ValueError: for a setting that has no effect.
    """
    styles = {id(item.style_image): item.style_image for item in items}
    if all(map(_is_network, styles.values())):
        check_painting_settings(config)


def _is_network(style_image: Any) -> bool:
    """Returns whether a style is a network; False for one that can't be read."""
    with contextlib.suppress(ValueError, OSError):
        return find_networks(style_image) is not None
    return False


def _read_lists(
    contents: Iterable[Any], styles: Iterable[Any]
) -> tuple[list[Any], list[Any]]:
    """Checks that both are lists of pictures, and reads those that are open files."""
    for name, pictures in (("contents", contents), ("styles", styles)):
        single = isinstance(pictures, str | bytes | os.PathLike)
        if single or not isinstance(pictures, Iterable):
            raise ArgumentError(
                "a list of pictures", show_type(pictures), argument=name
            )
    # They may be iterators.
    lists = read_open_files(list(contents), list(styles))
    for name, pictures in zip(("contents", "styles"), lists, strict=True):
        if not pictures:
            expected = "one picture or more"
            raise ArgumentError(expected, "none", argument=name, verb="must hold")
    return lists[0], lists[1]


def _indices(contents: int, styles: int, pairs: bool) -> list[tuple[int, int]]:
    """Indices of the content and the style of each item."""
    if not pairs:
        return [(i, j) for j in range(styles) for i in range(contents)]
    if contents != styles:
        raise ArgumentError(
            "as many as `contents` to be paired with them",
            f"{styles} styles and {contents} contents",
            argument="styles",
        )
    return [(i, i) for i in range(contents)]


def _check_names(items: list[BatchItem]) -> None:
    """Checks that no two items would be written to one path."""
    planned: dict[str | pathlib.Path, str] = {}
    for item in items:
        if item.output is None:
            continue
        shown = f"{show_source(item.content_image)} in {show_source(item.style_image)}"
        if item.output in planned:
            raise ValueError(
                "`contents` and `styles` must have different names. "
                f"Received: {planned[item.output]}, and {shown}, which would both be "
                f"written to {item.output}"
            )
        planned[item.output] = shown


def _style_paths(style_image: Any) -> list[NamedPath]:
    """Finds the files of a style; an empty blend, which will fail, has none."""
    with contextlib.suppress(ValueError):
        return style_paths(style_images(style_image))
    return []


def _file_stem(source: Any, number: int) -> str:
    """Returns the name of a picture in file names: that of its file, or its number."""
    if storage.is_path(source):
        return pathlib.PurePath(storage.file_name(source)).stem
    return f"{number:04}"
