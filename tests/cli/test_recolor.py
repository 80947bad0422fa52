"""`tfnst recolor`."""

import json

import numpy as np
import pytest

import tfnst
from tests.cli.helpers import names
from tests.helpers import picture
from tfnst.images.manifest import read_manifest


@pytest.fixture
def run(pictures, run):
    mask = np.zeros((20, 20, 3), np.float32)
    mask[:, 10:] = 1
    tfnst.save_image(mask, pictures / "mask.png")
    tfnst.save_image(picture(30, 40, seed=5), pictures / "painted.png")
    return run


@pytest.mark.slow
def test_it_recolours_as_python_does(run, stylize, pictures):
    assert stylize("-o", "p.jpg")[0] == 0
    code, out, err = run(
        "recolor", "p.jpg", "content.png", "-o", "out.png", "--preserve-color",
        "histogram", "--mask", "mask.png", "--bits", "16", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    facts = json.loads(out)
    manifest = read_manifest(pictures / "out.png")
    assert facts == {
        "output": "out.png", "width": 48, "height": 36,
        "preserve_color": "histogram", "manifest": manifest,
    }  # fmt: skip
    (done,) = manifest.pop("recolored")
    assert manifest == read_manifest(pictures / "p.jpg")
    assert [done[n]["name"] for n in ("painted_image", "content_image", "mask")] == [
        "p.jpg", "content.png", "mask.png",
    ]  # fmt: skip
    expected = tfnst.recolor(
        pictures / "p.jpg",
        pictures / "content.png",
        preserve_color="histogram",
        mask=pictures / "mask.png",
    )
    got = tfnst.load_image(pictures / "out.png")[0]
    np.testing.assert_allclose(got, expected.array, atol=0.51 / 65535)


def test_the_photos_colours_come_back_by_default(run, pictures, monkeypatch):
    code, out, err = run("recolor", "painted.png", "content.png", "-o", "out.png")
    assert (code, out, err) == (0, "out.png: 40x30 pixels\n", "")
    paths = pictures / "painted.png", pictures / "content.png"
    got = tfnst.load_image(pictures / "out.png")[0]
    expected = tfnst.recolor(*paths).array
    np.testing.assert_allclose(got, expected, atol=0.51 / 255)
    # The variable stands in for the option.
    monkeypatch.setenv("TFNST_PRESERVE_COLOR", "transport")
    assert run("recolor", "painted.png", "content.png", "-o", "out.png", "-q") == (
        0, "", "",
    )  # fmt: skip
    got = tfnst.load_image(pictures / "out.png")[0]
    expected = tfnst.recolor(*paths, preserve_color="transport").array
    np.testing.assert_allclose(got, expected, atol=0.51 / 255)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-o", "painted.png"], "`output` must be a file other than `painted_image`. "),
        (["-o", "content.png"], "`output` must be a file other than `content_image`. "),
        (
            ["-o", "mask.png", "--mask", "mask.png"],
            "`output` must be a file other than `mask`. Received: 'mask.png'",
        ),
        (["-o", "out.bmp"], "`output` must "),
        (["-o", "out.jpg", "--bits", "16"], "`bits` must be 8 in a .jpg file"),
        (["-o", "out.png", "--mask", "no.png"], "`mask` must be a file"),
        (
            ["-o", "out.png", "--preserve-color", "none"],
            "`preserve_color` must be 'luminance', 'transport' or 'histogram' where ",
        ),
    ],
)
def test_bad_arguments_end_it(arguments, expected, run, pictures):
    before = {name: (pictures / name).read_bytes() for name in names(pictures)}
    code, out, err = run("recolor", "painted.png", "content.png", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"tfnst: error: {expected}")
    assert {n: (pictures / n).read_bytes() for n in names(pictures)} == before
