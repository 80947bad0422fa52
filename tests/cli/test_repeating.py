"""`tfnst stylize --from`: repeating the run of a painted picture."""

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY, picture
from tfnst.images.manifest import read_manifest


def test_a_run_is_repeated_from_its_picture(pictures, stylize, run):
    code, _, err = stylize("--learning-rate", "0.03")
    assert (code, err) == (0, "")
    repeat = ("stylize", "--from", "out.png", "content.png")
    code, out, err = run(*repeat, "style.png", "-o", "new.png")
    assert (code, err) == (0, "")
    assert out.startswith("new.png: 48x36 pixels, 12 steps in ")
    with (
        Image.open(pictures / "out.png") as old,
        Image.open(pictures / "new.png") as new,
    ):
        np.testing.assert_array_equal(np.asarray(old), np.asarray(new))
    told = read_manifest(pictures / "new.png")
    assert told == read_manifest(pictures / "out.png")
    assert told["settings"] == TINY.replace(learning_rate=0.03).to_dict()
    # Options override; another picture or network is pointed out.
    tfnst.save_image(picture(50, 40, seed=3), pictures / "other.png")
    code, out, err = run(
        *(*repeat, "other.png", "-o", "new.tif", "--bits", "16"),
        *("--steps", "2", "--learning-rate", "0.04"),
    )
    assert code == 0
    assert out.startswith("new.tif: 48x36 pixels, ")
    settings = read_manifest(pictures / "new.tif")["settings"]
    assert settings == TINY.replace(steps=2, learning_rate=0.04).to_dict()
    lines = err.splitlines()
    assert lines[0] == (
        "tfnst: warning: the style image is not the one that out.png was painted from"
    )
    assert lines[1:] == [] or lines[1].startswith("tfnst: warning: out.png was painted")


def test_a_resumed_run_is_no_repeated_one(pictures, run):
    code, out, err = run(
        "stylize", "content.png", "style.png", "-o", "out.png", "--from", "old.png",
        "--resume", "x",
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert err == (
        "tfnst: error: --resume brings its own settings in place of --from\n"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (None, "`from` must be a picture that tfnst has painted"),
        ([], "`from` must be a picture whose settings are known"),
        ({"brush": 3}, "`brush` is not a setting"),
        ({"steps": "many"}, "`steps` must be an integer"),
        ({"style_layers": {"a": [1]}, "size": [1]}, "`"),
        ({"init_image": "given"}, "`init_image` must be given"),
    ],
)
def test_strange_manifests_are_refused(pictures, settings, message, run):
    manifest = None if settings is None else {"settings": settings}
    tfnst.save_image(picture(20, 20), pictures / "old.png", manifest=manifest)
    code, out, err = run(
        "stylize", "content.png", "style.png", "-o", "out.png", "--from", "old.png"
    )
    assert (code, out) == (2, "")
    assert err.startswith(f"tfnst: error: {message}")
    assert err.count("\n") == 1
    assert not (pictures / "out.png").exists()
