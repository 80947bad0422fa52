"""evaluate(): how well a stylized picture shows the style and keeps the content."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst import limits
from tfnst.config import StyleTransferConfig
from tfnst.evaluation import measures
from tfnst.images import reading
from tfnst.limits import MAX_SIZE
from tfnst.networks import backbones, features, vgg, weight_files, weight_sources
from tfnst.ops import color_spaces, resizing

# Gatys et al. optimise the first convolution of each block for the style and one of
# block 4 or 5 for the content, and so do those who follow them. These are others.
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3")
RESOLUTIONS = (256, 128)

# How much shapes may differ that rounding has made out of one.
_SHAPE_TOLERANCE = 0.05


def _measure(help: str) -> Any:
    """A dataclass field whose help text the command shows beside the number."""
    return dataclasses.field(metadata={"help": help})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` measures.

    Attributes:
        style_gram: see there, as for all measures.
        style_swd: as above.
        content_cosine: as above.
        content_self_similarity: as above.
        color_swd: as above.
        high_frequency: as above.
        clipped: as above.
        border: as above.
        layers: the layers that were looked at.
        resolutions: long sides in pixels at which they were looked at.
        backbone: the network that was used, `"vgg19"` or `"vgg16"`.
        weights: which weights it had.
    """

    style_gram: float = _measure("0 is the style; less is better")
    style_swd: float = _measure("0 is the style; less is better")
    content_cosine: float = _measure("0 is the content; less is better")
    content_self_similarity: float = _measure("0 is the content; less is better")
    color_swd: float = _measure("0 has the style's colours; less is better")
    high_frequency: float = _measure("1 is as rough as the style; more is grain")
    clipped: float = _measure("0 is best; more are blown out or drowned")
    border: float = _measure("1 is like the rest; more is a frame")
    layers: tuple[str, ...]
    resolutions: tuple[int, ...]
    backbone: str
    weights: weight_sources.WeightsInfo

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        plain = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    @classmethod
    def measures(cls) -> dict[str, str]:
        """Names of the measures, each with a word on which values are good."""
        return {
            field.name: field.metadata["help"]
            for field in dataclasses.fields(cls)
            if field.metadata
        }


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
) -> Evaluation:
    """Measures how well a picture shows the style and keeps the content.

    No style transfer is known that minimises one of these measures, so none is
    favoured. The first four compare activations F of a network, on layers that style
    transfers don't optimise as a rule; they are means over `layers` and `resolutions`.
    S is the style's activation, C the content's. `tfnst.evaluation.measures` has the
    formulas.

    - style_gram: `|G(F) - G(S)| / |G(S)|`, Gram matrices in the Frobenius norm. From
      0, the style itself; 1 is as far as a black picture.
    - style_swd: sliced Wasserstein distance of F and S, divided by the standard
      deviation of S: how far activations must move to be distributed like the
      style's. From 0; about 1 has nothing in common.
    - content_cosine: 1 less the cosine of F and C at the same place. 0 to 1.
    - content_self_similarity: whether places that are alike in the content are alike
      in the picture, whatever they look like now (STROTSS). 0 to 1.
    - color_swd: sliced Wasserstein distance of pixels to the style's in CIE L*a*b*,
      mean over `resolutions`: by how much colours are off. From 0; 2 is just seen.
    - high_frequency: mean squared Laplacian, divided by the style's, at the size of
      the smaller of the two. 1 is as rough as the style; above 1 is grain that the
      style doesn't have, far below 1 is blur.
    - clipped: share of pixels with a channel at 0 or 1, above the larger of the
      style's and the content's own. From 0; 0.05 begins to show.
    - border: step from the outermost 3% of the picture to what is inside, divided by
      such steps inside. About 1; above 2 is a frame.

    What is good shows beside what isn't. On two photos and four styles at 256 pixels,
    through VGG16, from the smallest to the largest:

    ======================= ========= ========= ========= ========= ========= =========
    measure                 the photo blurred   mixed     noise     the style painted
    ======================= ========= ========= ========= ========= ========= =========
    style_gram              0.83-2.99 0.84-2.78 0.50-0.77 0.70-1.95 0.07-0.17 0.25-0.29
    style_swd               0.45-1.08 0.58-1.15 0.40-0.70 0.65-1.02 0.08-0.11 0.14-0.23
    content_cosine          0         0.10-0.12 0.41-0.64 0.71      0.65-0.75 0.33-0.43
    content_self_similarity 0         0.08-0.09 0.17-0.31 0.24-0.32 0.19-0.32 0.13-0.23
    color_swd               15-51     16-52     10-29     26-40     1-5       3-11
    high_frequency          0.06-0.27 0         0.26-0.32 12-44     0.99-1.05 0.31-0.33
    clipped                 0         0         0         0-0.01    0         0.01-0.03
    border                  0.7       0.7-0.8   0.4-1.5   1.0       0.4-1.5   0.7-1.4
    ======================= ========= ========= ========= ========= ========= =========

    The blurred photo went through a Gaussian of 2 pixels, the mixed picture is half
    photo and half style, and the painted one is by tfnst. A black frame of 4 pixels
    around a painted picture has a border of 3.4 to 12.5. Other networks give other
    numbers: compare pictures with the same content, style and network only.

    Args:
        content_image: the photo, as `tfnst.load_image` takes it.
        style_image: the painting.
        stylized_image: the picture to judge, from whatever program. It must have the
            content image's shape, at any size.
        backbone: network whose activations are compared.
        weights: its weights, as for `tfnst.networks.backbones.load_backbone`.
        layers: which activations; by default those of block1_conv2, block2_conv2,
            block3_conv3 and block4_conv3 that the weights reach to.
        resolutions: long sides in pixels to which all pictures are brought before
            the network looks at them, 16 or more. Those above the stylized picture's
            own are left out; where all are, its own is taken.
        seed: of the random directions, and of the network where `weights` is None.

    Returns:
        Evaluation. The same arguments give the same numbers on the same machine.

    Raises:
        ValueError: for pictures and arguments that are not as above.
        OSError: for files that can't be read, and when no weights can be had.

    Reference:
        Gram: Gatys et al., arXiv 1508.06576. Sliced Wasserstein: Heitz et al., arXiv
        2006.07229. Self-similarity: Kolkin et al., arXiv 1904.12785.
    """
    content, style, stylized = (
        reading.load_one_image(picture, name=name)
        for picture, name in (
            (content_image, "content_image"),
            (style_image, "style_image"),
            (stylized_image, "stylized_image"),
        )
    )
    _check_shape(content, stylized)
    resolutions = _check_resolutions(resolutions, stylized)
    if layers is not None:
        layers = (layers,) if isinstance(layers, str) else tuple(layers)
    extractor, name, info = _load_extractor(
        backbone,
        os.fspath(weights) if isinstance(weights, os.PathLike) else weights,
        layers,
        seed,
        os.environ.get(weight_sources.WEIGHTS_VARIABLE),
    )
    rows = [
        _at_resolution(content, style, stylized, resolution, extractor, seed)
        for resolution in resolutions
    ]
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return Evaluation(
        **means,
        **_artefacts(content, style, stylized),
        layers=tuple(extractor.output),
        resolutions=resolutions,
        backbone=name,
        weights=info,
    )


def _at_resolution(content, style, stylized, resolution, extractor, seed):
    """What the network and the eye for colours see at one size."""
    height, width = _sides(stylized, resolution)
    content = resizing.resize_image(content, height, width)
    stylized = resizing.resize_image(stylized, height, width)
    style = resizing.resize_image(style, *_sides(style, resolution))
    seen = [extractor(picture) for picture in (content, style, stylized)]
    rows = {"style_gram": [], "style_swd": []}
    rows |= {"content_cosine": [], "content_self_similarity": []}
    for layer in extractor.output:
        of_content, of_style, of_stylized = (activations[layer] for activations in seen)
        rows["style_gram"].append(measures.gram_distance(of_stylized, of_style))
        moved = measures.sliced_wasserstein_distance(of_stylized, of_style, seed=seed)
        own = measures.spread(of_style)
        rows["style_swd"].append(tf.math.divide_no_nan(moved, own))
        rows["content_cosine"].append(measures.cosine_distance(of_stylized, of_content))
        rows["content_self_similarity"].append(
            measures.self_similarity_distance(of_stylized, of_content)
        )
    lab = [color_spaces.lab_from_srgb(picture) for picture in (stylized, style)]
    rows["color_swd"] = [measures.sliced_wasserstein_distance(*lab, seed=seed)]
    return {key: np.mean([float(x) for x in values]) for key, values in rows.items()}


def _artefacts(content, style, stylized):
    """What the network is blind to, at the picture's own size."""
    # Neither picture is enlarged: that would make it smoother than it is.
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


def _sides(picture, long_side):
    height, width = picture.shape[1:3]
    ratio = long_side / max(height, width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def _check_shape(content, stylized):
    wanted, given = (p.shape[2] / p.shape[1] for p in (content, stylized))
    if not 1 / (1 + _SHAPE_TOLERANCE) <= given / wanted <= 1 + _SHAPE_TOLERANCE:
        height, width = content.shape[1:3]
        raise ValueError(
            "`stylized_image` must have the content image's shape, "
            f"{width}:{height}, at any size. "
            f"Received: a picture of {stylized.shape[2]}x{stylized.shape[1]} pixels"
        )


def _check_resolutions(resolutions, stylized):
    try:
        numbers = [int(number) for number in resolutions]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if (
        not numbers
        or numbers != list(resolutions)
        or not all(limits.MIN_SIDE <= number <= MAX_SIZE for number in numbers)
    ):
        raise ValueError(
            f"`resolutions` must be integers from {limits.MIN_SIDE} to {MAX_SIZE}. "
            f"Received: {resolutions!r}"
        )
    own = max(stylized.shape[1:3])
    return tuple(number for number in numbers if number <= own) or (own,)


@functools.lru_cache(maxsize=4)
def _load_extractor(backbone, weights, layers, seed, _):
    info = weight_sources.find_weights(backbone, weights=weights)
    source = weights if info.path is None else info.path
    order = vgg.layer_names(info.backbone)
    if layers is None:
        held = order if info.path is None else weight_files.read_weights(info.path)
        layers = tuple(layer for layer in LAYERS if layer in held)
        if not layers:
            raise ValueError(
                f"`weights` must reach to {LAYERS[0]}. Received: {info.path!r}"
            )
    loaded = backbones.load_backbone(
        info.backbone,
        weights=source,
        last_layer=features.deepest_layer(layers, order=order),
        seed=seed,
    )
    if info.path is not None:
        # Found once: its own words on where the weights come from are kept.
        loaded = dataclasses.replace(loaded, weights=info)
    extractor = features.build_feature_extractor(loaded.model, layers=layers)
    return extractor, loaded.name, loaded.weights
