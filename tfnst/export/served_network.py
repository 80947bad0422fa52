"""The contents of an exported network: its weights, and its painting for requests."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.export import decoding
from tfnst.export.checks import checked, in_range, one_for_each
from tfnst.export.memory import FILE_BYTES, fit_limits
from tfnst.export.requests import (
    RequestLimits,
    build_scales,
    check_color_mode,
    check_exportable,
    check_pictures,
)
from tfnst.export.signatures import INTEGERS, PICTURES, TEXTS, Input, Signature
from tfnst.limits import MIN_SIZE
from tfnst.ops import coloring, resizing
from tfnst.transfer.style_network import StyleNetwork, check_painting_settings

# Bytes: for each pixel and each channel at full size, and for each request.
_CHANNEL_BYTES, _FIXED_BYTES = 28, 2**26


class ServedNetwork(tf.Module):
    """The weights of a network that has learned a style, and its signatures.

    Attributes:
        config: as given.
        limits: the largest request that is accepted. Its pictures together have at most
            the pixels of a square of `max_size`.

    Args:
        network: the network.
        config: settings, and defaults of those that requests may send.
        limits: the largest request; there are no steps.

    Raises:
        ValueError: for settings that have no effect, or that a server can't keep to.
    """

    def __init__(
        self, network: StyleNetwork, config: StyleTransferConfig, limits: RequestLimits
    ) -> None:
        super().__init__(name="tfnst")
        check_painting_settings(config)
        check_exportable(config)
        self.config = config
        self._style = network
        cost = dict.fromkeys(("border", "region", "network", "style"), 0.0) | {
            "picture": _CHANNEL_BYTES * network.network.width,
            "fixed": _FIXED_BYTES,
            "files": FILE_BYTES * limits.max_pixels,
        }
        self.limits = fit_limits(limits, cost, config)
        self._pixels = self.limits.max_size**2
        self._variables = [v.value for v in network.network.variables]

    @property
    def served(self) -> dict[str, Signature]:
        """The signatures, by name."""
        return {
            "serving_default": Signature(
                self.stylize_files,
                [
                    Input("content_bytes", TEXTS),
                    Input("size", INTEGERS, [self.config.size]),
                    Input("preserve_color", TEXTS, [self.config.preserve_color]),
                ],
            ),
            "stylize": Signature(
                self.stylize_arrays, [Input("content_image", PICTURES)]
            ),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """The model's part of the manifest."""
        style, config = self._style, self.config
        limits = dataclasses.asdict(self.limits)
        del limits["max_steps"]
        return {
            "config": {"size": config.size, "preserve_color": config.preserve_color},
            "limits": limits,
            "network": {
                "source": style.source,
                "style_image": style.style_image,
                "settings": style.config.to_dict(),
                "weights": style.weights,
                "training": style.training,
            },
        }

    def warm_up(self, picture: np.ndarray, encoded: bytes) -> dict[str, Any]:
        """The inputs of a request to each signature.

        Args:
            picture: a small square picture, [1, H, W, 3].
            encoded: its file.
        """
        files = {"content_bytes": np.array([encoded], object)}
        return {
            "serving_default": files | {"size": np.array([picture.shape[1]], np.int32)},
            "stylize": {"content_image": picture},
        }

    def stylize_files(
        self, content_bytes: tf.Tensor, size: tf.Tensor, preserve_color: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Paints encoded pictures, one after another, each at a size of its own."""
        content_bytes = tf.ensure_shape(content_bytes, [None])
        count = tf.size(content_bytes)
        size = one_for_each("size", size, count, "content_bytes")
        preserve_color = one_for_each(
            "preserve_color", preserve_color, count, "content_bytes"
        )
        size = checked(
            size,
            tf.reduce_sum(tf.cast(size, tf.float64) ** 2) <= self._pixels,
            f"`size`, squared and summed over all pictures, must be at most "
            f"{self._pixels}.",
            size,
        )

        @tf.autograph.experimental.do_not_convert
        def paint(request: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
            encoded, size, preserve_color = request
            size = in_range("size", size, MIN_SIZE, self.limits.max_size)
            preserve_color = check_color_mode(preserve_color)
            content, seconds = decoding.decode_timed(
                encoded, name="content_bytes", max_pixels=self.limits.max_pixels
            )
            sides = tf.shape(content)[1:3]
            scales = build_scales(
                "`content_bytes`",
                sides,
                sides,
                size=size,
                min_size=self.limits.max_size,
                style_scale=1.0,
            )
            content = resizing.resize_image(content, *tf.unstack(scales[-1, 0]))
            return decoding.encode_png(self._paint(content, preserve_color)), seconds

        image_bytes, seconds = tf.map_fn(
            paint,
            (content_bytes, size, preserve_color),
            fn_output_signature=(
                tf.TensorSpec([], tf.string),
                tf.TensorSpec([], tf.float32),
            ),
            parallel_iterations=1,
        )
        return {"image_bytes": image_bytes, "decode_seconds": seconds}

    def stylize_arrays(self, content_image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Paints one picture or several, at the size that they have."""
        content = check_pictures(
            "content_image",
            content_image,
            max_pixels=min(self._pixels, self.limits.max_pixels),
        )
        return {"stylized_image": self._paint(content, self.config.preserve_color)}

    def _paint(self, content: tf.Tensor, preserve_color: str | tf.Tensor) -> tf.Tensor:
        """The painted pictures, [N, H, W, 3] as those given."""
        painted = self._style.network(self._style.prepare(content))
        painted = tf.ensure_shape(painted, [None, None, None, 3])
        return coloring.restore_colors(painted, content, preserve_color)
