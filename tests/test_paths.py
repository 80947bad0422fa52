"""Whether paths name the same file."""

import os

import pytest

from tests.helpers import message
from tfnst import paths
from tfnst.paths import check_outputs, named_paths


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with the photo `a.png`, and links to both."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"a photo")
    (tmp_path / "link.png").symlink_to("in/a.png")
    os.link("in/a.png", "hard.png")
    (tmp_path / "linked").symlink_to("in")
    return tmp_path


@pytest.mark.parametrize(
    "path", ["in/a.png", "./in/../in/a.png", "link.png", "hard.png", "linked/a.png"]
)
def test_an_output_that_is_an_input_is_refused(folder, path):
    text = message(
        ValueError, check_outputs, [("style_image", "no"), ("content_image", path)],
        [("sheet", "s.png"), ("output", "in/a.png")],
    )  # fmt: skip
    same = "" if path == "in/a.png" else f", which is the same file as {path!r}"
    assert text == (
        "`output` must be a file other than `content_image`. "
        f"Received: 'in/a.png'{same}"
    )


@pytest.mark.parametrize("other", ["new.png", "in/../new.png"])
def test_an_output_given_twice_is_refused(folder, other):
    text = message(ValueError, check_outputs, [], [("a", "new.png"), ("b", other)])
    assert text.startswith("`b` must be a file other than `a`. Received: ")
    text = message(
        ValueError, check_outputs, [], [("a", "linked/new.png"), ("b", "in/new.png")]
    )
    assert text.endswith("which is the same file as 'linked/new.png'")


def test_other_files_are_fine(folder):
    check_outputs(
        [("content_image", "in/a.png"), ("style_image", "in/a.png")],
        [("output", "b.png"), ("plot", "in/b.png"), ("film", "nowhere/b.png")],
    )
    check_outputs([("c", "s3://x/a.png")], [("o", "s3://x/b.png")])
    with pytest.raises(ValueError, match="`o` must be a file other than `c`"):
        check_outputs([("c", "s3://x/a.png")], [("o", "s3://x/a.png")])


def test_devices_and_pipes_may_be_given_twice(folder):
    os.mkfifo("pipe")
    for path in (os.devnull, "pipe"):
        check_outputs([("a", path)], [("b", path), ("c", path)])


def test_names_are_compared_as_the_file_system_does(folder, monkeypatch):
    outputs = [("a", "in/new.png"), ("b", "linked/New.PNG")]
    ignored = os.path.exists("IN")
    if not ignored:
        check_outputs([], outputs)
    exists, samefile = os.path.exists, os.path.samefile

    def without_case(path):
        start, name = os.path.split(path)
        there = os.listdir(start) if exists(start) else []
        return name.lower() in map(str.lower, there)

    def same_without_case(one, other):
        return one.lower() == other.lower() or samefile(one, other)

    monkeypatch.setattr(paths.os.path, "exists", without_case)
    monkeypatch.setattr(paths.os.path, "samefile", same_without_case)
    for start in ("", "new/folder/"):
        outputs = [("a", start + "in.png"), ("b", start + "IN.png")]
        with pytest.raises(ValueError, match="`b` must be a file other than `a`"):
            check_outputs([], outputs)
    assert sorted(os.listdir()) == ["hard.png", "in", "link.png", "linked"]
    assert os.listdir("in") == ["a.png"]


def test_only_paths_are_named(folder):
    assert named_paths(("a", "x"), ("b", None), ("c", b"x"), ("d", folder)) == [
        ("a", "x"),
        ("d", folder),
    ]
