"""The page in a real browser, driven as a person would.

Each test fails on a request that leaves this machine and on an error in the console.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.cli.helpers import TFNST, TINY_OPTIONS
from tests.helpers import ROOT, SAMPLES, TINY, picture
from tests.studio.browsing import (
    LONG,
    PAINT_MS,
    SECONDS,
    Server,
    brush,
    choose,
    download,
    drop,
    hand_in,
    open_editor,
    paint,
)
from tfnst.config import preset_settings
from tfnst.images.manifest import describe_source, read_manifest

pytestmark = pytest.mark.browser


def test_a_picture_is_watched_stopped_downloaded_and_found_again(
    visit, tmp_path, files
):
    photo, style = files
    with Server(tmp_path, *TINY_OPTIONS, *LONG) as server:
        page = visit(server)
        drop(page, "photo", photo)
        drop(page, "style-1", style)
        page.click("#paint")
        seen = set()
        while len(seen) < 3:
            shown = page.wait_for_selector("#panel img.preview", timeout=PAINT_MS)
            seen.add(shown.get_attribute("src"))
        assert re.search(
            r"Step \d+ of \d+, at [34][0-9] pixels", page.inner_text("#panel")
        )
        assert page.is_visible("#panel .curves polyline")
        page.click("#stop")
        page.wait_for_selector("#comparison .comparison", timeout=PAINT_MS)
        assert "the picture so far is kept" in page.inner_text("#panel")
        data = download(page)
        manifest = read_manifest(data)
        assert manifest["stop_reason"] == "callback"
        assert manifest["content_image"]["sha256"] == describe_source(photo)["sha256"]
        assert data == server.pictures()[0].read_bytes()
        choose(page, "format", ".jpg")
        page.wait_for_timeout(1000)
        data = download(page)
        assert read_manifest(data) == manifest
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size) == ("JPEG", (48, 36))
        page.close()

    with Server(tmp_path, *TINY_OPTIONS) as server:
        page = visit(server)
        page.click("button[role=tab]:has-text('History')")
        page.click("#history .thumbnail-item >> nth=0")
        page.wait_for_selector("#chosen .comparison")
        assert "my-photo_my-style" in page.inner_text("#facts")
        assert "by hand" in page.inner_text("#facts")
        # Painted again from what was kept, with the short steps of a filled form.
        page.click("#use")
        page.wait_for_selector("#photo img")
        page.wait_for_selector("#style-1 img")
        page.click("text=All settings")
        page.wait_for_selector("#setting-steps input")
        assert page.input_value("#setting-steps input") == "50000"
        for name in ("steps", "initial-steps"):
            page.fill(f"#setting-{name} :is(input, textarea)", "5")
        paint(page)
        again = read_manifest(server.pictures()[-1].read_bytes())
        assert again["content_image"]["sha256"] == describe_source(photo)["sha256"]
        assert again["settings"]["steps"] == 5
        assert "Traceback" not in server.text()


def test_a_style_goes_where_its_brush_was(visit, server, files, tmp_path):
    photo, style = tmp_path / "large.png", files[1]
    tfnst.save_image(picture(300, 400, seed=5), photo)
    page = visit(server)
    hand_in(page, "photo", photo)
    hand_in(page, "style-1", style)
    x, y = open_editor(page, "mask")
    brush(page, (x - 30, y), (x + 30, y))
    paint(page)
    data = download(page)
    manifest = read_manifest(data)
    sha256 = manifest["style_image"]["region"]["sha256"]
    (mask_file,) = (server.output / "sources" / sha256).iterdir()
    with Image.open(mask_file) as image:
        mask = np.asarray(image.resize((48, 36), Image.Resampling.BOX)) / 255
    assert 0.002 < mask.mean() < 0.5
    with Image.open(io.BytesIO(data)) as image:
        painted = np.asarray(image, float) / 255
    with Image.open(photo) as image:
        original = np.asarray(image.resize((48, 36), Image.Resampling.BOX), float) / 255
    difference = np.abs(painted - original).mean(axis=-1)
    inside, outside = difference[mask > 0.9].mean(), difference[mask == 0].mean()
    assert inside > 3 * outside, (inside, outside)


def test_a_style_is_taken_from_where_its_brush_was(visit, server, files, tmp_path):
    two_colours = np.full((300, 400, 3), (0.8, 0.1, 0.1), np.float32)
    two_colours[:, 200:] = 0.1, 0.1, 0.8
    noise = np.random.default_rng(0).normal(0, 0.05, (300, 400, 1))
    style = tmp_path / "two colours.png"
    tfnst.save_image(np.clip(two_colours + noise, 0, 1), style)
    page = visit(server)
    hand_in(page, "photo", files[0])
    hand_in(page, "style-1", style)
    x, y = open_editor(page, "style-1-mask")
    brush(page, (x - 90, y - 30), (x - 60, y - 20), (x - 90, y), (x - 60, y + 30))
    paint(page)
    data = download(page)
    described = read_manifest(data)["style_image"]
    (mask_file,) = (server.output / "sources" / described["mask"]["sha256"]).iterdir()
    with Image.open(mask_file) as image:
        mask = np.asarray(image) / 255
    half = mask.shape[1] // 2
    assert mask[:, :half].mean() > 0.05
    assert mask[:, half:].max() == 0
    with Image.open(io.BytesIO(data)) as image:
        red, _, blue = np.asarray(image, float).mean(axis=(0, 1))
    assert red > 2 * blue, (red, blue)
    # What was painted over comes back with the picture.
    page.click("button[role=tab]:has-text('History')")
    page.click("#history .thumbnail-item >> nth=0")
    page.wait_for_selector("#chosen .comparison")
    page.click("#more > button")
    page.click("#again")
    page.wait_for_selector("#comparison .comparison", timeout=PAINT_MS)
    again = read_manifest(download(page))["style_image"]["mask"]
    (mask_file,) = (server.output / "sources" / again["sha256"]).iterdir()
    with Image.open(mask_file) as image:
        difference = np.abs(np.asarray(image.resize(mask.shape[::-1])) / 255 - mask)
    assert difference.mean() < 0.01


def test_two_people_get_their_own_pictures(visit, server, tmp_path):
    pages = []
    for seed in range(2):
        path = tmp_path / f"photo{seed}.png"
        tfnst.save_image(picture(60, 80, seed=10 + seed), path)
        page = visit(server)
        hand_in(page, "photo", path)
        hand_in(page, "style-1", SAMPLES / "style_mosaic.jpg")
        pages.append((page, describe_source(path)["sha256"]))
    for page, _ in pages:
        page.click("#paint")
    for page, sha256 in pages:
        page.wait_for_selector("#comparison .comparison", timeout=PAINT_MS)
        assert read_manifest(download(page))["content_image"]["sha256"] == sha256


def test_errors_stand_beside_what_they_are_about(visit, server, tmp_path, files):
    page = visit(server)
    page.click("#paint")
    page.wait_for_selector("#photo-wrong >> text=Choose a photo first.")
    page.wait_for_selector("#style-wrong >> text=Choose a style first.")

    text = tmp_path / "notes.png"
    text.write_text("This is no picture.")
    page.set_input_files("#photo input[type=file]", text)
    page.wait_for_selector(
        "#photo-wrong >> text=The picture must be an image file (PNG, JPEG, WebP, "
        "TIFF, ...). Received: notes.png"
    )
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(bomb)
    page.set_input_files("#style-1 input[type=file]", bomb)
    page.wait_for_selector("#style-1-wrong >> text=which has 200000000 pixels")
    assert str(tmp_path) not in page.content()
    page.fill("#setting-size input", "7")
    page.click("#paint")
    page.wait_for_selector("#setting-size-wrong >> text=Size must be an integer")
    assert page.is_visible("#photo-wrong >> text=Choose a photo first.")


def test_it_works_on_a_phone(visit, server, files):
    page = visit(
        server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    visible = "e => { const r = e.getBoundingClientRect();"
    visible += " return r.top >= 0 && r.bottom <= innerHeight }"
    assert page.eval_on_selector("#paint", visible)
    # Nothing lies over the first sample.
    covering = page.eval_on_selector(
        "#sample-photos button img",
        """e => {
            e.scrollIntoView({block: "center"});
            const r = e.getBoundingClientRect();
            const top = document.elementFromPoint(r.left + 6, r.top + 6);
            return e.parentNode.contains(top) ? null : top.outerHTML;
        }""",
    )
    assert covering is None
    # What is wrong is shown, wherever the page is.
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.tap("#paint")
    page.wait_for_selector("#photo-wrong >> text=Choose a photo first.")
    page.wait_for_function(
        f"({visible})(document.querySelector('#photo-wrong .wrong'))"
    )
    hand_in(page, "photo", files[0])
    hand_in(page, "style-1", files[1])
    page.tap("#paint")
    page.wait_for_selector("#comparison .comparison", timeout=PAINT_MS)
    page.wait_for_function(
        """() => {
            const box = document.querySelector('#comparison').getBoundingClientRect();
            return box.top < innerHeight && box.bottom > 0;
        }"""
    )
    for tab in ("Paint", "Variations", "Batch", "Video", "History"):
        button = page.locator(f"button[role=tab]:has-text('{tab}'):visible")
        if button.count():
            button.first.tap()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, tab


def test_the_drawer_has_every_setting_and_changes_none_by_itself(visit, server, files):
    page = visit(server)
    hand_in(page, "photo", files[0])
    hand_in(page, "style-1", files[1])
    page.click("text=All settings")
    page.wait_for_selector("#setting-seed input")
    page.fill("#setting-seed input", "5")
    page.keyboard.press("Tab")
    paint(page)
    manifest = read_manifest(download(page))
    expected = TINY.replace(seed=5, max_time=3600.0).to_dict()
    assert manifest["settings"] == expected
    page.click("#bits label:has-text('16')")
    paint(page)
    assert download(page)[24] == 16  # As a PNG file says it.
    page.click("#preset >> text=fast")
    fast = preset_settings("fast")
    page.wait_for_function(
        f"document.querySelector('#setting-steps input').value == '{fast['steps']}'"
    )
    assert page.input_value("#setting-size input") == str(TINY.size)


def test_it_works_by_keyboard(visit, server, files):
    page = visit(server)
    hand_in(page, "photo", files[0])
    hand_in(page, "style-1", files[1])
    page.focus("#paint")
    page.keyboard.press("Enter")
    slider = page.wait_for_selector("#comparison input[type=range]", timeout=PAINT_MS)
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    at = "getComputedStyle(document.querySelector('.comparison')).getPropertyValue"
    assert page.evaluate(f"{at}('--at')") == "40%"
    # Everything that takes input has a name for screen readers.
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('input, textarea, button, select')]
            .filter(e => e.offsetParent && e.type !== 'file')
            .filter(e => !(e.getAttribute('aria-label') || e.innerText.trim()
                || e.title || (e.labels && e.labels.length)
                || e.getAttribute('aria-labelledby') || e.placeholder))
            .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_a_closed_page_frees_the_machine(visit, tmp_path, files):
    with Server(tmp_path, *TINY_OPTIONS, *LONG) as server:
        page = visit(server)
        hand_in(page, "photo", files[0])
        hand_in(page, "style-1", files[1])
        page.click("#paint")
        page.wait_for_selector("#panel img.preview", timeout=PAINT_MS)
        closed = time.monotonic()
        page.close()
        while ": left after" not in server.text():
            assert time.monotonic() - closed < SECONDS, server.text()
            time.sleep(0.02)
        assert server.pictures() == []


def test_a_video_is_watched_stopped_played_and_downloaded(
    visit, server, files, tmp_path
):
    av = pytest.importorskip("av")
    from tests.video.films import moving, write_film

    video = tmp_path / "my video.mp4"
    write_film(video, moving(300))
    page = visit(server)
    hand_in(page, "style-1", files[1])
    page.click("button[role=tab]:has-text('Video')")
    page.click("#video-paint")
    page.wait_for_selector("#video-said >> text=Choose a video first.")
    page.set_input_files("#video-file input[type=file]", files[0])
    page.wait_for_selector("#video-about >> text=The video must be a film")
    page.click("#video-file button[aria-label=Clear]")
    page.set_input_files("#video-file input[type=file]", video)
    page.wait_for_selector("#video-about >> text=48 by 32 pixels, 25 frames a second")
    page.fill("#video-end textarea", "soon")
    page.click("#video-paint")
    page.wait_for_selector("#video-said >> text=End at second must be seconds after")
    page.fill("#video-end textarea", "11.5")
    page.fill("#video-frame-steps input", "2")
    page.click("#video-paint")
    page.wait_for_selector("#video-panel img.preview", timeout=PAINT_MS)
    page.wait_for_selector("#video-panel >> text=/[2-9] of 288 frames are painted/")
    page.click("#video-stop")
    page.wait_for_selector("#video-said >> text=They can be played", timeout=PAINT_MS)
    count = int(re.search(r"(\d+) of 288", page.inner_text("#video-said"))[1])
    assert 1 < count < 288
    page.wait_for_function("document.querySelector('#video-player video')?.videoWidth")
    seconds = page.evaluate("document.querySelector('#video-player video').duration")
    assert seconds == pytest.approx(count / 25, abs=0.05)
    painted = tmp_path / "painted.mp4"
    painted.write_bytes(download(page, "#video-download"))
    with av.open(str(painted)) as file:
        assert len(list(file.decode(video=0))) == count
    (kept,) = server.output.glob("*.mp4")
    assert "my-video_my-style" in kept.name
    # It is still there for those who come back.
    page.reload()
    page.click("button[role=tab]:has-text('Video')")
    choose(page, "videos", kept.name)
    page.wait_for_function("document.querySelector('#video-player video')?.videoWidth")


def test_a_password_is_asked_for(browser, tmp_path):
    with Server(tmp_path, *TINY_OPTIONS, "--password", "open sesame") as server:
        page, elsewhere = browser.new_page(), []
        page.on(
            "request",
            lambda request: (
                request.url.startswith((server.url, "data:", "blob:"))
                or elsewhere.append(request.url)
            ),
        )
        page.goto(server.url)
        page.wait_for_selector("input[type=password]")
        assert page.query_selector("#paint") is None
        for password in ("wrong", "open sesame"):
            page.locator("input").first.fill("somebody")
            page.fill("input[type=password]", password)
            page.click("button:has-text('Login')")
            if password == "wrong":
                page.wait_for_timeout(1500)
                assert page.query_selector("#paint") is None
        page.wait_for_selector("#paint", timeout=PAINT_MS)
        assert elsewhere == []
        page.close()


def test_a_hosted_space_has_its_limits(visit, tmp_path, files):
    space = shutil.copytree(ROOT / "integrations" / "space", tmp_path / "space")
    shutil.copytree(SAMPLES, space / "samples")
    with Server(tmp_path, app=space / "app.py") as server:
        page = visit(server)
        assert page.locator("#sample-styles button").count() == 8
        assert page.input_value("#setting-size input") == "256"
        hand_in(page, "photo", files[0])
        hand_in(page, "style-1", files[1])
        page.fill("#setting-size input", "1000")
        page.click("#paint")
        page.wait_for_selector(
            "#setting-size-wrong >> text=Size must be at most 730 for this photo: the "
            "host allows 0.4 megapixels."
        )
    assert (space / "painted" / "visitors").is_dir()


def test_ctrl_c_ends_it_quietly(tmp_path):
    with Server(tmp_path, *TINY_OPTIONS) as server:
        os.kill(server.process.pid, signal.SIGINT)
        assert server.process.wait(SECONDS) == 0
        assert "Stopping; pictures so far are kept\n" in server.text()
        assert "Traceback" not in server.text()


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with Server(tmp_path, *TINY_OPTIONS) as server:
        done = subprocess.run(
            [*TFNST, "studio", "--port", str(server.port)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(
        r"tfnst: error: `host` and `port` must be an address that is free\. "
        r"Received: '127\.0\.0\.1' and \d+ \(Address already in use\)\n",
        done.stderr,
    )
