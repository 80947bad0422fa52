"""What an exported model holds: its signatures, and the runs behind them as graphs."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfnst import limits
from tfnst.config import COLOR_MODES, StyleTransferConfig
from tfnst.engines import engine
from tfnst.engines.loading import load_engine
from tfnst.export import decoding
from tfnst.export.checks import checked, finite_number, in_range
from tfnst.export.served_styles import decode_regions, decode_styles, spread
from tfnst.limits import MAX_SEED, MIN_SIZE
from tfnst.ops import color_transfer, pyramid, resizing


class _Settings(NamedTuple):
    """Those of a request, once they are checked."""

    steps: tf.Tensor
    size: tf.Tensor
    seed: tf.Tensor
    knobs: engine.Knobs


class ServedStyleTransfer(tf.Module):
    """The weights, and the functions of the signatures.

    Requests share nothing but the weights, which none of them writes. TensorFlow
    Serving checks no input, so the graph does.

    Args:
        config: settings; those that requests may bring are defaults.
        max_steps: largest `steps` of a request.
        max_size: largest `size` of a request.
        max_pixels: most pixels that a picture of a request may have.

    Raises:
        ValueError: for settings that make no sense in a server.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        *,
        max_steps: int,
        max_size: int,
        max_pixels: int,
    ) -> None:
        super().__init__(name="tfnst")
        if config.init_image == "given":
            raise ValueError(
                "`init_image` must be 'content', 'style' or 'noise' for an export: "
                "requests bring no picture to start from. Received: 'given'"
            )
        if config.max_memory is not None:
            raise ValueError(
                "`max_memory` must be None for an export: its steps have no tiles, and "
                "`max_size` bounds what a request takes. "
                f"Received: {config.max_memory}"
            )
        for name in ("patience", "max_time"):
            if getattr(config, name) is not None:
                raise ValueError(
                    f"`{name}` must be None for an export: its requests get all steps. "
                    f"Received: {getattr(config, name)}"
                )
        self.config = config
        self._engine, self.backbone = load_engine(config)
        self._engine_of_regions, _ = load_engine(config, regions=True)
        # Held as variables: as constants they would come near the 2 GB that a
        # protocol buffer may have.
        self._variables = [v.value for v in self._engine.feature_extractor.variables]
        self._max_steps = max_steps
        self._max_size = max_size
        self._max_pixels = max_pixels

    def signatures(self) -> dict[str, Any]:
        """The functions to export, by the name of their signature."""
        default = {
            **engine.Knobs.from_config(self.config)._asdict(),
            **{
                name: tf.constant(getattr(self.config, name), tf.int32)
                for name in ("steps", "size", "seed")
            },
            "preserve_color": tf.constant(self.config.preserve_color),
        }

        # Defaults that are tensors become SignatureDef.defaults.
        def serving_default(
            content_bytes,
            style_bytes,
            steps=default["steps"],
            size=default["size"],
            seed=default["seed"],
            content_weight=default["content_weight"],
            style_weight=default["style_weight"],
            total_variation_weight=default["total_variation_weight"],
            learning_rate=default["learning_rate"],
        ):
            stylized, measured = self._paint(
                ("content_bytes", self._decode("content_bytes", content_bytes)),
                ("style_bytes", self._decode("style_bytes", style_bytes)),
                (steps, size, seed),
                (content_weight, style_weight, total_variation_weight, learning_rate),
            )
            return {"image_bytes": decoding.encode_png(stylized), **measured}

        def stylize(
            content_image,
            style_image,
            steps=default["steps"],
            size=default["size"],
            seed=default["seed"],
            content_weight=default["content_weight"],
            style_weight=default["style_weight"],
            total_variation_weight=default["total_variation_weight"],
            learning_rate=default["learning_rate"],
        ):
            content = self._checked_pictures("content_image", content_image)
            style = self._checked_pictures("style_image", style_image)
            counts = tf.stack([tf.shape(content)[0], tf.shape(style)[0]])
            style = checked(
                style,
                (counts[1] == 1) | (counts[1] == counts[0]),
                "`style_image` must be 1 picture or as many as `content_image`.",
                counts,
            )
            stylized, measured = self._paint(
                ("content_image", content),
                ("style_image", style),
                (steps, size, seed),
                (content_weight, style_weight, total_variation_weight, learning_rate),
            )
            return {"stylized_image": stylized, **measured}

        def blend(
            content_bytes,
            style_bytes,
            style_weights=tf.constant([1.0]),  # noqa: B008 (writes the default)
            style_scales=tf.constant([1.0]),  # noqa: B008
            mask_bytes=tf.constant([""]),  # noqa: B008
            region_bytes=tf.constant([""]),  # noqa: B008
            preserve_color=default["preserve_color"],
            steps=default["steps"],
            size=default["size"],
            seed=default["seed"],
            content_weight=default["content_weight"],
            style_weight=default["style_weight"],
            total_variation_weight=default["total_variation_weight"],
            learning_rate=default["learning_rate"],
        ):
            stylized, measured = self._paint_blend(
                self._decode("content_bytes", content_bytes),
                (style_bytes, style_weights, style_scales, mask_bytes, region_bytes),
                preserve_color,
                (steps, size, seed),
                (content_weight, style_weight, total_variation_weight, learning_rate),
            )
            return {"image_bytes": decoding.encode_png(stylized), **measured}

        string, strings = (tf.TensorSpec(s, tf.string) for s in ([], [None]))
        integer, number = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        numbers, pictures = (tf.TensorSpec(s) for s in ([None], [None, None, None, 3]))
        settings = [integer] * 3 + [number] * 4
        inputs = {
            serving_default: [string, string],
            stylize: [pictures, pictures],
            blend: [string, strings, numbers, numbers, strings, strings, string],
        }
        return {
            function.__name__: tf.function(
                function, autograph=False, input_signature=first + settings
            )
            for function, first in inputs.items()
        }

    def _decode(self, name, encoded):
        return decoding.decode_picture(
            encoded,
            name=name,
            min_side=limits.MIN_SIDE,
            max_pixels=self._max_pixels,
        )

    def _checked_pictures(self, name, pictures):
        # Servers feed any shape; without this, a wrong rank aborts the process.
        pictures = tf.ensure_shape(pictures, [None, None, None, 3])
        shape = tf.shape(pictures, out_type=tf.int64)
        pictures = checked(
            pictures,
            (shape[0] >= 1) & (tf.reduce_min(shape[1:3]) >= limits.MIN_SIDE),
            f"`{name}` must be one or more pictures of at least {limits.MIN_SIDE} "
            "pixels a side.",
            shape,
        )
        pictures = checked(
            pictures,
            tf.reduce_prod(shape[:3]) <= self._max_pixels,
            f"`{name}` must have at most {self._max_pixels} pixels.",
            shape,
        )
        low, high = tf.reduce_min(pictures), tf.reduce_max(pictures)
        # A minimum passes over NaN; a sum doesn't.
        return checked(
            pictures,
            tf.math.is_finite(tf.reduce_sum(pictures)) & (low >= 0) & (high <= 1),
            f"`{name}` must hold finite numbers from 0 to 1.",
            tf.stack([low, high]),
        )

    def _paint(self, named_content, named_style, integers, numbers):
        """One picture or several, each in one style."""
        (content_name, content), (style_name, style) = named_content, named_style
        settings = self._checked_settings(tf.shape(content)[0], integers, numbers)
        scales = self._build_scales(
            f"`{content_name}` or `{style_name}`",
            *(tf.shape(picture)[1:3] for picture in (content, style)),
            settings.size,
            self.config.style_scale,
        )
        mode = self.config.preserve_color
        original = resizing.resize_image(content, *tf.unstack(scales[-1, 0]))
        style = resizing.resize_image(style, *tf.unstack(scales[-1, 1]))
        style = color_transfer.match_style_colors(style, original, mode)
        stylized, measured = self._run(
            self._engine,
            color_transfer.prepare_content(original, mode),
            style,
            scales,
            settings,
            lambda scale: self._engine.style_targets(style, scales[scale, 1]),
        )
        return color_transfer.restore_colors(stylized, original, mode), measured

    def _paint_blend(self, content, inputs, preserve_color, integers, numbers):
        """One picture in several styles, each with a weight, a scale and masks."""
        settings = self._checked_settings(1, integers, numbers)
        files, weights, factors, masks, regions = spread(
            *inputs, size=settings.size, max_size=self._max_size
        )
        in_mode = _color_switch(preserve_color)
        sides = tf.shape(content)[1:3]
        original = resizing.resize_image(
            content, *tf.unstack(pyramid.finest_sides(sides, settings.size))
        )
        styles = decode_styles(
            files,
            masks,
            size=settings.size,
            scales=self.config.style_scale * factors,
            max_pixels=self._max_pixels,
            recolor=lambda style: in_mode(
                color_transfer.match_style_colors, style, original
            ),
        )
        scales = self._build_scales(
            "`content_bytes` or one of `style_bytes`",
            sides,
            styles.sides,
            settings.size,
            self.config.style_scale * factors,
        )
        division = decode_regions(
            regions, weights, *tf.unstack(scales[-1, 0]), max_pixels=self._max_pixels
        )
        to_paint = in_mode(color_transfer.prepare_content, original)

        def run(painter, masks):
            return self._run(
                painter,
                to_paint,
                styles.pictures.read(0),
                scales,
                settings,
                lambda scale: styles.targets(
                    painter, scales[scale, 1:], division.shares
                ),
                masks,
            )

        # Without regions the engine without them is faster, and what Python takes.
        stylized, measured = tf.cond(
            tf.reduce_any(regions != ""),
            lambda: run(self._engine_of_regions, division.masks),
            lambda: run(self._engine, None),
        )
        stylized = in_mode(color_transfer.restore_colors, stylized, original)
        return stylized + division.kept * (original - stylized), measured

    def _run(self, painter, content, style, scales, settings, targets, masks=None):
        """The run itself, and its losses by their names."""
        first = pyramid.first_image(
            self.config.init_image, content, style, scales, settings.seed
        )
        stylized, measured = painter.paint(
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

    def _checked_settings(self, count, integers, numbers):
        steps, size, seed = (tf.ensure_shape(x, []) for x in integers)
        steps = in_range("steps", steps, 1, self._max_steps)
        size = in_range("size", size, MIN_SIZE, self._max_size)
        seed = in_range("seed", seed, 0, MAX_SEED)
        knobs = [
            finite_number(name, tf.ensure_shape(x, []))
            for name, x in zip(engine.Knobs._fields, numbers, strict=False)
        ]
        content_weight, style_weight, _, learning_rate = knobs
        size = checked(
            size,
            content_weight + style_weight > 0,
            "`content_weight` and `style_weight` must not both be 0.",
            content_weight,
        )
        size = checked(
            size,
            (learning_rate > 0) & (learning_rate <= 1),
            "`learning_rate` must be a number above 0 and at most 1.",
            learning_rate,
        )
        size = checked(
            size,
            tf.cast(count, tf.int64) * tf.cast(size, tf.int64) ** 2
            <= self._max_size**2,
            "`size` is too large for so many pictures; together they may have "
            f"{self._max_size}^2 pixels.",
            tf.stack([count, size]),
        )
        knobs = engine.Knobs(*knobs, steps=tf.cast(steps, tf.float32))
        return _Settings(steps, size, seed, knobs)

    def _build_scales(self, names, content_sides, style_sides, size, style_scale):
        scales = pyramid.build_pyramid(
            content_sides, style_sides, size, self.config.min_size, style_scale
        )
        return checked(
            scales,
            tf.shape(scales)[0] > 0,
            f"{names} is too narrow for `size`: its short "
            f"side would have fewer than {limits.MIN_SIDE} pixels.",
            tf.concat([content_sides, tf.reshape(style_sides, [-1]), size[None]], 0),
        )


def _color_switch(preserve_color):
    """Calls functions of pictures and of a colour mode, which a tensor names."""
    known = tf.constant(COLOR_MODES)
    preserve_color = checked(
        tf.ensure_shape(preserve_color, []),
        tf.reduce_any(preserve_color == known),
        f"`preserve_color` must be one of {', '.join(COLOR_MODES)}.",
        preserve_color,
    )
    index = tf.argmax(preserve_color == known, output_type=tf.int32)

    def call(function, *pictures):
        return tf.switch_case(
            index, [lambda mode=mode: function(*pictures, mode) for mode in COLOR_MODES]
        )

    return call
