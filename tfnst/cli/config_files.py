"""Files of settings."""

from __future__ import annotations

import os
import sys
from typing import Any

from tfnst.checks import ArgumentError, argument, one_line
from tfnst.config import StyleTransferConfig
from tfnst.files import decode_text, read_file, show_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_config_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a TOML file, by name.

    Args:
        path: path of a file such as ::

            size = 768
            style_strength = 0.6
            style_layers = ["block1_conv1", "block2_conv1"]

    Raises:
        OSError: when the file can't be read.
        ValueError: when it isn't TOML, or a setting in it is unknown or out of its
            range.
    """
    with argument("config"):
        data = read_file(path)
    try:
        settings = tomllib.loads(decode_text(data))
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        received = f"{show_path(path)}, {one_line(error)}"
        raise ArgumentError("a TOML file", received, argument="config") from error
    # A bad setting is an error even if an option overrides it.
    StyleTransferConfig().replace(**settings)
    return settings
