"""The styles that come with tfnst, by name."""

import pathlib

import pytest

import tfnst
from tests.helpers import ROOT
from tfnst.built_in import FOLDER, find_built_in, training_facts
from tfnst.images.formats import is_network

NAMES = tfnst.built_in_styles()
LARGEST, LARGEST_TOGETHER = 1_050_000, 8_000_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory, and another folder of built-in styles: waves and dots."""
    styles = tmp_path / "styles"
    styles.mkdir()
    for name in ("waves", "dots"):
        (styles / f"{name}.keras").touch()
    (styles / "README.md").touch()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tfnst.built_in.FOLDER", styles)
    monkeypatch.chdir(work)
    return work


def test_names_are_those_of_the_files(folder):
    assert tfnst.built_in_styles() == ["dots", "waves"]
    path = str(folder.parent / "styles" / "waves.keras")
    assert find_built_in("waves") == path
    assert is_network("waves")


def test_a_file_goes_before_a_built_in_style_and_a_folder_does_not(folder):
    pathlib.Path("waves").mkdir()
    pathlib.Path("dots").touch()
    pathlib.Path("other").touch()
    assert find_built_in("waves") is not None
    assert find_built_in("dots") is None
    assert find_built_in("other") is None


@pytest.mark.parametrize(
    "source",
    ["missing.jpg", "./waves", "a/waves", pathlib.Path("waves"), b"waves", None, 3],
)
def test_paths_and_pictures_are_no_names(folder, source):
    assert find_built_in(source) is None
    assert not is_network(source)


@pytest.mark.parametrize("name", ["wave", "Waves"])
def test_an_unknown_name_is_refused_with_those_that_there_are(folder, name):
    message = "must be a file, or the name of a built-in style: dots, waves. "
    message += f"Received: '{name}'"
    with pytest.raises(ValueError, match=f"^`style_image` {message}$"):
        tfnst.stylize("photo.jpg", name)
    with pytest.raises(ValueError, match=f"^`path` {message}$"):
        tfnst.load_network(name)


def test_the_built_in_styles_are_sample_styles_and_small():
    sizes = [path.stat().st_size for path in FOLDER.glob("*.keras")]
    assert max(sizes, default=0) <= LARGEST
    assert sum(sizes) <= LARGEST_TOGETHER
    samples = ROOT / "examples" / "images"
    assert all((samples / f"style_{name}.jpg").exists() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_learned_the_style_that_it_is_named_after(name):
    assert training_facts(name)["style_image"]["name"] == f"style_{name}.jpg"
    network = tfnst.load_network(name)
    assert network.source["name"] == f"{name}.keras"
    assert network.stylize(ROOT / "examples/images/photo_cat.jpg", size=64).array.std()
