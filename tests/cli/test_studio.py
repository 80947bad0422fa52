"""`tfnst studio`, as far as it goes without a browser."""

import dataclasses
import logging
import re
import sys

import click
import pytest

from tests.cli.helpers import names
from tests.helpers import message
from tfnst.cli.settings import option_of
from tfnst.cli.studio import limit_options
from tfnst.studio import serve
from tfnst.studio.limits import Limits


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--port", "0"], r"`port` must be an integer from 1 to 65535\. Received: 0"),
        (["--max-waiting", "0"], r"`max_waiting` must be an integer, 1 or more\."),
        (["--max-megapixels", "-1"], r"`max_megapixels` must be a number above 0\."),
        (["--max-runs", "2"], r"`max_runs` was removed: each visitor has one run"),
        (["--size", "7"], r"`size` must be an integer from 32 to 16384\."),
        (["--samples", "nowhere"], r"`samples` must be a folder that exists\."),
        (
            ["--root-path", "tfnst"],
            r"`root_path` must be a path that begins with /, or",
        ),
        (["--server", "nowhere"], r"`server` must be HOST:PORT\. Received: 'nowhere'"),
        (["--output", "content.png/x"], r"`output` must be a folder that can be"),
        (["--host", "256.1.1.1"], r"`host` and `port` must be an address that is free"),
    ],
)
def test_bad_input_is_one_line(options, expected, pictures, run):
    code, _, err = run("studio", *options)
    assert code == 2
    assert re.search(rf"^tfnst: error: {expected}", err, re.M), err
    assert "content.png" in names(pictures)


def test_without_gradio_it_says_what_to_install(monkeypatch, run):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = run("studio", "--port", "1024")
    assert code == 2
    assert "tfnst: error: The studio needs Gradio: pip install 'tfnst[studio]'" in err


def test_each_limit_is_an_option():
    received = []
    command = click.command(limit_options(lambda limits: received.append(limits)))
    for field in dataclasses.fields(Limits):
        command.main([option_of(field.name), "7"], standalone_mode=False)
        assert received[-1] == Limits(**{field.name: 7})
    command.main([], standalone_mode=False)
    assert received[-1] == Limits()


@pytest.mark.parametrize(
    ("host", "only_this_machine"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.5", False),
        ("::", False),
        ("studio.example", False),
    ],
)
def test_only_the_loopback_is_for_this_machine_only(host, only_this_machine):
    assert serve.is_loopback(host) is only_this_machine


def test_strangers_are_announced(caplog):
    with caplog.at_level(logging.WARNING):
        serve._warn_of_strangers("0.0.0.0", None)
        serve._warn_of_strangers("0.0.0.0", "secret")
    open_door, advice, closed_door = (record.message for record in caplog.records)
    assert open_door.startswith("EVERYBODY who can reach 0.0.0.0 may paint")
    assert advice == "There is no password: give one with --password."
    assert closed_door.startswith("Whoever knows the password who can reach 0.0.0.0")
    assert "secret" not in caplog.text


def test_the_password_is_compared_whole():
    for given in ("open sesame", "open", ""):
        admitted = serve._admits("open sesame", "anybody", given)
        assert admitted is (given == "open sesame")


def test_samples_come_from_the_checkout_or_a_folder(tmp_path):
    assert (serve.sample_folder(None) / "photo_cat.jpg").is_file()
    assert serve.sample_folder(str(tmp_path)) == tmp_path
    text = message(ValueError, serve.sample_folder, str(tmp_path / "missing"))
    assert text.startswith("`samples` must be a folder that exists.")
