"""`tfnst request`."""

import io
import json
import re

import pytest
from PIL import Image

from tests.cli.helpers import names
from tfnst.client import client
from tfnst.client.responses import StylizeResponse


@pytest.fixture
def ask(pictures, run):
    """`tfnst request` of content.png into out.png; further arguments may override."""

    def call(target, *arguments):
        return run(
            "request", target, "content.png", "style.png", "-o", "out.png", *arguments
        )

    return call


@pytest.mark.parametrize(
    ("target", "options", "code", "message"),
    [
        ("127.0.0.1", [], 2, r"`target` must be .* Received: '127\.0\.0\.1'"),
        (
            "127.0.0.1:1",
            ["--steps", "0"],
            2,
            r"`steps` must be an integer from 1 to 100000\. Received: 0",
        ),
        ("127.0.0.1:1", ["--timeout", "0.2"], 1, r".*127\.0\.0\.1:1"),
        (
            "127.0.0.1:1",
            ["--wait", "0.1"],
            1,
            r"The server at 127\.0\.0\.1:1 did not have .* ready within 0\.1 seconds",
        ),
        ("127.0.0.1:1", ["--wait", "0"], 2, r".*--wait.*0\.0"),
        (
            "127.0.0.1:1",
            ["--root-certificates", "missing.pem"],
            2,
            r"`root_certificates` must be a file that can be read\. Received: "
            r"'missing\.pem', which does not exist",
        ),
    ],
)
def test_what_is_wrong_is_said(target, options, code, message, pictures, ask):
    ended, _, err = ask(target, *options)
    assert ended == code
    assert re.search(rf"^tfnst: error: {message}", err, re.M), err
    assert names(pictures) == ["content.png", "style.png"]


def test_the_photo_is_not_written_over(pictures, ask):
    before = (pictures / "content.png").read_bytes()
    code, _, err = ask("127.0.0.1:1", "-o", "content.png")
    assert (code, err) == (
        2,
        "tfnst: error: `output` must be a file other than `content_image`. "
        "Received: 'content.png'\n",
    )
    assert (pictures / "content.png").read_bytes() == before


class FakeClient:
    """A client whose server has painted already."""

    def __init__(self, target, **options):
        assert (target, options) == ("h:1", {"model": "m"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def stylize(self, content, style, **settings):
        assert content == "content.png"
        assert settings == ({} if style is None else {"steps": 2})
        file = io.BytesIO()
        Image.new("RGB", (40, 30)).save(file, "PNG")
        losses = [None] * 3 if style is None else [0.5, 0.25, 10.5]
        return StylizeResponse(file.getvalue(), *losses, 7)


def test_json_is_one_line_of_what_it_did(pictures, monkeypatch, ask):
    monkeypatch.setattr(client, "StylizeClient", FakeClient)
    code, out, err = ask("h:1", "--json", "--model", "m", "--steps", "2")
    assert (code, err) == (0, "")
    line = json.loads(out)
    assert 0 <= line.pop("seconds") < 60
    assert line == {
        "output": "out.png",
        "width": 40,
        "height": 30,
        "content_loss": 0.5,
        "style_loss": 0.25,
        "total_loss": 10.5,
        "model_version": 7,
        "target": "h:1",
    }
    assert names(pictures) == ["content.png", "out.png", "style.png"]


def test_quiet_says_nothing(monkeypatch, ask):
    monkeypatch.setattr(client, "StylizeClient", FakeClient)
    assert ask("h:1", "--model", "m", "--steps", "2", "-q") == (0, "", "")
    monkeypatch.setenv("TFNST_STEPS", "2")
    code, out, err = ask("h:1", "--model", "m")
    assert (code, err) == (0, "")
    assert out == "out.png: 40x30 pixels, total loss 10.500 (version 7 at h:1)\n"


def test_a_network_needs_no_style(pictures, monkeypatch, run):
    monkeypatch.setattr(client, "StylizeClient", FakeClient)
    done = run("request", "h:1", "content.png", "-o", "out.png", "--model", "m")
    assert done == (0, "out.png: 40x30 pixels (version 7 at h:1)\n", "")


def test_an_error_names_the_variable(monkeypatch, ask):
    monkeypatch.setenv("TFNST_STEPS", "0")
    code, out, err = ask("127.0.0.1:1")
    assert (code, out) == (2, "")
    assert err == (
        "tfnst: error: `TFNST_STEPS` must be an integer from 1 to 100000. Received: 0\n"
    )
