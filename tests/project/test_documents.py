"""The documents: their code runs, and their lists and tables are up to date."""

import importlib.util
import re

import pytest

from tests.helpers import ROOT
from tests.project import documents
from tfnst.client import errors
from tfnst.config import setting_names

# Reasons for not running a block, by its document and its first words.
NOT_RUN = {
    ("README.md", "make demo"): "it makes an environment and runs these tests",
    ("docs/fleets.md", "tfnst batch s3:"): "it needs a cluster and its storage",
    ("docs/studio.md", "pip install"): "it installs; test_browser.py runs it",
    ("docs/studio.md", "TFNST_STUDIO_PASSWORD='open sesame' tfnst studio --host"): (
        "it serves until it is stopped"
    ),
    ("docs/studio.md", "TFNST_STUDIO_PASSWORD='open sesame' tfnst studio --root"): (
        "it serves until it is stopped; test_browser_pages.py runs it"
    ),
    ("docs/index.md", "pip install"): "it installs; `make try-dist` does so",
    ("docs/install.md", "pip install"): "it installs; `make try-dist` does so",
}


def reason_of(block):
    """Reason for not running a block; None if it is run."""
    for (page, start), reason in NOT_RUN.items():
        if block.page == page and block.text.startswith(start):
            return reason
    return None


HAS_TENSORBOARD = importlib.util.find_spec("tensorboard") is not None
ALL = [block for page in documents.pages() for block in documents.blocks_of(page)]


# One test per page, because later blocks need the files that earlier ones made.
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page == "README.md" else pytest.mark.slow)
        for page in dict.fromkeys(block.page for block in ALL)
    ],
)
def test_blocks_run(page, tmp_path, monkeypatch):
    # Set by commands that run here, and inherited by those in other processes.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    # In separate processes, the README's blocks would take long.
    with documents.Runner(tmp_path, here=page == "README.md") as runner:
        for block in documents.blocks_of(page):
            lacks = "TensorBoard" in block.text and not HAS_TENSORBOARD
            if reason_of(block) is None and not lacks:
                runner.run(block)


def test_every_reason_is_for_one_block():
    for page, start in NOT_RUN:
        found = [b for b in ALL if b.page == page and b.text.startswith(start)]
        assert len(found) == 1, (page, start)


def test_settings_are_listed_as_they_are():
    spec = importlib.util.spec_from_file_location(
        "settings_page", ROOT / "docs" / "settings_page.py"
    )
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert page.PAGE.read_text(encoding="utf-8") == page.page()
    assert re.findall(r"^## (\w+)$", page.page(), re.M) == [
        *setting_names(),
        "Presets",
    ]


def test_errors_are_in_the_code():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    table = page.split("| in the message |")[1].split("\n\n")[0]
    phrases = re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    assert len(phrases) == table.count("\n") - 1
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tfnst").rglob("*.py")
    )
    # Strings that are continued on the next line.
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    for phrase in phrases:
        assert phrase in source, phrase


def test_files_in_the_architecture_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"\b[a-z_]+/[a-z_/]+\.py\b", text))
    assert len(named) > 30
    places = (ROOT / "tfnst", ROOT)
    missing = {n for n in named if not any((place / n).exists() for place in places)}
    assert not missing
    for package, files in re.findall(r"^\| `([a-z]+/)` \|.*\| ([^|]*)\|$", text, re.M):
        for file in re.findall(r"`(\w+\.py)`", files):
            assert (ROOT / "tfnst" / package / file).exists()


def test_the_errors_of_clients_are_listed():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+Error)`.*? \| `(\w+)`(?:, `(\w+)`)? \|", page, re.M)
    found = {}
    for name, *codes in listed:
        found |= {code: name for code in codes if code}
    assert found == {
        code.name: kind.__name__ for code, (kind, _) in errors._ERRORS.items()
    }


@pytest.mark.parametrize("page", documents.pages())
def test_options_and_settings_on_pages_exist(page):
    from tfnst.cli.command import cli

    known = {
        option
        for command in cli.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    text = (ROOT / page).read_text(encoding="utf-8")
    if page == "docs/migrating.md":
        # The first column is other programs'.
        text = re.sub(r"^\| .*? \|", "|", text, flags=re.MULTILINE)
    for command in re.findall(r"^tfnst (?:.*\\\n)*.*$", text, re.MULTILINE):
        words = command.split("#")[0].split("|")[0].split()
        for option in (word for word in words if word.startswith("--")):
            assert option in known, option
    for option in re.findall(r"`(--[a-z][a-z-]+)", text):
        assert option in known | {"--help", "--version", "--logdir"}, option
