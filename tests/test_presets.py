"""Settings by one word, and what goes before them."""

import re

import pytest

import tfnst
from tests.cli.test_commands import TINY_OPTIONS, names, pictures, run_here  # noqa: F401
from tests.helpers import TINY, picture
from tfnst.config import preset_settings
from tfnst.images.manifest import read_manifest
from tfnst.presets import PRESETS

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_settings(preset):
    config = tfnst.StyleTransferConfig.from_preset(preset)
    assert config == tfnst.StyleTransferConfig(**PRESETS[preset])
    for name, value in PRESETS[preset].items():
        assert getattr(config, name) == value
    assert (config == tfnst.StyleTransferConfig()) == (preset == "balanced")
    config = tfnst.StyleTransferConfig.from_preset(preset, steps=3, style_strength=1)
    assert (config.steps, config.style_strength) == (3, 1)
    # Each takes back what another one has set.
    for other in PRESETS:
        changed = tfnst.StyleTransferConfig.from_preset(other)
        changed = changed.replace(**preset_settings(preset))
        assert changed == tfnst.StyleTransferConfig.from_preset(preset)


@pytest.mark.parametrize("preset", ["slow", "", None, 3, ["fast"]])
def test_other_presets_are_refused(preset):
    message = "`preset` must be one of 'fast', 'balanced', 'fine', 'poster'. Received: "
    with pytest.raises(ValueError, match=f"^{re.escape(message + repr(preset))}$"):
        tfnst.StyleTransferConfig.from_preset(preset)


def test_arguments_go_before_presets_and_presets_before_configurations():
    config = TINY.replace(steps=9)
    expected = TINY.replace(**preset_settings("fast") | {"size": 48})
    result = tfnst.stylize(CONTENT, STYLE, config=config, preset="fast", size=48)
    assert result.config == expected
    assert tfnst.StyleTransfer(STYLE, preset="fast", steps=3).config.steps == 3
    with pytest.raises(ValueError, match=r"^`preset` must be one of "):
        tfnst.stylize(CONTENT, STYLE, config=config, preset="slow")
    (item,) = tfnst.stylize_batch(
        [CONTENT], [STYLE], config=config, preset="fast", size=48
    )
    assert item.result.config == expected


def test_options_and_files_go_before_presets(pictures, monkeypatch, capsys):  # noqa: F811
    (pictures / "my.toml").write_text("initial_steps = 2\nseed = 5\n")
    tiny = TINY_OPTIONS[: TINY_OPTIONS.index("--steps")]
    code, _, err = run_here(
        monkeypatch, capsys, pictures, "stylize", "content.png", "style.png",
        "-o", "out.png", *tiny, "--preset", "fast", "--config", "my.toml",
    )  # fmt: skip
    assert (code, err) == (0, "")
    told = read_manifest(pictures / "out.png")["settings"]
    expected = TINY.replace(**preset_settings("fast") | {"size": 48})
    assert told == expected.replace(initial_steps=2, seed=5).to_dict()
    assert "preset" not in told
    # A preset takes the place of what a picture was painted by.
    code, _, err = run_here(
        monkeypatch, capsys, pictures, "stylize", "content.png", "style.png",
        "-o", "new.png", "--from", "out.png", "--preset", "balanced", "--size", "48",
        "--steps", "2",
    )  # fmt: skip
    assert (code, err) == (0, "")
    told = read_manifest(pictures / "new.png")["settings"]
    assert (told["steps"], told["initial_steps"], told["seed"]) == (2, None, 5)


def test_an_unknown_preset_is_bad_input(pictures, monkeypatch, capsys):  # noqa: F811
    for command in ("stylize", "batch"):
        code, out, err = run_here(
            monkeypatch, capsys, pictures, command, "content.png", "style.png",
            "-o", "out.png", "--preset", "slow",
        )  # fmt: skip
        assert (code, out) == (2, "")
        assert err.startswith("tfnst: error: Invalid value for '--preset': 'slow' is")
    assert names(pictures) == ["content.png", "style.png"]
