"""Options that several commands share: settings, files of them, presets."""

import json
import re

import pytest
from click.testing import CliRunner

import tfnst
from tests.cli.helpers import TINY_OPTIONS, names
from tests.helpers import TINY
from tfnst.cli.command import cli
from tfnst.cli.settings import read_config_file
from tfnst.config import preset_settings
from tfnst.images.manifest import read_manifest


def test_every_setting_is_an_option_with_its_default():
    text = CliRunner().invoke(cli, ["stylize", "--help"]).output
    flat = " ".join(text.split())
    for name, value in tfnst.StyleTransferConfig().to_dict().items():
        assert f"--{name.replace('_', '-')} " in flat
        if isinstance(value, bool):
            assert f"--no-{name.replace('_', '-')} " in flat
        elif isinstance(value, int | float | str):
            assert re.search(rf"\[default: {re.escape(str(value))}[;\]]", flat)


def test_settings_come_from_a_file(pictures, run):
    names = ("weights", "precision", "content_layers", "style_layers")
    lines = [
        *(f"{name} = {json.dumps(TINY.to_dict()[name] or 'none')}" for name in names),
        "min_size = 48",
        'steps = 2\ninitial_steps = 1\nsize = 40\ninit_image = "style"',
        "seamless = true",
    ]
    (pictures / "my.toml").write_text("\n".join(lines))
    code, _, err = run(
        "stylize", "content.png", "style.png", "-o", "out.png", "--config", "my.toml",
        "--size", "48",
    )  # fmt: skip
    assert (code, err) == (0, "")
    told = read_manifest(pictures / "out.png")
    expected = TINY.replace(
        steps=2,
        initial_steps=1,
        init_image="style",
        size=48,
        min_size=48,
        seamless=True,
    )
    assert told["settings"] == expected.to_dict()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size = ", "`config` must be a TOML file. Received: 'my.toml', "),
        ("sizes = 3", "`sizes` is not a setting; choose from "),
        ("size = 3", "`size` must be an integer from 32 to 16384. Received: 3"),
        (None, "`config` must be a file that can be read. Received: 'my.toml', which"),
    ],
)
def test_a_bad_file_of_settings_is_one_line(pictures, text, expected, run):
    if text is not None:
        (pictures / "my.toml").write_text(text)
    code, _, err = run(
        "stylize", "content.png", "style.png", "-o", "out.png", "--config", "my.toml"
    )
    assert code == 2
    assert err.startswith(f"tfnst: error: {expected}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_settings_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "my.toml"
    path.write_bytes("# Größe\r\nsize = 96\r\n".encode(encoding))
    assert read_config_file(path) == {"size": 96}


def test_bits_are_refused_before_the_work_starts(pictures, run):
    for arguments in (
        ["stylize", "content.png", "style.png", "-o", "out.jpg"],
        ["batch", "content.png", "-s", "style.png", "-o", "out", "--suffix", ".jpg"],
    ):
        code, _, err = run(*arguments, "--bits", "16")
        assert code == 2
        assert err == (
            "tfnst: error: `bits` must be 8 in a .jpg file (PNG and TIFF hold 16). "
            "Received: 16\n"
        )


def test_options_and_files_override_presets(pictures, run):
    (pictures / "my.toml").write_text("initial_steps = 2\nseed = 5\n")
    tiny = TINY_OPTIONS[: TINY_OPTIONS.index("--steps")]
    code, _, err = run(
        "stylize", "content.png", "style.png", "-o", "out.png", *tiny, "--preset",
        "fast", "--config", "my.toml", "--min-size", "48",
    )  # fmt: skip
    assert (code, err) == (0, "")
    told = read_manifest(pictures / "out.png")["settings"]
    expected = TINY.replace(**preset_settings("fast") | {"size": 48, "min_size": 48})
    assert told == expected.replace(initial_steps=2, seed=5).to_dict()
    assert "preset" not in told
    # A preset takes the place of what a picture was painted by.
    code, _, err = run(
        "stylize", "content.png", "style.png", "-o", "new.png", "--from", "out.png",
        "--preset", "balanced", "--size", "48", "--steps", "2",
    )  # fmt: skip
    assert (code, err) == (0, "")
    told = read_manifest(pictures / "new.png")["settings"]
    assert (told["steps"], told["initial_steps"], told["seed"]) == (2, None, 5)


def test_an_unknown_preset_is_bad_input(pictures, run):
    for name in ("stylize", "batch"):
        code, out, err = run(
            name, "content.png", "style.png", "-o", "out.png", "--preset", "slow"
        )
        assert (code, out) == (2, "")
        assert err.startswith("tfnst: error: Invalid value for '--preset': 'slow' is")
    assert names(pictures) == ["content.png", "style.png"]
