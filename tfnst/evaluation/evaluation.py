"""Evaluation of a stylized picture: how well it shows style and content."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfnst.checks import (
    ArgumentError,
    argument,
    check_choice,
    check_integer,
    check_layers,
)
from tfnst.config import BACKBONES, StyleTransferConfig
from tfnst.eager import eagerly
from tfnst.evaluation import measures
from tfnst.images import reading
from tfnst.limits import MAX_SEED, MAX_SIZE, MIN_SIDE
from tfnst.networks import features, vgg, weight_files
from tfnst.networks.backbones import load_backbone
from tfnst.networks.weight_sources import (
    WEIGHTS_VARIABLE,
    WeightsInfo,
    find_weights,
)
from tfnst.ops import color_spaces, resizing

# Gatys et al., and others after them, optimise the first convolution of each block for
# the style and one of block 4 or 5 for the content. These layers are others.
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3")
RESOLUTIONS = (256, 128)

# A function of content image, style image and picture, each [1, H, W, 3].
Measure: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], float]

# Relative difference that rounding may make between shapes of the same picture.
_SHAPE_TOLERANCE = 0.05


def _measure(help: str) -> Any:
    """A dataclass field; the command shows `help` beside the number."""
    return dataclasses.field(metadata={"help": help})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Measures of a stylized picture; see `evaluate`.

    Attributes:
        style_gram: distance of the Gram matrices from the style's.
        style_swd: distance of the activations' distribution from the style's.
        content_cosine: distance of the activations from the content's.
        content_self_similarity: distance of the self-similarities from the content's.
        color_swd: distance of the colours' distribution from the style's.
        high_frequency: grain, relative to the style's.
        clipped: share of black and blown-out pixels, minus the originals' own.
        border: contrast of the picture's border with the rest.
        layers: layers whose activations were compared.
        resolutions: long sides in pixels at which they were compared.
        backbone: the network used, `"vgg19"` or `"vgg16"`.
        weights: the weights used.
        own: values of a user's own measures by name; in `to_dict` beside the others.
    """

    style_gram: float = _measure("0 is the style; less is better")
    style_swd: float = _measure("0 is the style; less is better")
    content_cosine: float = _measure("0 is the content; less is better")
    content_self_similarity: float = _measure("0 is the content; less is better")
    color_swd: float = _measure("0 has the style's colours; less is better")
    high_frequency: float = _measure("1 is as rough as the style; more is grain")
    clipped: float = _measure("0 is best; more means black or blown-out pixels")
    border: float = _measure("1 is like the rest; more is a visible frame")
    layers: tuple[str, ...]
    resolutions: tuple[int, ...]
    backbone: str
    weights: WeightsInfo
    own: dict[str, float] = dataclasses.field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """The values, in types that JSON can hold."""
        plain = dataclasses.asdict(self)
        plain |= plain.pop("own")
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    @classmethod
    def measures(cls) -> dict[str, str]:
        """The names of the measures, each with a note on which values are good."""
        return {
            field.name: field.metadata["help"]
            for field in dataclasses.fields(cls)
            if field.metadata
        }


@eagerly
def evaluate(
    content_image: Any,
    style_image: Any,
    stylized_image: Any,
    *,
    backbone: str = StyleTransferConfig.backbone,
    weights: str | os.PathLike[str] | None = StyleTransferConfig.weights,
    layers: Sequence[str] | None = None,
    resolutions: Sequence[int] = RESOLUTIONS,
    seed: int = StyleTransferConfig.seed,
    own_measures: Mapping[str, Measure] | None = None,
) -> Evaluation:
    """Measures how well a picture shows the style and keeps the content.

    No known style transfer minimises any of these measures, so none has an advantage.
    The first four compare activations F of a network, at layers that style transfers
    don't usually optimise, and are averaged over `layers` and `resolutions`. S are the
    style's activations, C the content's. `tfnst.evaluation.measures` has the formulas.

    - style_gram: `|G(F) - G(S)| / |G(S)|`, Gram matrices in the Frobenius norm. 0 is
      the style itself; 1 is as far away as a black picture.
    - style_swd: sliced Wasserstein distance of F and S, divided by the standard
      deviation of S: how far activations would have to move to be distributed like the
      style's. 0 is the style itself; about 1 has nothing in common with it.
    - content_cosine: 1 minus the cosine of F and C at the same place. 0 to 1.
    - content_self_similarity: whether places that are alike in the content are alike
      in the picture, whatever they look like now (STROTSS). 0 to 1.
    - color_swd: sliced Wasserstein distance of the pixels to the style's in CIE L*a*b*,
      averaged over `resolutions`: how far off the colours are. 2 is just visible.
    - high_frequency: mean squared Laplacian divided by the style's, at the size of the
      smaller picture. 1 is as rough as the style; above 1 is grain that the style
      doesn't have, far below 1 is blur.
    - clipped: share of pixels with a channel at 0 or 1, minus the larger of the
      style's and the content's own. From 0; 0.05 becomes visible.
    - border: step from the outermost 3% of the picture to what is inside, divided by
      similar steps inside. About 1; above 2 is a visible frame.

    For comparison, the smallest and largest values for two photos and four styles at
    256 pixels through VGG19:

    ======================= ========= ========= ========= ========= ========= =========
    measure                 the photo blurred   mixed     noise     the style painted
    ======================= ========= ========= ========= ========= ========= =========
    style_gram              0.70-1.20 0.78-1.19 0.53-0.72 0.72-1.33 0.06-0.21 0.17-0.25
    style_swd               0.50-0.98 0.65-1.07 0.43-0.64 0.66-0.94 0.06-0.12 0.12-0.20
    content_cosine          0         0.09-0.11 0.32-0.54 0.63-0.67 0.57-0.69 0.33-0.56
    content_self_similarity 0         0.05-0.06 0.13-0.25 0.18-0.27 0.17-0.27 0.12-0.25
    color_swd               15-51     16-52     10-29     26-40     1-5       2-4
    high_frequency          0.06-0.27 0         0.26-0.32 12-44     0.99-1.05 0.32-0.40
    clipped                 0         0         0         0-0.01    0         0
    border                  0.7       0.7-0.8   0.4-1.4   1.0       0.3-1.5   0.8-1.8
    ======================= ========= ========= ========= ========= ========= =========

    The blurred photo went through a Gaussian of 2 pixels, the mixed picture is half
    photo and half style, and the painted one is by tfnst. A black frame of 4 pixels
    around a painted picture gives a border of 2.3 to 25. Other networks give other
    numbers, so compare only pictures with the same content, style and network.

    Args:
        content_image: the photo, as `tfnst.load_image` takes it.
        style_image: the painting.
        stylized_image: the picture to judge, made by any program. It must have the
            content image's shape, at any size.
        backbone: network whose activations are compared.
        weights: its weights, as for `tfnst.networks.backbones.load_backbone`.
        layers: layers whose activations are compared. The default is block1_conv2,
            block2_conv2, block3_conv3 and block4_conv3, as far as the weights reach.
        resolutions: long sides in pixels at which the pictures are compared, 16 or
            more. Sizes above the stylized picture's own are left out; if none is left,
            its own is used.
        seed: seed of the random directions, and of the network if `weights` is None.
        own_measures: further measures by name: functions of the content image, the
            style image and the picture, each float32 RGB [1, H, W, 3] in [0, 1] at its
            own size, that return a number.

    Returns:
        Evaluation. The same arguments give the same numbers on the same machine.

    Raises:
        ValueError: for pictures or arguments out of range.
        OSError: for files that can't be read, or weights that can't be found.

    Reference:
        Gram: Gatys et al., arXiv 1508.06576. Sliced Wasserstein: Heitz et al., arXiv
        2006.07229. Self-similarity: Kolkin et al., arXiv 1904.12785.
    """
    with argument("content_image"):
        content = reading.load_one_image(content_image)
    with argument("style_image"):
        style = reading.load_one_image(style_image)
    with argument("stylized_image"):
        stylized = reading.load_one_image(stylized_image)
    _check_shape(content, stylized)
    sizes = _check_resolutions(resolutions, stylized)
    seed = check_integer("seed", seed, 0, MAX_SEED)
    own_measures = _check_own(own_measures or {})
    check_choice("backbone", backbone, BACKBONES)
    if layers is not None:
        layers = check_layers("layers", layers)
    extractor, info = _load_extractor(_find_weights(backbone, weights), layers, seed)
    _check_short_sides(stylized, style, sizes, extractor)
    rows = [
        _compare(content, style, stylized, size, extractor=extractor, seed=seed)
        for size in sizes
    ]
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return Evaluation(
        **means,
        **_find_artefacts(content, style, stylized),
        layers=tuple(extractor.output),
        resolutions=sizes,
        backbone=info.backbone,
        weights=info,
        own={
            name: float(measure(content, style, stylized))
            for name, measure in own_measures.items()
        },
    )


def _compare(
    content: np.ndarray,
    style: np.ndarray,
    stylized: np.ndarray,
    long_side: int,
    *,
    extractor: keras.Model,
    seed: int,
) -> dict[str, float]:
    """The measures of style, content and colour at one size."""
    height, width = _sides(stylized, long_side)
    content = resizing.resize_image(content, height, width)
    stylized = resizing.resize_image(stylized, height, width)
    style = resizing.resize_image(style, *_sides(style, long_side))
    activations = [extractor(picture) for picture in (content, style, stylized)]
    rows = []
    for layer in extractor.output:
        of_content, of_style, of_stylized = (each[layer] for each in activations)
        moved = measures.sliced_wasserstein_distance(of_stylized, of_style, seed=seed)
        deviation = measures.standard_deviation(of_style)
        row = {
            "style_gram": measures.gram_distance(of_stylized, of_style),
            "style_swd": tf.math.divide_no_nan(moved, deviation),
            "content_cosine": measures.cosine_distance(of_stylized, of_content),
            "content_self_similarity": measures.self_similarity_distance(
                of_stylized, of_content
            ),
        }
        rows.append({name: float(value) for name, value in row.items()})
    lab = [color_spaces.lab_from_srgb(picture) for picture in (stylized, style)]
    colors = measures.sliced_wasserstein_distance(*lab, seed=seed)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return means | {"color_swd": float(colors)}


def _find_artefacts(
    content: np.ndarray, style: np.ndarray, stylized: np.ndarray
) -> dict[str, float]:
    """The measures that need no network, at the picture's own size."""
    # Enlarging a picture would make it smoother than it is.
    size = min(max(picture.shape[1:3]) for picture in (style, stylized))
    rough, own = (
        measures.laplacian_energy(
            resizing.resize_image(picture, *_sides(picture, size))
        )
        for picture in (stylized, style)
    )
    clipped, *allowed = (
        float(measures.clipped_share(picture)) for picture in (stylized, style, content)
    )
    return {
        "high_frequency": float(tf.math.divide_no_nan(rough, own)),
        "clipped": max(0.0, clipped - max(allowed)),
        "border": float(measures.border_contrast(color_spaces.lab_from_srgb(stylized))),
    }


def _sides(picture: np.ndarray, long_side: int) -> tuple[int, int]:
    """Height and width of a picture at another size."""
    height, width = picture.shape[1:3]
    ratio = long_side / max(height, width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def have_one_shape(sides: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Returns whether two pictures have one shape, but for rounding.

    Args:
        sides: height and width of the first picture.
        others: height and width of the second picture.
    """
    ratio = others[1] / others[0] * sides[0] / sides[1]
    return 1 / (1 + _SHAPE_TOLERANCE) <= ratio <= 1 + _SHAPE_TOLERANCE


def _check_shape(content: np.ndarray, stylized: np.ndarray) -> None:
    height, width = content.shape[1:3]
    if not have_one_shape((height, width), stylized.shape[1:3]):
        raise ArgumentError(
            f"the content image's shape, {width}:{height}, at any size",
            f"a picture of {stylized.shape[2]}x{stylized.shape[1]} pixels",
            argument="stylized_image",
            verb="must have",
        )


def _check_own(measures: Mapping[str, Measure]) -> Mapping[str, Measure]:
    """Checks that they are functions with names of their own."""
    taken = [field.name for field in dataclasses.fields(Evaluation)]
    if any(name in taken or not callable(each) for name, each in measures.items()):
        raise ArgumentError(
            "functions by names that aren't taken",
            repr(measures),
            argument="own_measures",
        )
    return measures


def _check_resolutions(
    resolutions: Sequence[int], stylized: np.ndarray
) -> tuple[int, ...]:
    """The resolutions up to the picture's own; its own if there are none."""
    try:
        numbers = [int(number) for number in resolutions]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if (
        not numbers
        or numbers != list(resolutions)
        or not all(MIN_SIDE <= number <= MAX_SIZE for number in numbers)
    ):
        expected = f"integers from {MIN_SIDE} to {MAX_SIZE}"
        raise ArgumentError(expected, repr(resolutions), argument="resolutions")
    own = max(stylized.shape[1:3])
    return tuple(number for number in numbers if number <= own) or (own,)


def _check_short_sides(
    stylized: np.ndarray,
    style: np.ndarray,
    sizes: tuple[int, ...],
    extractor: keras.Model,
) -> None:
    """Checks that something is left of the pictures at the deepest layer."""
    least, size = max(features.layer_strides(extractor).values()), min(sizes)
    for name, picture in (("stylized_image", stylized), ("style_image", style)):
        side = min(_sides(picture, size))
        if side < least:
            height, width = picture.shape[1:3]
            raise ArgumentError(
                f"a picture whose short side has {least} pixels or more at every "
                "resolution",
                f"a picture of {width}x{height} pixels, which has {side} at {size}",
                argument=name,
            )


def _find_weights(backbone: str, weights: str | os.PathLike[str] | None) -> WeightsInfo:
    if weights != "imagenet" or os.environ.get(WEIGHTS_VARIABLE):
        return find_weights(backbone, weights=weights)
    return _find_imagenet(backbone)


@functools.cache
def _find_imagenet(backbone: str) -> WeightsInfo:
    """ImageNet's weights, found once: looking for them may mean waiting for a network
    that doesn't answer."""
    return find_weights(backbone)


@functools.lru_cache(maxsize=4)
def _load_extractor(
    weights: WeightsInfo, layers: tuple[str, ...] | None, seed: int
) -> tuple[keras.Model, WeightsInfo]:
    """The feature extractor, and its weights with the digest of random ones.

    The cache is keyed by the weights that were found, digest included: a file that
    changes, or an environment variable that names another, loads anew.

    Args:
        weights: source of the weights, from `find_weights`.
        layers: layers to extract; None for those of `LAYERS` that the weights have.
        seed: seed of random weights.
    """
    order = vgg.layer_names(weights.backbone)
    if layers is None:
        held = (
            order if weights.path is None else weight_files.read_weights(weights.path)
        )
        layers = tuple(layer for layer in LAYERS if layer in held)
        if not layers:
            raise ArgumentError(
                LAYERS[0], repr(weights.path), argument="weights", verb="must reach to"
            )
    loaded = load_backbone(
        weights.backbone,
        weights=weights.path,
        last_layer=features.deepest_layer(layers, order=order),
        seed=seed,
    )
    extractor = features.build_feature_extractor(loaded.model, layers=layers)
    # To load_backbone a path is just a file; find_weights knows where it came from.
    return extractor, loaded.weights if weights.path is None else weights
