"""StyleTransferConfig: all settings of a run, and presets of them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

from tfnst.checks import (
    ArgumentError,
    check_choice,
    check_choice_or_object,
    check_layer_weights,
    check_layers,
    check_number,
    check_seconds,
    check_text,
)
from tfnst.limits import (
    MAX_SCALE,
    MAX_SEED,
    MAX_SIZE,
    MAX_STEPS,
    MAX_WEIGHT,
    MIN_SCALE,
    MIN_SIZE,
    MIN_WEIGHT,
)
from tfnst.setting import (
    ORDINARY,
    REQUESTED,
    TRACED,
    Scope,
    Setting,
    attributes_section,
    setting,
    settings_of,
)

BACKBONES = ("vgg19", "vgg16")
POOLINGS = ("max", "average")
OPTIMIZERS = ("adam", "lbfgs")
PRECISIONS = ("auto", "float32", "bfloat16")
STYLE_LOSSES = ("neighbors", "moments", "gram")
COLOR_MODES = ("none", "luminance", "histogram", "transport")
INIT_IMAGES = ("content", "style", "noise", "given")

DEVICES = ("auto", "cpu", "gpu", "tpu")

LOSS_WEIGHTS = ("content_weight", "style_weight", "total_variation_weight")

# Differences of each preset from the defaults; docs/runs.md gives their cost.
PRESETS: dict[str, dict[str, Any]] = {
    # Few steps have to be long, and an average over many would hold old ones.
    "fast": {"steps": 7, "learning_rate": 0.03, "ema_momentum": 0.85},
    "balanced": {},
    "fine": {"size": 1024},
    "poster": {"size": 2048, "steps": 10, "initial_steps": 100},
}

# For videos: gradient steps for each frame but the first of a scene, and the weight of
# the loss that holds it to the previous frames. With twice the steps, a large frame
# takes half as long again and is no better.
FRAME_STEPS = 4
TEMPORAL_WEIGHT = 300.0

_LOSS_WEIGHTS_ALLOWED = f"a number from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}, or 0"


def _check_loss_weight(name: str, value: Any) -> float:
    """A weight whose products with losses float32 can hold."""
    weight = check_number(name, value, _LOSS_WEIGHTS_ALLOWED, low=0, high=MAX_WEIGHT)
    if 0 < weight < MIN_WEIGHT:
        raise ArgumentError(_LOSS_WEIGHTS_ALLOWED, repr(value), argument=name)
    return weight


def _check_weights(name: str, value: Any) -> str | None:
    """A name or a path; None for `"none"`, as the command line calls it."""
    text = check_text(name, value)
    return None if text == "none" else text


_loss_weight = functools.partial(
    setting,
    check=_check_loss_weight,
    values=_LOSS_WEIGHTS_ALLOWED,
    scopes=REQUESTED | {"trained"},
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleTransferConfig:
    """The settings of a style transfer, checked when they are made.

    The loss to minimise is ::

        content_weight * content_loss + style_weight * style_loss
            + total_variation_weight * total_variation_loss

    Each term is dimensionless (see `tfnst.losses`), so a weight means the same at
    every size and for every backbone. Only the ratios of the weights change the
    picture.

    Raises:
        ValueError: when a setting is out of its range; the message names it.
    """

    backbone: str = setting(
        "vgg19",
        "Network through which pictures are compared.",
        choices=BACKBONES,
        scopes=TRACED | {"network", "trained"},
    )
    weights: str | None = setting(
        "imagenet",
        "ImageNet weights, random weights or a weight file.",
        '`"imagenet"` stands for the weights that Keras offers; see '
        '`tfnst.networks.backbones.load_backbone`. None or `"none"` draws random '
        'weights from `seed`. Anything else is the path of a weight file: `"./none"` '
        "for a file of that name.",
        check=_check_weights,
        metavar="imagenet|none|FILE",
        scopes=TRACED | {"network", "trained"},
    )
    precision: str = setting(
        "auto",
        "Number format in which the network computes.",
        '`"auto"` is bfloat16 on hardware where it is faster; see '
        "`tfnst.engines.devices.choose_precision`.",
        choices=PRECISIONS,
        scopes=TRACED | {"trained"},
    )
    device: str = setting(
        "auto",
        "Device to compute on; auto takes the best available.",
        "See `tfnst.engines.devices`.",
        choices=DEVICES,
        # A served model runs where its server does.
        scopes=frozenset({"traced", "machine", "trained", "at_once"}),
    )
    content_layers: tuple[str, ...] = setting(
        ("block4_conv2",),
        "Layers at which the picture is compared with the content.",
        "Their names are those of the Keras layers.",
        check=check_layers,
        scopes=TRACED | {"trained"},
    )
    content_layer_weights: tuple[float, ...] | None = setting(
        None,
        "One weight per content layer; equal by default.",
        "They are scaled to sum to 1.",
        scopes=TRACED | {"trained"},
    )
    content_detail: float = setting(
        1.0,
        "Share of the content's fine detail to add back at each scale.",
        "Detail is added each time the picture is enlarged to the next scale. Things "
        "too small for a coarse scale, such as windows, can then be painted at the "
        "next. With a `content_weight` of 0, none is added.",
        low=0,
        high=1,
        scopes=TRACED,
    )
    style_loss: str = setting(
        "neighbors",
        "Loss that compares the picture with the style.",
        '`"moments"` compares means and covariances of the activations; '
        '`"neighbors"` also each activation with the most similar one of the style; '
        '`"gram"` compares Gram matrices, as in Gatys et al. It may also be a '
        "`tfnst.losses.StyleLoss` of your own.",
        check=functools.partial(
            check_choice_or_object,
            choices=STYLE_LOSSES,
            methods=("describe", "distance"),
        ),
        choices=STYLE_LOSSES,
        scopes=TRACED | {"trained"},
    )
    style_layers: tuple[str, ...] = setting(
        ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1"),
        "Layers at which the picture is compared with the style.",
        "Their names are those of the Keras layers.",
        check=check_layers,
        scopes=TRACED | {"trained"},
    )
    style_layer_weights: tuple[float, ...] | None = setting(
        None,
        "One weight per style layer; by default each is half the one before.",
        "Colours and brush strokes then count for more than large shapes. The weights "
        "are scaled to sum to 1.",
        scopes=TRACED | {"trained"},
    )
    pooling: str = setting(
        "max",
        "Pooling of the network.",
        '`"max"` is the pooling that VGG was trained with.',
        choices=POOLINGS,
        scopes=TRACED | {"trained"},
    )
    content_weight: float = _loss_weight(1.0, "Weight of the content loss.")
    style_strength: float = setting(
        0.5,
        "Strength of the style, from 0, the photo, to 1, mostly painting; sets "
        "`style_weight` and `total_variation_weight`.",
        "Where these are None, the style weight is `160 * style_strength^3`, and the "
        "total variation weight is `48 * style_strength^2`. Most people need no other "
        "setting.",
        low=0,
        high=1,
        scopes=REQUESTED | {"trained"},
    )
    style_weight: float | None = _loss_weight(
        None, "Weight of the style loss; by default from `style_strength`."
    )
    total_variation_weight: float | None = _loss_weight(
        None,
        "Weight of the total variation loss, which smooths; by default from "
        "`style_strength`.",
    )
    preserve_color: str = setting(
        "none",
        "Way to keep the content's colours.",
        '`"none"` takes the style\'s colours. `"luminance"` paints only the '
        'lightness; each pixel keeps the content\'s hue and chroma. `"histogram"` and '
        '`"transport"` first recolour the style image with the content\'s colours: '
        "with their whole distribution, or with their mean and covariance. "
        "`tfnst.ops.color_transfer` has the formulas.",
        choices=COLOR_MODES,
        scopes=REQUESTED | {"at_once"},
    )
    optimizer: str = setting(
        "adam",
        "Optimiser of the pixels.",
        "It may also be a `tfnst.optimizers.Optimizer` of your own.",
        check=functools.partial(
            check_choice_or_object, choices=OPTIMIZERS, methods=("init", "update")
        ),
        choices=OPTIMIZERS,
        scopes=TRACED,
    )
    learning_rate: float = setting(
        0.02,
        "Step size of the optimiser, in units of the pixel range.",
        "For Adam, the step size at the start of each scale, which falls to a tenth by "
        "the end of the scale. For L-BFGS, the largest change of a pixel in the first "
        "trial step.",
        above=0,
        high=1,
        values="a number above 0 and at most 1",
        scopes=REQUESTED,
    )
    steps: int = setting(
        15,
        "Gradient steps at each of the finer scales.",
        "A step evaluates the loss and its gradient once.",
        low=1,
        high=MAX_STEPS,
        scopes=REQUESTED,
    )
    initial_steps: int | None = setting(
        None,
        "Gradient steps at the coarsest scale; by default 4 times `steps`.",
        "Steps are cheap there, and lay down colours and large shapes. From scale to "
        "scale, their number falls until it reaches `steps`.",
        low=1,
        high=MAX_STEPS,
    )
    patience: int | None = setting(
        None,
        "Steps after which a scale ends if they lowered the loss by less than 1 %.",
        "The mean total loss over this many steps is compared with the mean over the "
        "same number before; 10 to 20 suit long runs. Pictures that are painted "
        "together continue until the last of them gets there. By default, all steps "
        "are taken.",
        low=1,
        high=MAX_STEPS,
        scopes=frozenset({"picture"}),
    )
    max_time: float | None = setting(
        None,
        "Time limit of the run, met by taking fewer steps.",
        'Seconds above 0, or text such as `"90s"`, `"5m"` or `"1.5h"`. All scales get '
        "fewer steps, so that the finest is still reached; if that would leave it less "
        "than a tenth of its steps, and not even one, the picture is enlarged from a "
        "coarser scale instead. The number of steps, and with it the picture, depends "
        "on the speed of the machine. By default, all steps are taken.",
        check=check_seconds,
        metavar="SECONDS|5m|1h",
        scopes=frozenset({"picture", "machine"}),
    )
    size: int = setting(
        512,
        "Long side of the picture in pixels.",
        low=MIN_SIZE,
        high=MAX_SIZE,
        scopes=REQUESTED | {"trained", "at_once"},
    )
    min_size: int = setting(
        128,
        "Long side of the coarsest scale in pixels.",
        "Each scale is larger than the one before by a factor of the square root of 2. "
        "With `min_size >= size` there is only one.",
        low=MIN_SIZE,
        high=MAX_SIZE,
    )
    style_scale: float = setting(
        1.0,
        "Size of the style image relative to the picture; smaller gives finer strokes.",
        low=MIN_SCALE,
        high=MAX_SCALE,
        scopes=ORDINARY | {"trained"},
    )
    seamless: bool = setting(
        False,
        "Paint a seamless picture, whose opposite edges fit.",
        "Copies of it can be laid side by side: what lies beyond an edge lies at the "
        "opposite edge, for the network as for the eye. Where the edges of the content "
        "image don't fit, its colours are evened out; see `tfnst.ops.seamless`.",
        scopes=TRACED,
    )
    max_memory: float | None = setting(
        None,
        "Memory limit in GiB, kept by painting in tiles; by default most of what is "
        "free.",
        "The limit is for the whole process while it paints. Scales that need "
        "more are painted in tiles, without seams and with nearly the same gradients.",
        above=0,
        values="a finite number of GiB, above 0",
        # An exported step has no tiles.
        scopes=frozenset({"machine", "at_once"}),
    )
    init_image: str = setting(
        "content",
        "Image that the run starts from.",
        '`"given"` is the `init_image` that is passed to `stylize`.',
        choices=INIT_IMAGES,
        metavar="content|style|noise|FILE",
    )
    ema_momentum: float = setting(
        0.9,
        "Momentum of the moving average of the iterates; 0 turns it off.",
        "The picture is the exponential moving average.",
        low=0,
        below=1,
        values="a number from 0 to below 1",
        scopes=TRACED,
    )
    seed: int = setting(
        0,
        "Seed of the noise and of random weights.",
        low=0,
        high=MAX_SEED,
        # Not traced, unless it draws random weights; see tfnst.engines.loading.
        scopes=REQUESTED | {"network", "trained"},
    )

    def __post_init__(self) -> None:
        for each in _SETTINGS:
            self._set(each.name, each.checked(getattr(self, each.name)))
        # The number of weights depends on another setting.
        for kind in ("content", "style"):
            name = f"{kind}_layer_weights"
            weights, layers = getattr(self, name), getattr(self, f"{kind}_layers")
            if weights is not None:
                self._set(name, check_layer_weights(name, weights, len(layers)))
        style_weight = self.loss_weights()["style_weight"]
        if not self.content_weight and style_weight < MIN_WEIGHT:
            raise ArgumentError(
                "both be 0: nothing would be left to paint",
                f"{self.content_weight} and {style_weight}",
                argument="content_weight",
                verb="and `style_weight` can't",
            )

    @classmethod
    def from_preset(cls, preset: str, **settings: Any) -> StyleTransferConfig:
        """The settings of a preset: `"fast"`, `"balanced"`, `"fine"` or `"poster"`.

        Args:
            preset: name of the preset; `"balanced"` is the defaults.
            **settings: settings that override the preset's.

        Raises:
            ValueError: for an unknown preset, or a setting that is unknown or out of
                its range.
        """
        return cls().replace(**preset_settings(preset) | settings)

    def loss_weights(self) -> dict[str, float]:
        """The weights of the three losses, including those that `style_strength` sets.

        The cube makes equal steps of the strength look about equally large: from 0.1
        to 1 the style weight grows a thousandfold.
        """
        weights = {name: getattr(self, name) for name in LOSS_WEIGHTS}
        if self.style_weight is None:
            weights["style_weight"] = 160 * self.style_strength**3
        if self.total_variation_weight is None:
            weights["total_variation_weight"] = 48 * self.style_strength**2
        return weights

    def initial_steps_for(self, steps: Any) -> Any:
        """`initial_steps`; 4 times `steps`, a number or a tensor, if it is None."""
        return 4 * steps if self.initial_steps is None else self.initial_steps

    def replace(self, **changes: Any) -> StyleTransferConfig:
        """A copy with some settings changed, checked like a new one.

        Raises:
            ValueError: for a setting that is unknown or out of its range.
        """
        known = setting_names()
        for name in changes:
            if name not in known:
                raise ArgumentError(
                    f"a setting; choose from {', '.join(known)}",
                    f"{name}={changes[name]!r}",
                    argument=name,
                    verb="is not",
                )
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values that JSON can hold.

        An object of a user's own is given by the name of its class.
        """
        return {name: _plain(getattr(self, name)) for name in setting_names()}

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


_SETTINGS = settings_of(StyleTransferConfig)
_DOC = inspect.cleandoc(StyleTransferConfig.__doc__ or "")
StyleTransferConfig.__doc__ = f"{_DOC}\n\n{attributes_section(_SETTINGS)}"


def list_settings(scope: Scope | None = None) -> list[Setting]:
    """The settings in a scope, or all of them, in their order."""
    return [each for each in _SETTINGS if scope is None or scope in each.scopes]


def setting_names(scope: Scope | None = None) -> tuple[str, ...]:
    """The names of the settings in a scope, or of all of them, in their order."""
    return tuple(each.name for each in list_settings(scope))


def _plain(value: Any) -> Any:
    """A setting's value as JSON can hold it."""
    if isinstance(value, tuple):
        return list(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return f"{type(value).__module__}.{type(value).__qualname__}"


def config_of_dict(
    values: dict[str, Any], objects: Mapping[str, Any] | None = None
) -> StyleTransferConfig:
    """The settings that `StyleTransferConfig.to_dict` gave.

    Args:
        values: values from `to_dict`, perhaps of another version of tfnst.
        objects: settings by name, for those that `values` has by the name of a class.

    Raises:
        ValueError: for a setting that is unknown or out of its range, such as a class
            of which `objects` has no object.
    """
    objects = objects or {}
    return StyleTransferConfig().replace(
        **{
            name: objects[name]
            if name in objects and _plain(objects[name]) == value
            else value
            for name, value in values.items()
        }
    )


def settings_within(scope: Scope, config: StyleTransferConfig) -> StyleTransferConfig:
    """The settings of a scope; those outside of it have their defaults."""
    return StyleTransferConfig(
        **{name: getattr(config, name) for name in setting_names(scope)}
    )


def refuse_settings_beyond(
    scope: Scope, config: StyleTransferConfig, expected: str, verb: str = "must be"
) -> None:
    """Checks that all settings outside of a scope have their defaults.

    Args:
        scope: scope of the settings that have an effect.
        config: the settings.
        expected: words for the error; see `tfnst.checks.ArgumentError`.
        verb: words before these.

    Raises:
        ValueError: for a setting without effect.
    """
    defaults, effective = StyleTransferConfig().to_dict(), setting_names(scope)
    for name, value in config.to_dict().items():
        if name not in effective and value != defaults[name]:
            raise ArgumentError(expected, repr(value), argument=name, verb=verb)


def picture_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The given settings that change the picture, unknown ones included."""
    others = set(setting_names()) - set(setting_names("picture"))
    return {name: value for name, value in settings.items() if name not in others}


def preset_settings(preset: str) -> dict[str, Any]:
    """The settings of a preset, which override those of any other preset.

    Args:
        preset: name in `PRESETS`.

    Raises:
        ValueError: for another name.
    """
    check_choice("preset", preset, tuple(PRESETS))
    # Each preset sets whatever any of them does.
    names = {name for each in PRESETS.values() for name in each}
    defaults = {name: getattr(StyleTransferConfig, name) for name in names}
    return defaults | PRESETS[preset]


def build_config(
    config: StyleTransferConfig | None, preset: str | None, settings: dict[str, Any]
) -> StyleTransferConfig:
    """A configuration from the three ways to give settings; later ones override.

    Args:
        config: configuration to start from; None for the defaults.
        preset: name of a preset, whose settings override those of `config`.
        settings: settings by name, which override both.

    Raises:
        ValueError: for a preset or a setting that is unknown or out of its range.
    """
    if config is not None and not isinstance(config, StyleTransferConfig):
        raise ArgumentError("a StyleTransferConfig", repr(config), argument="config")
    before = {} if preset is None else preset_settings(preset)
    return (config or StyleTransferConfig()).replace(**before | settings)
