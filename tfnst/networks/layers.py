"""VGG's layers for a network that never changes, with gradients that cost less.

TensorFlow's gradients serve any convolution and pooling. These serve 3 x 3 convolutions
of stride 1, and poolings of 2 x 2, whose weights stay as they are. Which are fastest
differs between processors: `fastest_layers` chooses.

They have first derivatives only: the gradient of a gradient would be wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnst.ops.cropping import crop
from tfnst.processor import cpu_flags, is_x86, uses_onednn

# Classes of layers by those of Keras that they replace.
LayerKinds = dict[type[keras.layers.Layer], Any]
Gradient = Callable[[tf.Tensor], tf.Tensor]

# Values of oneDNN's own variable that keep it from AVX-512.
_SMALLER_INSTRUCTIONS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")


class Convolution(keras.layers.Conv2D):
    """A 3 x 3 convolution with ReLU, whose gradient is a convolution, too.

    `dF/dx = conv(dF/dy * [y > 0], T)` with kernels turned by half a circle and with
    channels exchanged, `T[i, j, d, c] = K[2 - i, 2 - j, c, d]`. They are worked out
    when the weights are set.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        *sides, channels, filters = self.kernel.shape
        self.turned_kernel = self.add_weight(
            name="turned",
            shape=(*sides, filters, channels),
            initializer="zeros",
            trainable=False,
        )

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Sets kernel and bias, and the turned kernel that follows from them."""
        kernel, bias = weights
        turned = np.swapaxes(kernel[::-1, ::-1], 2, 3)
        super().set_weights([kernel, bias, turned])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel, bias, turned = map(
            tf.convert_to_tensor, (self.kernel, self.bias, self.turned_kernel)
        )
        shrunk = 1 if self.padding == "valid" else 0

        @tf.custom_gradient
        def convolve(x: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
            y = tf.nn.relu(tf.nn.bias_add(self._sums(x, kernel, turned, -shrunk), bias))

            def gradient(by_y: tf.Tensor) -> tf.Tensor:
                by_sums = tf.raw_ops.ReluGrad(gradients=by_y, features=y)
                return self._sums(by_sums, turned, kernel, shrunk)

            return y, gradient

        return convolve(inputs)

    def _sums(
        self, x: tf.Tensor, kernel: tf.Tensor, turned: tf.Tensor, growth: int
    ) -> tf.Tensor:
        """The convolution of [N, H, W, C] with a kernel, [N, h, w, D].

        Args:
            x: [N, H, W, C].
            kernel: [3, 3, C, D].
            turned: the same kernel, turned, [3, 3, D, C].
            growth: positions added to each side at both ends: -1, 0 or 1.
        """
        full = [[0, 0], [2, 2], [2, 2], [0, 0]]
        return tf.nn.conv2d(x, kernel, 1, {-1: "VALID", 0: "SAME", 1: full}[growth])


class TransposedConvolution(Convolution):
    """A `Convolution` computed as the gradient of the one with turned kernels."""

    def _sums(
        self, x: tf.Tensor, kernel: tf.Tensor, turned: tf.Tensor, growth: int
    ) -> tf.Tensor:
        if growth < 0:
            # The first layer, whose 3 channels take no time.
            return super()._sums(x, kernel, turned, growth)
        number, height, width = tf.unstack(tf.shape(x))[:3]
        shape = [number, height + 2 * growth, width + 2 * growth, kernel.shape[3]]
        padding = {0: "SAME", 1: "VALID"}[growth]
        return tf.nn.conv2d_transpose(x, turned, shape, 1, padding)


class ComparingMaxPooling(keras.layers.MaxPooling2D):
    """Max pooling of 2 x 2, whose gradient compares the input with the output.

    Where several of four values are the largest, the gradient is shared among them;
    TensorFlow's goes to one of them. Behind a ReLU such ties are zeros, which pass no
    gradient on, or lie in areas of a single colour.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return _max_pool(inputs)


@tf.custom_gradient
def _max_pool(x: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    y = tf.nn.max_pool2d(x, 2, 2, "VALID")

    def gradient(by_y: tf.Tensor) -> tf.Tensor:
        number, height, width = tf.unstack(tf.shape(y))[:3]
        channels = y.shape[3]
        squares = [number, height, 2, width, 2, channels]
        whole = [number, 2 * height, 2 * width, channels]
        single = [number, height, 1, width, 1, channels]
        # Without the last row and column of odd sides, which no square has.
        pooled = tf.reshape(crop(x, 0, 0, 2 * height, 2 * width), squares)
        largest = tf.cast(pooled == tf.reshape(y, single), by_y.dtype)
        ties = 4 * tf.nn.avg_pool2d(tf.reshape(largest, whole), 2, 2, "VALID")
        shares = largest * tf.reshape(by_y / ties, single)
        odd = tf.shape(x) - whole
        paddings = tf.stack([tf.zeros_like(odd), odd], axis=1)
        return tf.pad(tf.reshape(shares, whole), paddings)

    return y, gradient


# Never slow: for graphs that are computed elsewhere, and for other devices than CPUs.
PORTABLE_LAYERS: LayerKinds = {keras.layers.Conv2D: Convolution}


def fastest_layers() -> LayerKinds:
    """The layers with which this machine's CPU is fastest.

    Seconds of a step at 256 pixels in float32 on two cores of an AMD EPYC of the fourth
    generation, limited to AVX2 in the first two rows:

        ============================  ============  ===========  =====================
        TensorFlow computes by        its gradient  Convolution  TransposedConvolution
        ============================  ============  ===========  =====================
        Eigen (default without VNNI)  0.72          0.62         0.93
        oneDNN with AVX2              0.71          0.85         0.54
        oneDNN with AVX-512           0.51          0.48         0.56
        ============================  ============  ===========  =====================

    Without AVX-512, oneDNN's fast convolution wants kernels in an order in which
    TensorFlow gives them for gradients only. Eigen's gradient of max pooling takes a
    tenth of a step, as one thread computes it; oneDNN's notes where the largest was.
    """
    if not uses_onednn():
        return {**PORTABLE_LAYERS, keras.layers.MaxPooling2D: ComparingMaxPooling}
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if is_x86() and (
        limit in _SMALLER_INSTRUCTIONS or "avx512f" not in (cpu_flags() or ())
    ):
        return {keras.layers.Conv2D: TransposedConvolution}
    return PORTABLE_LAYERS
