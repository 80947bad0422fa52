"""The history, variations and batches in a browser, and the page behind a proxy."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

import tfnst
from tests.certificates import write_certificate
from tests.cli.helpers import TINY_OPTIONS
from tests.helpers import ROOT, picture
from tests.studio.browsing import (
    PAINT_MS,
    Server,
    brush,
    download,
    hand_in,
    open_editor,
)
from tests.studio.helpers import add_picture, make_task
from tfnst.images.manifest import describe_source, read_manifest
from tfnst.studio.history import History

pytestmark = pytest.mark.browser


@pytest.fixture
def history(server, tmp_path):
    """The history that the page shows, whose pictures are painted in no time."""
    history = History(server.output, tmp_path / "thumbnails")
    yield history
    for entry in history.entries():
        history.delete(entry)


@pytest.fixture
def add(history, files):
    """Adds a picture with changes of its manifest; returns its path."""

    def add_one(name, *, settings=(), age=0, **changes):
        entry = add_picture(history, make_task(*files))
        manifest = entry.manifest | changes
        manifest["settings"] = manifest["settings"] | dict(settings)
        path = history.folder / name
        tfnst.save_image(picture(200, 300, seed=len(name)), path, manifest=manifest)
        entry.path.unlink()
        os.utime(path, (2e9 - age, 2e9 - age))
        return path

    return add_one


def open_history(page):
    page.click("button[role=tab]:has-text('History')")


def show(page, number, text):
    """Chooses a picture of the history, and waits for a text about it."""
    page.click(f"#history .thumbnail-item >> nth={number}")
    page.wait_for_selector(f"#facts caption >> text={text}")


def is_on(page, name):
    return page.is_enabled(f"#{name}")


def test_an_odd_manifest_is_shown_as_far_as_it_goes(visit, server, add):
    good = add("good.png")
    odd = add("odd.png", settings={"style_strength": "<b>much</b>"}, age=1)
    page = visit(server)
    open_history(page)
    show(page, 0, "good.png")
    assert is_on(page, "use")
    show(page, 1, "odd.png")
    assert page.inner_text("#chosen-said") == (
        "It can't be painted again: style strength must be a number from 0 to 1. "
        "Received: '<b>much</b>'"
    )
    assert "<b>much</b>" in page.inner_text("#facts")
    page.click("#more > button")
    for name in ("use", "again", "larger", "settings"):
        assert not is_on(page, name)
    # The marked picture is deleted, and no other.
    page.click("#delete > button")
    page.click("#delete-for-good")
    page.wait_for_selector("#chosen-said >> text=odd.png is deleted.")
    assert (good.exists(), odd.exists()) == (True, False)


def test_after_a_failure_nothing_is_chosen(visit, server, add):
    good, damaged = add("good.png"), add("damaged.jpg", age=1)
    damaged.write_bytes(damaged.read_bytes()[:-20_000])
    os.utime(damaged, (1e9, 1e9))
    page = visit(server)
    open_history(page)
    show(page, 0, "good.png")
    page.click("#history .thumbnail-item >> nth=1")
    page.wait_for_selector("#chosen-said >> text=damaged.jpg")
    assert page.is_hidden("#use")
    assert page.inner_html("#chosen").count("<img") == 0
    # Another program takes a picture away that is chosen already.
    show(page, 0, "good.png")
    good.unlink()
    page.click("#use")
    page.wait_for_selector("text=The picture 'good.png' is no longer there.")
    assert page.get_attribute("button[role=tab]:has-text('History')", "aria-selected")


def test_what_cannot_be_painted_again_changes_nothing(visit, server, add, files):
    add("unknown.png", settings={"strokes": "wild"})
    add("unkept.png", content_image={"name": "gone.jpg", "sha256": "a" * 64}, age=1)
    page = visit(server)
    hand_in(page, "photo", files[0])
    open_history(page)
    show(page, 0, "unknown.png")
    assert page.inner_text("#chosen-said") == (
        "It can't be painted again: This version of tfnst has no settings strokes."
    )
    page.click("#more > button")
    for name in ("use", "again", "larger", "settings"):
        assert not is_on(page, name)
    show(page, 1, "unkept.png")
    assert page.inner_text("#chosen-said") == "The photo of this picture isn't kept."
    for name in ("use", "again", "larger"):
        assert not is_on(page, name)
    assert is_on(page, "settings")
    page.click("button[role=tab]:has-text('Paint')")
    assert "my photo" in page.get_attribute("#photo img", "src").replace("%20", " ")
    assert page.query_selector("#style-1 img") is None
    assert {path.name for path in server.pictures()} == {"unknown.png", "unkept.png"}


def test_compared_pictures_are_named_and_buttons_say_which(visit, server, add):
    first, second = add("one.png"), add("two.png", age=1)
    page = visit(server)
    open_history(page)
    show(page, 0, "one.png")
    assert page.inner_text("#use") == "Change and repeat"
    page.click("#more > button")
    page.click("#hold")
    page.wait_for_selector("#chosen-said >> text=to compare one.png with.")
    show(page, 1, "two.png")
    page.wait_for_selector("#chosen .pair")
    captions = page.locator("#chosen figcaption").all_inner_texts()
    assert captions == ["First: one.png", "Second: two.png"]
    names = page.locator("#chosen .comparison .name").all_inner_texts()
    assert names == ["First", "Second"]
    for name in ("use", "again", "larger", "settings", "hold", "chosen-download"):
        assert "the second" in page.inner_text(f"#{name}"), name
    page.click("#delete > button")
    assert page.inner_text("#delete-for-good") == "Delete the second for good"
    page.click("#delete-for-good")
    page.wait_for_selector("#chosen-said >> text=two.png is deleted.")
    assert (first.exists(), second.exists()) == (True, False)
    show(page, 0, "one.png")
    assert page.inner_text("#use") == "Change and repeat"
    # Whoever deletes another one has to open that again.
    assert page.is_hidden("#delete-for-good")


def test_a_picture_is_painted_again_and_larger(visit, server, add):
    path = add("one.png")
    page = visit(server)
    open_history(page)
    show(page, 0, "one.png")
    page.click("#more > button")
    page.click("#larger")
    page.wait_for_selector("#comparison .comparison")
    (larger,) = [each for each in server.pictures() if each != path]
    before, after = (read_manifest(each) for each in (path, larger))
    for name in ("content_image", "style_image"):
        assert after[name]["sha256"] == before[name]["sha256"]
    assert (before["settings"]["size"], after["settings"]["size"]) == (48, 96)


def test_a_variation_is_painted_large(visit, server, files):
    page = visit(server)
    hand_in(page, "photo", files[0])
    hand_in(page, "style-1", files[1])
    page.click("button[role=tab]:has-text('Variations')")
    page.fill("#grid-size input[type=number]", "64")
    page.keyboard.press("Tab")
    before = len(server.pictures())
    page.click("#grid-paint")
    page.wait_for_selector("#grid-said >> text=Choose one", timeout=PAINT_MS)
    boxes = [each.bounding_box() for each in page.locator("#grid img").all()]
    assert len(boxes) == 6
    # They can be judged, with the photo beside them.
    assert all(box["width"] > 230 for box in boxes)
    photo = page.locator("#grid-photo img").bounding_box()
    assert photo["width"] > 230
    assert all(photo["x"] + photo["width"] < box["x"] for box in boxes)
    assert len(server.pictures()) == before  # They aren't in the history.
    page.click("#grid .thumbnail-item >> nth=4")
    page.wait_for_selector("#comparison .comparison", timeout=PAINT_MS)
    settings = read_manifest(download(page))["settings"]
    assert (settings["style_strength"], settings["size"]) == (0.8, 48)


def test_many_photos_are_painted_and_packed(visit, server, files, tmp_path):
    page = visit(server)
    hand_in(page, "style-1", files[1])
    x, y = open_editor(page, "style-1-mask")
    brush(page, (x - 50, y - 30), (x - 20, y - 20), (x - 50, y), (x - 20, y + 30))
    page.click("button[role=tab]:has-text('Batch')")
    page.set_input_files("#batch-photos input[type=file]", list(files))
    page.wait_for_selector("#batch-photos >> text=my style")
    page.click("#batch-paint")
    page.wait_for_selector(
        "#batch-said >> text=2 of 2 pictures are painted", timeout=PAINT_MS
    )
    packed = tmp_path / "painted.zip"
    packed.write_bytes(download(page, "#batch-download"))
    shutil.unpack_archive(packed, tmp_path / "unpacked")
    manifests = [read_manifest(path) for path in (tmp_path / "unpacked").iterdir()]
    hashes = {manifest["content_image"]["sha256"] for manifest in manifests}
    assert hashes == {describe_source(path)["sha256"] for path in files}
    assert all("mask" in manifest["style_image"] for manifest in manifests)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_list_of_a_batch_is_not_cut_off(visit, server, tmp_path, width):
    names = [f"a photo with a rather long name, number {n}.png" for n in range(12)]
    for name in names:
        tfnst.save_image(picture(40, 40), tmp_path / name)
    page = visit(server)
    page.click("button[role=tab]:has-text('Batch')")
    page.set_viewport_size({"width": width, "height": 844})
    page.set_input_files(
        "#batch-photos input[type=file]", [tmp_path / name for name in names]
    )
    page.wait_for_selector("#batch-photos .file >> nth=11")
    cut = page.eval_on_selector_all(
        "#batch-photos, #batch-photos *",
        """all => all.filter(e => {
            const style = getComputedStyle(e);
            return (e.scrollHeight > e.clientHeight + 1 && style.overflowY != 'visible')
                || (e.scrollWidth > e.clientWidth + 1 && style.overflowX != 'visible');
        }).map(e => e.outerHTML.slice(0, 100))""",
    )
    assert cut == []


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def example(language):
    """An example of the document."""
    text = (ROOT / "docs" / "studio.md").read_text()
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


@contextlib.contextmanager
def proxy(name, folder, port):
    """A proxy in front of a port, as in the document: its address.

    Args:
        name: `"nginx"` or `"caddy"`.
        folder: folder for its files.
        port: port of the studio.
    """
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        pytest.skip(f"there is no {name}")
    write_certificate(folder, "example.com")
    own = free_port()
    if name == "nginx":
        text = example("nginx").replace("443", f"127.0.0.1:{own}")
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{p}_temp_path {folder}/{p}; " for p in places)
        # Its workers would be somebody else, who mayn't write into the folder.
        user = "user root; " if os.getuid() == 0 else ""
        text = (
            f"{user}daemon off; pid {folder}/pid; error_log {folder}/proxy.log; "
            f"events {{}} http {{ access_log off; {temporary}\n{text}}}"
        )
        command = [program, "-c"]
    else:
        text = example("caddyfile").replace("example.com", f"127.0.0.1:{own}", 1)
        files = f"{folder}/example.com.crt {folder}/example.com.key"
        text = text.replace("{\n", f"{{\n    tls {files}\n", 1)
        text = f"{{\n    admin off\n    auto_https off\n}}\n{text}"
        command = [program, "run", "--adapter", "caddyfile", "--config"]
    text = text.replace("/etc/ssl", str(folder)).replace("7860", str(port))
    config = folder / f"{name}.conf"
    config.write_text(text)
    with open(folder / "proxy.txt", "wb") as log:
        process = subprocess.Popen(
            [*command, str(config)],
            stdout=log,
            stderr=log,
            env={"HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (folder / "proxy.txt").read_text()
            assert time.monotonic() < deadline
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", own)),
            ):
                break
            time.sleep(0.05)
        yield f"https://127.0.0.1:{own}/tfnst"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_it_works_behind_a_proxy_with_a_path(browser, tmp_path, name):
    """With TLS and a password, as in the document."""
    options = [*TINY_OPTIONS, "--root-path", "/tfnst", "--password", "open sesame"]
    photo = tmp_path / "photo.png"
    # More than proxies let through by default.
    tfnst.save_image(picture(900, 1200, seed=1), photo)
    assert photo.stat().st_size > 2**20
    with (
        Server(tmp_path, *options, "--steps", "200") as server,
        proxy(name, tmp_path, server.port) as address,
        contextlib.closing(browser.new_context(ignore_https_errors=True)) as context,
    ):
        wrong = []
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "response",
            lambda got: got.status >= 400 and wrong.append(f"{got.status} {got.url}"),
        )
        page.on(
            "request",
            lambda sent: (
                sent.url.startswith((address, "data:", "blob:"))
                or wrong.append(sent.url)
            ),
        )
        page.goto(address)
        page.fill("input >> nth=0", "somebody")
        page.fill("input[type=password]", "open sesame")
        page.click("button:has-text('Login')")
        page.wait_for_selector("#paint")
        width = "getComputedStyle(document.querySelector('.gradio-container')).maxWidth"
        page.wait_for_function(f"{width} == '1280px'")  # The style sheet.
        hand_in(page, "photo", photo)
        page.click("#sample-styles button >> nth=0")
        page.wait_for_selector("#style-1 img")
        page.click("#paint")
        seen = set()
        while len(seen) < 3:  # Progress comes as it is made.
            shown = page.wait_for_selector("#panel img.preview")
            seen.add(shown.get_attribute("src"))
        page.wait_for_selector("#comparison .comparison", timeout=300_000)
        manifest = read_manifest(download(page))
        assert manifest["content_image"]["name"] == "photo.png"
        page.click("button[role=tab]:has-text('History')")
        page.wait_for_function(
            "document.querySelector('#history .thumbnail-item img')?.naturalWidth"
        )
        assert wrong == []
