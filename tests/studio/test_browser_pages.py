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
from tests.studio.test_browser import (  # noqa: F401
    CHROMIUM,
    Server,
    browser,
    download,
    files,
    hand_in,
    paint,
    server,
    visit,
)
from tfnst.images.manifest import read_manifest

pytestmark = pytest.mark.browser


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
def test_it_works_behind_a_proxy_with_a_path(browser, tmp_path, name):  # noqa: F811
    """With TLS and a password, as in the document."""
    options = [*TINY_OPTIONS, "--root-path", "/tfnst", "--password", "open sesame"]
    photo = tmp_path / "photo.png"
    # More than proxies let through by default.
    tfnst.save_image(picture(900, 1200, seed=1), photo)
    assert photo.stat().st_size > 2**20
    with (
        Server(tmp_path, *options, "--steps", "200") as server,  # noqa: F811
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
        page.click("#sample-styles .thumbnail-item >> nth=0")
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
