"""Settings in a file."""

from __future__ import annotations

import os
import sys
from typing import Any

from tfnst.config import StyleTransferConfig
from tfnst.files import os_error, show_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_config_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a TOML file: fields of StyleTransferConfig by name.

    Args:
        path: of a file such as ::

            size = 768
            style_strength = 0.6
            style_layers = ["block1_conv1", "block2_conv1"]

    Raises:
        OSError: when the file can't be read.
        ValueError: when it isn't TOML, or a setting in it is unknown or out of its
            range.
    """
    try:
        with open(path, "rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        expected = "a file that can be read"
        raise os_error(error, "config", expected, show_path(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"`config` must be a TOML file. Received: {show_path(path)}, {reason}"
        ) from error
    # Raises for a bad setting, before options hide it.
    StyleTransferConfig().replace(**settings)
    return settings
