"""The settings as fields of a form, made from the definitions in `tfnst.config`."""

from __future__ import annotations

import contextlib
import dataclasses
import math
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


@dataclasses.dataclass(frozen=True)
class Field:
    """A setting as a field of the form.

    Attributes:
        name: name of the setting.
        label: name in words.
        help: explanation in a sentence.
        kind: `"choice"`, `"switch"`, `"slider"`, `"integer"`, `"number"` or `"text"`.
        choices: choices, of that kind.
        low: least value of a slider.
        high: largest value of a slider.
        optional: whether the field may be empty. Optional numbers are text, because a
            number field can't be empty.
    """

    name: str
    label: str
    help: str
    kind: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    optional: bool = False


def fields(*, on_server: bool = False) -> tuple[Field, ...]:
    """Returns the fields of the form, in the order of the settings.

    Args:
        on_server: whether a server paints, which takes only some of the settings.
    """
    return tuple(
        _field(setting)
        for setting in list_settings("requested" if on_server else None)
        if setting.name not in HOST_SETTINGS
    )


def show_values(
    config: StyleTransferConfig, shown: Iterable[Field]
) -> dict[str, str | float | None]:
    """Returns the values of the fields for these settings.

    Args:
        config: the settings.
        shown: the fields.
    """
    return {field.name: _show(getattr(config, field.name), field) for field in shown}


def read_values(
    values: Mapping[str, Any], shown: Iterable[Field], host: StyleTransferConfig
) -> tuple[StyleTransferConfig | None, dict[str, ValueError]]:
    """Reads and checks a filled form.

    Args:
        values: field name -> value.
        shown: the fields.
        host: settings that provide those without a field.

    Returns:
        (the settings, or None if there are errors; field name -> error, with
        an empty name if an error concerns several fields).
    """
    known = {setting.name: setting for setting in list_settings()}
    settings: dict[str, Any] = {}
    wrong: dict[str, ValueError] = {}
    for field in shown:
        try:
            value = _read(values[field.name], field)
            settings[field.name] = known[field.name].checked(value)
        except ValueError as error:
            wrong[field.name] = error
    if wrong:
        return None, wrong
    try:
        # Checks how settings go together, with the host's, too.
        return host.replace(**settings), {}
    except ValueError as error:
        name = argument_in(error)
        return None, {name if name in settings else "": error}


def _field(setting: Setting) -> Field:
    return Field(
        name=setting.name,
        label=in_words(setting.name),
        help=_CONTENT.sub(
            "photo", re.sub(r"`(\w+)`", lambda m: in_words(m[1]).lower(), setting.help)
        ),
        kind=_kind(setting),
        # There is no picture to start from.
        choices=tuple(choice for choice in setting.choices if choice != "given"),
        low=setting.low,
        high=setting.high,
        optional=setting.optional,
    )


def _kind(setting: Setting) -> str:
    """The kind of a setting's field; see `Field`."""
    if setting.choices:
        return "choice"
    if setting.type is bool:
        return "switch"
    if setting.optional or setting.type is tuple:
        return "text"
    if setting.type is int:
        return "integer"
    return "slider" if setting.high - setting.low <= _WIDEST else "number"


def in_words(name: str) -> str:
    """The name of a setting in words, as the page shows it."""
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _show(value: Any, field: Field) -> str | float | None:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if field.kind == "text" and isinstance(value, float):
        return f"{value:.10g}"
    return str(value) if field.kind == "text" and value is not None else value


def _read(value: Any, field: Field) -> Any:
    """Returns the value of a setting from that of its field."""
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        if field.optional:
            return None
        raise ArgumentError("empty", "nothing", argument=field.name, verb="must not be")
    if field.name.endswith(("layers", "layer_weights")):
        return tuple(part.strip() for part in str(value).split(","))
    if field.kind == "text":
        # Other text is refused by the setting's own check, or understood by it.
        with contextlib.suppress(ValueError):
            return float(value)
    return value
