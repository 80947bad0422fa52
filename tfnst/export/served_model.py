"""The contents of an exported model: the weights, and the runs of its requests."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.engines.loading import load_engine
from tfnst.engines.plans import memory_per_pixel
from tfnst.export import decoding, graph_run
from tfnst.export.checks import checked
from tfnst.export.memory import FILE_BYTES, check_memory, fit_limits
from tfnst.export.requests import (
    RequestLimits,
    RequestSettings,
    build_scales,
    check_color_mode,
    check_exportable,
    check_pictures,
    check_settings,
    setting_inputs,
)
from tfnst.export.served_styles import (
    BlendedStyles,
    PlainStyle,
    StyleInputs,
    check_styles,
    decode_regions,
    decode_styles,
)
from tfnst.export.signatures import (
    NUMBERS,
    PICTURES,
    TEXT,
    TEXTS,
    Input,
    Signature,
)
from tfnst.ops import coloring, pyramid, resizing
from tfnst.ops.masks import Division
from tfnst.ops.seamless import make_seamless

# Bytes a pixel: a style picture at the finest scale, and again with other colours.
_STYLE_BYTES = 2 * 3 * 4

Losses = dict[str, tf.Tensor]  # by their names in a signature's outputs, each [N]


class ServedStyleTransfer(tf.Module):
    """The weights of the network, and the function of each signature.

    Requests share nothing but the weights, which none of them writes. TensorFlow
    Serving checks no input, so the graph does.

    Attributes:
        config: as given.
        limits: the largest request that is accepted.
        memory_cost: bytes that a request takes, as from
            `tfnst.engines.plans.memory_per_pixel`; also `style` for each pixel of each
            style, and `files` for decoding one of `max_pixels`.

    Args:
        config: settings, and defaults of those that requests may send.
        limits: the largest request.

    Raises:
        ValueError: for settings that a server can't keep to.
    """

    def __init__(self, config: StyleTransferConfig, limits: RequestLimits) -> None:
        super().__init__(name="tfnst")
        check_exportable(config)
        self.config = config
        self._engine, self.backbone = load_engine(config, exported=True)
        self.memory_cost = {
            **memory_per_pixel(self._engine.feature_extractor, config),
            "style": _STYLE_BYTES,
            "files": FILE_BYTES * limits.max_pixels,
        }
        self.limits = fit_limits(limits, self.memory_cost, config)
        # Held as variables: as constants they would come near the 2 GB that a
        # protocol buffer may have.
        self._variables = [v.value for v in self._engine.feature_extractor.variables]

    @property
    def served(self) -> dict[str, Signature]:
        """The signatures, by name."""
        settings = setting_inputs(self.config)
        return {
            "serving_default": Signature(
                self.stylize_files,
                [Input("content_bytes", TEXT), Input("style_bytes", TEXT), *settings],
            ),
            "stylize": Signature(
                self.stylize_arrays,
                [
                    Input("content_image", PICTURES),
                    Input("style_image", PICTURES),
                    *settings,
                ],
            ),
            "blend": Signature(
                self.blend_files,
                [
                    Input("content_bytes", TEXT),
                    Input("style_bytes", TEXTS),
                    Input("style_weights", NUMBERS, [1.0]),
                    Input("style_scales", NUMBERS, [1.0]),
                    Input("mask_bytes", TEXTS, [""]),
                    Input("region_bytes", TEXTS, [""]),
                    Input("preserve_color", TEXT, self.config.preserve_color),
                    *settings,
                ],
            ),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """The model's part of the manifest."""
        weights = self.backbone.weights
        return {
            "config": self.config.to_dict(),
            "limits": dataclasses.asdict(self.limits),
            "backbone": self.backbone.name,
            "weights": {"source": weights.source, "sha256": weights.sha256},
        }

    def warm_up(self, picture: np.ndarray, encoded: bytes) -> dict[str, Any]:
        """The inputs of a request to each signature, of a few steps.

        Args:
            picture: a small square picture, [1, H, W, 3].
            encoded: its file.
        """
        settings = {"steps": np.int32(2), "size": np.int32(picture.shape[1])}
        return {
            "serving_default": {
                "content_bytes": encoded,
                "style_bytes": encoded,
                **settings,
            },
            "stylize": {"content_image": picture, "style_image": picture, **settings},
            "blend": {
                "content_bytes": encoded,
                "style_bytes": np.array([encoded, encoded], object),
                "mask_bytes": np.array([encoded, b""], object),
                "region_bytes": np.array([encoded, b""], object),
                **settings,
            },
        }

    def stylize_files(
        self, content_bytes: tf.Tensor, style_bytes: tf.Tensor, **settings: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Paints an encoded picture in the style of another one."""
        content, content_seconds = self._decode("content_bytes", content_bytes)
        style, style_seconds = self._decode("style_bytes", style_bytes)
        stylized, losses = self._paint_arrays(
            content, style, settings, names="`content_bytes` or `style_bytes`"
        )
        return {
            "image_bytes": decoding.encode_png(stylized),
            "decode_seconds": content_seconds + style_seconds,
            **losses,
        }

    def stylize_arrays(
        self, content_image: tf.Tensor, style_image: tf.Tensor, **settings: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Paints one picture or several, all in one style or each in its own."""
        max_pixels = self.limits.max_pixels
        content = check_pictures("content_image", content_image, max_pixels=max_pixels)
        style = check_pictures("style_image", style_image, max_pixels=max_pixels)
        counts = tf.stack([tf.shape(content)[0], tf.shape(style)[0]])
        style = checked(
            style,
            (counts[1] == 1) | (counts[1] == counts[0]),
            "`style_image` must be 1 picture or as many as `content_image`.",
            counts,
        )
        stylized, losses = self._paint_arrays(
            content, style, settings, names="`content_image` or `style_image`"
        )
        return {"stylized_image": stylized, **losses}

    def blend_files(
        self,
        content_bytes: tf.Tensor,
        preserve_color: tf.Tensor,
        style_bytes: tf.Tensor,
        style_weights: tf.Tensor,
        style_scales: tf.Tensor,
        mask_bytes: tf.Tensor,
        region_bytes: tf.Tensor,
        **settings: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Paints an encoded picture in several styles."""
        content, seconds = self._decode("content_bytes", content_bytes)
        size_limit, max_pixels = self.limits.max_size, self.limits.max_pixels
        request = check_settings(settings, self.limits)
        inputs = StyleInputs(
            style_bytes, style_weights, style_scales, mask_bytes, region_bytes
        )
        inputs = check_styles(inputs, size=request.size, max_size=size_limit)
        inputs = inputs._replace(
            style_scales=self.config.style_scale * inputs.style_scales
        )
        regions, _ = tf.unique(inputs.region_bytes)
        has_regions = tf.reduce_any(regions != "")
        request = self._check_memory(
            request,
            pictures=1,
            styles=tf.size(inputs.style_bytes),
            style_scale=tf.reduce_max(inputs.style_scales),
            regions=tf.where(has_regions, tf.size(regions), 0),
        )
        preserve_color = check_color_mode(preserve_color)
        sides = tf.shape(content)[1:3]
        original = self._at_size(content, pyramid.finest_sides(sides, request.size))
        styles = decode_styles(
            inputs,
            size=request.size,
            max_pixels=max_pixels,
            recolor=lambda style: coloring.match_style_colors(
                style, original, preserve_color
            ),
        )
        scales = build_scales(
            "`content_bytes` or one of `style_bytes`",
            sides,
            styles.sides,
            size=request.size,
            min_size=self.config.min_size,
            style_scale=inputs.style_scales,
        )
        division, region_seconds = decode_regions(
            inputs, *tf.unstack(scales[-1, 0]), max_pixels=max_pixels
        )
        stylized, losses = self._paint(
            original,
            styles,
            scales,
            request,
            preserve_color,
            division,
            has_regions=has_regions,
        )
        return {
            "image_bytes": decoding.encode_png(stylized),
            "decode_seconds": seconds + styles.seconds + region_seconds,
            **losses,
        }

    def _decode(self, name: str, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decoding.decode_timed(
            encoded, name=name, max_pixels=self.limits.max_pixels
        )

    def _at_size(self, content: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
        """Content images at the size of the finest scale, seamless if need be."""
        content = resizing.resize_image(content, *tf.unstack(sides, num=2))
        return make_seamless(content) if self.config.seamless else content

    def _check_memory(
        self, settings: RequestSettings, **request: Any
    ) -> RequestSettings:
        """The settings, if such a request takes at most `max_memory`.

        Args:
            settings: settings of the request.
            **request: arguments of `request_bytes` besides `size`.
        """
        size = check_memory(
            settings.size, self.memory_cost, self.limits.max_memory, **request
        )
        return settings._replace(size=size)

    def _paint_arrays(
        self,
        content: tf.Tensor,
        style: tf.Tensor,
        values: dict[str, tf.Tensor],
        *,
        names: str,
    ) -> tuple[tf.Tensor, Losses]:
        """Pictures [N, H, W, 3], in one style [1, h, w, 3] or one each [N, h, w, 3]."""
        settings = self._check_memory(
            check_settings(values, self.limits),
            pictures=tf.shape(content)[0],
            styles=tf.shape(style)[0],
            style_scale=self.config.style_scale,
            regions=0,
        )
        scales = build_scales(
            names,
            *(tf.shape(picture)[1:3] for picture in (content, style)),
            size=settings.size,
            min_size=self.config.min_size,
            style_scale=self.config.style_scale,
        )
        preserve_color = self.config.preserve_color
        original = self._at_size(content, scales[-1, 0])
        style = resizing.resize_image(style, *tf.unstack(scales[-1, 1]))
        style = coloring.match_style_colors(style, original, preserve_color)
        return self._paint(
            original, PlainStyle(style), scales, settings, preserve_color
        )

    def _paint(
        self,
        original: tf.Tensor,
        styles: PlainStyle | BlendedStyles,
        scales: tf.Tensor,
        settings: RequestSettings,
        preserve_color: str | tf.Tensor,
        division: Division | None = None,
        *,
        has_regions: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, Losses]:
        """The run, from pictures at the sizes of the finest scale.

        Args:
            original: the content images, [N, H, W, 3].
            styles: the styles, in the colours that the run needs.
            scales: sizes, from `build_scales`.
            settings: the settings of the request.
            preserve_color: the setting of that name, or a tensor of it, string [].
            division: shares and masks of blended styles.
            has_regions: whether any of these has a region, bool [].
        """
        shares, masks, kept = (None, None, None) if division is None else division
        content = coloring.carry_colors(
            coloring.remove_colors(original, preserve_color),
            styles.color_moments(shares),
            settings.knobs.style_share,
            masks,
        )
        first = pyramid.first_image(
            self.config.init_image,
            content,
            styles.first,
            scales,
            settings.seed,
            seamless=self.config.seamless,
        )
        steps = pyramid.scale_steps(
            scales, settings.steps, self.config.initial_steps_for(settings.steps)
        )

        def run(masks: tf.Tensor | None) -> tuple[tf.Tensor, ...]:
            return graph_run.paint(
                self._engine,
                content,
                first,
                scales[:, 0],
                settings.knobs,
                scale_steps=steps,
                style_targets=lambda scale: styles.targets(
                    self._engine, scales[scale, 1:], shares
                ),
                masks=masks,
            )

        if has_regions is None:
            stylized, measured = run(None)
        else:
            # Steps without masks are faster, and are those of `tfnst.stylize`.
            stylized, measured = tf.cond(
                has_regions, lambda: run(masks), lambda: run(None)
            )
        stylized = checked(
            stylized,
            tf.reduce_all(tf.math.is_finite(measured)),
            "The loss is no longer finite; smaller weights or a smaller "
            "`learning_rate` help.",
            measured[3],
        )
        losses = {
            "content_loss": measured[0],
            "style_loss": measured[1],
            "total_loss": measured[3],
        }
        return coloring.finish(stylized, original, preserve_color, kept), losses
