"""Writes docs/settings.md, the page of all settings, from their declarations.

python docs/settings_page.py
"""

from __future__ import annotations

import pathlib
import textwrap

from tfnst.config import PRESETS, list_settings
from tfnst.setting import Setting

PAGE = pathlib.Path(__file__).parent / "settings.md"

_HEAD = """\
# All settings

<!-- Written by docs/settings_page.py from tfnst/config.py. -->

Each setting is a field of `tfnst.StyleTransferConfig`, an argument of `tfnst.stylize`,
an option of `tfnst stylize` and `tfnst batch`, a line in the file of `--config`, and an
[environment variable](commands.md#settings-from-the-environment): `style_scale` is the
option `--style-scale` and the variable `TFNST_STYLE_SCALE`.

Begin with [`style_strength`](#style_strength), [`size`](#size),
[`style_scale`](#style_scale) and [`preserve_color`](#preserve_color);
[choosing.md](choosing.md) says what to change for which purpose.
"""

_FOOT = """
## Presets

`--preset` sets several settings by one name. [runs.md](runs.md#presets) says what each
costs.

"""


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The text of the page."""
    sections = [
        f"\n## {each.name}\n\n{_wrapped(each.text())}\n\n{_facts(each)}\n"
        for each in list_settings()
    ]
    presets = [f"- `{name}`: {_changes(PRESETS[name])}\n" for name in PRESETS]
    return "".join([_HEAD, *sections, _FOOT, *presets])


def _facts(setting: Setting) -> str:
    """A line with the default, the choices and where the setting has no meaning."""
    facts = [f"Default: {_shown(setting.default)}"]
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
