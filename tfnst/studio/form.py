"""The settings as fields of a form, made from the definitions in `tfnst.config`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tfnst.checks import ArgumentError, argument_in
from tfnst.config import StyleTransferConfig, list_settings
from tfnst.setting import Setting

# Settings that the host decides: files and devices of the machine with the page.
HOST_SETTINGS = ("backbone", "weights", "device", "max_memory")
# Settings that everybody needs; the others are in a drawer.
FRONT_SETTINGS = ("style_strength", "size", "preserve_color")
# Labels other than the settings' names in words.
_LABELS = {"preserve_color": "Colours"}
# The page calls the content image the photo.
_CONTENT = re.compile(r"(?<=the )content(?=['.])")
# Widest range in which a slider can still be set precisely.
_WIDEST = 10.0


def fields(*, on_server: bool = False) -> tuple[Setting, ...]:
    """Returns the settings that have a field in the form, in their order.

    Args:
        on_server: whether a server paints, which takes only some of the settings.
    """
    return tuple(
        setting
        for setting in list_settings("requested" if on_server else None)
        if setting.name not in HOST_SETTINGS
    )


def show_values(
    config: StyleTransferConfig, shown: Iterable[Setting]
) -> dict[str, str | float | None]:
    """Returns the values of the fields for these settings.

    Args:
        config: the settings.
        shown: the settings that have a field.
    """
    return {each.name: _show(getattr(config, each.name), each) for each in shown}


def read_values(
    values: Mapping[str, Any], shown: Iterable[Setting], host: StyleTransferConfig
) -> tuple[StyleTransferConfig | None, dict[str, ValueError]]:
    """Reads and checks a filled form.

    Args:
        values: field name -> value.
        shown: the settings that have a field.
        host: settings that provide those without a field.

    Returns:
        (the settings, or None if there are errors; field name -> error, with
        an empty name if an error concerns several fields).
    """
    settings: dict[str, Any] = {}
    wrong: dict[str, ValueError] = {}
    for setting in shown:
        try:
            value = _read(values[setting.name], setting)
            settings[setting.name] = setting.checked(value)
        except ValueError as error:
            wrong[setting.name] = error
    if wrong:
        return None, wrong
    try:
        # Checks how settings go together, with the host's, too.
        return host.replace(**settings), {}
    except ValueError as error:
        name = argument_in(error)
        return None, {name if name in settings else "": error}


def kind_of(setting: Setting) -> str:
    """Returns the kind of a setting's field.

    Returns:
        `"choice"`, `"switch"`, `"slider"`, `"integer"`, `"number"` or `"text"`.
        Optional numbers are text, because a number field can't be empty.
    """
    if setting.choices:
        return "choice"
    if setting.type is bool:
        return "switch"
    if setting.optional or setting.type is tuple:
        return "text"
    if setting.type is int:
        return "integer"
    return "slider" if setting.high - setting.low <= _WIDEST else "number"


def choices_of(setting: Setting) -> list[str]:
    """Returns the choices of a setting's field."""
    # There is no picture to start from.
    return [choice for choice in setting.choices if choice != "given"]


def help_of(setting: Setting) -> str:
    """Returns the explanation of a setting, in the words of the page."""
    text = re.sub(r"`(\w+)`", lambda name: in_words(name[1]).lower(), setting.help)
    return _CONTENT.sub("photo", text)


def in_words(name: str) -> str:
    """The name of a setting in words, as the page shows it."""
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _show(value: Any, setting: Setting) -> str | float | None:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if kind_of(setting) != "text" or value is None:
        return value
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _read(value: Any, setting: Setting) -> Any:
    """Returns the value of a setting from that of its field."""
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        if setting.optional:
            return None
        raise ArgumentError(
            "empty", "nothing", argument=setting.name, verb="must not be"
        )
    if setting.name.endswith(("layers", "layer_weights")):
        return tuple(part.strip() for part in str(value).split(","))
    if kind_of(setting) == "text":
        # Other text is refused by the setting's own check, or understood by it.
        with contextlib.suppress(ValueError):
            return float(value)
    return value
