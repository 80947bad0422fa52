"""Writes docs/settings.md, the page of all settings, from their declarations.

python docs/settings_table.py
"""

from __future__ import annotations

import pathlib
import textwrap

from tfnst.cli.settings import WEIGHTS_VARIABLE, option_of, variable_of
from tfnst.config import PRESETS, list_settings
from tfnst.setting import Setting

PAGE = pathlib.Path(__file__).parent / "settings.md"

_HEAD = """\
# All settings

Each setting is a field of `tfnst.StyleTransferConfig`, an argument of
`tfnst.stylize`, an option of `tfnst stylize` and `tfnst batch`, a line in the file of
`--config`, and
[a variable of the environment](commands.md#settings-from-the-environment).
[choosing.md](choosing.md) sorts them by purpose.

`python docs/settings_table.py` wrote this page from `tfnst/config.py`.

| setting | default | meaning |
| --- | --- | --- |
"""

_FOOT = """
## Presets

`--preset` sets several of them by one name. [runs.md](runs.md#presets) says what each
costs.

"""


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The text of the page."""
    rows = [
        f"| [`{each.name}`](#{each.name}) | {_shown(each.default)} | {each.help} |\n"
        for each in list_settings()
    ]
    sections = [
        f"\n## {each.name}\n\n{_facts(each)}\n\n{_wrapped(each.text())}\n"
        for each in list_settings()
    ]
    presets = [f"- `{name}`: {_changes(PRESETS[name])}\n" for name in PRESETS]
    return "".join([_HEAD, *rows, *sections, _FOOT, *presets])


def _facts(setting: Setting) -> str:
    """A line with the option, the variable, the default, and the choices."""
    facts = [
        f"`{option_of(setting.name)}`",
        f"`{variable_of(setting.name) or WEIGHTS_VARIABLE}`",
        f"default: {_shown(setting.default)}",
    ]
    if setting.choices and setting.metavar is None:
        choices = ", ".join(f"`{choice}`" for choice in setting.choices)
        facts.append(f"choices: {choices}")
    if "requested" in setting.scopes:
        facts.append("also in requests to a server")
    elif "exported" not in setting.scopes:
        facts.append("not in exported models")
    return "; ".join(facts)


def _wrapped(text: str) -> str:
    """A description as a paragraph."""
    return textwrap.fill(text, 95, break_long_words=False, break_on_hyphens=False)


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
