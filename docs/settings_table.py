"""Writes docs/settings.md: every setting, from where they are declared.

python docs/settings_table.py
"""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import re
import textwrap
from typing import Any

from tfnst.cli.settings import WEIGHTS_VARIABLE, option_of, variable_of
from tfnst.config import PRESETS, StyleTransferConfig

PAGE = pathlib.Path(__file__).parent / "settings.md"

_HEAD = """\
# All settings

Each setting is a field of `tfnst.StyleTransferConfig`, an argument of
`tfnst.stylize`, an option of `tfnst stylize` and `tfnst batch`, a line in the file of
`--config`, and
[a variable of the environment](commands.md#settings-from-the-environment).
[choosing.md](choosing.md) sorts them by what you want.

`python docs/settings_table.py` wrote this page from `tfnst/config.py`.

| setting | default | what it is |
| --- | --- | --- |
"""

_FOOT = """
## Presets

`--preset` sets several of them by one name. [runs.md](runs.md#presets) says what that
costs.

"""


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The text of the page."""
    about = _descriptions()
    fields = dataclasses.fields(StyleTransferConfig)
    rows = [
        f"| [`{f.name}`](#{f.name}) | {_shown(f.default)} | {f.metadata['help']} |\n"
        for f in fields
    ]
    sections = [
        f"\n## {f.name}\n\n{_facts(f)}\n\n{_wrapped(about[f.name])}\n" for f in fields
    ]
    presets = [f"- `{name}`: {_changes(PRESETS[name])}\n" for name in PRESETS]
    return "".join([_HEAD, *rows, *sections, _FOOT, *presets])


def _facts(field: dataclasses.Field[Any]) -> str:
    """A line with the option, the variable, the default, and the choices."""
    name = field.name
    facts = [
        f"`{option_of(name)}`",
        f"`{variable_of(name) or WEIGHTS_VARIABLE}`",
        f"default: {_shown(field.default)}",
    ]
    if field.metadata["choices"] and field.metadata["metavar"] is None:
        choices = ", ".join(f"`{choice}`" for choice in field.metadata["choices"])
        facts.append(f"choices: {choices}")
    if field.metadata["requested"]:
        facts.append("also in requests to a server")
    elif not field.metadata["exported"]:
        facts.append("not in exported models")
    return "; ".join(facts)


def _descriptions() -> dict[str, str]:
    """What the class says of each of its settings."""
    text = inspect.cleandoc(StyleTransferConfig.__doc__ or "")
    section = text.split("\nAttributes:\n", 1)[1].split("\nRaises:\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(body.split()) for name, body in found}


def _wrapped(text: str) -> str:
    """A description as a paragraph."""
    sentence = text[0].upper() + text[1:]
    return textwrap.fill(sentence, 95, break_long_words=False, break_on_hyphens=False)


def _shown(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`"
    return f"`{default}`"


def _changes(settings: dict[str, object]) -> str:
    if not settings:
        return "the defaults"
    return ", ".join(f"`{name} = {value}`" for name, value in settings.items())


if __name__ == "__main__":
    main()
