"""`tfnst export`."""

import re

from tests.cli.helpers import names, run_here


def test_bad_input_is_one_line(pictures, monkeypatch, capsys):
    code, _, err = run_here(
        monkeypatch, capsys, pictures, "export", "models", "--version", "0"
    )
    assert code == 2
    expected = r"tfnst: error: `version` must be an integer from 1 to .* Received: 0$"
    assert re.search(f"^{expected}", err, re.M), err
    assert names(pictures) == ["content.png", "style.png"]
