"""Hooks of MkDocs: what the site needs that the pages, as read on GitHub, don't.

The pages are plain Markdown that GitHub shows as well. For the site, these hooks add
pages from outside docs/, make links fit, write formulas as MathML and turn the list of
public names into the reference.
"""

from __future__ import annotations

import ast
import functools
import html
import pathlib
import posixpath
import re

import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).parent.parent
# Pages from outside docs/: where they are on the site, and in the repository.
GUESTS = {
    "serving.md": "serving/README.md",
    "kubernetes.md": "serving/kubernetes/README.md",
    "docker.md": "docker/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "quality.md": "benchmarks/quality/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
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
    """Makes links fit, and the list of public names a reference."""
    if page.file.src_uri == "api.md":
        markdown = _reference(markdown)
    home = posixpath.dirname(_in_repository(page.file.src_uri))

    def fitting(match: re.Match[str]) -> str:
        return _fit(match, home, page.file.src_uri)

    # What is in blocks of code is no link.
    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts.append(_LINK.sub(fitting, markdown[end : fence.start()]))
        parts.append(fence.group())
        end = fence.end()
    return "".join([*parts, _LINK.sub(fitting, markdown[end:])])


def on_page_content(
    content: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Writes formulas as MathML, which browsers typeset by themselves."""

    def typeset(match: re.Match[str]) -> str:
        display = "block" if match[2] == "[" else "inline"
        formula = html.unescape(match[3]).strip()
        return latex2mathml.converter.convert(formula, display=display)

    # Docstrings mark blocks of code as reStructuredText does.
    content = re.sub(r"\s*::</p>", ":</p>", content)
    return _FORMULA.sub(typeset, content)


def _in_repository(uri: str) -> str:
    return GUESTS.get(uri, f"docs/{uri}")


def _fit(match: re.Match[str], home: str, uri: str) -> str:
    """A link as the site needs it; plain text if what it leads to isn't there.

    Args:
        match: of `_LINK`.
        home: folder of the page, in the repository.
        uri: of the page, on the site.
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
