"""Hooks of MkDocs: changes that the site needs and the pages on GitHub don't.

The pages are plain Markdown that GitHub shows as well. For the site, these hooks add
pages from outside docs/, make links fit, draw formulas and turn the list of
public names into the reference.
"""

from __future__ import annotations

import ast
import functools
import html
import pathlib
import posixpath
import re
from xml.etree import ElementTree

import ziamath
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).parent.parent
# Pages from outside docs/: where they are on the site, and in the repository.
GUESTS = {
    "serving.md": "serving/README.md",
    "kubernetes.md": "serving/kubernetes/README.md",
    "docker.md": "docker/README.md",
    "comfyui.md": "integrations/comfyui/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "quality.md": "benchmarks/quality/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
# Each drawing has its own glyphs, so that it doesn't depend on another.
ziamath.config.svg2 = False
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# A table with nothing but a header, below a strip of pictures.
_CAPTIONS = re.compile(
    r"<table>\s*(<thead>(?:(?!</thead>).)*</thead>)\s*<tbody>\s*<tr>\s*"
    r"(?:<td[^>]*></td>\s*)*</tr>\s*</tbody>\s*</table>",
    re.DOTALL,
)
# Size of the letters in a drawing, and its unit of length.
_SIZE = 24
_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from outside docs/."""
    for uri, path in GUESTS.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Adapts the links, and turns the list of public names into a reference."""
    if page.file.src_uri == "api.md":
        markdown = _reference(markdown)
    home = posixpath.dirname(_in_repository(page.file.src_uri))

    def fitting(match: re.Match[str]) -> str:
        return _fit(match, home, page.file.src_uri)

    # Code blocks contain no links.
    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts.append(_LINK.sub(fitting, markdown[end : fence.start()]))
        parts.append(fence.group())
        end = fence.end()
    return "".join([*parts, _LINK.sub(fitting, markdown[end:])])


def on_page_content(
    content: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Draws formulas, and marks the tables that are captions of pictures."""
    # Docstrings mark code blocks as reStructuredText does.
    content = re.sub(r"\s*::</p>", ":</p>", content)
    content = _CAPTIONS.sub(r'<table class="captions">\1</table>', content)
    return _FORMULA.sub(_typeset, content)


def _typeset(match: re.Match[str]) -> str:
    """A formula as a drawing, which looks the same with any font."""
    formula = html.unescape(match[3]).strip()
    display = match[2] == "["
    drawing = ziamath.Latex(
        formula, size=_SIZE, color="currentColor", inline=not display
    )
    svg = drawing.svgxml()
    # In units of the text's size, on its line.
    sides = {side: float(svg.attrib.pop(side)) / _SIZE for side in ("width", "height")}
    below = drawing.getyofst() / _SIZE
    svg.set(
        "style",
        "".join(f"{side}:{value:.3f}em;" for side, value in sides.items())
        + f"vertical-align:{below:.3f}em",
    )
    svg.set("role", "img")
    svg.set("aria-label", formula)
    text = ElementTree.tostring(svg, encoding="unicode")
    return f'<div class="formula">{text}</div>' if display else text


def _in_repository(uri: str) -> str:
    return GUESTS.get(uri, f"docs/{uri}")


def _fit(match: re.Match[str], home: str, uri: str) -> str:
    """A link as the site needs it; plain text if its target isn't part of the site.

    Args:
        match: match of `_LINK`.
        home: folder of the page in the repository.
        uri: address of the page on the site.
    """
    text, target = match[1], match[2]
    if re.match(r"[a-z]+:|#|<", target):
        return match[0]
    path, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(home, path))
    if not (ROOT / path).exists():
        return match[0]  # MkDocs says so.
    pages = {there: guest for guest, there in GUESTS.items()}
    if path in pages:
        there = pages[path]
    elif path.startswith("docs/"):
        there = path.removeprefix("docs/")
    else:
        return text if text == path or "`" in text else f"{text} (`{path}`)"
    if text == target.partition("#")[0]:
        # On GitHub, the text of a link to a page is the name of its file.
        heading = (ROOT / path).read_text("utf-8").partition("\n")[0]
        text = heading.removeprefix("# ")
    there = posixpath.relpath(there, posixpath.dirname(uri) or ".")
    return f"[{text}]({there}{'#' + anchor if anchor else ''})"


def _reference(markdown: str) -> str:
    """The page of public names, each with its documentation."""
    lines: list[str] = []
    package = ""
    for line in markdown.splitlines():
        if line.startswith("## "):
            package = line.removeprefix("## ")
        name = re.fullmatch(r"- `(\w+)`", line)
        if name is None or name[1] == "__version__":
            lines.append(line)
            continue
        lines += [f"::: {_modules(package).get(name[1], package)}.{name[1]}", ""]
    return "\n".join(lines)


@functools.cache
def _modules(package: str) -> dict[str, str]:
    """The module of each name that a package offers lazily; nothing is imported."""
    text = (ROOT / package.replace(".", "/") / "__init__.py").read_text("utf-8")
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign):
            (target,) = statement.targets
            if isinstance(target, ast.Name) and target.id == "_MODULES":
                return ast.literal_eval(statement.value)
    return {}
