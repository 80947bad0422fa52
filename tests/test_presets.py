"""Presets: sets of settings, and the settings that override them."""

import re

import pytest

import tfnst
from tests.helpers import TINY, picture
from tfnst.config import PRESETS, preset_settings

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


def test_arguments_override_presets_and_presets_override_configurations():
    config = TINY.replace(steps=9)
    expected = TINY.replace(**preset_settings("fast") | {"size": 48})
    transfer = tfnst.StyleTransfer(STYLE, config=config, preset="fast", size=48)
    assert transfer.config == expected
    assert tfnst.StyleTransfer(STYLE, preset="fast", steps=3).config.steps == 3
    with pytest.raises(ValueError, match=r"^`preset` must be one of "):
        tfnst.stylize(CONTENT, STYLE, config=config, preset="slow")


@pytest.mark.slow
def test_pictures_are_painted_by_a_preset():
    config = TINY.replace(steps=9)
    expected = TINY.replace(**preset_settings("fast") | {"size": 48})
    result = tfnst.stylize(CONTENT, STYLE, config=config, preset="fast", size=48)
    assert result.config == expected
    (item,) = tfnst.stylize_batch(
        [CONTENT], [STYLE], config=config, preset="fast", size=48
    )
    assert item.result.config == expected
