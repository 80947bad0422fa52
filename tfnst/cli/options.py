"""Options that several commands have, and the settings that they stand for."""

from __future__ import annotations

import dataclasses

import click

from tfnst import config as config_module
from tfnst.config import StyleTransferConfig, preset_settings
from tfnst.presets import PRESETS

_CHOICES = {
    "backbone": config_module.BACKBONES,
    "precision": config_module.PRECISIONS,
    "device": config_module.DEVICES,
    "style_loss": config_module.STYLE_LOSSES,
    "pooling": config_module.POOLINGS,
    "preserve_color": config_module.COLOR_MODES,
    "optimizer": config_module.OPTIMIZERS,
}
REQUEST_SETTINGS = (
    "style_strength",
    "content_weight",
    "style_weight",
    "total_variation_weight",
    "learning_rate",
    "steps",
    "size",
    "seed",
    "preserve_color",
)
# An exported step has no tiles, runs where its server does, and always to its end.
_EXPORT_SETTINGS = tuple(
    field.name
    for field in dataclasses.fields(StyleTransferConfig)
    if field.name not in ("max_memory", "device", "patience", "max_time")
)
_NETWORK_SETTINGS = ("backbone", "weights", "seed")
_TYPES = {"int": (int, "N"), "float": (float, "X")}


def config_options(command, names=None, default_of=None):
    """Adds one option for each setting, with the setting's name and default."""
    for field in reversed(dataclasses.fields(StyleTransferConfig)):
        if names is not None and field.name not in names:
            continue
        # The default is shown but not passed on: it lives in StyleTransferConfig.
        shown = field.default
        if isinstance(shown, tuple):
            shown = ",".join(shown)
        settings = {"help": field.metadata["help"], "default": None}
        if default_of is not None:
            settings["help"] += f"  [default: {default_of}]"
        elif shown is not None:
            settings["help"] += f"  [default: {shown}]"
        if field.name in _CHOICES:
            settings["type"] = click.Choice(_CHOICES[field.name])
        elif field.name.endswith(("layers", "layer_weights")):
            settings["metavar"] = "A,B,..."
        elif field.name == "init_image":
            settings["metavar"] = "content|style|noise|FILE"
        elif field.name == "max_time":
            settings["metavar"] = "SECONDS|5m|1h"
        elif field.name == "weights":
            settings["metavar"] = "imagenet|none|FILE"
        else:
            settings["type"], settings["metavar"] = _TYPES[field.type.split(" ")[0]]
        option = "--" + field.name.replace("_", "-")
        command = click.option(option, field.name, **settings)(command)
    if names is None:
        command = click.option(
            "--config",
            type=click.Path(),
            metavar="FILE",
            help="Settings in a TOML file; options that are given go first.",
        )(command)
        command = click.option(
            "--preset",
            type=click.Choice(list(PRESETS)),
            help="Some settings by one word; --config and options go first.",
        )(command)
    return command


def request_options(command):
    """Adds an option for each setting that a request may carry."""
    return config_options(command, REQUEST_SETTINGS, "the server's")


def export_options(command):
    """Adds an option for each setting that an exported model can have."""
    return config_options(command, _EXPORT_SETTINGS)


def network_options(command):
    """Adds an option for each setting that says which network looks at pictures."""
    return config_options(command, _NETWORK_SETTINGS)


def gps_option(command):
    """Adds the option that says whether files may tell where photos were taken."""
    return click.option(
        "--keep-gps",
        is_flag=True,
        help="Keep in the Exif data where the photo was taken; by default the rest "
        "is kept and the place is not.",
    )(command)


def saving_options(command):
    """Adds the options that say what is written into the files of pictures."""
    return click.option(
        "--bits",
        type=click.Choice(["8", "16"]),
        default="8",
        help="Bits a channel; 16 for PNG and TIFF.  [default: 8]",
    )(gps_option(command))


DEFAULTS = StyleTransferConfig()


def read_settings(settings, others=DEFAULTS):
    """The configuration that the options stand for, and the picture to start from.

    Args:
        settings: the options.
        others: the settings that no option is given for.
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    for name in settings:
        if name.endswith(("layers", "layer_weights")):
            settings[name] = tuple(part.strip() for part in settings[name].split(","))
    if "config" in settings:
        from tfnst.cli.config_files import read_config_file

        settings = read_config_file(settings.pop("config")) | settings
    if "preset" in settings:
        settings = preset_settings(settings.pop("preset")) | settings
    if settings.get("weights") == "none":
        settings["weights"] = None
    init_image = settings.pop("init_image", None)
    return others.replace(**settings), init_image
