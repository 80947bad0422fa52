"""The targets of a picture, and its losses relative to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfnst.losses import terms
from tfnst.losses.style import StyleLoss, require_additive
from tfnst.networks.features import layer_strides, picture_border
from tfnst.ops.masks import masks_at_stride, weigh_regions
from tfnst.ops.resizing import resize_image


class Targets(NamedTuple):
    """Targets of a picture.

    Attributes:
        content: activations of the content image by layer, [N, h, w, C].
        style: targets by layer, from `StyleLoss.target`: [N or 1, ...]; with regions,
            one for each of them, [K, ...].
        regions: masks of the regions with the border of pictures, from
            `Objective.see_regions`; None where the whole picture has one style. See
            `tfnst.ops.masks`.
        temporal: target and weights of `tfnst.losses.terms.temporal_loss`, [N, H, W, 3]
            and [N, H, W, 1]; None unless the picture is a frame that follows others.
    """

    content: Any
    style: dict[str, Any]
    regions: tf.Tensor | None = None
    temporal: tuple[tf.Tensor, tf.Tensor] | None = None

    def given(self) -> dict[str, Any]:
        """The targets that aren't None, by name."""
        return {name: each for name, each in self._asdict().items() if each is not None}


class Objective:
    """The loss of a picture as a function of its pixels and of targets.

    The network sees pictures with a border around them; see `tfnst.ops.borders`.

    Args:
        feature_extractor: from `tfnst.networks.features.build_feature_extractor`.
        content_layers: weight of each content layer; the weights sum to 1.
        style_layers: weight of each style layer; the weights sum to 1.
        style_losses: loss of each style layer.
        seamless: True if beyond an edge lies the opposite edge, in pictures and in
            content images.

    Attributes:
        border: border of pictures and content images.
        style_border: border of style images, which always end at their edges.
    """

    def __init__(
        self,
        feature_extractor: keras.Model,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        style_losses: Mapping[str, StyleLoss],
        seamless: bool = False,
    ) -> None:
        self.feature_extractor = feature_extractor
        self.content_layers = dict(content_layers)
        self.style_layers = dict(style_layers)
        self.style_losses = dict(style_losses)
        self.seamless = seamless
        self._strides = layer_strides(feature_extractor)
        self.border = picture_border(feature_extractor, seamless=seamless)
        self.style_border = picture_border(feature_extractor)

    def losses(
        self, image: tf.Tensor, targets: Targets, weights: terms.LossWeights
    ) -> terms.Losses:
        """The losses of pictures [N, H, W, 3] in [0, 1].

        The total includes the temporal loss as it is: its weights are in the targets.

        Raises:
            ValueError: for regions if a style loss isn't additive.
        """
        activations = self._activations(image)
        content = terms.content_loss(
            [activations[layer] for layer in self.content_layers],
            [targets.content[layer] for layer in self.content_layers],
            layer_weights=list(self.content_layers.values()),
        )
        masks = None
        if targets.regions is not None:
            masks = self.border.inside(targets.regions)
        measured = self.measure_style(activations, targets.style, masks)
        style = self.style_loss(measured, targets.style)
        if masks is not None:
            style = weigh_regions(style, masks)
        total_variation = terms.total_variation_loss(image, wrap=self.seamless)
        total = weights.total(content, style, total_variation)
        if targets.temporal is not None:
            total += terms.temporal_loss(image, *targets.temporal)
        return terms.Losses(content, style, total_variation, total)

    def content_targets(self, content_image: tf.Tensor) -> dict[str, tf.Tensor]:
        """`Targets.content` of pictures [N, H, W, 3] in [0, 1]."""
        activations = self._activations(content_image)
        return {layer: activations[layer] for layer in self.content_layers}

    def see_regions(self, masks: tf.Tensor) -> tf.Tensor:
        """`Targets.regions` of masks [K, H, W, 1] of a picture's size."""
        return self.border.pad(masks)

    def style_targets(
        self, style_image: tf.Tensor, sides: tf.Tensor, mask: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """`Targets.style` of style images.

        Args:
            style_image: [N or 1, h, w, 3] in [0, 1].
            sides: height and width to which they are resized first, int32 [2].
            mask: weight of each pixel of a single style image, [1, *sides, 1].

        Raises:
            ValueError: for a mask if a style loss isn't additive.
        """
        style_image = resize_image(style_image, sides[0], sides[1])
        activations = self.feature_extractor(self.style_border.pad(style_image))
        if mask is not None:
            mask = self.style_border.pad(mask)
        targets = {}
        for layer, loss in self.style_losses.items():
            if mask is None:
                described = loss.describe(activations[layer])
            else:
                weights = self._weights(layer, mask)
                described = loss.describe(activations[layer], weights)
            targets[layer] = loss.target(described)
        return targets

    def measure_style(
        self,
        activations: Mapping[str, tf.Tensor],
        targets: Mapping[str, Any],
        masks: tf.Tensor | None = None,
    ) -> dict[str, Any]:
        """The statistics that the style loss is computed from, by layer.

        Args:
            activations: activations by layer, [N, h, w, C].
            targets: as `Targets.style`.
            masks: masks of K regions of a single picture, with its border where that
                counts, [K, H, W, 1].
        """
        return {
            layer: loss.measure(
                activations[layer], targets[layer], self._weights(layer, masks)
            )
            for layer, loss in self.style_losses.items()
        }

    def _activations(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        """The activations that count of pictures [N, H, W, 3], by layer."""
        seen = self.feature_extractor(self.border.pad(pictures))
        return {k: self.border.inside(seen[k], self._strides[k]) for k in seen}

    def _weights(self, layer: str, masks: tf.Tensor | None) -> tf.Tensor | None:
        """Masks [K, H, W, 1] on the grid of a style layer."""
        if masks is None:
            return None
        require_additive(self.style_losses[layer])
        return masks_at_stride(masks, self._strides[layer])

    def style_loss(
        self, measured: Mapping[str, Any], targets: Mapping[str, Any]
    ) -> tf.Tensor:
        """The style loss [N], or the part of it that some of the layers contribute.

        Args:
            measured: statistics of these layers, from `StyleLoss.measure`.
            targets: as `Targets.style`.
        """
        return tf.add_n(
            [
                self.style_layers[layer]
                * self.style_losses[layer].distance(measured[layer], targets[layer])
                for layer in measured
            ]
        )

    def content_spec(self) -> dict[str, tf.TensorSpec]:
        """The shapes of `Targets.content`."""
        outputs = self.feature_extractor.output
        return {
            layer: tf.TensorSpec(outputs[layer].shape, outputs[layer].dtype)
            for layer in self.content_layers
        }
