"""The settings as fields of a form, made from the definitions in `tfnst.config`."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from tfnst.checks import ArgumentError, argument_in, check_text
from tfnst.config import StyleTransferConfig, setting_names

# Settings that the host decides: files and devices of the machine with the page.
HOST_SETTINGS = ("backbone", "weights", "device", "max_memory")
# Settings that everybody needs; the others are in a drawer.
FRONT_SETTINGS = ("style_strength", "size", "preserve_color")
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
    names = setting_names(requested=True) if on_server else setting_names()
    return tuple(
        _field(setting)
        for setting in dataclasses.fields(StyleTransferConfig)
        if setting.name in names and setting.name not in HOST_SETTINGS
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
    settings: dict[str, Any] = {}
    wrong: dict[str, ValueError] = {}
    for field in shown:
        try:
            value = _read(values[field.name], field)
            # Together with the host's settings, which are right by themselves.
            if not field.name.endswith("_layer_weights"):
                StyleTransferConfig(**{field.name: value} | _partner(field.name))
            settings[field.name] = value
        except ValueError as error:
            wrong[field.name] = error
    if wrong:
        return None, wrong
    try:
        return host.replace(**settings), {}
    except ValueError as error:
        name = argument_in(error)
        return None, {name if name in settings else "": error}


def _partner(name: str) -> dict[str, Any]:
    """Returns a setting that keeps another one from being refused in combination."""
    return {"content_weight": 1.0} if name != "content_weight" else {"style_weight": 1}


def _field(setting: dataclasses.Field[Any]) -> Field:
    about = setting.metadata
    kind, *_ = str(setting.type).split()
    optional = str(setting.type).endswith("| None")
    choices = about["choices"]
    bounds = {}
    if isinstance(about["check"], partial):
        bounds = about["check"].keywords
    low, high = bounds.get("low", -math.inf), bounds.get("high", math.inf)
    if choices:
        what = "choice"
    elif kind == "bool":
        what = "switch"
    elif optional or about["metavar"] is not None or about["check"] is check_text:
        what = "text"
    elif kind == "int":
        what = "integer"
    elif high - low <= _WIDEST:
        what = "slider"
    else:
        what = "number"
    return Field(
        name=setting.name,
        label=_in_words(setting.name),
        help=re.sub(r"--([a-z-]+)", lambda m: _in_words(m[1]).lower(), about["help"]),
        kind=what,
        choices=tuple(choice for choice in choices if choice != "given"),
        low=low,
        high=high,
        optional=optional,
    )


def _in_words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").capitalize()


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
