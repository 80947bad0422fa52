"""What an exported model holds: the weights, and the runs of its requests as graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfnst.config import COLOR_MODES, StyleTransferConfig
from tfnst.engines.loading import load_engine
from tfnst.engines.plans import memory_per_pixel
from tfnst.engines.whole import WholeEngine
from tfnst.export import decoding, graph_run
from tfnst.export.checks import checked
from tfnst.export.requests import (
    RequestLimits,
    RequestSettings,
    Setting,
    build_scales,
    check_exportable,
    check_pictures,
    check_settings,
    request_settings,
)
from tfnst.export.served_styles import (
    DecodedStyles,
    StyleInputs,
    check_styles,
    decode_regions,
    decode_styles,
)
from tfnst.ops import color_transfer, pyramid, resizing
from tfnst.ops.masks import Division
from tfnst.ops.seamless import make_seamless

# A style picture at the finest scale, and again with other colours.
_STYLE_BYTES = 2 * 3 * 4
# A decoded file, as integers and as numbers, with alpha; see the guide in serving/.
_FILE_BYTES = 30

Losses = dict[str, tf.Tensor]  # By their names in a signature's outputs, each [N].
_Timed = tuple[tf.Tensor, tf.Tensor]  # From `decode_timed`.


class ServedStyleTransfer(tf.Module):
    """The weights, and what each signature computes.

    Requests share nothing but the weights, which none of them writes. TensorFlow
    Serving checks no input, so the graph does.

    Args:
        config: settings; for those that requests may send, the defaults.
        limits: the largest request.

    Raises:
        ValueError: for settings that a server can't keep to.
    """

    def __init__(self, config: StyleTransferConfig, limits: RequestLimits) -> None:
        super().__init__(name="tfnst")
        check_exportable(config)
        self.config = config
        self.limits = limits
        self._engine, self.backbone = load_engine(config, exported=True)
        # Held as variables: as constants they would come near the 2 GB that a
        # protocol buffer may have.
        self._variables = [v.value for v in self._engine.feature_extractor.variables]

    def memory_per_pixel(self) -> dict[str, float]:
        """What a run holds, in bytes; see `tfnst.engines.plans.memory_per_pixel`.

        Also `style`, for each pixel of each style, and `file`, for each pixel of a file
        while it is decoded.
        """
        extractor = self._engine.feature_extractor
        return {
            **memory_per_pixel(extractor, self.config),
            "style": _STYLE_BYTES,
            "file": _FILE_BYTES,
        }

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings that a request may send."""
        return request_settings(self.config, self.limits)

    def stylize_files(
        self, content_bytes: tf.Tensor, style_bytes: tf.Tensor, **settings: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Paints an encoded picture in the style of another one."""
        content, content_seconds = self._decode("content_bytes", content_bytes)
        style, style_seconds = self._decode("style_bytes", style_bytes)
        stylized, losses = self._paint(
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
        stylized, losses = self._paint(
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
        stylized, losses, seconds = self._paint_blend(
            self._decode("content_bytes", content_bytes),
            StyleInputs(
                style_bytes, style_weights, style_scales, mask_bytes, region_bytes
            ),
            preserve_color,
            settings,
        )
        return {
            "image_bytes": decoding.encode_png(stylized),
            "decode_seconds": seconds,
            **losses,
        }

    def _decode(self, name: str, encoded: tf.Tensor) -> _Timed:
        return decoding.decode_timed(
            encoded, name=name, max_pixels=self.limits.max_pixels
        )

    def _at_size(self, content: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
        """Content images at the size of the finest scale, as they are painted."""
        content = resizing.resize_image(content, *tf.unstack(sides, num=2))
        return make_seamless(content) if self.config.seamless else content

    def _check_settings(
        self, values: dict[str, tf.Tensor], count: tf.Tensor | int
    ) -> RequestSettings:
        return check_settings(
            values,
            settings=self.settings,
            count=count,
            max_size=self.limits.max_size,
        )

    def _paint(
        self,
        content: tf.Tensor,
        style: tf.Tensor,
        values: dict[str, tf.Tensor],
        *,
        names: str,
    ) -> tuple[tf.Tensor, Losses]:
        """Pictures [N, H, W, 3], in one style [1, h, w, 3] or one each [N, h, w, 3]."""
        settings = self._check_settings(values, tf.shape(content)[0])
        scales = build_scales(
            names,
            *(tf.shape(picture)[1:3] for picture in (content, style)),
            size=settings.size,
            min_size=self.config.min_size,
            style_scale=self.config.style_scale,
        )
        mode = self.config.preserve_color
        original = self._at_size(content, scales[-1, 0])
        style = resizing.resize_image(style, *tf.unstack(scales[-1, 1]))
        style = color_transfer.match_style_colors(style, original, mode)
        prepared = color_transfer.prepare_content(original, mode)
        stylized, losses = self._run(
            self._engine,
            color_transfer.carry_colors(
                prepared,
                color_transfer.color_moments(prepared),
                color_transfer.color_moments(style),
                settings.knobs.style_share,
            ),
            style,
            scales,
            settings,
            lambda scale: self._engine.style_targets(style, scales[scale, 1]),
        )
        return color_transfer.restore_colors(stylized, original, mode), losses

    def _paint_blend(
        self,
        decoded_content: _Timed,
        inputs: StyleInputs,
        preserve_color: tf.Tensor,
        values: dict[str, tf.Tensor],
    ) -> tuple[tf.Tensor, Losses, tf.Tensor]:
        """One picture [1, H, W, 3] in several styles, and the seconds of decoding."""
        content, seconds = decoded_content
        max_pixels = self.limits.max_pixels
        settings = self._check_settings(values, 1)
        inputs = check_styles(inputs, size=settings.size, max_size=self.limits.max_size)
        inputs = inputs._replace(
            style_scales=self.config.style_scale * inputs.style_scales
        )
        in_mode = _color_switch(preserve_color)
        sides = tf.shape(content)[1:3]
        original = self._at_size(content, pyramid.finest_sides(sides, settings.size))
        styles = decode_styles(
            inputs,
            size=settings.size,
            max_pixels=max_pixels,
            recolor=lambda style: in_mode(
                color_transfer.match_style_colors, style, original
            ),
        )
        scales = build_scales(
            "`content_bytes` or one of `style_bytes`",
            sides,
            styles.sides,
            size=settings.size,
            min_size=self.config.min_size,
            style_scale=inputs.style_scales,
        )
        division, region_seconds = decode_regions(
            inputs, *tf.unstack(scales[-1, 0]), max_pixels=max_pixels
        )
        prepared = in_mode(color_transfer.prepare_content, original)
        stylized, losses = self._run_blend(
            color_transfer.carry_colors(
                prepared,
                color_transfer.color_moments(prepared, division.masks),
                styles.color_moments(division.shares),
                settings.knobs.style_share,
                division.masks,
            ),
            styles,
            scales,
            settings,
            division,
            has_regions=tf.reduce_any(inputs.region_bytes != ""),
        )
        stylized = in_mode(color_transfer.restore_colors, stylized, original)
        stylized = stylized + division.kept * (original - stylized)
        return stylized, losses, seconds + styles.seconds + region_seconds

    def _run_blend(
        self,
        content: tf.Tensor,
        styles: DecodedStyles,
        scales: tf.Tensor,
        settings: RequestSettings,
        division: Division,
        *,
        has_regions: tf.Tensor,
    ) -> tuple[tf.Tensor, Losses]:
        def run(
            painter: WholeEngine, masks: tf.Tensor | None
        ) -> tuple[tf.Tensor, Losses]:
            return self._run(
                painter,
                content,
                styles.pictures.read(0),
                scales,
                settings,
                lambda scale: styles.targets(
                    painter, scales[scale, 1:], division.shares
                ),
                masks,
            )

        # Without regions, the engine that has none is faster and does what
        # `tfnst.stylize` does.
        return tf.cond(
            has_regions,
            lambda: run(self._engine, division.masks),
            lambda: run(self._engine, None),
        )

    def _run(
        self,
        painter: WholeEngine,
        content: tf.Tensor,
        style: tf.Tensor,
        scales: tf.Tensor,
        settings: RequestSettings,
        targets: Callable[[tf.Tensor], dict[str, Any]],
        masks: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, Losses]:
        """The run itself, from pictures at the sizes of the finest scale."""
        first = pyramid.first_image(
            self.config.init_image,
            content,
            style,
            scales,
            settings.seed,
            seamless=self.config.seamless,
        )
        stylized, measured = graph_run.paint(
            painter,
            content,
            first,
            scales[:, 0],
            settings.knobs,
            scale_steps=pyramid.scale_steps(
                scales, settings.steps, self.config.initial_steps_for(settings.steps)
            ),
            style_targets=targets,
            masks=masks,
        )
        stylized = checked(
            stylized,
            tf.reduce_all(tf.math.is_finite(measured)),
            "The loss is no longer finite; smaller weights or a smaller "
            "`learning_rate` help.",
            measured[3],
        )
        return stylized, {
            "content_loss": measured[0],
            "style_loss": measured[1],
            "total_loss": measured[3],
        }


def _color_switch(preserve_color: tf.Tensor) -> Callable[..., tf.Tensor]:
    """Calls functions of pictures and a colour mode, with the mode in a tensor."""
    known = tf.constant(COLOR_MODES)
    preserve_color = checked(
        tf.ensure_shape(preserve_color, []),
        tf.reduce_any(preserve_color == known),
        f"`preserve_color` must be one of {', '.join(COLOR_MODES)}.",
        preserve_color,
    )
    index = tf.argmax(preserve_color == known, output_type=tf.int32)

    def call(function: Callable[..., tf.Tensor], *pictures: tf.Tensor) -> tf.Tensor:
        return tf.switch_case(
            index, [lambda mode=mode: function(*pictures, mode) for mode in COLOR_MODES]
        )

    return call
