"""`tfnst serve`."""

import re

import pytest

from tests.cli.helpers import names


def test_bad_input_is_one_line(pictures, run):
    code, _, err = run("serve", ".", "--port", "-1")
    assert code == 2
    assert re.search(r"^tfnst: error: `port` must be .* Received: -1$", err, re.M), err
    assert names(pictures) == ["content.png", "style.png"]


def test_check_fails_without_a_model(pictures, run):
    code, _, err = run("serve", ".", "--check")
    assert code == 1
    assert re.search(r"^tfnst: error: the model can't be served", err, re.M), err


def test_a_directory_is_needed(pictures, run):
    code, _, err = run("serve")
    assert code == 2
    assert re.search(r"^tfnst: error: `directory` must be a directory", err, re.M), err


@pytest.mark.parametrize("missing", ["certificate", "private-key"])
def test_a_certificate_that_is_missing(missing, pictures, run):
    files = {"certificate": "content.png", "private-key": "content.png"}
    options = [
        word
        for name, file in (files | {missing: "missing.pem"}).items()
        for word in (f"--{name}", file)
    ]
    arguments = ("serve", ".", "--port", "0", *options)
    code, _, err = run(*arguments)
    assert code == 2
    name = missing.replace("-", "_")
    assert err.splitlines()[-1] == (
        f"tfnst: error: `{name}` must be a file that can be read. Received: "
        "'missing.pem', which does not exist"
    )


@pytest.mark.parametrize("option", ["model-config-file", "admin-token-file"])
def test_removed_options_say_what_to_use(option, pictures, run):
    arguments = ("serve", f"--{option}", "file")
    code, _, err = run(*arguments)
    assert code == 2
    (line,) = err.splitlines()
    name = option.replace("-", "_")
    assert line.startswith(f"tfnst: error: `{name}` was removed: ")
    assert "use TensorFlow Serving; see serving/README.md" in line
