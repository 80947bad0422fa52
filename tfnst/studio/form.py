"""The settings as fields of a form, made from what `tfnst.config` says of each."""

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

# What visitors don't decide: files and devices of the machine that serves the page.
HOST_SETTINGS = ("backbone", "weights", "device", "max_memory")
# What everybody needs; the others are in a drawer.
FRONT_SETTINGS = ("style_strength", "size", "preserve_color")
# Widest range that a slider can still be aimed in.
_WIDEST = 10.0


@dataclasses.dataclass(frozen=True)
class Field:
    """A setting as a person sees it.

    Attributes:
        name: of the setting.
        label: its name in words.
        help: what it does, in a sentence.
        kind: `"choice"`, `"switch"`, `"slider"`, `"integer"`, `"number"` or `"text"`.
        choices: of a choice.
        low: of a slider.
        high: of a slider.
        optional: whether it may be left empty; numbers that may are text, because
            what holds numbers on a page can't be empty.
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
    """The fields of the form, in the order of the settings.

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
    """What the fields hold for these settings.

    Args:
        config: the settings.
        shown: the fields.
    """
    return {field.name: _show(getattr(config, field.name), field) for field in shown}


def read_values(
    values: Mapping[str, Any], shown: Iterable[Field], host: StyleTransferConfig
) -> tuple[StyleTransferConfig | None, dict[str, ValueError]]:
    """The settings that a filled form stands for.

    Args:
        values: of the fields, by name.
        shown: the fields.
        host: the settings that aren't in the form.

    Returns:
        (the settings, or None if they aren't right; what is wrong, by the name of the
        field that it is about, which is empty for what concerns several).
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
    """What keeps a setting from being refused for the sake of another one."""
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
    """The value of a setting from that of its field."""
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        if field.optional:
            return None
        raise ArgumentError("empty", "nothing", argument=field.name, verb="must not be")
    if field.name.endswith(("layers", "layer_weights")):
        return tuple(part.strip() for part in str(value).split(","))
    if field.kind == "text":
        # What is no number is refused by the setting's own check, or understood.
        with contextlib.suppress(ValueError):
            return float(value)
    return value
