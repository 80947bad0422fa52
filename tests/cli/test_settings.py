"""Settings from environment variables, and the source of each setting."""

import json

import pytest

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names
from tests.helpers import TINY
from tfnst.cli.settings import variable_of
from tfnst.config import setting_names
from tfnst.images.manifest import read_manifest


@pytest.fixture
def told(tmp_path, run):
    """The output of `tfnst info --settings`: {setting: (value, kind, name)}."""

    def call(*arguments):
        code, out, err = run("info", "--settings", "--json", *arguments)
        assert (code, err, out.count("\n")) == (0, "", 1)
        return {
            name: (fact["value"], fact["from"], fact["name"])
            for name, fact in json.loads(out).items()
        }

    return call


def test_options_override_variables_files_and_presets(told, monkeypatch, tmp_path):
    (tmp_path / "my.toml").write_text(
        'initial_steps = 9\nsize = 40\nseed = 5\ninit_image = "style"\n'
    )
    monkeypatch.setenv("TFNST_SEED", "6")
    monkeypatch.setenv("TFNST_SIZE", "48")
    monkeypatch.setenv("TFNST_STYLE_LAYERS", "block1_conv1, block2_conv1")
    monkeypatch.setenv("TFNST_MAX_TIME", "2m")
    monkeypatch.setenv("TFNST_OPTIMIZER", "")
    given = ["--config", "my.toml", "--preset", "poster", "--size", "64"]
    found = told(*given, "--init-image", "photo.jpg")
    expected = {
        name: (value, "default", None)
        for name, value in tfnst.StyleTransferConfig().to_dict().items()
    }
    assert found == expected | {
        "size": (64, "option", "--size"),
        "init_image": ("photo.jpg", "option", "--init-image"),
        "seed": (6, "variable", "TFNST_SEED"),
        "style_layers": (
            ["block1_conv1", "block2_conv1"], "variable", "TFNST_STYLE_LAYERS",
        ),
        "max_time": (120.0, "variable", "TFNST_MAX_TIME"),
        "initial_steps": (9, "file", "my.toml"),
        "steps": (10, "preset", "poster"),
        "learning_rate": (0.02, "preset", "poster"),
        "ema_momentum": (0.9, "preset", "poster"),
    }  # fmt: skip


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_has_a_variable(told, name, monkeypatch):
    values = {
        "backbone": "vgg16", "weights": "/no/vgg19.h5", "precision": "float32",
        "device": "cpu", "content_layers": "block3_conv1",
        "content_layer_weights": "2", "style_layers": "block1_conv1",
        "style_layer_weights": "1,1,1,2", "pooling": "average",
        "preserve_color": "luminance", "optimizer": "lbfgs", "style_loss": "gram",
        "init_image": "noise", "max_time": "90s", "ema_momentum": "0.5",
    }  # fmt: skip
    value = values.get(name, "64" if name.endswith("size") else "1")
    variable = f"TFNST_{name.upper()}"
    assert variable_of(name) == (None if name == "weights" else variable)
    assert told()[name][1:] == ("default", None)
    monkeypatch.setenv(variable, value)
    found, kind, source = told()[name]
    assert (kind, source) == ("variable", variable)
    parts = found if isinstance(found, list) else [found]
    shown = [f"{each:g}" if isinstance(each, int | float) else each for each in parts]
    assert ",".join(shown) == ("90" if name == "max_time" else value)


def test_people_get_a_table(monkeypatch, tmp_path, run):
    monkeypatch.setenv("TFNST_STEPS", "7")
    code, out, err = run("info", "--settings", "--style-layers", "a,b")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert tuple(rows) == setting_names()
    assert rows["steps"] == ["7", "variable", "TFNST_STEPS"]
    assert rows["style_layers"] == ["a,b", "option", "--style-layers"]
    assert rows["patience"] == ["none", "default"]


def test_the_variable_for_weights_says_what_imagenet_is(told, monkeypatch, tmp_path):
    monkeypatch.setenv("TFNST_WEIGHTS", "here.h5")
    (tmp_path / "my.toml").write_text('weights = "there.h5"\n')
    by_variable = ("here.h5", "variable", "TFNST_WEIGHTS")
    assert told()["weights"] == by_variable
    assert told("--weights", "imagenet")["weights"] == by_variable
    by_file = ("there.h5", "file", "my.toml")
    assert told("--config", "my.toml")["weights"] == by_file
    assert told("--weights", "none")["weights"] == (None, "option", "--weights")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("STEPS", "many", "Invalid value for 'TFNST_STEPS': 'many' is not a"),
        ("STEPS", "0", "`TFNST_STEPS` must be an integer from 1 to 100000. Re"),
        ("SEAMLESS", "maybe", "Invalid value for 'TFNST_SEAMLESS': 'maybe' is not"),
        ("POOLING", "min", "Invalid value for 'TFNST_POOLING': 'min' is not one of"),
        ("MAX_TIME", "soon", "`TFNST_MAX_TIME` must be a number of seconds"),
        ("STYLE_LAYER_WEIGHTS", "1", "`TFNST_STYLE_LAYER_WEIGHTS` must be one"),
        ("INIT_IMAGE", "no.png", "`TFNST_INIT_IMAGE` must be a file that can be read."),
    ],
)  # fmt: skip
def test_errors_name_the_variable(
    pictures, variable, value, expected, monkeypatch, run
):
    monkeypatch.setenv(f"TFNST_{variable}", value)
    arguments = ["stylize", "content.png", "style.png", "-o", "out.png"]
    code, out, err = run(*arguments, *TINY_OPTIONS[:12])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"tfnst: error: {expected}")
    assert names(pictures) == ["content.png", "style.png"]
    # An option takes the variable's place, and its error names the option.
    option = f"--{variable.lower().replace('_', '-')}"
    _, _, err = run(*arguments, *TINY_OPTIONS[:12], option, value)
    assert "TFNST_" not in err
    assert err


def test_a_repeated_picture_brings_its_settings(pictures, monkeypatch, run):
    arguments = ["stylize", "content.png", "style.png", "-o", "out.png"]
    monkeypatch.setenv("TFNST_STEPS", "2")
    code, _, err = run(*arguments, *TINY_OPTIONS[:-4], "--initial-steps", "3")
    assert (code, err) == (0, "")
    settings = read_manifest(pictures / "out.png")["settings"]
    assert settings == TINY.replace(steps=2, initial_steps=3).to_dict()
    monkeypatch.setenv("TFNST_STEPS", "5")
    monkeypatch.setenv("TFNST_INIT_IMAGE", "noise")
    monkeypatch.setenv("TFNST_DEVICE", "cpu")
    arguments[-1] = "new.png"
    code, _, err = run(*arguments, "--from", "out.png")
    assert (code, err) == (0, "")
    # What a run may use of the machine isn't repeated.
    assert read_manifest(pictures / "new.png")["settings"] == settings | {
        "device": "cpu"
    }
