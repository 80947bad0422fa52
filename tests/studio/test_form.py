"""The settings as fields of a form."""

import dataclasses

from tfnst.config import COLOR_MODES, StyleTransferConfig, setting_names
from tfnst.studio import form

HOST = StyleTransferConfig(weights=None, size=64)


def filled(**values):
    """A form as the page first shows it, with some values changed."""
    return form.show_values(HOST, form.fields()) | values


def test_every_setting_that_is_not_the_hosts_has_a_field():
    names = [field.name for field in form.fields()]
    assert names == [n for n in setting_names() if n not in form.HOST_SETTINGS]
    assert set(form.HOST_SETTINGS) < set(setting_names())
    assert set(form.FRONT_SETTINGS) < set(names)


def test_a_server_gets_only_what_requests_may_carry():
    names = [field.name for field in form.fields(on_server=True)]
    assert names == list(setting_names("requested"))


def test_kinds_follow_from_what_the_settings_say():
    fields = {field.name: field for field in form.fields()}
    strength = fields["style_strength"]
    assert (strength.low, strength.high) == (0, 1)
    assert form.help_of(strength) == (
        "Strength of the style, from 0, the photo, to 1, mostly painting; sets style "
        "weight and total variation weight."
    )
    kinds = {name: form.kind_of(field) for name, field in fields.items()}
    assert kinds["style_strength"] == "slider"
    assert kinds["steps"] == "integer"
    assert kinds["seamless"] == "switch"
    # What holds numbers on a page can't be empty.
    assert kinds["patience"] == kinds["style_weight"] == "text"
    assert kinds["style_layers"] == kinds["max_time"] == "text"
    assert kinds["learning_rate"] == "number"
    assert kinds["preserve_color"] == kinds["init_image"] == "choice"
    assert form.choices_of(fields["preserve_color"]) == list(COLOR_MODES)
    # There is no picture to start from.
    assert form.choices_of(fields["init_image"]) == ["content", "style", "noise"]
    # Names of options have no place here.
    assert "by default from style strength" in form.help_of(fields["style_weight"])


def test_the_page_says_photo_and_colours():
    fields = {field.name: field for field in form.fields()}
    colors = fields["preserve_color"]
    assert form.in_words(colors.name) == "Colours"
    assert form.help_of(colors) == "Way to keep the photo's colours."
    assert form.help_of(fields["content_weight"]) == "Weight of the content loss."


def test_an_untouched_form_is_the_hosts_settings():
    assert form.read_values(filled(), form.fields(), HOST) == (HOST, {})


def test_a_form_gives_settings():
    values = filled(size=96.0, style_layers="block1_conv1, block3_conv1", patience=" ")
    values |= {"max_time": "5m", "style_layer_weights": "2, 1"}
    values |= {"style_weight": "3.5", "initial_steps": "40", "seamless": True}
    config, wrong = form.read_values(values, form.fields(), HOST)
    assert wrong == {}
    assert config == dataclasses.replace(
        HOST,
        size=96,
        style_layers=("block1_conv1", "block3_conv1"),
        style_layer_weights=(2.0, 1.0),
        max_time=300.0,
        style_weight=3.5,
        initial_steps=40,
        seamless=True,
    )


def test_each_error_is_about_its_field():
    values = filled(size=7, style_strength=2, max_time="soon", steps=None)
    values |= {"initial_steps": "many"}
    config, wrong = form.read_values(values, form.fields(), HOST)
    assert config is None
    assert list(wrong) == [
        "style_strength",
        "steps",
        "initial_steps",
        "max_time",
        "size",
    ]
    assert str(wrong["initial_steps"]).endswith("Received: 'many'")
    assert str(wrong["size"]) == (
        "`size` must be an integer from 32 to 16384. Received: 7"
    )
    assert str(wrong["steps"]) == "`steps` must not be empty. Received: nothing"


def test_errors_about_several_settings_come_last():
    values = filled(style_layer_weights="1, 2, 3")
    _, wrong = form.read_values(values, form.fields(), HOST)
    assert list(wrong) == ["style_layer_weights"]
    values = filled(content_weight=0, style_weight=0)
    _, wrong = form.read_values(values, form.fields(), HOST)
    assert list(wrong) == ["content_weight"]
    assert "can't both be 0" in str(wrong["content_weight"])


def test_what_a_picture_was_painted_with_can_be_shown():
    config = HOST.replace(
        style_layers=("block1_conv1",), style_weight=1e-20, initial_steps=100_000
    )
    shown = form.show_values(config, form.fields())
    assert (shown["style_weight"], shown["initial_steps"]) == ("1e-20", "100000")
    assert shown["style_layers"] == "block1_conv1"
    assert shown["total_variation_weight"] is None
    assert form.read_values(shown, form.fields(), HOST) == (config, {})
