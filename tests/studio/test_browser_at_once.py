"""Painting at once in a real browser."""

import pytest

from tests.cli.helpers import TINY_OPTIONS
from tests.studio.browsing import Server, paint
from tfnst.images.manifest import read_manifest

pytestmark = pytest.mark.browser


@pytest.fixture
def server(tmp_path, samples):
    options = [*TINY_OPTIONS, "--samples", str(samples)]
    with Server(tmp_path, *options) as server:
        yield server


def test_a_sample_is_painted_at_once_and_again(server, visit):
    page = visit(server)
    page.click("#sample-photos >> text=lake")
    page.wait_for_selector("#photo img")
    page.click("#sample-styles >> text=other")
    page.wait_for_selector("#style-1 img")
    assert page.is_hidden("#how")
    page.click("#sample-styles >> text=waves")
    page.click("#how label:has-text('At once')")
    for name in ("setting-style-strength", "preset", "masks", "style-1-masks"):
        page.wait_for_selector(f"#{name}", state="hidden")
    assert page.is_visible("#setting-size")
    page.wait_for_selector("#expected >> text=/It will take about [0-9]+ s/")
    paint(page)
    page.wait_for_selector("#panel >> text=/^Done in [0-9.]+ s/")
    (first,) = server.pictures()
    assert read_manifest(first)["network"]["picture"]["name"] == "style_waves.png"
    page.click("#sample-styles >> text=other")  # It has no network.
    page.wait_for_selector("#how", state="hidden")
    page.wait_for_selector("#setting-style-strength")
    page.get_by_role("tab", name="History").click()
    page.click("#history .thumbnail-item >> nth=0")
    page.wait_for_selector("#facts >> text=at once, by a network")
    page.click("#more > button")
    page.click("#again")
    while len(server.pictures()) < 2:
        page.wait_for_timeout(200)
    first, second = server.pictures()
    assert first.read_bytes() == second.read_bytes()
