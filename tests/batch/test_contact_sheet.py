"""`tfnst batch --contact-sheet`."""

import json

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names, run_here
from tests.helpers import picture
from tfnst.visualization.sheet import BACKGROUND, MARGIN

OPTIONS = [*TINY_OPTIONS, "--steps", "1", "--initial-steps", "1"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    (tmp_path / "styles").mkdir()
    for i in range(2):
        path = tmp_path / "styles" / f"style{i}.png"
        tfnst.save_image(picture(50, 40, seed=2 + i), path)
    tfnst.save_image(picture(60, 80, seed=1), tmp_path / "photo.png")

    def call(*arguments):
        return run_here(
            monkeypatch, capsys, tmp_path, "batch", *arguments, *OPTIONS
        )  # fmt: skip

    return call


def cells(path, side=(48, 36)):
    """What a sheet shows, by row and column."""
    sheet = np.asarray(Image.open(path))
    width, height = side
    return [
        [sheet[y : y + height, x : x + width] for x in range(MARGIN, sheet.shape[1] - 1,
         width + MARGIN)]
        for y in range(MARGIN, sheet.shape[0] - 1, height + 20 + MARGIN)
    ]  # fmt: skip


def test_a_photo_in_each_style_of_a_folder_on_one_sheet(run, tmp_path):
    code, out, err = run(
        "photo.png", "-s", "styles", "-o", "out", "--contact-sheet", "sheet.png",
        "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert (facts["painted"], facts["contact_sheet"]) == (2, "sheet.png")
    (photo, first), (second, nothing) = cells(tmp_path / "sheet.png")
    # No picture is larger than those that were painted.
    small = Image.open(tmp_path / "photo.png").resize(
        (48, 36), Image.Resampling.LANCZOS
    )
    np.testing.assert_allclose(photo.astype(int), np.asarray(small), atol=2)
    assert (nothing == BACKGROUND).all()
    for i, cell in enumerate((first, second)):
        painted = np.asarray(Image.open(tmp_path / "out" / f"photo_style{i}.png"))
        assert painted.shape == (36, 48, 3)
        np.testing.assert_array_equal(cell, painted)
    before = (tmp_path / "sheet.png").read_bytes()
    # Pictures that are skipped are on the sheet as well.
    again = ["photo.png", "-s", "styles", "-o", "out", "--contact-sheet", "more.png"]
    assert run(*again) == (0, "out: 2 skipped; out/report.json\n", "")
    assert (tmp_path / "more.png").read_bytes() == before


def test_a_picture_that_failed_leaves_an_empty_cell(run, tmp_path):
    (tmp_path / "styles" / "style0.png").write_text("no picture")
    code, _, err = run(
        "photo.png", "-s", "styles", "-o", "out", "--contact-sheet", "sheet.png"
    )
    assert code == 1
    assert "failed: out/photo_style0.png" in err
    (_, first), (second, _) = cells(tmp_path / "sheet.png")
    assert (first == BACKGROUND).all()
    assert (second != BACKGROUND).any()
    # Without any picture there is no sheet.
    (tmp_path / "styles" / "style1.png").write_text("no picture")
    code, _, err = run(
        "photo.png", "-s", "styles", "-o", "new", "--contact-sheet", "none.png"
    )
    assert code == 1
    assert "warning: there is no contact sheet, as no picture was painted" in err
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--contact-sheet", "photo.png"], "`contact_sheet` must be a file other than "
         "`contents`."),
        (["--contact-sheet", "out/photo_style0.png"], "`contact_sheet` must be a file "
         "other than `output`."),
        (["--contact-sheet", "a.png", "--report", "a.png"], "`contact_sheet` must be a "
         "file other than `report`."),
        (["--contact-sheet", "a.txt"], "`contact_sheet` must be a path that ends in "),
        (["--contact-sheet", "no/a.png"], "`contact_sheet` must be "),
        (["-s", "empty"], "`styles` must be pictures or folders of pictures"),
    ],
)  # fmt: skip
def test_bad_paths_are_refused_before_anything_is_painted(
    arguments, expected, run, tmp_path
):
    (tmp_path / "empty").mkdir()
    before = names(tmp_path)
    code, out, err = run("photo.png", "-s", "styles", "-o", "out", *arguments)
    assert (code, out, names(tmp_path)) == (2, "", before)
    assert err.startswith(f"tfnst: error: {expected}")
