"""Crowson's style-transfer-pytorch: means and covariances, coarse to fine.

Reference:
    https://github.com/crowsonkb/style-transfer-pytorch, its default settings.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from benchmarks.quality.network import Extractor, build_extractor
from benchmarks.quality.task import BudgetError, Painting, Task, fit, resized

STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))
STYLE_WEIGHTS = tuple(4.0**-i / sum(4.0**-j for j in range(5)) for i in range(5))
CONTENT_LAYER = "block4_conv2"
MIN_SCALE = 128
INITIAL_ITERATIONS, ITERATIONS = 1000, 500
COVARIANCE_FLOOR = 1e-4
SQUARE_ROOT_ITERATIONS = 12

# The recipe was made for torchvision's VGG19, whose activations are smaller than in the
# Oxford group's. When PyTorch's example fast_neural_style switched from the latter to
# the former, it had to raise its content weight by 1e5 and its style weight by 2e9. The
# root of the one and the fourth root of the other say that activations are 316 or 211
# times smaller. Only the total variation's share depends on this.
ACTIVATION_SCALE = 1 / 250

Adam = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # number of steps, both moments


def paint_crowson(task: Task) -> Painting:
    """style-transfer-pytorch with its default settings.

    Content: mean squared difference at relu4_2, weight 0.015. Style: squared
    Wasserstein-2 distance between normal distributions with the activations' means and
    covariances, divided by the number of channels, at relu1_1 to relu5_1, with weights
    256:64:16:4:1 that sum to 1. Total variation: nine-point stencil, weight 2.

    Adam with a rate of 0.02 and betas of 0.9 and 0.99; its moments are resized for each
    scale. Pixels are clipped to [0, 1]. Scales grow by sqrt(2) from 128 pixels, with
    1,000 iterations at the first and 500 at each of the others, all multiplied by the
    budget's share. The next scale starts from the average of the iterates with decay
    0.99, which is also the result. The first convolution repeats the edge.
    """
    extractor = build_extractor(
        task.backbone,
        (*STYLE_LAYERS, CONTENT_LAYER),
        precision=task.precision,
        scale=ACTIVATION_SCALE,
        repeat_edge=True,
    )
    scales = _scales(task.size)
    iterations = _iterations(task, scales)
    average = resized(task.content, task.sides(scales[0]))
    adam = None
    spent = 0
    for scale, count in zip(scales, iterations, strict=True):
        sides = task.sides(scale)
        content = resized(task.content, sides)
        style = resized(task.style, fit(task.style, scale))
        target = extractor(content)[CONTENT_LAYER]
        seen = extractor(style)
        moments = [_target(seen[layer]) for layer in STYLE_LAYERS]
        image = tf.clip_by_value(tf.image.resize(average, sides, "bicubic"), 0.0, 1.0)
        adam = _rescaled(adam, image, sides)
        step = _build_step(extractor, target, moments, task.content_factor)
        average, seen_share = image, tf.constant(1 - 0.99)
        for _ in range(count):
            image, adam = step(image, adam)
            # Bias-corrected: the weights of all iterates so far add up to 1.
            seen_share = 0.99 * seen_share + 0.01
            average += 0.01 / seen_share * (image - average)
        spent += count * sides[0] * sides[1]
    array = tf.clip_by_value(average, 0.0, 1.0)[0].numpy()
    return Painting(array, spent, {"scales": scales, "iterations": iterations})


def _scales(size: int) -> list[int]:
    """Long sides, coarse to fine."""
    scales, i = [size], 1
    while (scale := round(size / 2 ** (i / 2))) >= MIN_SCALE:
        scales.append(scale)
        i += 1
    return scales[::-1]


def _iterations(task: Task, scales: list[int]) -> list[int]:
    """Iterations at each scale."""
    pixels = [height * width for height, width in map(task.sides, scales)]
    own = [INITIAL_ITERATIONS] + [ITERATIONS] * (len(scales) - 1)
    share = task.budget / sum(n * p for n, p in zip(own, pixels, strict=True))
    iterations = [int(n * share + 1e-9) for n in own]
    if min(iterations) < 1:
        raise BudgetError("the budget is too small for a step at each scale")
    return iterations


def _build_step(
    extractor: Extractor,
    target: tf.Tensor,
    moments: list[tuple[tf.Tensor, ...]],
    content_factor: float,
) -> Callable[[tf.Tensor, Adam], tuple[tf.Tensor, Adam]]:
    """A function that evaluates the loss and takes a step of Adam."""

    @tf.function
    def step(image: tf.Tensor, adam: Adam) -> tuple[tf.Tensor, Adam]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            activations = extractor(image)
            difference = activations[CONTENT_LAYER] - target
            loss = content_factor * 0.015 * tf.reduce_mean(difference**2)
            for layer, weight, moment in zip(
                STYLE_LAYERS, STYLE_WEIGHTS, moments, strict=True
            ):
                loss += weight * wasserstein_loss(activations[layer], *moment)
            loss += 2 * total_variation(image)
        gradient = tape.gradient(loss, image)
        count, m, v = adam
        count += 1
        m = 0.9 * m + 0.1 * gradient
        v = 0.99 * v + 0.01 * gradient**2
        m_hat, v_hat = m / (1 - 0.9**count), v / (1 - 0.99**count)
        image -= 0.02 * m_hat / (tf.sqrt(v_hat) + 1e-8)
        return tf.clip_by_value(image, 0.0, 1.0), (count, m, v)

    return step


def _rescaled(adam: Adam | None, image: tf.Tensor, sides: tuple[int, int]) -> Adam:
    """Adam's state at another scale; a fresh one for the first."""
    if adam is None:
        return tf.constant(0.0), tf.zeros_like(image), tf.zeros_like(image)
    count, m, v = adam
    m, v = tf.image.resize(m, sides, "bicubic"), tf.image.resize(v, sides, "bilinear")
    return count, m, tf.nn.relu(v)


def _moments(activations: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean [C] and covariance [C, C] over positions."""
    positions = tf.reshape(activations, [-1, activations.shape[-1]])
    mean = tf.reduce_mean(positions, axis=0)
    count = tf.cast(tf.shape(positions)[0], positions.dtype)
    raw = tf.matmul(positions, positions, transpose_a=True) / count
    covariance = raw - mean[:, None] * mean[None, :]
    return mean, covariance + COVARIANCE_FLOOR * tf.eye(mean.shape[0])


def _target(activations: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean, covariance and the covariance's square root."""
    mean, covariance = _moments(activations)
    root, _ = square_roots(covariance)
    return mean, covariance, root


def wasserstein_loss(
    activations: tf.Tensor, mean: tf.Tensor, covariance: tf.Tensor, root: tf.Tensor
) -> tf.Tensor:
    """Squared Wasserstein-2 distance of normal distributions, per channel.

    `|m - n|^2 / C + tr(A + B - 2 sqrt(sqrt(B) A sqrt(B))) / C`

    Args:
        activations: [1, H, W, C]; m and A are their mean and covariance.
        mean: n, [C].
        covariance: B, [C, C].
        root: sqrt(B), [C, C].
    """
    own_mean, own = _moments(activations)
    product = tf.matmul(tf.matmul(root, own), root)
    traces = tf.linalg.trace(own) + tf.linalg.trace(covariance)
    channels = tf.cast(tf.shape(mean)[0], mean.dtype)
    return tf.reduce_mean((own_mean - mean) ** 2) + (
        (traces - 2 * trace_of_square_root(product)) / channels
    )


@tf.custom_gradient
def trace_of_square_root(matrix: tf.Tensor) -> tf.Tensor:
    """tr(sqrt(M)) of a symmetric positive semi-definite matrix.

    Its gradient is `sqrt(M)^-1 / 2`, which the same iteration computes.
    """
    root, inverse = square_roots(matrix)
    return tf.linalg.trace(root), lambda upstream: upstream * inverse / 2


def square_roots(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """sqrt(M) and its inverse, by 12 Newton-Schulz iterations.

    As in the original, so few iterations keep the inverse bounded if M is nearly
    singular.

    Reference:
        Higham, "Functions of Matrices", equation 6.35.
    """
    norm = tf.norm(matrix)
    y, identity = matrix / norm, tf.eye(matrix.shape[-1], dtype=matrix.dtype)
    z = identity
    for _ in range(SQUARE_ROOT_ITERATIONS):
        correction = (3 * identity - tf.matmul(z, y)) / 2
        y, z = tf.matmul(y, correction), tf.matmul(correction, z)
    return y * tf.sqrt(norm), z / tf.sqrt(norm)


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Mean squared differences along rows, columns and diagonals, a nine-point stencil.

    For each pixel and channel, the squared differences to the right and below have a
    weight of 2/3, and those along both diagonals 1/6.
    """
    padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    right = tf.reduce_mean((padded[:, 1:-1, 2:] - padded[:, 1:-1, 1:-1]) ** 2)
    below = tf.reduce_mean((padded[:, 2:, 1:-1] - padded[:, 1:-1, 1:-1]) ** 2)
    falling = tf.reduce_mean((padded[:, 1:, 1:] - padded[:, :-1, :-1]) ** 2)
    rising = tf.reduce_mean((padded[:, 1:, :-1] - padded[:, :-1, 1:]) ** 2)
    return 2 * ((right + below) / 3 + (falling + rising) / 12)
