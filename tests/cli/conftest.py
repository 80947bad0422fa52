import functools

import pytest

import tfnst
from tests.cli.helpers import TINY_OPTIONS, run_here
from tests.helpers import picture


@pytest.fixture
def pictures(tmp_path):
    """A folder with content.png and style.png."""
    tfnst.save_image(picture(60, 80, seed=1), tmp_path / "content.png")
    tfnst.save_image(picture(50, 40, seed=2), tmp_path / "style.png")
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """The command in this process: a function of its arguments, as `run_here`."""
    return functools.partial(run_here, monkeypatch, capsys, tmp_path)


@pytest.fixture
def stylize(pictures, run):
    """`tfnst stylize` of content.png into out.png; further arguments may override."""
    first = ("stylize", "content.png", "style.png", "-o", "out.png", *TINY_OPTIONS)
    return functools.partial(run, *first)
