"""Paths of painted films: the format that a path asks for, and checks."""

from __future__ import annotations

import os

from tfnst.checks import ArgumentError, argument
from tfnst.files import check_path, os_error, show_path, write_file
from tfnst.paths import check_outputs
from tfnst.video.picture_files import NUMBER

SUFFIXES = (".mp4", ".webm", ".gif", ".webp")
PICTURE_SUFFIXES = (".png", ".jpg")
_PICTURES = {".png": ".png", ".jpg": ".jpg", ".jpeg": ".jpg"}
_FRAME_NAME = "%05d.png"
_EXPECTED = (
    f"a path that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, a folder, or "
    "a pattern for pictures such as 'frames/%05d.png' or 'frames/%05d.jpg'"
)


@argument("output")
def film_suffix(path: str | os.PathLike[str]) -> str:
    """Finds the format that a path asks for.

    Args:
        path: path of a film that is to be written.

    Returns:
        The suffix: `.mp4`, `.webm`, `.gif` or `.webp`; or, for a folder or a pattern of
        picture files, `.png` or `.jpg`.

    Raises:
        ValueError: for any other path.
    """
    check_path(path)
    text = os.fsdecode(os.fspath(path))
    if os.path.isdir(text):
        return ".png"
    start, suffix = os.path.splitext(text)
    suffix = suffix.lower()
    if NUMBER.search(os.path.basename(start)):
        if suffix in _PICTURES:
            return _PICTURES[suffix]
    elif suffix in SUFFIXES:
        return suffix
    elif not suffix:
        return ".png"
    raise ArgumentError(_EXPECTED, show_path(path))


def _frame_pattern(path: str | os.PathLike[str]) -> str:
    """Returns the pattern of a film's picture files; for a folder, the usual one."""
    text = os.fspath(path)
    if NUMBER.search(os.path.basename(text)):
        return text
    return os.path.join(text, _FRAME_NAME)


def make_pattern(path: str | os.PathLike[str]) -> str:
    """Returns the pattern of a film's picture files, whose folder is made.

    Raises:
        OSError: when it can't be made.
    """
    pattern = _frame_pattern(path)
    try:
        os.makedirs(os.path.dirname(pattern) or ".", exist_ok=True)
    except OSError as error:
        expected = "a folder that can be written to"
        raise os_error(error, expected, show_path(path)) from error
    return pattern


@argument("output")
def check_film_output(
    path: str | os.PathLike[str], *, film: str | os.PathLike[str] | None = None
) -> str:
    """Checks that a film could be written to a path, before the work starts.

    Args:
        path: path of the film.
        film: path of the film that is read, and must stay as it is.

    Returns:
        The suffix, as `film_suffix`.

    Raises:
        ValueError: when the path asks for no film, or for the one that is read.
        OSError: when nothing can be written there.
    """
    suffix = film_suffix(path)
    if suffix in SUFFIXES:
        if film is not None:
            check_outputs([("film", film)], [("output", path)])
        if os.path.exists(path) and not os.path.isfile(path):
            raise ArgumentError("a regular file", show_path(path))
        write_file(path, None)
        return suffix
    folder = os.path.dirname(_frame_pattern(path)) or "."
    if film is not None and _reads_from(film, folder):
        raise ArgumentError("a folder other than that of `film`", show_path(path))
    # The folder is made if its parent exists.
    parent = folder if os.path.isdir(folder) else os.path.dirname(folder) or "."
    try:
        os.stat(os.path.join(parent, ""))
        if not os.access(parent, os.W_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        expected = "in a folder that can be written to"
        raise os_error(error, expected, show_path(path)) from error
    return suffix


def _reads_from(film: str | os.PathLike[str], folder: str) -> bool:
    """Returns whether a film consists of picture files in a folder."""
    if os.path.isfile(film):
        return False
    source = film if os.path.isdir(film) else os.path.dirname(film) or "."
    return os.path.realpath(source) == os.path.realpath(folder)
