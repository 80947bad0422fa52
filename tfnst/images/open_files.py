"""Open files among pictures, which can be read only once."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from tfnst.images.style_images import StyleImage


def read_open_files(*sources: Any) -> tuple[Any, ...]:
    """Pictures with bytes in place of open files.

    Args:
        *sources: pictures as `tfnst.stylize` takes them, styles, and lists of either.
            A file that is given more than once is read once.
    """
    read: dict[int, Any] = {}

    def hold(source: Any) -> Any:
        if isinstance(source, list | tuple):
            return [hold(each) for each in source]
        if isinstance(source, StyleImage):
            pictures = ("image", "mask", "region")
            held = {name: hold(getattr(source, name)) for name in pictures}
            return dataclasses.replace(source, **held)
        if not hasattr(source, "read"):
            return source
        if id(source) not in read:
            read[id(source)] = _read(source)
        return read[id(source)]

    return tuple(map(hold, sources))


def _read(file: Any) -> Any:
    """The bytes of a file; the file if that fails, for `load_image` to say why."""
    with contextlib.suppress(OSError, ValueError):
        data = file.read()
        if isinstance(data, bytes) and data:
            return data
    return file
