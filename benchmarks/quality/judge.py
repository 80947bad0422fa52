"""Judges: the networks and layers that measure pictures, and reference points."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

import tfnst
from tfnst.evaluation import evaluation
from tfnst.networks import backbones, vgg
from tfnst.ops import resizing

STYLE_MEASURES = ("style_gram", "style_swd")
CONTENT_MEASURES = ("content_cosine", "content_self_similarity")


@dataclasses.dataclass(frozen=True)
class Judge:
    """A network that measures pictures.

    Attributes:
        name: name in tables.
        backbone: `"vgg19"` or `"vgg16"`.
        weights: path of the weights, or None for random ones.
        layers: the layers whose activations it compares.
    """

    name: str
    backbone: str
    weights: str | None
    layers: tuple[str, ...]

    def measure(self, content: Any, style: Any, picture: Any) -> dict[str, float]:
        """All measures of a picture, by name."""
        result = tfnst.evaluate(
            content,
            style,
            picture,
            backbone=self.backbone,
            weights=self.weights,
            layers=self.layers,
        )
        return {name: getattr(result, name) for name in result.measures()}

    def key(self) -> list[Any]:
        """Everything that a measurement depends on, to tell when it is out of date."""
        stamp = os.path.getsize(self.weights) if self.weights else None
        return [self.backbone, self.weights, stamp, list(self.layers)]


def build_judges(painter: backbones.Backbone, optimized: frozenset[str]) -> list[Judge]:
    """The recipes' own network, and a random one, which none of them knows.

    Args:
        painter: the network that the recipes use.
        optimized: layers that a recipe optimises; judges use none of them.
    """
    layers = free_layers(vgg.layer_names(painter.name), optimized)
    own = Judge("own network", painter.name, painter.weights.path, layers)
    layers = free_layers(vgg.layer_names("vgg19"), optimized)
    return [own, Judge("random network", "vgg19", None, layers)]


def free_layers(held: tuple[str, ...], optimized: frozenset[str]) -> tuple[str, ...]:
    """The layers of `tfnst.evaluate`, or others of the same blocks.

    Args:
        held: the layers that the network has.
        optimized: layers that a recipe optimises, which are replaced.
    """
    free = [layer for layer in held if layer not in optimized and "conv" in layer]
    layers = []
    for layer in evaluation.LAYERS:
        block = [other for other in free if other.startswith(layer[:7])]
        if layer in block:
            layers.append(layer)
        elif block:
            layers.append(block[-1])
    return tuple(layers)


def style_as_picture(content: np.ndarray, style: np.ndarray, size: int) -> np.ndarray:
    """The style image, enlarged and cropped to the content's shape: [1, h, w, 3]."""
    height, width = content.shape[1:3]
    ratio = size / max(height, width)
    sides = round(height * ratio), round(width * ratio)
    return resizing.cover_image(style, *sides).numpy()


def point(
    measured: dict[str, float],
    photo: dict[str, float],
    painting: dict[str, float],
    style_measure: str,
) -> tuple[float, float]:
    """A picture's content and style distance, relative to the reference pictures'.

    The content distance is the mean of both content measures, each divided by the style
    image's; the style distance is divided by the photo's.

    Args:
        measured: the picture's measures.
        photo: the measures of the photo itself.
        painting: the measures of the style image, cropped to the photo's shape.
        style_measure: which of `STYLE_MEASURES` to use.
    """
    shares = [measured[name] / painting[name] for name in CONTENT_MEASURES]
    return float(np.mean(shares)), measured[style_measure] / photo[style_measure]
