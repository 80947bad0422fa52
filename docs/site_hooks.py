"""Hooks of MkDocs: changes that the site needs and the pages on GitHub don't.

The pages are plain Markdown that GitHub shows as well. For the site, these hooks add
pages from outside docs/, make links fit, draw formulas, and write a page of reference
for each section of the list of public names.
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
    "tried.md": "benchmarks/tried.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
# The list of public names; a section is a page of the reference on the site.
NAMES = ROOT / "docs" / "api.md"
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_NAME = re.compile(r"^- `([\w.]+)\.(\w+)`$", re.MULTILINE)
# Factors for the ranks of pages and folders in searches. What to change is asked most
# often; pages that mention everything are seldom the answer.
_RANKS = {
    "choosing.md": 2,
    "api": 0.3,
    "benchmarks.md": 0.3,
    "quality.md": 0.3,
    "tried.md": 0.3,
    "changelog.md": 0.1,
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
# A word or two of code, which fit on a line of any screen.
_SHORT_CODE = re.compile(r"<code>([^<\n]{1,28})</code>")
_TABLE = re.compile(r"<table>(.*?)</table>", re.DOTALL)
# Size of the letters in a drawing, and its unit of length.
_SIZE = 24
_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from outside docs/, and the reference."""
    for uri, path in GUESTS.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    for uri, content in _reference().items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Adapts the links, and states how much a page counts in searches."""
    uri = page.file.src_uri
    rank = _RANKS.get(uri) or _RANKS.get(posixpath.dirname(uri))
    if rank is not None:
        page.meta["search"] = {"boost": rank}
    if uri == "api.md":
        markdown = _NAME.sub(_linked, markdown)
    home = posixpath.dirname(_in_repository(uri))

    def fitting(match: re.Match[str]) -> str:
        return _fit(match, home, uri)

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
    """Draws formulas, and marks tables and code for the style sheet."""
    # Docstrings mark code blocks as reStructuredText does.
    content = re.sub(r"\s*::</p>", ":</p>", content)
    content = _CAPTIONS.sub(r'<table class="captions">\1</table>', content)
    content = _SHORT_CODE.sub(r'<code class="whole">\1</code>', content)
    content = _TABLE.sub(_marked, content)
    return _FORMULA.sub(_typeset, content)


def _marked(match: re.Match[str]) -> str:
    """A table; one with few columns holds prose, others hold numbers."""
    if match[1].count("</th>") > 3:
        return match[0]
    # The theme leaves tables with a class alone.
    return match[0].replace("<table>", '<table data-holds="prose">')


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


def _reference() -> dict[str, str]:
    """The pages of the reference by their addresses."""
    _, *parts = _SECTION.split(NAMES.read_text("utf-8"))
    pages = {}
    for title, names in zip(parts[::2], parts[1::2], strict=True):
        # A link out of docs/ has one folder more to leave.
        text = _NAME.sub(_described, names).replace("](../", "](../../")
        pages[f"api/{title.lower()}.md"] = f"# {title}\n{text}"
    return pages


def _described(match: re.Match[str]) -> str:
    """The documentation of a name in the list."""
    return "" if match[2].startswith("_") else f"::: {_defined(match)}\n"


def _linked(match: re.Match[str]) -> str:
    """A name in the list as a link to its documentation."""
    name = f"`{match[1]}.{match[2]}`"
    return f"- {name if match[2].startswith('_') else f'[{name}][{_defined(match)}]'}"


def _defined(match: re.Match[str]) -> str:
    """The path of a name in the module that defines it."""
    package, name = match.groups()
    return f"{_modules(package).get(name, package)}.{name}"


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
