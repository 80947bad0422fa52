"""The tab “Paint” in a real browser."""

import re

import pytest

from tests.cli.helpers import TINY_OPTIONS
from tests.helpers import TINY
from tests.studio.browsing import LONG, Server, hand_in, paint
from tfnst.config import PRESETS, preset_settings
from tfnst.images.manifest import read_manifest

pytestmark = pytest.mark.browser


def choose_samples(page):
    """Chooses a photo and a style, as one who only wants to try it."""
    page.click("#sample-photos >> text=cat")
    page.wait_for_selector("#photo img")
    page.click("#sample-styles >> text=mosaic")
    page.wait_for_selector("#style-1 img")


def src(page, where):
    """The address of a picture that is shown."""
    return page.get_attribute(f"#{where} img", "src")


def test_samples_replace_and_a_button_adds(visit, server):
    page = visit(server)
    choose_samples(page)
    mosaic = src(page, "style-1")
    page.click("#sample-styles >> text=swirls")
    page.wait_for_function(
        f"document.querySelector('#style-1 img')?.getAttribute('src') != '{mosaic}'"
    )
    assert page.is_hidden("#style-2")
    assert page.is_hidden("#weight-1")
    page.click("text=Masks: which style goes where")
    assert page.inner_text("#mask-legend").split("\n") == ["Style 1: red"]
    page.click("text=Add a style")
    page.click("#sample-styles >> text=mosaic")
    page.wait_for_selector("#style-2 img")
    assert page.inner_text("#mask-legend").split("\n") == [
        "Style 1: red",
        "Style 2: blue",
    ]
    assert page.is_visible("#weight-1")
    assert page.is_visible("#weight-2")
    page.click("text=Remove the last")
    page.wait_for_selector("#weight-1", state="hidden")


def test_a_reload_gives_everything_back(visit, server):
    page = visit(server)
    choose_samples(page)
    page.click("text=Add a style")
    page.wait_for_selector("#weight-2")
    page.click("#sample-styles >> text=swirls")
    page.wait_for_selector("#style-2 img")
    page.fill("#weight-2 input[type=number]", "3")
    page.fill("#setting-size input", "96")
    page.keyboard.press("Tab")
    page.wait_for_timeout(1000)
    before = [src(page, name) for name in ("photo", "style-1", "style-2")]
    page.reload()
    page.wait_for_selector("#style-2 img")
    assert [src(page, name) for name in ("photo", "style-1", "style-2")] == before
    assert page.input_value("#weight-2 input[type=number]") == "3"
    assert page.input_value("#setting-size input") == "96"
    assert page.is_hidden("#style-3")


def test_presets_leave_the_size_alone_unless_they_set_it(visit, server):
    page = visit(server)

    def tick(preset):
        page.click(f"#preset label:has-text('{preset}')")
        rate = preset_settings(preset)["learning_rate"]
        steps = preset_settings(preset)["steps"]
        page.wait_for_function(
            f"document.querySelector('#setting-steps input')?.value == {steps} && "
            f"document.querySelector('#setting-learning-rate input').value == {rate}"
        )
        page.wait_for_timeout(300)
        return int(page.input_value("#setting-size input"))

    page.click("text=All settings")
    page.wait_for_selector("#setting-steps input")
    assert tick("fast") == TINY.size  # As the host has set it.
    assert tick("poster") == PRESETS["poster"]["size"]
    assert tick("fast") == TINY.size
    page.fill("#setting-size input", "100")
    page.wait_for_function("!document.querySelector('#preset input:checked')")
    assert tick("fast") == 100


def test_what_is_no_picture_leaves_no_broken_one(
    visit,
    server,
    tmp_path,
):
    page = visit(server)
    text = tmp_path / "notes.png"
    text.write_text("This is no picture.")
    page.set_input_files("#photo input[type=file]", text)
    page.wait_for_selector("#photo-wrong >> text=The picture must be an image file")
    page.wait_for_function("!document.querySelector('#photo img')")
    page.wait_for_selector("#photo >> text=Drop Image Here")


def test_keyboards_and_screen_readers_find_their_way(visit, server):
    page = visit(server)
    for _ in range(7):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "paint":
            break
    assert page.evaluate("document.activeElement.id") == "paint"
    assert page.inner_text("#paint") == "Paint"
    group = page.get_by_role("group", name="Sample styles")
    assert group.get_by_role("button").count() == 8
    group.get_by_role("button", name="stained glass").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#style-1 img")


def test_the_time_is_told_before_and_the_result_seen_closely(
    visit,
    server,
):
    page = visit(server)
    assert page.inner_text("#expected").strip() == (
        "Choose a photo and a style, and press Paint."
    )
    choose_samples(page)
    page.wait_for_selector("#expected >> text=/It will take about [0-9]+ s/")
    paint(page)
    sizes = "(e => [e.clientWidth, e.naturalWidth])"
    after = f"{sizes}(document.querySelector('#comparison .after'))"
    shown, real = page.evaluate(after)
    assert (shown > real, real) == (True, 48)
    page.click("text=1:1")
    assert page.evaluate(after) == [48, 48]
    page.click("text=1:1")
    page.click("text=Full screen")
    page.wait_for_function("document.fullscreenElement?.className == 'comparison'")
    page.click("text=Full screen")
    page.wait_for_function("!document.fullscreenElement")


def test_all_tabs_are_in_one_row_on_a_phone(visit, server):
    page = visit(server, viewport={"width": 390, "height": 844}, is_mobile=True)
    tabs = page.get_by_role("tab")
    boxes = [tab.bounding_box() for tab in tabs.all() if tab.is_visible()]
    assert len(boxes) == 5
    assert len({box["y"] for box in boxes}) == 1
    assert max(box["x"] + box["width"] for box in boxes) <= 390


def test_a_run_goes_on_without_its_page_and_is_found_again(
    visit,
    tmp_path,
    files,
):
    with Server(tmp_path, *TINY_OPTIONS, *LONG) as server:
        page = visit(server)
        hand_in(page, "photo", files[0])
        hand_in(page, "style-1", files[1])
        page.check("#keep input")
        page.click("#paint")
        page.wait_for_selector("#panel img.preview")
        context = page.context
        page.close()
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_selector("#panel img.preview")
        page.click("#stop")
        page.wait_for_selector("#comparison .comparison")
        (picture,) = server.pictures()
        assert re.search(r"stopped after \d+ steps", server.text())
        assert read_manifest(picture.read_bytes())["stop_reason"] == "callback"
