"""Fixtures of the studio's tests."""

import contextlib
import re

import pytest

import tfnst
from tests.chromium import open_chromium
from tests.cli.helpers import TINY_OPTIONS
from tests.helpers import TINY, picture
from tests.studio.browsing import PAINT_MS, Server
from tests.studio.helpers import make_pictures, open_history
from tests.training.helpers import untrained
from tfnst.studio.limits import Limits
from tfnst.studio.studio import Studio


@pytest.fixture
def history(tmp_path):
    return open_history(tmp_path)


@pytest.fixture
def open_studio(tmp_path):
    """Opens a studio each time it is called."""
    with contextlib.ExitStack() as stack:

        def open_one(**options):
            options = {"config": TINY, "limits": Limits()} | options
            studio = Studio(str(tmp_path / "painted"), **options)
            stack.callback(studio.close)
            return studio

        yield open_one


@pytest.fixture(scope="module")
def browser():
    """Chromium."""
    pytest.importorskip("gradio")
    with open_chromium() as chromium:
        yield chromium


@pytest.fixture
def visit(browser):
    """Opens the page of a server as another person each time it is called."""
    wrong, contexts = [], []

    def open_page(server, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        server.contexts.append(context)
        context.set_default_timeout(PAINT_MS)
        page = context.new_page()
        page.on("request", lambda request: check_request(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda said: wrong.append(said.text) if said.type == "error" else None,
        )
        page.goto(server.url)
        page.wait_for_selector("#paint")
        # The page is alive once it has called the server.
        page.wait_for_function("localStorage.getItem('tfnst-visitor')")
        page.wait_for_timeout(500)
        return page

    def check_request(url):
        if not re.match(r"(http://127\.0\.0\.1[:/]|data:|blob:)", url):
            wrong.append(url)

    yield open_page
    for context in contexts:
        # Closing a closed one does nothing.
        context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A studio for all tests of a module."""
    with Server(tmp_path_factory.mktemp("studio"), *TINY_OPTIONS) as server:
        yield server


@pytest.fixture
def files(tmp_path):
    """Paths of a photo and a style."""
    paths = tmp_path / "my photo.png", tmp_path / "my style.png"
    for seed, path in enumerate(paths):
        tfnst.save_image(picture(60, 80, seed=seed), path)
    return paths


@pytest.fixture
def samples(tmp_path):
    """A folder of samples, one of which a network has learned."""
    folder = tmp_path / "samples"
    folder.mkdir()
    make_pictures(folder, "photo_lake.png", "style_waves.png", "style_other.png")
    untrained().save(folder / "waves.keras")
    return folder
