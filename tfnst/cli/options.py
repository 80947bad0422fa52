"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tfnst.cli.settings import (
    from_variable,
    name_variable,
    option_of,
    variable_of,
)
from tfnst.config import PRESETS, StyleTransferConfig, setting_names

if TYPE_CHECKING:
    from tfnst.images.save_options import SaveOptions

_TYPES = {"int": (int, "N"), "float": (float, "X")}

Command = Callable[..., Any]
Option = Callable[[Command], Command]


def add_options(command: Command, *options: Option) -> Command:
    """Adds options to a command; `--help` shows them in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def file_option(*names: str, help: str, **settings: Any) -> Option:
    """An option for the path of a file; the settings are `click.option`'s."""
    settings = {"metavar": "FILE"} | settings
    return click.option(*names, type=click.Path(), help=help, **settings)


def grouped(command: Command, name: str, make: Callable[..., Any]) -> Command:
    """A command that receives some of its options as one argument.

    Args:
        command: a function of the options by name.
        name: of the argument.
        make: makes the argument from the options that its parameters name.
    """
    names = list(inspect.signature(make).parameters)

    @functools.wraps(command)
    def with_group(**options: Any) -> Any:
        group = make(**{each: options.pop(each) for each in names})
        return command(**options, **{name: group})

    return with_group


def config_options(command: Command) -> Command:
    """Adds an option for every setting, and those that give several at once."""
    return _with_settings(
        command,
        click.option(
            "--preset",
            type=click.Choice(list(PRESETS)),
            help="Several settings by one name; --config and options override it.",
        ),
        file_option(
            "--config",
            help="Settings from a TOML file; options given here override it.",
        ),
        *_setting_options(setting_names()),
    )


def request_options(command: Command) -> Command:
    """Adds an option for each setting that a request may carry."""
    names = setting_names(requested=True)
    return _with_settings(command, *_setting_options(names, "the server's"))


def export_options(command: Command) -> Command:
    """Adds an option for each setting that an exported model can have."""
    return _with_settings(command, *_setting_options(setting_names(exported=True)))


def network_options(command: Command) -> Command:
    """Adds an option for each setting of the network that compares pictures."""
    return _with_settings(command, *_setting_options(setting_names(network=True)))


def _with_settings(command: Command, *options: Option) -> Command:
    """A command with options for settings, whose errors name the variables."""

    @functools.wraps(command)
    def with_variables(**arguments: Any) -> Any:
        try:
            return command(**arguments)
        except (ValueError, OSError, MemoryError) as error:
            name_variable(error)
            raise

    return add_options(with_variables, *options)


class SettingOption(click.Option):
    """An option whose value can come from an environment variable."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """What errors call it: the variable if the bad value comes from there."""
        if self.name is not None and from_variable(self.name, ctx):
            return f"'{variable_of(self.name)}'"
        return super().get_error_hint(ctx)


def _setting_options(
    names: Sequence[str], default_of: str | None = None
) -> list[Option]:
    """One option for each setting, with the setting's name, help and default."""
    return [
        _setting_option(field, default_of)
        for field in dataclasses.fields(StyleTransferConfig)
        if field.name in names
    ]


def _setting_option(field: dataclasses.Field[Any], default_of: str | None) -> Option:
    about, default = field.metadata, default_of or field.default
    if isinstance(default, tuple):
        default = ",".join(default)
    # The default is shown but not passed on: it lives in StyleTransferConfig.
    unsaid = default is None or default is False
    shown = "" if unsaid else f"  [default: {default}]"
    names, value = option_of(field.name), dict[str, Any]()
    if field.type == "bool":
        names += f"/--no-{names.removeprefix('--')}"
    elif about["metavar"] is not None:
        value = {"metavar": about["metavar"]}
    elif about["choices"]:
        value = {"type": click.Choice(about["choices"])}
    else:
        kind, metavar = _TYPES[str(field.type).split()[0]]
        value = {"type": kind, "metavar": metavar}
    return click.option(
        names,
        field.name,
        cls=SettingOption,
        envvar=variable_of(field.name),
        default=None,
        help=about["help"] + shown,
        **value,
    )


def output_option(command: Command) -> Command:
    """Adds the option for the file of the painted picture."""
    return file_option(
        "-o",
        "--output",
        required=True,
        help="Where to write the picture: .png, .jpg, .webp or .tif.",
    )(command)


def cut_options(command: Command) -> Command:
    """Adds the options for which frames of a film are used."""
    return add_options(
        command,
        click.option(
            "--start",
            type=click.FloatRange(min=0),
            default=0.0,
            metavar="SECONDS",
            help="Where in the film to begin.  [default: 0]",
        ),
        click.option(
            "--end",
            type=float,
            metavar="SECONDS",
            help="Where in the film to end; by default at its end.",
        ),
        click.option(
            "--every",
            type=click.IntRange(min=1),
            default=1,
            metavar="N",
            help="Use each N-th frame.  [default: 1]",
        ),
    )


def gps_option(command: Command) -> Command:
    """Adds the option that says whether files may tell where photos were taken."""
    return click.option(
        "--keep-gps",
        is_flag=True,
        help="Keep the location in the Exif data, which is otherwise left out.",
    )(command)


def saving_options(command: Command) -> Command:
    """Adds the options for how pictures are saved, received as `saving`."""
    bits = click.option(
        "--bits",
        type=click.Choice(["8", "16"]),
        default="8",
        help="Bits per channel; 16 for PNG and TIFF.  [default: 8]",
    )
    return add_options(grouped(command, "saving", _saving), bits, gps_option)


def _saving(bits: str, keep_gps: bool) -> SaveOptions:
    from tfnst.images.save_options import SaveOptions

    return SaveOptions(bits=int(bits), keep_gps=keep_gps)
