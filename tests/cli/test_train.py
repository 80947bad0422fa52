"""`tfnst train`, and `tfnst stylize` with a network."""

import json

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names
from tests.helpers import picture
from tests.training.helpers import photos
from tfnst.images.manifest import read_manifest

# The settings of `tests.training.helpers`.
TINY_TRAINING = [
    *("--photos", "photos", "--steps", "3", "--crop-size", "64", "--width", "4"),
    *("--weights", "none", "--precision", "float32", "--size", "80"),
    *("--content-layers", "block2_conv1"),
    *("--style-layers", "block1_conv1,block2_conv1"),
]


@pytest.fixture
def run(pictures, run):
    (pictures / "photos").mkdir()
    for number, photo in enumerate(photos()[:2]):
        tfnst.save_image(photo, pictures / "photos" / f"{number}.png")
    return run


def test_a_style_is_learned_and_painted(run, pictures):
    code, out, err = run(
        "train", "style.png", *TINY_TRAINING, "-o", "style.keras",
        "--preview", "preview.png", "--checkpoint", "training", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["output"] == "style.keras"
    assert (facts["steps"], facts["photos"], facts["width"]) == (3, 2, 4)
    assert {"preview.png", "style.keras", "training"} <= set(names(pictures))
    with Image.open(pictures / "preview.png") as preview:
        assert preview.size == (160, 60)

    code, out, err = run(
        "stylize", "content.png", "style.keras", "-o", "p.png", "--size", "64"
    )
    assert (code, err) == (0, "")
    assert out.startswith("p.png: 64x48 pixels, painted at once in ")
    painted = tfnst.load_image(pictures / "p.png")[0]
    network = tfnst.load_network(pictures / "style.keras")
    expected = network.stylize(pictures / "content.png", size=64).array
    np.testing.assert_allclose(painted, expected, atol=0.51 / 255)
    assert read_manifest(pictures / "p.png")["network"]["steps"] == 3

    code, out, err = run(
        "stylize", "content.png", "style.png", "-o", "q.png", *TINY_OPTIONS,
        "--init-image", "style.keras", "--min-size", "48", "--initial-steps", "2",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.startswith("q.png: 48x36 pixels, 2 steps in ")
    code, out, err = run(
        "stylize", "content.png", "style.keras:3", "style.keras", "-o", "p.png",
        "--region", "style.png", "--region", "-", "--size", "64",
    )  # fmt: skip
    assert (code, err) == (0, "")
    both = read_manifest(pictures / "p.png")["style_image"]
    assert [each["weight"] for each in both] == [3.0, 1.0]


def test_a_finished_training_has_nothing_to_continue(run, pictures):
    options = ["-o", "style.keras", "--checkpoint", "training"]
    assert run("train", "style.png", *TINY_TRAINING, *options)[0] == 0
    first = (pictures / "style.keras").read_bytes()
    code, out, _ = run(
        "train", "style.png", "--photos", "photos", "--resume", "training",
        "-o", "again.keras",
    )  # fmt: skip
    assert code == 0
    assert out.startswith("again.keras: 3 steps over 2 photos")
    loaded = [
        tfnst.load_network(pictures / name).network.weights
        for name in ("style.keras", "again.keras")
    ]
    for one, other in zip(*loaded, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (pictures / "style.keras").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "style.h5"], "`output` must be a path that ends in"),
        (["-o", "missing/style.keras"], "`output` must be a path in a folder"),
        (["-o", "a.keras", "--preview", "p.txt"], "`preview` must be a path that"),
        (["-o", "a.keras", "--steps", "0"], "Invalid value for '--steps'"),
        (["-o", "a.keras", "--minutes", "0"], "Invalid value for '--minutes'"),
        (["-o", "a.keras", "--preview", "style.png"], "a file other than `style_ima"),
        (["-o", "a.keras", "--checkpoint", "style.png"], "a file other than `style_"),
        (["-o", "a.keras", "--resume", "style.png"], "`resume` must be a checkpoint"),
        (["-o", "a.keras", "--region", "style.png"], "No such option '--region'"),
        (["-o", "a.keras", "--photos", "nowhere"], "`photos` must be a file that"),
    ],
)
def test_bad_input_gets_one_line(run, pictures, options, message):
    before = {path: path.read_bytes() for path in pictures.glob("*.png")}
    photos = [] if "--photos" in options else ["--photos", "photos"]
    code, out, err = run("train", "style.png", *photos, "--weights", "none", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("error:") == 1
    assert {path: path.read_bytes() for path in before} == before


def test_a_file_that_is_no_network_gets_one_line(run, pictures):
    (pictures / "bad.keras").write_text("no network")
    code, out, err = run("stylize", "content.png", "bad.keras", "-o", "p.png")
    assert (code, out) == (2, "")
    assert err.startswith("tfnst: error: `style_image` must be a network that `tfnst t")
    assert err.count("\n") == 1
    assert not (pictures / "p.png").exists()


def test_settings_that_a_network_has_learned_are_refused(run, pictures):
    tfnst.save_image(picture(20, 20), pictures / "style.keras.png")
    run("train", "style.png", *TINY_TRAINING, "-o", "style.keras")
    code, _, err = run(
        "stylize", "content.png", "style.keras", "-o", "p.png", "--steps", "3"
    )
    assert code == 2
    assert "`steps` has no effect on a style that a network has learned" in err
