"""The network that paints a learned style: a picture in, the painted picture out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Pixels of the picture that a pixel of the painted picture depends on, beyond its own,
# besides the moments of the whole; rounded up to a multiple of `STRIDE`.
REACH = 64
STRIDE = 4
_EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="tfnst")
class PaintingLayer(keras.layers.Layer):
    """Enlarges its input if asked, convolves it, normalises it, and cuts off below 0.

    Beyond an edge, the input is reflected. Enlarging interpolates bilinearly before a
    convolution: repeated positions, like a transposed convolution, would leave a grid.

    Args:
        filters: number of channels.
        kernel_size: side of the kernel, odd.
        strides: stride of the convolution.
        enlarge: factor by which the input is enlarged first.
        normalize: whether channels are normalised.
        activate: whether negative values become 0.

    Reference:
        Odena, Dumoulin, Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016.
        Ulyanov, Vedaldi, Lempitsky, "Instance Normalization: The Missing Ingredient
        for Fast Stylization", arXiv 1607.08022.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        enlarge: int = 1,
        normalize: bool = True,
        activate: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = {
            "filters": filters,
            "kernel_size": kernel_size,
            "strides": strides,
            "enlarge": enlarge,
            "normalize": normalize,
            "activate": activate,
        }
        self.enlarge = enlarge
        self.normalize = normalize
        self.activate = activate
        self._padding = kernel_size // 2
        # Normalisation would take away what a bias adds.
        self.convolution = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            use_bias=not normalize,
            # Drawing random ones takes time; `initialize` or a file brings others.
            kernel_initializer="zeros",
            name="convolution",
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.convolution.build(input_shape)
        if self.normalize:
            shape = (self.convolution.filters,)
            self.scale = self.add_weight(shape=shape, initializer="ones", name="scale")
            self.offset = self.add_weight(
                shape=shape, initializer="zeros", name="offset"
            )

    def call(
        self, x: tf.Tensor, moments: tf.Tensor | None = None, pooled: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The layer's activation and the moments by which it was normalised.

        Args:
            x: [N, H, W, C].
            moments: mean and variance of each channel, [N, 2, filters]; by default
                those of the activation itself.
            pooled: whether they are then those of all N together, [1, 2, filters].
        """
        if self.enlarge > 1:
            x = tf.image.resize(x, self.enlarge * tf.shape(x)[1:3])
        sides = [self._padding, self._padding]
        x = tf.pad(x, [[0, 0], sides, sides, [0, 0]], "REFLECT")
        x = self.convolution(x)
        if self.normalize:
            if moments is None:
                axes = [0, 1, 2] if pooled else [1, 2]
                both = tf.nn.moments(x, axes=axes, keepdims=True)
                moments = tf.concat(both, axis=2)[:, 0]
            mean, variance = tf.split(moments[:, tf.newaxis], 2, axis=2)
            scale = self.scale * tf.math.rsqrt(variance + _EPSILON)
            x = x * scale + (self.offset - mean * scale)
        return (tf.nn.relu(x) if self.activate else x), moments

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self._settings


@keras.saving.register_keras_serializable(package="tfnst")
class PaintingNetwork(keras.Model):
    """Paints pictures in the one style that it has learned.

    A picture is convolved to `width` channels, to twice as many at half the size and
    four times at a quarter, where residual blocks follow; then enlarged the same way
    back, and clipped to [0, 1].

    Args:
        width: number of channels at full size.
        blocks: number of residual blocks.

    Reference:
        Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
        Super-Resolution", arXiv 1603.08155, which has twice as many channels.
    """

    def __init__(self, width: int = 16, blocks: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.blocks = blocks
        self.shrinking = [
            PaintingLayer(width, 5),
            PaintingLayer(2 * width, 3, strides=2),
            PaintingLayer(4 * width, 3, strides=2),
        ]
        self.residuals = [
            [PaintingLayer(4 * width, 3), PaintingLayer(4 * width, 3, activate=False)]
            for _ in range(blocks)
        ]
        self.enlarging = [
            PaintingLayer(2 * width, 3, enlarge=2),
            PaintingLayer(width, 3, enlarge=2),
            PaintingLayer(3, 5, normalize=False, activate=False),
        ]
        self.build([None, None, None, 3])

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = 3
        for layer in self.layers_in_order:
            layer.build([None, None, None, channels])
            channels = layer.convolution.filters
        self.built = True

    @property
    def layers_in_order(self) -> list[PaintingLayer]:
        """The layers in the order in which a picture passes them."""
        residuals = [layer for block in self.residuals for layer in block]
        return [*self.shrinking, *residuals, *self.enlarging]

    def initialize(self, seed: int) -> None:
        """Gives the layers random kernels, the same on every machine for a seed.

        Reference:
            He et al., "Delving Deep into Rectifiers", arXiv 1502.01852.
        """
        random = np.random.default_rng(seed)
        for layer in self.layers_in_order:
            kernel = layer.convolution.kernel
            # What is painted begins as grey with little contrast.
            gain = 2.0 if layer.normalize else 0.1
            deviation = (gain / np.prod(kernel.shape[:-1])) ** 0.5
            kernel.assign(random.normal(0, deviation, kernel.shape))

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """The painted pictures, [N, H, W, 3] in [0, 1].

        Args:
            image: pictures in the colours of the style, [N, H, W, 3] in [0, 1], with
                16 pixels or more on each side.
        """
        return self.paint(image)[0]

    def paint(
        self,
        image: tf.Tensor,
        moments: Sequence[tf.Tensor] | None = None,
        *,
        pooled: bool = False,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The painted pictures, and the moments that their layers were normalised by.

        Args:
            image: as for `call`.
            moments: moments from an earlier call, such as those of the whole picture
                where `image` is a part of it.
            pooled: whether the pictures are parts of one, and share their moments.
        """
        given = iter(moments or ())
        seen: list[tf.Tensor] = []

        def apply(layer: PaintingLayer, x: tf.Tensor) -> tf.Tensor:
            its = next(given, None) if layer.normalize else None
            x, its = layer(x, its, pooled=pooled)
            if its is not None:
                seen.append(its)
            return x

        sides = tf.shape(image)[1:3]
        x = _to_multiple(image - 0.5, sides)
        for layer in self.shrinking:
            x = apply(layer, x)
        for first, second in self.residuals:
            x += apply(second, apply(first, x))
        for layer in self.enlarging:
            x = apply(layer, x)
        return clip_pixels(0.5 + x[:, : sides[0], : sides[1]]), seen

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"width": self.width, "blocks": self.blocks}


def _to_multiple(image: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Pictures whose sides are multiples of `STRIDE`, reflected at the far edges."""
    missing = -sides % STRIDE
    paddings = [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]
    return tf.pad(image, paddings, "SYMMETRIC")


@tf.custom_gradient
def clip_pixels(
    image: tf.Tensor,
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Clips pixels to [0, 1]; gradients that lead back into the range pass.

    The gradient of `tf.clip_by_value` would be 0 beyond the range, so that pixels
    could never come back.
    """

    def gradient(by_clipped: tf.Tensor) -> tf.Tensor:
        # Pixels move against their gradient.
        outward = ((image < 0) & (by_clipped > 0)) | ((image > 1) & (by_clipped < 0))
        return tf.where(outward, tf.zeros_like(by_clipped), by_clipped)

    return tf.clip_by_value(image, 0.0, 1.0), gradient
