"""`tfnst export`."""

import json
import re

import pytest

from tests.cli.helpers import TINY_OPTIONS, names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--version", "0"], r"`version` must be an integer from 1 to .* Received: 0"),
        (["--network", "style.png"], r"`network` must be a network .*'style.png'"),
        (["--network", "x.keras"], r"`network` must be a file .*'x.keras', which does"),
    ],
)
def test_bad_input_is_one_line(options, message, pictures, run):
    code, _, err = run("export", "models", *options)
    assert code == 2
    assert re.search(f"^tfnst: error: {message}", err, re.M), err
    assert names(pictures) == ["content.png", "style.png"]


@pytest.mark.slow
def test_the_result_as_a_line_as_json_or_not_at_all(tmp_path, run):
    for version, (option, expected) in enumerate(
        [
            (None, "models/1\n"),
            ("--json", json.dumps({"output": "models/2", "version": 2}) + "\n"),
            ("--quiet", ""),
        ],
        1,
    ):
        options = [option] if option else []
        done = run("export", "models", *TINY_OPTIONS, *options)
        assert done == (0, expected, "")
        assert (tmp_path / "models" / str(version) / "saved_model.pb").is_file()
