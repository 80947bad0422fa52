"""The files for a release fit each other."""

import configparser
import re

import pytest
import yaml

from tests.helpers import ROOT
from tfnst.version import __version__

KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def supported_pythons():
    """The versions of Python that the package says it supports, in order."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return re.findall(r"Python :: (3\.\d+)$", setup["metadata"]["classifiers"], re.M)


def test_documents_name_the_pythons_that_are_tested():
    """The oldest is a bound wherever it is stated; the newest is no bound."""
    oldest, newest = supported_pythons()[0], supported_pythons()[-1]
    for name in ("README.md", "CONTRIBUTING.md", "docs/index.md", "docs/install.md"):
        text = (ROOT / name).read_text()
        assert re.findall(r"Python (3\.\d+) to (3\.\d+)", text) == [(oldest, newest)]
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["options"]["python_requires"] == f">={oldest}"
    makefile = (ROOT / "Makefile").read_text()
    assert f"needs Python {oldest} or newer" in makefile


def test_the_changelog_has_the_form_of_keepachangelog():
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    for release in releases[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release)
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", section, flags=re.MULTILINE)
        assert kinds
        assert len(set(kinds)) == len(kinds)
        assert set(kinds) <= KINDS


def test_the_version_is_stated_once():
    for name in ("setup.cfg", "pyproject.toml", "CITATION.cff", "README.md"):
        assert __version__ not in (ROOT / name).read_text(), name


def test_the_wheel_has_all_files_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set()
    for package, patterns in setup["options.package_data"].items():
        folder = ROOT.joinpath(*package.split("."))
        for pattern in re.findall(r"[^\s,]+", patterns):
            listed |= set(folder.glob(pattern))
    files = {path for path in (ROOT / "tfnst").rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix not in (".py", ".pyc")} == listed


@pytest.mark.parametrize(("name", "job"), [("test", "test"), ("dist", "try")])
def test_workflows_run_on_the_oldest_and_the_newest_python(name, job):
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
    (matrix,) = yaml.safe_load(text)["jobs"][job]["strategy"]["matrix"].values()
    pythons = supported_pythons()
    assert matrix == [pythons[0], pythons[-1]]
