"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import click

from tfnst.cli.settings import (
    from_variable,
    name_variable,
    option_of,
    variable_of,
)
from tfnst.config import PRESETS, list_settings
from tfnst.images.save_options import SaveOptions
from tfnst.setting import Scope, Setting

Command = Callable[..., Any]
Option = Callable[[Command], Command]


def together(*options: Option) -> Option:
    """Several options in one decorator; `--help` shows them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def received_as(
    argument: str, make: Callable[..., Any], names: Iterable[str] = ()
) -> Option:
    """A decorator of a command that receives some of its options as one argument.

    Args:
        argument: name of the argument.
        make: function of these options that makes the argument.
        names: names of these options; by default those of the function's parameters.
    """
    names = list(names) or list(inspect.signature(make).parameters)

    def group(command: Command) -> Command:
        @functools.wraps(command)
        def with_group(**options: Any) -> Any:
            made = make(**{name: options.pop(name) for name in names})
            return command(**options, **{argument: made})

        return with_group

    return group


def split_names(text: str) -> tuple[str, ...]:
    """The names in a list with commas; a type of options."""
    return tuple(name.strip() for name in text.split(","))


def file_option(*names: str, help: str, **settings: Any) -> Option:
    """An option for the path of a file, with further settings of `click.option`."""
    settings = {"metavar": "FILE"} | settings
    return click.option(*names, type=click.Path(), help=help, **settings)


def number_option(*names: str, type: Any = int, **settings: Any) -> Option:
    """An option for a number; type and settings are `click.option`'s."""
    is_integer = type is int or isinstance(type, click.IntRange)
    settings = {"metavar": "N" if is_integer else "X"} | settings
    return click.option(*names, type=type, **settings)


output_option = file_option(
    "-o",
    "--output",
    required=True,
    help="File for the picture: .png, .jpg, .webp or .tif.",
)

cut_options = together(
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

gps_option = click.option(
    "--keep-gps",
    is_flag=True,
    help="Keep the location in the Exif data, which is left out by default.",
)


def _saving(bits: str, keep_gps: bool) -> SaveOptions:
    return SaveOptions(bits=int(bits), keep_gps=keep_gps)


saving_options = together(
    received_as("saving", _saving),
    click.option(
        "--bits",
        type=click.Choice(["8", "16"]),
        default="8",
        help="Bits per channel; 16 only in PNG and TIFF.",
    ),
    gps_option,
)


class SettingOption(click.Option):
    """An option whose value can come from an environment variable."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """The name for errors: the variable, if the bad value comes from there."""
        if self.name is not None and from_variable(self.name, ctx):
            return f"'{variable_of(self.name)}'"
        return super().get_error_hint(ctx)


def _name_variables(command: Command) -> Command:
    """A command whose errors about settings name the variables they come from."""

    @functools.wraps(command)
    def with_variables(**arguments: Any) -> Any:
        try:
            return command(**arguments)
        except (ValueError, OSError, MemoryError) as error:
            name_variable(error)
            raise

    return with_variables


def _shown_default(default: Any) -> str:
    """The default as `--help` shows it; empty for one that goes without saying."""
    if default is None or default is False:
        return ""
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _value_of_option(setting: Setting) -> dict[str, Any]:
    """The type and the placeholder of an option's value, for `click.option`."""
    if setting.type is tuple:
        return {"type": split_names, "metavar": setting.metavar or "A,B,..."}
    if setting.metavar is not None:
        return {"metavar": setting.metavar}
    if setting.choices:
        return {"type": click.Choice(setting.choices)}
    if setting.type is bool:
        return {}
    return {"type": setting.type, "metavar": "N" if setting.type is int else "X"}


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


def _setting_options(
    scope: Scope | None = None, default: str | None = None, **others: Option
) -> Option:
    """An option for each setting in a scope, received as the dict `options`.

    Args:
        scope: scope of the settings; None for all of them.
        default: description of the defaults in place of StyleTransferConfig's.
        **others: further options for this dict, by name.
    """
    settings = list_settings(scope)
    return together(
        received_as("options", dict, [*others, *(each.name for each in settings)]),
        _name_variables,
        *others.values(),
        *(_setting_option(each, default) for each in settings),
    )


config_options = _setting_options(
    preset=click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        help="Set of settings; --config and other options override it.",
    ),
    config=file_option(
        "--config",
        help="TOML file with settings; other options override it.",
    ),
)
# The settings that a request may carry, those that an exported model can have, those
# that a network learns by, and those of the network that compares pictures.
request_options = _setting_options("requested", default="the server's")
export_options = _setting_options("exported")
training_options = _setting_options("trained")
network_options = _setting_options("network")
