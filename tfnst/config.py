"""StyleTransferConfig: every setting of a run, its default, its check and its uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from tfnst.checks import (
    ArgumentError,
    argument_error,
    check_choice,
    check_integer,
    check_layer_weights,
    check_layers,
    check_number,
    check_seconds,
    check_text,
    check_truth,
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

BACKBONES = ("vgg19", "vgg16")
POOLINGS = ("max", "average")
OPTIMIZERS = ("adam", "lbfgs")
PRECISIONS = ("auto", "float32", "bfloat16")
STYLE_LOSSES = ("neighbors", "moments", "gram")
COLOR_MODES = ("none", "luminance", "histogram", "transport")
INIT_IMAGES = ("content", "style", "noise", "given")

DEVICES = ("auto", "cpu", "gpu", "tpu")

LOSS_WEIGHTS = ("content_weight", "style_weight", "total_variation_weight")

# How each preset differs from the defaults; docs/runs.md says what they cost.
PRESETS: dict[str, dict[str, Any]] = {
    # Few steps have to be long, and an average over many would hold old ones.
    "fast": {"steps": 7, "learning_rate": 0.03, "ema_momentum": 0.85},
    "balanced": {},
    "fine": {"size": 1024},
    "poster": {"size": 2048, "steps": 10, "initial_steps": 100},
}

# Of films: gradient steps for a frame that follows others, and how firmly it is held to
# them. With twice the steps, a large frame takes half as long again and is no better.
FRAME_STEPS = 4
TEMPORAL_WEIGHT = 300.0

_SHARE = partial(check_number, expected="a number from 0 to 1", low=0, high=1)
_STEPS = partial(check_integer, low=1, high=MAX_STEPS, whole_floats=True)
_SIDE = partial(check_integer, low=MIN_SIZE, high=MAX_SIZE, whole_floats=True)


def _check_weight(name: str, value: Any) -> float:
    """A weight of a loss that float32 holds, with its products."""
    expected = f"a number from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}, or 0"
    weight = check_number(name, value, expected, low=0, high=MAX_WEIGHT)
    if 0 < weight < MIN_WEIGHT:
        raise argument_error(name, expected, repr(value))
    return weight


def _check_weights(name: str, value: Any) -> str | None:
    """A name or a path; None for `"none"`, as the command line calls it."""
    text = check_text(name, value)
    return None if text == "none" else text


def _setting(
    default: Any,
    help: str,
    *,
    check: Callable[[str, Any], Any] | None = None,
    choices: tuple[str, ...] = (),
    metavar: str | None = None,
    traced: bool = True,
    picture: bool = True,
    machine: bool = False,
    exported: bool = True,
    requested: bool = False,
    network: bool = False,
) -> Any:
    """A field of StyleTransferConfig with everything that is to be known of it.

    Args:
        default: its default.
        help: what the command line says of it.
        check: takes the name and a value and returns the value to keep, or raises
            ValueError. A setting whose type allows None is not checked when it is None.
        choices: the allowed values, in place of `check`.
        metavar: what the command line shows as its value; the option then takes text.
        traced: whether the compiled loop depends on it. Otherwise the loop takes it as
            an argument or never sees it, and runs that differ in it share one trace.
        picture: whether it changes the picture by more than rounding.
        machine: whether it says what a run may use of the machine, so that it isn't
            taken over when a run is repeated, perhaps elsewhere.
        exported: whether it has a meaning in an exported model.
        requested: whether a request to a server may set it.
        network: whether it says through which network pictures are compared.
    """
    if choices:
        check = partial(check_choice, choices=choices)
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "check": check,
            "choices": choices,
            "metavar": metavar,
            "traced": traced,
            "picture": picture,
            "machine": machine,
            "exported": exported,
            "requested": requested,
            "network": network,
        },
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

    Attributes:
        backbone: the network, `"vgg19"` or `"vgg16"`.
        weights: `"imagenet"`, the path of a weight file, or None or `"none"` for
            random weights drawn from `seed` (write `"./none"` for a file of that name).
            `tfnst.networks.backbones.load_backbone` says where `"imagenet"` looks.
        precision: what the network computes in: `"float32"`, `"bfloat16"`, or
            `"auto"` for bfloat16 on hardware where it is faster; see
            `tfnst.engines.devices.choose_precision`.
        device: what to compute on: `"cpu"`, `"gpu"`, `"tpu"`, or `"auto"` for the
            best available; see `tfnst.engines.devices`.
        content_layers: names of the Keras layers whose activations are compared with
            the content image's.
        content_layer_weights: one weight per content layer, or None to weigh them
            equally. They are scaled to sum to 1.
        content_detail: how much of the content image's finest detail is added back
            each time the picture is enlarged to the next scale, 0 to 1. Things too
            small for a coarse scale, such as windows, can then be painted at the
            next. With a `content_weight` of 0, none is added.
        style_loss: what is compared with the style image: `"moments"`, the means and
            covariances of the activations; `"neighbors"`, also each activation with
            the one of the style that resembles it most; or `"gram"`, Gram matrices, as
            in Gatys et al.
        style_layers: names of the Keras layers whose activations are compared with
            the style image's.
        style_layer_weights: one weight per style layer, or None to halve the weight
            from each layer to the next, so that colours and brush strokes count for
            more than large shapes. They are scaled to sum to 1.
        pooling: `"max"`, as VGG was trained, or `"average"`.
        content_weight: weight of the content loss: 0, or 1e-30 to 1e30.
        style_strength: the one knob most people need, from 0 (the photo) to 1 (mostly
            painting). It sets the next two where they are None: the style weight to
            `160 * style_strength^3`, the total variation weight to
            `48 * style_strength^2`.
        style_weight: weight of the style loss, as `content_weight`; None leaves it to
            `style_strength`.
        total_variation_weight: weight of the total variation loss, as
            `content_weight`; None leaves it to `style_strength`.
        preserve_color: how to keep the content image's colours. `"none"` takes the
            style's colours instead. `"luminance"` paints only the lightness; each
            pixel keeps the content's hue and chroma. `"histogram"` and `"transport"`
            first recolour the style image with the content's colours: their whole
            distribution, or their mean and covariance. `tfnst.ops.color_transfer` has
            the formulas.
        optimizer: `"adam"` or `"lbfgs"`.
        learning_rate: Adam's step size at the start of each scale, in units of the
            pixel range [0, 1]; it falls to a tenth by the end of the scale. For
            L-BFGS, the largest change of a pixel in the first trial step.
            0 < rate <= 1.
        steps: gradient steps at each of the finer scales, 1 to 100,000. A step
            evaluates the loss and its gradient once.
        initial_steps: gradient steps at the coarsest scale, 1 to 100,000, where steps
            are cheap and colours and large shapes are laid down. As the scales grow,
            the number falls until it reaches `steps`. None for 4 times `steps`.
        patience: end a scale early when the mean total loss over this many steps is
            less than 1 % below the mean over the same number before, 1 to 100,000;
            10 to 20 suit long runs. Pictures that are painted together continue until
            the last of them gets there. None, the default, takes all steps.
        max_time: how long the run may take: seconds above 0, or text such as `"90s"`,
            `"5m"` or `"1.5h"`. All scales get fewer steps, so that the finest is
            still reached; if that would leave it less than a tenth of its steps, and
            not even one, the picture is enlarged from a coarser scale instead. The
            number of steps, and with it the picture, depends on the speed of the
            machine. None, the default, takes all steps.
        size: long side of the picture in pixels, 32 to 16,384.
        min_size: long side of the coarsest scale in pixels, 32 to 16,384. Each scale
            is larger than the one before by a factor of the square root of 2. With
            `min_size >= size` there is only one.
        style_scale: size of the style image relative to the picture, 0.1 to 4:
            smaller gives finer strokes, larger gives broader ones.
        seamless: whether to paint a picture that can be laid as tiles: what lies beyond
            an edge lies at the opposite edge, for the network as for the eye. Where the
            edges of the content image don't fit, its colours are evened out; see
            `tfnst.ops.seamless`.
        max_memory: memory in GiB that the process may use while it paints, above 0.
            Scales that need more are painted in tiles, without seams and with nearly
            the same gradients. None for most of what is free.
        init_image: what the run starts from: `"content"`, `"style"`, `"noise"` or
            `"given"`, the `init_image` that is passed to `stylize`.
        ema_momentum: momentum of the exponential moving average of the iterates,
            which becomes the picture. 0 <= momentum < 1; 0 turns averaging off.
        seed: seed of the noise and of random weights, 0 to 2**31 - 1.

    Raises:
        ValueError: when a setting is out of its range; the message names it.
    """

    backbone: str = _setting(
        "vgg19",
        "Network through which pictures are compared.",
        choices=BACKBONES,
        network=True,
    )
    weights: str | None = _setting(
        "imagenet",
        "Keras' ImageNet weights, random ones, or a weight file.",
        check=_check_weights,
        metavar="imagenet|none|FILE",
        network=True,
    )
    precision: str = _setting(
        "auto", "Number format that the network computes in.", choices=PRECISIONS
    )
    device: str = _setting(
        "auto",
        "What to compute on; auto takes the best available.",
        choices=DEVICES,
        picture=False,
        machine=True,
        # A served model runs where its server does.
        exported=False,
    )
    content_layers: tuple[str, ...] = _setting(
        ("block4_conv2",),
        "Layers at which the picture is compared with the content.",
        check=check_layers,
        metavar="A,B,...",
    )
    content_layer_weights: tuple[float, ...] | None = _setting(
        None, "One weight per content layer; equal by default.", metavar="A,B,..."
    )
    content_detail: float = _setting(
        1.0,
        "Share of the content's fine detail to add back at each scale, 0 to 1.",
        check=_SHARE,
    )
    style_loss: str = _setting(
        "neighbors", "What is compared with the style.", choices=STYLE_LOSSES
    )
    style_layers: tuple[str, ...] = _setting(
        ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1"),
        "Layers at which the picture is compared with the style.",
        check=check_layers,
        metavar="A,B,...",
    )
    style_layer_weights: tuple[float, ...] | None = _setting(
        None,
        "One weight per style layer; by default each is half the one before.",
        metavar="A,B,...",
    )
    pooling: str = _setting("max", "Pooling of the network.", choices=POOLINGS)
    content_weight: float = _setting(
        1.0,
        "Weight of the content loss.",
        check=_check_weight,
        traced=False,
        requested=True,
    )
    style_strength: float = _setting(
        0.5,
        "From 0, the photo, to 1, mostly painting; sets --style-weight and "
        "--total-variation-weight.",
        check=_SHARE,
        traced=False,
        requested=True,
    )
    style_weight: float | None = _setting(
        None,
        "Weight of the style loss; by default from --style-strength.",
        check=_check_weight,
        traced=False,
        requested=True,
    )
    total_variation_weight: float | None = _setting(
        None,
        "Weight of the loss that smooths; by default from --style-strength.",
        check=_check_weight,
        traced=False,
        requested=True,
    )
    preserve_color: str = _setting(
        "none",
        "How to keep the content's colours.",
        choices=COLOR_MODES,
        traced=False,
        requested=True,
    )
    optimizer: str = _setting("adam", "Optimiser of the pixels.", choices=OPTIMIZERS)
    learning_rate: float = _setting(
        0.02,
        "Step size of the optimiser, in units of the pixel range.",
        check=partial(
            check_number, expected="a number above 0 and at most 1", above=0, high=1
        ),
        traced=False,
        requested=True,
    )
    steps: int = _setting(
        15,
        "Gradient steps at each of the finer scales.",
        check=_STEPS,
        traced=False,
        requested=True,
    )
    initial_steps: int | None = _setting(
        None,
        "Gradient steps at the coarsest scale; by default 4 times --steps.",
        check=_STEPS,
        traced=False,
    )
    patience: int | None = _setting(
        None,
        "End a scale when N steps lower the loss by less than 1 %.",
        check=_STEPS,
        traced=False,
        exported=False,
    )
    max_time: float | None = _setting(
        None,
        "Time limit for the run, which takes fewer steps if need be.",
        check=check_seconds,
        metavar="SECONDS|5m|1h",
        traced=False,
        machine=True,
        exported=False,
    )
    size: int = _setting(
        512,
        "Long side of the picture in pixels.",
        check=_SIDE,
        traced=False,
        requested=True,
    )
    min_size: int = _setting(
        128, "Long side of the coarsest scale in pixels.", check=_SIDE, traced=False
    )
    style_scale: float = _setting(
        1.0,
        "Size of the style image relative to the picture; smaller gives finer strokes.",
        check=partial(
            check_number,
            expected=f"a number from {MIN_SCALE:g} to {MAX_SCALE:g}",
            low=MIN_SCALE,
            high=MAX_SCALE,
        ),
        traced=False,
    )
    seamless: bool = _setting(
        False,
        "Paint a picture that can be laid as tiles: its opposite edges fit.",
        check=check_truth,
    )
    max_memory: float | None = _setting(
        None,
        "Memory limit in GiB, kept by painting in tiles; by default most of what is "
        "free.",
        check=partial(
            check_number, expected="a finite number of GiB, above 0", above=0
        ),
        traced=False,
        picture=False,
        machine=True,
        # An exported step has no tiles.
        exported=False,
    )
    init_image: str = _setting(
        "content",
        "What the run starts from.",
        choices=INIT_IMAGES,
        metavar="content|style|noise|FILE",
        traced=False,
    )
    ema_momentum: float = _setting(
        0.9,
        "Momentum of the moving average of the iterates; 0 turns it off.",
        check=partial(
            check_number, expected="a number from 0 to below 1", low=0, below=1
        ),
    )
    seed: int = _setting(
        0,
        "Seed of everything random.",
        check=partial(check_integer, low=0, high=MAX_SEED, whole_floats=True),
        # Unless it draws random weights; see tfnst.engines.loading.
        traced=False,
        requested=True,
        network=True,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check, value = field.metadata["check"], getattr(self, field.name)
            optional = value is None and str(field.type).endswith("| None")
            if check is not None and not optional:
                self._set(field.name, check(field.name, value))
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
            preset: its name; `"balanced"` is the defaults.
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
        """`initial_steps`, or 4 times `steps`, a number or tensor, where it is None."""
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
        """The settings as plain values that JSON can hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def setting_names(**flags: bool) -> tuple[str, ...]:
    """The settings with these flags, or all of them, in their order.

    Args:
        **flags: `traced`, `picture`, `machine`, `exported`, `requested` or `network`,
            each True or False; `_setting` says what they mean. For example
            `setting_names(traced=False)`.
    """
    return tuple(
        field.name
        for field in dataclasses.fields(StyleTransferConfig)
        if all(field.metadata[flag] is value for flag, value in flags.items())
    )


def picture_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of some settings that change the picture, unknown ones included."""
    others = setting_names(picture=False)
    return {name: value for name, value in settings.items() if name not in others}


def preset_settings(preset: str) -> dict[str, Any]:
    """The settings of a preset, which override those of any other preset.

    Args:
        preset: a name in `PRESETS`.

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
        config: StyleTransferConfig() where it is None.
        preset: name of a preset, whose settings override those of `config`.
        settings: by name; they override both.

    Raises:
        ValueError: for a preset or a setting that is unknown or out of its range.
    """
    if config is not None and not isinstance(config, StyleTransferConfig):
        raise argument_error("config", "a StyleTransferConfig", repr(config))
    before = {} if preset is None else preset_settings(preset)
    return (config or StyleTransferConfig()).replace(**before | settings)
