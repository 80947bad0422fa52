"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tfnst.cli.settings import (
    from_variable,
    name_variable,
    option_of,
    variable_of,
)
from tfnst.config import PRESETS, list_settings
from tfnst.setting import Scope, Setting

if TYPE_CHECKING:
    from tfnst.images.save_options import SaveOptions

Command = Callable[..., Any]
Option = Callable[[Command], Command]


def add_options(command: Command, *options: Option) -> Command:
    """Adds options to a command; `--help` shows them in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def file_option(*names: str, help: str, **settings: Any) -> Option:
    """An option for the path of a file, with further settings of `click.option`."""
    settings = {"metavar": "FILE"} | settings
    return click.option(*names, type=click.Path(), help=help, **settings)


def number_option(*names: str, type: Any = int, **settings: Any) -> Option:
    """An option for a number; type and settings are `click.option`'s."""
    is_integer = type is int or isinstance(type, click.IntRange)
    settings = {"metavar": "N" if is_integer else "X"} | settings
    return click.option(*names, type=type, **settings)


def grouped(command: Command, name: str, make: Callable[..., Any]) -> Command:
    """A command that receives some of its options as one argument.

    Args:
        command: function of the options by name.
        name: name of the argument.
        make: function that makes the argument from the options it takes.
    """
    names = list(inspect.signature(make).parameters)

    @functools.wraps(command)
    def with_group(**options: Any) -> Any:
        group = make(**{each: options.pop(each) for each in names})
        return command(**options, **{name: group})

    return with_group


def config_options(command: Command) -> Command:
    """Adds an option for every setting, and those that set several at once."""
    return _with_settings(
        command,
        click.option(
            "--preset",
            type=click.Choice(list(PRESETS)),
            help="Set of settings; --config and other options override it.",
        ),
        file_option(
            "--config",
            help="TOML file with settings; other options override it.",
        ),
        *_setting_options(),
    )


def request_options(command: Command) -> Command:
    """Adds an option for each setting that a request may carry."""
    return _with_settings(command, *_setting_options("requested", "the server's"))


def export_options(command: Command) -> Command:
    """Adds an option for each setting that an exported model can have."""
    return _with_settings(command, *_setting_options("exported"))


def training_options(command: Command) -> Command:
    """Adds an option for each setting that a network learns by."""
    return _with_settings(command, *_setting_options("trained"))


def network_options(command: Command) -> Command:
    """Adds an option for each setting of the network that compares pictures."""
    return _with_settings(command, *_setting_options("network"))


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
        """The name for errors: the variable, if the bad value comes from there."""
        if self.name is not None and from_variable(self.name, ctx):
            return f"'{variable_of(self.name)}'"
        return super().get_error_hint(ctx)


def _setting_options(
    scope: Scope | None = None, default: str | None = None
) -> list[Option]:
    """An option for each setting in a scope, with the setting's name and help.

    Args:
        scope: scope of the settings; None for all of them.
        default: description of the defaults in place of StyleTransferConfig's.
    """
    return [_setting_option(each, default) for each in list_settings(scope)]


def _setting_option(setting: Setting, default: str | None) -> Option:
    name = option_of(setting.name)
    help = re.sub(r"`(\w+)`", lambda match: option_of(match[1]), setting.help)
    facts = []
    if shown := default or _shown_default(setting.default):
        facts.append(f"default: {shown}")
    if math.isfinite(setting.high - setting.low):
        facts.append(f"{setting.low}<=x<={setting.high}")
    if facts:
        help += f"  [{'; '.join(facts)}]"
    switch = f"/--no-{name.removeprefix('--')}" if setting.type is bool else ""
    return click.option(
        f"{name}{switch}",
        setting.name,
        cls=SettingOption,
        envvar=variable_of(setting.name),
        # What isn't given isn't passed on: StyleTransferConfig has the default.
        default=None,
        help=help,
        **_value_of_option(setting),
    )


def _shown_default(default: Any) -> str:
    """The default as `--help` shows it; empty for one that goes without saying."""
    if default is None or default is False:
        return ""
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _value_of_option(setting: Setting) -> dict[str, Any]:
    """The type and the placeholder of an option's value, for `click.option`."""
    if setting.metavar is not None:
        return {"metavar": setting.metavar}
    if setting.type is tuple:
        return {"metavar": "A,B,..."}
    if setting.choices:
        return {"type": click.Choice(setting.choices)}
    if setting.type is bool:
        return {}
    return {"type": setting.type, "metavar": "N" if setting.type is int else "X"}


def output_option(command: Command) -> Command:
    """Adds the option for the file of the painted picture."""
    return file_option(
        "-o",
        "--output",
        required=True,
        help="File for the picture: .png, .jpg, .webp or .tif.",
    )(command)


def cut_options(command: Command) -> Command:
    """Adds the options that select frames of a video."""
    return add_options(
        command,
        click.option(
            "--start",
            type=click.FloatRange(min=0),
            default=0,
            metavar="SECONDS",
            help="Time in the video to begin at.",
        ),
        click.option(
            "--end",
            type=float,
            metavar="SECONDS",
            help="Time in the video to stop at; by default its end.",
        ),
        number_option(
            "--every",
            type=click.IntRange(min=1),
            default=1,
            help="Use only every N-th frame.",
        ),
    )


def gps_option(command: Command) -> Command:
    """Adds the option that keeps the location of photos in the files."""
    return click.option(
        "--keep-gps",
        is_flag=True,
        help="Keep the location in the Exif data, which is left out by default.",
    )(command)


def saving_options(command: Command) -> Command:
    """Adds the options for saving pictures, received as `saving`."""
    bits = click.option(
        "--bits",
        type=click.Choice(["8", "16"]),
        default="8",
        help="Bits per channel; 16 only in PNG and TIFF.",
    )
    return add_options(grouped(command, "saving", _saving), bits, gps_option)


def _saving(bits: str, keep_gps: bool) -> SaveOptions:
    from tfnst.images.save_options import SaveOptions

    return SaveOptions(bits=int(bits), keep_gps=keep_gps)
