import dataclasses
import math
import re
import typing

import numpy as np
import pytest

from tfnst import StyleTransferConfig
from tfnst.config import list_settings, picture_settings, setting_names
from tfnst.setting import Scope


def test_is_frozen_hashable_and_equal_by_value():
    config = StyleTransferConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.steps = 3
    assert config == StyleTransferConfig()
    assert hash(config) == hash(StyleTransferConfig())
    assert config != StyleTransferConfig(steps=3)


def test_values_become_plain_python_values():
    config = StyleTransferConfig(
        steps=np.int64(7),
        style_weight=np.float32(2),
        content_layers=["block3_conv1"],
        content_layer_weights=[np.float64(3)],
        seamless=np.True_,
    )
    assert config.seamless is True
    assert config.steps == 7
    assert type(config.steps) is int
    assert type(config.style_weight) is float
    assert config.content_layers == ("block3_conv1",)
    assert config.content_layer_weights == (3.0,)
    assert StyleTransferConfig(steps=7.0).steps == 7


def test_one_layer_may_be_given_by_its_name():
    assert StyleTransferConfig(content_layers="block3_conv1").content_layers == (
        "block3_conv1",
    )


def test_to_dict_holds_every_setting_as_json_does():
    settings = StyleTransferConfig().to_dict()
    assert list(settings) == [f.name for f in dataclasses.fields(StyleTransferConfig)]
    assert settings["content_layers"] == ["block4_conv2"]
    assert StyleTransferConfig(**settings) == StyleTransferConfig()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"backbone": "resnet"},
            "`backbone` must be one of 'vgg19', 'vgg16'. Received: 'resnet'",
        ),
        (
            {"preserve_color": "yes"},
            "`preserve_color` must be one of 'none', 'luminance', 'histogram', "
            "'transport'. Received: 'yes'",
        ),
        (
            {"style_strength": -0.1},
            "`style_strength` must be a number from 0 to 1. Received: -0.1",
        ),
        (
            {"content_weight": 0, "style_strength": 0},
            "`content_weight` and `style_weight` can't both be 0: nothing would be "
            "left to paint. Received: 0.0 and 0.0",
        ),
        (
            {"content_detail": 1.5},
            "`content_detail` must be a number from 0 to 1. Received: 1.5",
        ),
        (
            {"style_loss": "mrf"},
            "`style_loss` must be one of 'neighbors', 'moments', 'gram'. "
            "Received: 'mrf'",
        ),
        (
            {"pooling": "mean"},
            "`pooling` must be one of 'max', 'average'. Received: 'mean'",
        ),
        (
            {"optimizer": "sgd"},
            "`optimizer` must be one of 'adam', 'lbfgs'. Received: 'sgd'",
        ),
        ({"weights": ""}, "`weights` must be a name or a path. Received: ''"),
        ({"weights": 3}, "`weights` must be a name or a path. Received: 3"),
        ({"seamless": 1}, "`seamless` must be True or False. Received: 1"),
        ({"seamless": "no"}, "`seamless` must be True or False. Received: 'no'"),
        ({"seamless": None}, "`seamless` must be True or False. Received: None"),
        (
            {"steps": -5},
            "`steps` must be an integer from 1 to 100000. Received: -5",
        ),
        ({"steps": 2.5}, "`steps` must be an integer from 1 to 100000. Received: 2.5"),
        (
            {"steps": True},
            "`steps` must be an integer from 1 to 100000. Received: True",
        ),
        (
            {"steps": math.inf},
            "`steps` must be an integer from 1 to 100000. Received: inf",
        ),
        (
            {"initial_steps": 0},
            "`initial_steps` must be an integer from 1 to 100000. Received: 0",
        ),
        (
            {"patience": 0},
            "`patience` must be an integer from 1 to 100000. Received: 0",
        ),
        *(
            (
                {"max_time": value},
                "`max_time` must be a number of seconds above 0, or text such as "
                f"'90s', '5m' or '1h'. Received: {value!r}",
            )
            for value in (0, -3, "", "m", "5 days", "0s", "nan", math.inf, True, [1])
        ),
        ({"size": 8}, "`size` must be an integer from 32 to 16384. Received: 8"),
        (
            {"min_size": "big"},
            "`min_size` must be an integer from 32 to 16384. Received: 'big'",
        ),
        (
            {"content_weight": -1},
            "`content_weight` must be a number from 1e-30 to 1e+30, or 0. Received: -1",
        ),
        (
            {"style_weight": math.nan},
            "`style_weight` must be a number from 1e-30 to 1e+30, or 0. Received: nan",
        ),
        (
            {"total_variation_weight": "1"},
            "`total_variation_weight` must be a number from 1e-30 to 1e+30, or 0. "
            "Received: '1'",
        ),
        (
            {"content_weight": 0, "style_weight": 0},
            "`content_weight` and `style_weight` can't both be 0: nothing would be "
            "left to paint. Received: 0.0 and 0.0",
        ),
        (
            {"learning_rate": 0},
            "`learning_rate` must be a number above 0 and at most 1. Received: 0",
        ),
        (
            {"ema_momentum": 1},
            "`ema_momentum` must be a number from 0 to below 1. Received: 1",
        ),
        (
            {"init_image": "grey"},
            "`init_image` must be one of 'content', 'style', 'noise', 'given'. "
            "Received: 'grey'",
        ),
        ({"seed": -1}, "`seed` must be an integer from 0 to 2147483647. Received: -1"),
        (
            {"content_layers": ()},
            "`content_layers` must be one or more different layer names. Received: ()",
        ),
        (
            {"style_layers": ("a", "a")},
            "`style_layers` must be one or more different layer names. "
            "Received: ('a', 'a')",
        ),
        (
            {"content_layer_weights": (1, 2)},
            "`content_layer_weights` must be one finite number per layer (1), each "
            "0 or more and not all 0. Received: (1, 2)",
        ),
        (
            {"style_layer_weights": (1, 2, 3, 4, -5)},
            "`style_layer_weights` must be one finite number per layer (4), each "
            "0 or more and not all 0. Received: (1, 2, 3, 4, -5)",
        ),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        StyleTransferConfig(**settings)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (np.float32(0.5), 0.5),
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1.5h", 5400),
        (None, None),
    ],
)
def test_a_time_is_a_number_of_seconds(given, seconds):
    config = StyleTransferConfig(max_time=given)
    assert config.max_time == seconds
    assert StyleTransferConfig(**config.to_dict()) == config


def test_replace_checks_names_and_values():
    assert StyleTransferConfig().replace(steps=3).steps == 3
    with pytest.raises(
        ValueError,
        match=r"^`epochs` is not a setting; choose from backbone, ",
    ):
        StyleTransferConfig().replace(epochs=3)
    with pytest.raises(ValueError, match=r"^`steps` must be an integer"):
        StyleTransferConfig().replace(steps=0)


def test_every_setting_has_a_help_text_and_a_description():
    flat = " ".join(StyleTransferConfig.__doc__.split())
    for setting in list_settings():
        assert setting.help.endswith(".")
        assert not setting.details or setting.details.endswith(".")
        assert f" {setting.name}: {setting.text()} " in flat
        assert f"Default `{setting.default!r}`." in flat
        for option in re.findall(r"`(\w+)`", setting.help):
            assert option in setting_names()


def test_settings_say_which_values_they_take():
    settings = {setting.name: setting for setting in list_settings()}
    assert [settings[name].type for name in ("steps", "style_weight", "weights")] == [
        int, float, str,
    ]  # fmt: skip
    assert [name for name, each in settings.items() if each.type is tuple] == [
        "content_layers", "content_layer_weights", "style_layers",
        "style_layer_weights",
    ]  # fmt: skip
    assert [name for name, each in settings.items() if each.optional] == [
        "weights", "content_layer_weights", "style_layer_weights", "style_weight",
        "total_variation_weight", "initial_steps", "patience", "max_time", "max_memory",
    ]  # fmt: skip
    assert settings["size"].allowed() == "an integer from 32 to 16,384"
    assert settings["style_scale"].allowed() == "a number from 0.1 to 4"
    assert settings["learning_rate"].allowed() == "a number above 0 and at most 1"
    assert settings["optimizer"].allowed() == ""


def test_style_strength_sets_the_weights_that_are_not_given():
    def weights(**settings):
        return tuple(StyleTransferConfig(**settings).loss_weights().values())

    assert weights() == (1, 20, 12)
    assert weights(style_strength=0) == (1, 0, 0)
    assert weights(style_strength=1) == (1, 160, 48)
    assert weights(style_strength=1, style_weight=7) == (1, 7, 48)
    assert weights(style_strength=1, total_variation_weight=0) == (1, 160, 0)
    # A copy follows the knob, too.
    copy = StyleTransferConfig().replace(style_strength=1)
    assert copy.loss_weights()["style_weight"] == 160


def test_settings_say_what_they_change():
    assert setting_names() == tuple(StyleTransferConfig().to_dict())
    every = set(setting_names())
    assert every - set(setting_names("exported")) == {
        "device", "patience", "max_time", "max_memory",
    }  # fmt: skip
    assert setting_names("network") == ("backbone", "weights", "seed")
    # What doesn't change the picture belongs to the machine, but not the reverse.
    assert every - set(setting_names("picture")) == {"device", "max_memory"}
    assert setting_names("machine") == ("device", "max_time", "max_memory")
    # A server compiles its loop once, for all requests.
    requested = set(setting_names("requested"))
    assert len(requested) == 9
    assert not requested & set(setting_names("traced"))
    assert requested <= set(setting_names("exported"))
    known = set(typing.get_args(Scope))
    assert all(setting.scopes <= known for setting in list_settings())


def test_settings_that_change_the_picture():
    settings = StyleTransferConfig().to_dict() | {"brush": 3}
    others = {"device", "max_memory"}
    assert picture_settings(settings | {"device": "gpu", "max_memory": 2}) == {
        name: value for name, value in settings.items() if name not in others
    }


def test_the_loop_is_traced_once_for_all_of_its_arguments():
    from tfnst.engines.engine import Knobs

    assert not set(Knobs._fields) & set(setting_names("traced"))


def test_defaults_are_among_the_choices():
    for setting in list_settings():
        assert not setting.choices or setting.default in setting.choices
        assert setting.checked(setting.default) == setting.default


def test_random_weights_have_the_name_that_the_command_gives_them():
    assert StyleTransferConfig(weights="none").weights is None
    assert StyleTransferConfig(weights="./none").weights == "./none"
