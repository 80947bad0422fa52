"""`tfnst stylize`."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names, new_tfnst_command
from tests.helpers import TINY, picture
from tfnst.images.manifest import read_manifest


def test_stylize_writes_what_python_gives(pictures):
    done = new_tfnst_command(
        "stylize", "content.png", "style.png", "-o", "out.png", *TINY_OPTIONS,
        cwd=pictures,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"out\.png: 48x36 pixels, 12 steps in \d+ s "
        r"\(vgg19, weights from [^)]*\)\n",
        done.stdout,
    )
    # Nothing but the result in a pipe.
    assert done.stderr == ""
    expected = tfnst.stylize(
        pictures / "content.png", pictures / "style.png", config=TINY
    )
    with Image.open(pictures / "out.png") as out:
        np.testing.assert_array_equal(np.asarray(out), np.asarray(expected.image))
    assert names(pictures) == ["content.png", "out.png", "style.png"]


def test_pictures_in_between_and_the_sheet(pictures, stylize):
    code, _, err = stylize("-o", "out.jpg", "--save-every", "4", "--sheet", "sheet.png")
    assert (code, err) == (0, "")
    assert names(pictures) == [
        "content.png", "out-04.jpg", "out-08.jpg", "out-12.jpg", "out.jpg",
        "sheet.png", "style.png",
    ]  # fmt: skip
    with Image.open(pictures / "sheet.png") as sheet:
        assert sheet.width > 48 + 12
        assert sheet.height == 36 + 24


def test_pictures_in_between_have_what_the_last_one_has(pictures, run):
    with Image.open(pictures / "content.png") as photo:
        photo.putalpha(100)
        photo.save(pictures / "clear.png", dpi=(300, 300))
    code, _, err = run(
        "stylize", "clear.png", "style.png", "-o", "out.png", "--save-every", "6",
        *TINY_OPTIONS,
    )  # fmt: skip
    assert (code, err) == (0, "")
    for name in ("out-06.png", "out-12.png", "out.png"):
        with Image.open(pictures / name) as out:
            assert out.mode == "RGBA"
            assert out.getchannel("A").getextrema() == (100, 100)
            assert out.info["dpi"] == pytest.approx((300, 300), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png", "style.png"], r"`content_image` .*nowhere"),
        (["text.jpg", "style.png"], r"`content_image` .*text\.jpg"),
        (["content.png", "cut.png"], r"`style_image` .*cut\.png"),
        (["dot.png", "style.png"], r"`content_image` .*1 wide and 1 high"),
    ],
)
def test_a_bad_picture_is_one_line_and_leaves_nothing_behind(
    pictures, arguments, message, run
):
    (pictures / "text.jpg").write_text("not a picture\n")
    whole = (pictures / "style.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 1)).save(pictures / "dot.png")
    before = names(pictures)
    code, out, err = run("stylize", *TINY_OPTIONS, *arguments, "-o", "out.png")
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"tfnst: error: {message}.*\n", err), err
    assert names(pictures) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "out.doc"], r"`output` .*out\.doc"),
        (["-o", "no/out.png"], r"`output` .*no/out\.png"),
        (
            ["--region", "no.png"],
            r"`region` must be a file that can be read\. "
            r"Received: 'no\.png', which does not exist",
        ),
        (["--steps", "-1"], r"`steps` must be an integer from 1 .* Received: -1"),
        (
            ["--style-weight", "nan"],
            r"`style_weight` must be a number from 1e-30 to 1e\+30, or 0\. "
            r"Received: nan",
        ),
        (["--size", "big"], r"Invalid value for '--size': 'big' is not a valid int"),
        (
            ["--style-layers", "x"],
            r"`content_layers` and `style_layers` must be .*Received: 'x'",
        ),
        (["--weights", "no.h5"], r".*no\.h5.*"),
        (["--max-time", "soon"], r"`max_time` must be a number .* Received: 'soon'"),
        (["--timelapse", "film.avi"], r"`timelapse` must be .* \.webp or \.mp4\. "),
        (["--plot", "plot.gif"], r"`plot` must be a path that ends in .* or \.pdf\. "),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_nothing_behind(
    pictures, options, message, stylize
):
    # The last one of an option counts.
    code, out, err = stylize(*options)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"tfnst: error: {message}.*\n", err), err
    assert names(pictures) == ["content.png", "style.png"]


def test_an_output_is_needed(run, pictures):
    done = run("stylize", "content.png", "style.png")
    assert done == (2, "", "tfnst: error: Missing option '-o' / '--output'.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "content.png"], "`output` must be a file other than `content_image`"),
        (["-o", "./style.png"], "`output` must be a file other than `style_image`"),
        (["-o", "link.png"], "`output` must be a file other than `content_image`"),
        (
            ["-o", "o.png", "--checkpoint", "content.png"],
            "`checkpoint` must be a file other than `content_image`",
        ),
        (
            ["-o", "o.png", "--checkpoint", "other.png"],
            "`checkpoint` must be a new file or a checkpoint of tfnst",
        ),
        (
            ["-o", "o.png", "--sheet", "other.png", "--style-mask", "other.png"],
            "`sheet` must be a file other than `mask`",
        ),
        (
            ["-o", "o.png", "--init-image", "other.png", "--plot", "other.png"],
            "`plot` must be a file other than `init_image`",
        ),
        (["-o", "o.png", "--plot", "o.png"], "`plot` must be a file other than `out"),
        (["-o", "o.gif", "--timelapse", "o.gif"], "`timelapse` must be a file other"),
        (["-o", "o.png", "--checkpoint", "o.png"], "`checkpoint` must be a file oth"),
        (
            ["-o", "p.png", "--save-every", "2", "--sheet", "p-04.png"],
            "`save_every` must be a file other than `sheet`",
        ),
        (
            ["-o", "p.png", "--save-every", "3", "--region", "p-03.png"],
            "`save_every` must be a file other than `region`",
        ),
        (
            ["-o", "p.png", "--from", "p.png"],
            "`output` must be a file other than `from",
        ),
    ],
)
def test_nothing_that_is_read_is_written_over(pictures, arguments, message, stylize):
    shutil.copy(pictures / "content.png", pictures / "other.png")
    shutil.copy(pictures / "content.png", pictures / "p-03.png")
    (pictures / "link.png").symlink_to("content.png")
    painted = {"settings": TINY.to_dict()}
    tfnst.save_image(picture(20, 20), pictures / "p.png", manifest=painted)
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    code, out, err = stylize(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"tfnst: error: {message}")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in pictures.iterdir()} == before


def test_pictures_in_between_may_be_named_like_other_files(pictures, run):
    # No picture is saved after step 3.
    (pictures / "content.png").rename(pictures / "out-3.png")
    code, _, err = run(
        "stylize", "out-3.png", "style.png", "-o", "out.png", *TINY_OPTIONS,
        "--save-every", "6",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert names(pictures) == [
        "out-06.png", "out-12.png", "out-3.png", "out.png", "style.png"
    ]  # fmt: skip


def test_a_film_and_a_plot(pictures, stylize):
    pytest.importorskip("matplotlib")
    code, _, err = stylize(
        "--timelapse", "film.webp", "--timelapse-size", "32", "--plot", "losses.svg",
        "--save-every", "6",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert names(pictures) == [
        "content.png", "film.webp", "losses.svg", "out-06.png", "out-12.png",
        "out.png", "style.png",
    ]  # fmt: skip
    with Image.open(pictures / "film.webp") as film:
        assert film.size == (32, 24)
        assert film.n_frames > 2


def test_a_run_says_when_its_time_is_up(pictures, stylize, run):
    code, out, err = stylize("--max-time", "0.001s")
    assert code == 0
    assert re.match(r"out\.png: 48x36 pixels, \d steps, cut by --max-time, in ", out)
    assert err == (
        "tfnst: the time was up at 34 pixels; the picture is enlarged from there\n"
    )
    told = read_manifest(pictures / "out.png")
    assert (told["stopped"], told["stop_reason"]) == (True, "max_time")
    # A repeated run has no time limit, and takes all steps.
    code, out, _ = run(
        "stylize", "content.png", "style.png", "-o", "new.png", "--from", "out.png"
    )
    assert code == 0
    assert out.startswith("new.png: 48x36 pixels, 12 steps in ")
