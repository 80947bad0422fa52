"""The styles that come with tfnst: networks that have learned them, by name."""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from typing import Any

from tfnst.checks import ArgumentError

# `examples/train_styles.py` trains the networks in it.
FOLDER = pathlib.Path(__file__).parent / "styles"


def built_in_styles() -> list[str]:
    """The names of the styles that come with tfnst.

    A name can be the `style_image` of `tfnst.stylize`, which then paints at once.
    """
    return sorted(path.stem for path in FOLDER.glob("*.keras"))


def find_built_in(source: Any) -> str | None:
    """The path of the network of a built-in style; None for paths and pictures.

    A name is a string without a suffix and without separators. A file of that name goes
    before a built-in style.

    Raises:
        ValueError: for the name of neither a file nor a built-in style.
    """
    if not isinstance(source, str) or os.path.basename(source) != source:
        return None
    names = built_in_styles()
    if source in names and not os.path.isfile(source):
        return str(FOLDER / f"{source}.keras")
    if not source or os.path.splitext(source)[1] or os.path.exists(source):
        return None
    raise ArgumentError(
        f"a file, or the name of a built-in style: {', '.join(names)}", repr(source)
    )


def training_facts(name: str) -> dict[str, Any]:
    """Facts about the training of a built-in style, from its file."""
    with zipfile.ZipFile(FOLDER / f"{name}.keras") as archive:
        facts = json.loads(archive.read("tfnst.json"))
    return {"style_image": facts["style_image"], **facts["training"]}
