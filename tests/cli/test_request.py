"""`tfnst request`."""

import re

import pytest

from tests.cli.helpers import names, run_here


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
        ("127.0.0.1:1", ["--timeout", "1"], 1, r".*127\.0\.0\.1:1"),
        (
            "127.0.0.1:1",
            ["--wait", "0.5"],
            1,
            r"The server at 127\.0\.0\.1:1 did not have .* ready within 0\.5 seconds",
        ),
        ("127.0.0.1:1", ["--wait", "0"], 2, r".*--wait.*0\.0"),
    ],
)
def test_what_is_wrong_is_said(
    pictures, target, options, code, message, monkeypatch, capsys
):
    ended, _, err = run_here(
        monkeypatch, capsys, pictures, "request", target, "content.png", "style.png",
        "-o", "out.png", *options,
    )  # fmt: skip
    assert ended == code
    assert re.search(rf"^tfnst: error: {message}", err, re.M), err
    assert names(pictures) == ["content.png", "style.png"]


def test_the_photo_is_not_written_over(pictures, monkeypatch, capsys):
    before = (pictures / "content.png").read_bytes()
    code, _, err = run_here(
        monkeypatch, capsys, pictures, "request", "127.0.0.1:1", "content.png",
        "style.png", "-o", "content.png",
    )  # fmt: skip
    assert (code, err) == (
        2,
        "tfnst: error: `output` must be a file other than `content_image`. "
        "Received: 'content.png'\n",
    )
    assert (pictures / "content.png").read_bytes() == before
