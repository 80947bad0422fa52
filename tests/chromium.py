"""Chromium, for the tests of pages."""

import contextlib
import os
import shutil

import pytest


@contextlib.contextmanager
def open_chromium():
    """Chromium, driven by Playwright; the test is skipped on a machine without it."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_api.sync_playwright() as playwright:
        path = found or playwright.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip("there is no chromium")
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()
