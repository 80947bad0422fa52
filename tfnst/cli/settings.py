"""The settings that a command works with, and where each of them comes from.

An option overrides an environment variable, which overrides a file of settings, which
overrides a preset, which overrides the defaults.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from click.core import ParameterSource

from tfnst.checks import argument_in, check_choice, rename_argument
from tfnst.config import (
    INIT_IMAGES,
    StyleTransferConfig,
    preset_settings,
    setting_names,
)

DEFAULTS = StyleTransferConfig()
# Says which file the weights "imagenet" are, in Python, too; see
# `tfnst.networks.weight_sources`. So it doesn't stand in for `--weights`.
WEIGHTS_VARIABLE = "TFNST_WEIGHTS"


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where the value of a setting comes from.

    Attributes:
        kind: `"option"`, `"variable"`, `"file"`, `"preset"` or `"default"`.
        name: of the option, the variable, the file or the preset.
    """

    kind: str
    name: str | None = None


def option_of(setting: str) -> str:
    """The option for a setting."""
    return f"--{setting.replace('_', '-')}"


def variable_of(setting: str) -> str | None:
    """The environment variable that stands in for the option of a setting, if any."""
    variable = f"TFNST_{setting.upper()}"
    return None if variable == WEIGHTS_VARIABLE else variable


def from_variable(setting: str, context: click.Context | None = None) -> bool:
    """Whether a command has a setting from its environment variable.

    Args:
        setting: its name.
        context: of the command; by default that of the one that runs.
    """
    context = context or click.get_current_context(silent=True)
    return (
        context is not None
        and context.get_parameter_source(setting) is ParameterSource.ENVIRONMENT
    )


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given a value; the defaults of others live elsewhere."""
    return {name: value for name, value in options.items() if value is not None}


def without_variables(options: dict[str, Any]) -> dict[str, Any]:
    """The options without those from variables, which don't change a repeated run.

    Those that say what a run may use of the machine stay: they aren't repeated.
    """
    machine = setting_names(machine=True)
    return {
        name: None if from_variable(name) and name not in machine else value
        for name, value in options.items()
    }


def name_variable(error: Exception) -> None:
    """Names the variable in an error about a setting that comes from one."""
    setting = argument_in(error)
    if setting in setting_names() and from_variable(setting):
        rename_argument(error, variable_of(setting) or setting)


def find_settings(options: dict[str, Any]) -> dict[str, tuple[Any, Origin]]:
    """The settings that options stand for, with where each comes from.

    Args:
        options: by name; None where an option isn't given.

    Raises:
        ValueError: for a bad file of settings.
        OSError: when a file of settings can't be read.
    """
    chosen = given(options)
    path, preset = chosen.pop("config", None), chosen.pop("preset", None)
    found: dict[str, tuple[Any, Origin]] = {}
    if preset is not None:
        origin = Origin("preset", preset)
        found |= {n: (value, origin) for n, value in preset_settings(preset).items()}
    if path is not None:
        from tfnst.cli.config_files import read_config_file

        origin = Origin("file", path)
        found |= {n: (value, origin) for n, value in read_config_file(path).items()}
    for name, value in chosen.items():
        if name.endswith(("layers", "layer_weights")):
            value = tuple(part.strip() for part in value.split(","))
        origin = Origin("option", option_of(name))
        if from_variable(name):
            origin = Origin("variable", variable_of(name))
        found[name] = value, origin
    return found


def read_config(options: dict[str, Any]) -> StyleTransferConfig:
    """The configuration that options stand for; `--init-image` must be a name."""
    config, init_image = read_settings(options)
    if init_image is not None:
        # "given" goes with a picture.
        names = [name for name in INIT_IMAGES if name != "given"]
        init_image = check_choice("init_image", init_image, names)
        config = config.replace(init_image=init_image)
    return config


def read_settings(
    options: dict[str, Any], others: StyleTransferConfig = DEFAULTS
) -> tuple[StyleTransferConfig, str | None]:
    """The configuration that options stand for, and what to start from.

    Args:
        options: by name; None where an option isn't given.
        others: the settings that come from nowhere else.

    Returns:
        (the configuration, `--init-image`: a name, the path of a picture, or None).

    Raises:
        ValueError: for settings that are out of their range, or a bad file of them.
        OSError: when a file of settings can't be read.
    """
    settings = {name: value for name, (value, _) in find_settings(options).items()}
    init_image = settings.pop("init_image", None)
    return others.replace(**settings), init_image
