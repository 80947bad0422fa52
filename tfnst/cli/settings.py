"""The settings of a command, and the source of each.

An option overrides an environment variable, which overrides a file of settings, which
overrides a preset, which overrides the defaults.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable
from typing import Any

import click
from click.core import ParameterSource

from tfnst.checks import (
    ArgumentError,
    argument,
    argument_in,
    check_choice,
    one_line,
    rename_argument,
)
from tfnst.config import (
    INIT_IMAGES,
    StyleTransferConfig,
    preset_settings,
    setting_names,
)
from tfnst.files import decode_text, read_file, show_path
from tfnst.paths import NamedPath, named_paths

DEFAULTS = StyleTransferConfig()
# The file with the weights "imagenet", in Python, too; see
# `tfnst.networks.weight_sources`. So this isn't the variable of `--weights`.
WEIGHTS_VARIABLE = "TFNST_WEIGHTS"


@dataclasses.dataclass(frozen=True)
class Origin:
    """The source of a setting's value.

    Attributes:
        kind: `"option"`, `"variable"`, `"file"`, `"preset"` or `"default"`.
        name: name of the option, the variable, the file or the preset.
    """

    kind: str
    name: str | None = None


def option_of(setting: str) -> str:
    """The option for a setting."""
    return f"--{setting.replace('_', '-')}"


def variable_of(setting: str) -> str | None:
    """The environment variable of a setting, if it has one."""
    variable = f"TFNST_{setting.upper()}"
    return None if variable == WEIGHTS_VARIABLE else variable


def from_variable(setting: str, context: click.Context | None = None) -> bool:
    """Returns whether the value of a setting comes from its environment variable.

    Args:
        setting: name of the setting.
        context: context of the command; by default that of the running one.
    """
    context = context or click.get_current_context(silent=True)
    return (
        context is not None
        and context.get_parameter_source(setting) is ParameterSource.ENVIRONMENT
    )


def refuse_options(names: Iterable[str], reason: str) -> None:
    """Refuses options that were given on the command line, unless as their defaults.

    Args:
        names: names of the options.
        reason: words for the error, after the option's name.

    Raises:
        click.UsageError: for the first of them.
    """
    context = click.get_current_context()
    defaults = {each.name: each.get_default(context) for each in context.command.params}
    for name in names:
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and context.params[name] != defaults[name]:
            raise click.UsageError(f"{option_of(name)} {reason}")


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given a value; the others' defaults aren't known here."""
    return {name: value for name, value in options.items() if value is not None}


def without_variables(options: dict[str, Any]) -> dict[str, Any]:
    """The options for a run that is repeated: without those from variables.

    Variables still set what a run may use of the machine, as that isn't repeated.
    """
    machine = setting_names("machine")
    return {
        name: None if from_variable(name) and name not in machine else value
        for name, value in options.items()
    }


def name_variable(error: Exception) -> None:
    """Names the variable in an error about a setting that comes from one."""
    setting = argument_in(error)
    if setting in setting_names() and from_variable(setting):
        rename_argument(error, variable_of(setting) or setting)


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
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    with argument("config"):
        data = read_file(path)
    try:
        settings = tomllib.loads(decode_text(data))
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        received = f"{show_path(path)}, {one_line(error)}"
        raise ArgumentError("a TOML file", received, argument="config") from error
    # A bad setting is an error even if an option overrides it.
    DEFAULTS.replace(**settings)
    return settings


def find_settings(options: dict[str, Any]) -> dict[str, tuple[Any, Origin]]:
    """The settings that options stand for, each with its source.

    Args:
        options: options by name; None for an option that isn't given.

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
        origin = Origin("file", path)
        found |= {n: (value, origin) for n, value in read_config_file(path).items()}
    for name, value in chosen.items():
        origin = Origin("option", option_of(name))
        if from_variable(name):
            origin = Origin("variable", variable_of(name))
        found[name] = value, origin
    return found


def read_config(options: dict[str, Any]) -> StyleTransferConfig:
    """The configuration that options stand for; `--init-image` must be a name."""
    config, init_image = read_settings(options)
    if init_image is not None:
        # "given" needs a picture.
        names = [name for name in INIT_IMAGES if name != "given"]
        init_image = check_choice("init_image", init_image, names)
        config = config.replace(init_image=init_image)
    return config


def setting_files(
    options: dict[str, Any], config: StyleTransferConfig
) -> list[NamedPath]:
    """The files that settings are read from, each with the name of its option."""
    return named_paths(("config", options["config"]), ("weights", config.weights))


def read_settings(
    options: dict[str, Any], others: StyleTransferConfig = DEFAULTS
) -> tuple[StyleTransferConfig, str | None]:
    """The configuration that options stand for, and the image to start from.

    Args:
        options: options by name; None for an option that isn't given.
        others: settings in place of the defaults.

    Returns:
        (configuration, name or path of `--init-image`, or None).

    Raises:
        ValueError: for settings that are out of their range, or a bad file of them.
        OSError: when a file of settings can't be read.
    """
    settings = {name: value for name, (value, _) in find_settings(options).items()}
    init_image = settings.pop("init_image", None)
    return others.replace(**settings), init_image
