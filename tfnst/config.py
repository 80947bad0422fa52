"""StyleTransferConfig: every setting of a run, its default and its limits."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

from tfnst.limits import MAX_SEED, MAX_SIZE, MAX_STEPS, MIN_SIZE
from tfnst.presets import PRESETS

BACKBONES = ("vgg19", "vgg16")
POOLINGS = ("max", "average")
OPTIMIZERS = ("adam", "lbfgs")
PRECISIONS = ("auto", "float32", "bfloat16")
STYLE_LOSSES = ("moments", "gram")
COLOR_MODES = ("none", "luminance", "histogram", "transport")
INIT_IMAGES = ("content", "style", "noise", "given")

DEVICES = ("auto", "cpu", "gpu", "tpu")

LOSS_WEIGHTS = ("content_weight", "style_weight", "total_variation_weight")


_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _setting(default: Any, help: str) -> Any:
    """A dataclass field whose help text the command line shows as it is."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleTransferConfig:
    """Settings of a style transfer, checked when they are made.

    The loss that is minimised is ::

        content_weight * content_loss + style_weight * style_loss
            + total_variation_weight * total_variation_loss

    Each term is dimensionless (see `tfnst.losses`), so the weights mean the same
    at every size and for every backbone; only their ratios change the picture.

    Attributes:
        backbone: `"vgg19"` or `"vgg16"`.
        weights: `"imagenet"`, the path of a weight file, or None for a seeded random
            network. `tfnst.networks.backbones.load_backbone` says where `"imagenet"`
            looks.
        content_layers: names of Keras layers whose activations are compared.
        content_layer_weights: one weight a content layer, or None for equal ones.
            They are scaled to sum to 1.
        content_detail: share of the content image's finest detail that is put back
            into the picture each time it is enlarged to the next scale, 0 to 1.
            Windows that a coarse scale can't show are so there to be painted at the
            next one. With a content weight of 0 none is.
        style_loss: how activations of the style layers are compared: `"moments"`, by
            mean and covariance, or `"gram"`, by Gram matrix as Gatys et al. do.
        style_layers: names of Keras layers at which that is done.
        style_layer_weights: one weight a style layer, or None for weights that halve
            from each layer to the next: colour and stroke before large forms. They
            are scaled to sum to 1.
        precision: of the network: `"float32"`, `"bfloat16"`, or `"auto"`, which is
            bfloat16 where that is faster; see
            `tfnst.engines.devices.choose_precision`.
        device: what computes: `"cpu"`, `"gpu"`, `"tpu"`, or `"auto"`, the best that
            there is; see `tfnst.engines.devices`.
        pooling: `"max"` as VGG was trained, or `"average"`.
        content_weight: weight of the content loss, 0 or more.
        style_strength: the one knob for people, from 0 (the photo) to 1 (mostly
            painting). It sets the next two where they are None: style weight
            `320 * style_strength^3`, total variation weight `160 * style_strength^2`.
        style_weight: weight of the style loss, 0 or more; None leaves it to
            `style_strength`.
        total_variation_weight: as `style_weight`, for the total variation loss.
        preserve_color: how the content image's colours are kept. `"none"`: they
            aren't, the style's are taken. `"luminance"`: only lightness is painted,
            and each pixel has the content's hue and chroma. `"histogram"` and
            `"transport"`: the style picture is first given the content's colours, all
            of their distribution or its mean and covariance. `tfnst.ops.color_transfer`
            has the formulas.
        optimizer: `"adam"` or `"lbfgs"`.
        learning_rate: Adam's step at the start of each scale, in units of the pixel
            range [0, 1]; it falls to a tenth over the scale. For L-BFGS the largest
            pixel change of the first trial step. 0 < rate <= 1.
        steps: gradient steps at the fine scales of the pyramid, 1 to 100,000. One
            step is one evaluation of the loss and its gradient.
        initial_steps: gradient steps at the coarsest scale, where colours and large
            forms are laid down and a step is cheap; None for 4 times `steps`. From
            there the number falls with the size of the scale until it is `steps`.
        patience: end a scale early when the mean total loss of so many steps is not 1 %
            below that of as many steps before, 1 to 100,000; 10 to 20 suit long runs.
            Pictures that are painted together go on until the last of them is there.
            None, the default, takes all steps.
        max_time: seconds that the run may take, above 0, or a text such as `"90s"`,
            `"5m"` or `"1.5h"`. All scales get fewer steps, so that the finest is
            reached; where that would leave it less than a tenth of them, the picture
            is enlarged from a coarser one. The number of steps, and with it the
            picture, depends on how fast the machine is. None, the default, takes all
            steps.
        size: long side of the picture in pixels, 32 to 16,384.
        min_size: long side of the coarsest scale; scales lie a factor of the square
            root of 2 apart. `min_size >= size` means one scale only.
        style_scale: size of the style picture by that of the picture to paint, 0.1 to
            4: smaller gives finer strokes, larger gives broader ones.
        max_memory: memory in GiB that the process may hold while it paints, above 0.
            Scales that would take more are painted in tiles, by the same gradients,
            up to rounding. None for most of what is free.
        init_image: what the run starts from: `"content"`, `"style"`, `"noise"` or
            `"given"` (the `init_image` that is passed to `stylize`).
        ema_momentum: momentum of the exponential moving average of the iterates,
            which is the picture that comes out. 0 <= momentum < 1; 0 turns it off.
        seed: seed of the noise and of random weights, 0 to 2**31 - 1.

    Raises:
        ValueError: when a setting is out of its range; the message names it.
    """

    backbone: str = _setting("vgg19", "Network that looks at the pictures.")
    weights: str | None = _setting(
        "imagenet", "Keras' ImageNet weights, random ones, or those of a file."
    )
    precision: str = _setting("auto", "What the network computes in.")
    device: str = _setting("auto", "What computes; the best that there is by default.")
    content_layers: tuple[str, ...] = _setting(
        ("block4_conv2",), "Layers whose activations are compared with the content's."
    )
    content_layer_weights: tuple[float, ...] | None = _setting(
        None, "One weight a content layer; equal by default."
    )
    content_detail: float = _setting(
        1.0, "Share of the content's fine detail put back at each scale, 0 to 1."
    )
    style_loss: str = _setting("moments", "What is compared with the style.")
    style_layers: tuple[str, ...] = _setting(
        (
            "block1_conv1",
            "block2_conv1",
            "block3_conv1",
            "block4_conv1",
            "block5_conv1",
        ),
        "Layers whose activations are compared with the style's.",
    )
    style_layer_weights: tuple[float, ...] | None = _setting(
        None, "One weight a style layer; by default half of that of the layer before."
    )
    pooling: str = _setting("max", "Pooling of the network.")
    content_weight: float = _setting(1.0, "Weight of the content loss.")
    style_strength: float = _setting(
        0.5, "From 0, the photo, to 1, mostly painting; sets the next two."
    )
    style_weight: float | None = _setting(
        None, "Weight of the style loss; from --style-strength by default."
    )
    total_variation_weight: float | None = _setting(
        None, "Weight of the loss that smooths; from --style-strength by default."
    )
    preserve_color: str = _setting("none", "How the content's colours are kept.")
    optimizer: str = _setting("adam", "Optimiser of the pixels.")
    learning_rate: float = _setting(0.015, "Step of the optimiser, in pixel values.")
    steps: int = _setting(25, "Gradient steps at the fine scales.")
    initial_steps: int | None = _setting(
        None, "Gradient steps at the coarsest scale; by default 4 x --steps."
    )
    patience: int | None = _setting(
        None, "End a scale when its loss hasn't fallen by 1 % in so many steps."
    )
    max_time: float | None = _setting(
        None, "Seconds the run may take (or 90s, 5m, 1h), with fewer steps if need be."
    )
    size: int = _setting(512, "Long side of the picture in pixels.")
    min_size: int = _setting(128, "Long side of the coarsest scale in pixels.")
    style_scale: float = _setting(
        1.0, "Size of the style picture by the picture's: finer or broader strokes."
    )
    max_memory: float | None = _setting(
        None,
        "GiB to stay within, in tiles if need be; by default most of what is free.",
    )
    init_image: str = _setting("content", "What the run starts from.")
    ema_momentum: float = _setting(
        0.95, "Momentum of the average of the iterates; 0 turns it off."
    )
    seed: int = _setting(0, "Seed of everything random.")

    def __post_init__(self) -> None:
        self._check_choice("backbone", BACKBONES)
        if self.weights is not None:
            self._set("weights", self._text("weights", self.weights))
        self._check_choice("precision", PRECISIONS)
        self._check_choice("device", DEVICES)
        for kind in ("content", "style"):
            self._check_layers(f"{kind}_layers", f"{kind}_layer_weights")
        self._check_number("content_detail", 0, 1, "a number from 0 to 1")
        self._check_choice("style_loss", STYLE_LOSSES)
        self._check_choice("pooling", POOLINGS)
        self._check_number("style_strength", 0, 1, "a number from 0 to 1")
        for name in LOSS_WEIGHTS:
            if name == "content_weight" or getattr(self, name) is not None:
                self._check_number(name, 0, math.inf, "a finite number, 0 or more")
        style_weight = self.loss_weights()["style_weight"]
        if not self.content_weight and not style_weight:
            raise ValueError(
                "`content_weight` and `style_weight` can't both be 0: nothing would "
                f"be left to paint. Received: {self.content_weight} and {style_weight}"
            )
        self._check_choice("preserve_color", COLOR_MODES)
        self._check_choice("optimizer", OPTIMIZERS)
        rate_range = "a number above 0 and at most 1"
        self._check_number("learning_rate", 0, 1, rate_range)
        if self.learning_rate == 0:
            self._fail("learning_rate", rate_range)
        self._check_integer("steps", 1, MAX_STEPS)
        if self.initial_steps is not None:
            self._check_integer("initial_steps", 1, MAX_STEPS)
        if self.patience is not None:
            self._check_integer("patience", 1, MAX_STEPS)
        if self.max_time is not None:
            self._check_time("max_time")
        self._check_integer("size", MIN_SIZE, MAX_SIZE)
        self._check_integer("min_size", MIN_SIZE, MAX_SIZE)
        self._check_number("style_scale", 0.1, 4, "a number from 0.1 to 4")
        if self.max_memory is not None:
            memory_range = "a finite number of GiB, above 0"
            self._check_number("max_memory", 0, math.inf, memory_range)
            if self.max_memory == 0:
                self._fail("max_memory", memory_range)
        self._check_choice("init_image", INIT_IMAGES)
        momentum_range = "a number from 0 to below 1"
        self._check_number("ema_momentum", 0, 1, momentum_range)
        if self.ema_momentum == 1:
            self._fail("ema_momentum", momentum_range)
        self._check_integer("seed", 0, MAX_SEED)

    @classmethod
    def from_preset(cls, preset: str, **settings: Any) -> StyleTransferConfig:
        """The settings of a preset: `"fast"`, `"balanced"`, `"fine"` or `"poster"`.

        Args:
            preset: its name; `"balanced"` is the defaults.
            **settings: settings in place of the preset's.

        Raises:
            ValueError: for another preset, or a setting that is unknown or out of its
                range.
        """
        return cls().replace(**preset_settings(preset) | settings)

    def loss_weights(self) -> dict[str, float]:
        """The weights of the three losses, with those that `style_strength` sets.

        The cube spreads what can be seen evenly: from 0.1 to 1 the weight grows a
        thousandfold.
        """
        weights = {name: getattr(self, name) for name in LOSS_WEIGHTS}
        if self.style_weight is None:
            weights["style_weight"] = 320 * self.style_strength**3
        if self.total_variation_weight is None:
            weights["total_variation_weight"] = 160 * self.style_strength**2
        return weights

    def initial_steps_for(self, steps: Any) -> Any:
        """`initial_steps`, or where that is None 4 times a number or tensor `steps`."""
        return 4 * steps if self.initial_steps is None else self.initial_steps

    def replace(self, **changes: Any) -> StyleTransferConfig:
        """A copy with some settings changed, checked like a new one.

        Raises:
            ValueError: for a setting that is unknown or out of its range.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise ValueError(
                    f"`{name}` is not a setting; there are: {', '.join(known)}. "
                    f"Received: {name}={changes[name]!r}"
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

    def _fail(self, name: str, expected: str) -> None:
        raise ValueError(
            f"`{name}` must be {expected}. Received: {getattr(self, name)!r}"
        )

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str | os.PathLike) or not os.fspath(value):
            self._fail(name, "a name or a path")
        return os.fspath(value)

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        if getattr(self, name) not in choices:
            self._fail(name, "one of " + ", ".join(map(repr, choices)))

    def _check_number(self, name: str, low: float, high: float, expected: str) -> None:
        value = getattr(self, name)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(value, bool | str) or not (
            math.isfinite(number) and low <= number <= high
        ):
            self._fail(name, expected)
        self._set(name, number)

    def _check_integer(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        expected = f"an integer from {low} to {high}"
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            self._fail(name, expected)
        if (
            isinstance(value, bool | str)
            or number != value
            or not low <= number <= high
        ):
            self._fail(name, expected)
        self._set(name, number)

    def _check_time(self, name: str) -> None:
        value = getattr(self, name)
        number, factor = value, 1
        if isinstance(value, str):
            factor = _SECONDS.get(value[-1:], 1)
            number = value[:-1] if value[-1:] in _SECONDS else value
        try:
            seconds = factor * float(number)
        except (TypeError, ValueError):
            seconds = math.nan
        if isinstance(value, bool) or not 0 < seconds < math.inf:
            self._fail(name, "seconds, above 0, or a text such as '90s', '5m' or '1h'")
        self._set(name, seconds)

    def _check_layers(self, layers_name: str, weights_name: str) -> None:
        layers = getattr(self, layers_name)
        if isinstance(layers, str):
            layers = (layers,)
        try:
            layers = tuple(layers)
        except TypeError:
            layers = ()
        if (
            not layers
            or len(set(layers)) != len(layers)
            or not all(isinstance(layer, str) and layer for layer in layers)
        ):
            self._fail(layers_name, "one or more different layer names")
        self._set(layers_name, layers)

        weights = getattr(self, weights_name)
        if weights is None:
            return
        expected = f"{len(layers)} finite numbers, 0 or more, not all 0"
        try:
            numbers = tuple(float(weight) for weight in weights)
        except (TypeError, ValueError):
            self._fail(weights_name, expected)
        if (
            len(numbers) != len(layers)
            or not all(math.isfinite(n) and n >= 0 for n in numbers)
            or not any(numbers)
        ):
            self._fail(weights_name, expected)
        self._set(weights_name, numbers)


def preset_settings(preset: str) -> dict[str, Any]:
    """What a preset sets, whatever it was before.

    Args:
        preset: one of `tfnst.presets.PRESETS`.

    Raises:
        ValueError: for another one.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(
            f"`preset` must be one of {', '.join(map(repr, PRESETS))}. "
            f"Received: {preset!r}"
        )
    # Each preset sets what any of them does.
    names = {name for each in PRESETS.values() for name in each}
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(StyleTransferConfig)
        if field.name in names
    }
    return defaults | PRESETS[preset]


def build_config(
    config: StyleTransferConfig | None, preset: str | None, settings: dict[str, Any]
) -> StyleTransferConfig:
    """A configuration from the three ways to give settings; the last ones go first.

    Args:
        config: StyleTransferConfig() where it is None.
        preset: name of a preset, whose settings replace those of `config`.
        settings: by name; they replace those of both.

    Raises:
        ValueError: for a preset or a setting that is unknown or out of its range.
    """
    before = {} if preset is None else preset_settings(preset)
    return (config or StyleTransferConfig()).replace(**before | settings)


def setting_names(*, traced: bool) -> tuple[str, ...]:
    names = {
        "backbone",
        "weights",
        "precision",
        "device",
        "content_layers",
        "pooling",
        "content_layer_weights",
        "content_detail",
        "style_loss",
        "style_layers",
        "style_layer_weights",
        "optimizer",
        "ema_momentum",
    }
    return tuple(
        f.name
        for f in dataclasses.fields(StyleTransferConfig)
        if (f.name in names) == traced
    )
