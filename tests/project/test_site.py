"""The site of the documents in a real browser, on a screen and on a phone."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
import urllib.parse

import pytest

from tests.chromium import open_chromium
from tests.helpers import ROOT

pytest.importorskip("material")
pytest.importorskip("mkdocstrings")
pytest.importorskip("playwright.sync_api")

# Elements of the text that scroll sideways; tables of numbers may.
SIDEWAYS = """
[...document.querySelectorAll(".md-content *")].filter(
  element => element.scrollWidth > element.clientWidth + 1
    && ["auto", "scroll"].includes(getComputedStyle(element).overflowX)
    && !element.querySelector('table:not([data-holds="prose"])')
).map(element => element.innerText.slice(0, 80))
"""

pytestmark = pytest.mark.browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built by MkDocs."""
    folder = tmp_path_factory.mktemp("site")
    build = ["build", "--strict", "--site-dir", folder]
    command = [sys.executable, "-m", "mkdocs", *build]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with open_chromium() as chromium:
        yield chromium


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(site, address, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    for path in sorted(site.rglob("*.html")):
        page.goto(f"{address}/{path.relative_to(site)}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(SIDEWAYS) == [], path
    page.close()


def test_the_search_finds_what_to_change(address, browser):
    """What a reader sees in a picture, as `Choosing settings` puts it."""
    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    phrases = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert len(phrases) > 10
    page = browser.new_page()
    for phrase in ["choosing settings", *phrases]:
        page.goto(f"{address}/index.html?q={urllib.parse.quote(phrase)}")
        first = page.wait_for_selector(".md-search-result__item a")
        assert "/choosing.html" in first.get_attribute("href"), phrase
    page.close()
