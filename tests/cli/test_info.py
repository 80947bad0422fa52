"""`tfnst info`."""

import json
import re

import pytest

import tfnst
from tests.helpers import picture


def test_info_names_versions_devices_and_weights(tmp_path, run):
    code, out, err = run("info")
    assert (code, err) == (0, "")
    for line in (
        rf"tfnst +{re.escape(tfnst.__version__)}",
        r"tensorflow +\d+\.\d+\.\d+",
        r"keras +3\.",
        r"device +CPU:0 CPU",
        r"cpu cores +\d+",
        r"weights vgg19 +\S",
        r"weights vgg16 +\S",
    ):
        assert re.search(rf"^{line}", out, re.MULTILINE), line


def test_info_prints_how_a_picture_was_painted(pictures, run):
    manifest = {"settings": {"size": 48}, "content_image": {"name": "Müller.png"}}
    tfnst.save_image(picture(20, 20), pictures / "out.jpg", manifest=manifest)
    code, out, err = run("info", "out.jpg")
    assert (code, json.loads(out), err) == (0, manifest, "")
    (pictures / "text.png").write_text("not a picture")
    for name in ("content.png", "text.png"):
        code, out, err = run("info", name)
        assert (code, out) == (2, "")
        assert err == (
            "tfnst: error: `file` must be a picture that tfnst has painted. "
            f"Received: '{name}', which holds no manifest\n"
        )
    code, out, err = run("info", "no.png")
    assert (code, out) == (2, "")
    assert err == (
        "tfnst: error: `file` must be a file that can be read. "
        "Received: 'no.png', which does not exist\n"
    )


def test_json_is_one_line(pictures, run):
    code, out, err = run("info", "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    facts = json.loads(out)
    assert facts["versions"]["tfnst"] == tfnst.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["versions"]["tensorflow"])
    assert facts["devices"][0].startswith("CPU:0")
    assert facts["cpu_cores"] >= 1
    assert facts["precision"] in ("float32", "bfloat16")
    assert set(facts["weights"]) == {"vgg19", "vgg16"}
    for found in facts["weights"].values():
        assert set(found) == {"source", "path", "sha256", "error"}
        assert (found["source"] is None) == (found["error"] is not None)
    manifest = {"settings": {"size": 48}}
    tfnst.save_image(picture(20, 20), pictures / "out.jpg", manifest=manifest)
    code, out, err = run("info", "out.jpg", "--json")
    assert (code, out, err) == (0, json.dumps(manifest) + "\n", "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--steps", "3"], "--steps goes with --settings"),
        (["--settings", "a.png"], "--settings replaces FILE"),
    ],
)
def test_options_that_do_not_go_together(pictures, arguments, expected, run):
    code, out, err = run("info", *arguments)
    assert (code, out, err) == (2, "", f"tfnst: error: {expected}\n")
