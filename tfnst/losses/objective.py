"""What a picture is compared with, and how far it is from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfnst.losses import terms
from tfnst.losses.statistics import StyleStatistic
from tfnst.networks.features import layer_strides, picture_border
from tfnst.ops.masks import masks_at_stride, weigh_regions
from tfnst.ops.resizing import resize_image


class Targets(NamedTuple):
    """What a picture is compared with.

    Attributes:
        content: by layer, activations of the content image, [N, h, w, C].
        style: by layer, from `StyleStatistic.targets`: [N or 1, ...]; with regions, one
            for each of them, [K, ...].
        regions: the masks of the regions with the border of pictures, from
            `Objective.see_regions`, if parts of the picture have styles of their own;
            otherwise empty. See `tfnst.ops.masks`.
        temporal: target and weights of `tfnst.losses.terms.temporal_loss`, [N, H, W, 3]
            and [N, H, W, 1], if the picture is a frame of a film that follows others;
            otherwise empty.
    """

    content: Any
    style: dict[str, Any]
    regions: tuple[tf.Tensor, ...] = ()
    temporal: tuple[tf.Tensor, ...] = ()


class Objective:
    """The loss of a picture as a function of its pixels and of targets.

    The network sees pictures with a border around them; see `tfnst.ops.borders`.

    Args:
        feature_extractor: from `tfnst.networks.features.build_feature_extractor`.
        content_layers: weight of each content layer; the weights sum to 1.
        style_layers: weight of each style layer; the weights sum to 1.
        statistics: how each style layer is compared, from
            `tfnst.losses.statistics.build_statistics`.
        seamless: whether what lies beyond an edge of a picture lies at the opposite
            edge, in the content image, too.

    Attributes:
        border: of pictures and content images.
        style_border: of style images, which end at their edges in any case.
    """

    def __init__(
        self,
        feature_extractor: keras.Model,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        statistics: Mapping[str, StyleStatistic],
        seamless: bool = False,
    ) -> None:
        self.feature_extractor = feature_extractor
        self.content_layers = dict(content_layers)
        self.style_layers = dict(style_layers)
        self.statistics = dict(statistics)
        self.seamless = seamless
        self._strides = layer_strides(feature_extractor)
        self.border = picture_border(feature_extractor, seamless=seamless)
        self.style_border = picture_border(feature_extractor)

    def losses(
        self,
        image: tf.Tensor,
        targets: Targets,
        *,
        content_weight: tf.Tensor,
        style_weight: tf.Tensor,
        total_variation_weight: tf.Tensor,
    ) -> terms.Losses:
        """The losses of pictures [N, H, W, 3] in [0, 1].

        The total includes the temporal loss as it is: its weights are in the targets.
        """
        activations = self._activations(image)
        content = terms.content_loss(
            [activations[layer] for layer in self.content_layers],
            [targets.content[layer] for layer in self.content_layers],
            layer_weights=list(self.content_layers.values()),
        )
        masks = None
        if targets.regions:
            masks = self.border.inside(targets.regions[0])
        measured = self.measure_style(activations, targets.style, masks)
        style = self.style_loss(measured, targets.style)
        if masks is not None:
            style = weigh_regions(style, masks)
        total_variation = terms.total_variation_loss(image, wrap=self.seamless)
        total = terms.total_loss(
            content,
            style,
            total_variation,
            content_weight=content_weight,
            style_weight=style_weight,
            total_variation_weight=total_variation_weight,
        )
        if targets.temporal:
            total += terms.temporal_loss(image, *targets.temporal)
        return terms.Losses(content, style, total_variation, total)

    def content_targets(self, content_image: tf.Tensor) -> dict[str, tf.Tensor]:
        """`Targets.content` of pictures [N, H, W, 3] in [0, 1]."""
        activations = self._activations(content_image)
        return {layer: activations[layer] for layer in self.content_layers}

    def see_regions(self, masks: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """`Targets.regions` of masks [K, H, W, 1] of a picture's size."""
        return (self.border.pad(masks),)

    def style_targets(
        self, style_image: tf.Tensor, sides: tf.Tensor, mask: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """`Targets.style` of style images.

        Args:
            style_image: [N or 1, h, w, 3] in [0, 1].
            sides: height and width to which they are resized first, int32 [2].
            mask: which part of a single style image counts, [1, *sides, 1].
        """
        style_image = resize_image(style_image, sides[0], sides[1])
        activations = self.feature_extractor(self.style_border.pad(style_image))
        if mask is not None:
            mask = self.style_border.pad(mask)
        targets = {}
        for layer, statistic in self.statistics.items():
            weights = self._weights(layer, mask)
            described = statistic.describe(activations[layer], weights)
            targets[layer] = statistic.targets(described)
        return targets

    def measure_style(
        self,
        activations: Mapping[str, tf.Tensor],
        targets: Mapping[str, Any],
        masks: tf.Tensor | None = None,
    ) -> dict[str, Any]:
        """What the style loss is computed from, by layer.

        Args:
            activations: by layer, [N, h, w, C].
            targets: as `Targets.style`.
            masks: of K regions of a single picture with what counts of its border,
                [K, H, W, 1].
        """
        return {
            layer: statistic.measure(
                activations[layer], targets[layer], self._weights(layer, masks)
            )
            for layer, statistic in self.statistics.items()
        }

    def _activations(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        """The activations that count of pictures [N, H, W, 3], by layer."""
        seen = self.feature_extractor(self.border.pad(pictures))
        return {k: self.border.inside(seen[k], self._strides[k]) for k in seen}

    def _weights(self, layer: str, masks: tf.Tensor | None) -> tf.Tensor | None:
        """Masks [K, H, W, 1] on a layer's grid."""
        return None if masks is None else masks_at_stride(masks, self._strides[layer])

    def style_loss(
        self, measured: Mapping[str, Any], targets: Mapping[str, Any]
    ) -> tf.Tensor:
        """The style loss [N], or the part of it that some of the layers contribute.

        Args:
            measured: of these layers, from `measure_style`.
            targets: as `Targets.style`.
        """
        return tf.add_n(
            [
                self.style_layers[layer]
                * self.statistics[layer].distance(measured[layer], targets[layer])
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

    def style_spec(self) -> dict[str, Any]:
        """The shapes of `Targets.style`."""
        outputs = self.feature_extractor.output
        return {
            layer: statistic.spec(outputs[layer].shape[-1])
            for layer, statistic in self.statistics.items()
        }
