"""`tfnst serve`."""

import re

from tests.cli.helpers import names, run_here


def test_bad_input_is_one_line(pictures, monkeypatch, capsys):
    code, _, err = run_here(monkeypatch, capsys, pictures, "serve", ".", "--port", "-1")
    assert code == 2
    assert re.search(r"^tfnst: error: `port` must be .* Received: -1$", err, re.M), err
    assert names(pictures) == ["content.png", "style.png"]
