"""The files of a hosted space. test_browser.py opens its page."""

import configparser
import importlib.util
import re

import click
import pytest
import yaml

from tests.helpers import ROOT
from tfnst.cli.studio import studio
from tfnst.studio.limits import Limits

SPACE = ROOT / "integrations" / "space"


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("space_app", SPACE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def front():
    """What the README says to the host."""
    _, text, _ = (SPACE / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(text)


def parse(arguments):
    """The options of `tfnst studio` that arguments stand for."""
    name, *rest = arguments
    assert name == "studio"
    with studio.make_context("studio", list(rest)) as context:
        given = click.core.ParameterSource.COMMANDLINE
        return {
            name: value
            for name, value in context.params.items()
            if context.get_parameter_source(name) is given
        }


def test_every_limit_is_tighter_than_on_ones_own_machine(app):
    options = parse(app.arguments({}))
    allowed = Limits(**{n: v for n, v in options.items() if n in vars(Limits())})
    for name, usual in vars(Limits()).items():
        value = getattr(allowed, name)
        # 0 is for ever.
        assert value > usual if name == "max_days" else value < usual, name
    assert options["shared"] is False
    assert options["size"] ** 2 <= allowed.max_megapixels * 1e6


def test_it_listens_where_the_host_wants_it(app):
    options = parse(app.arguments({}))
    assert (options["host"], options["port"]) == ("0.0.0.0", 7860)
    wanted = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": "1234"}
    options = parse(app.arguments(wanted))
    assert (options["host"], options["port"]) == ("127.0.0.1", 1234)


def test_pictures_go_to_the_permanent_storage_if_there_is_one(app, tmp_path):
    options = parse(app.arguments({}, storage=tmp_path))
    assert options["output"] == str(tmp_path / "painted")
    options = parse(app.arguments({}, storage=tmp_path / "missing"))
    assert options["output"] == str(SPACE / "painted")


def test_samples_are_offered_if_there_are_any(app, tmp_path):
    assert "samples" not in parse(app.arguments({}))
    (tmp_path / "samples").mkdir()
    options = parse(app.arguments({}, folder=tmp_path))
    assert options["samples"] == str(tmp_path / "samples")


def test_the_host_is_told_what_it_needs(front):
    assert front["sdk"] == "gradio"
    assert (SPACE / front["app_file"]).is_file()
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lowest = re.search(r"gradio >= (\S+)", setup["options.extras_require"]["studio"])
    needed, offered = (v.split(".") for v in (lowest[1], front["sdk_version"]))
    assert [int(part) for part in offered] >= [int(part) for part in needed]
    versions = setup["metadata"]["classifiers"]
    assert f"Python :: {front['python_version']}" in versions
    assert setup["metadata"]["license"].lower() == front["license"]
    # Longer ones are refused.
    assert len(front["short_description"]) <= 60
    extras = re.fullmatch(
        r"tfnst\[([\w,]+)\]\n", (SPACE / "requirements.txt").read_text()
    )
    for extra in extras[1].split(","):
        assert extra in setup["options.extras_require"]
