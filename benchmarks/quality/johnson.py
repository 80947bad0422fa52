"""Johnson's neural-style: Gatys' losses, minimised by L-BFGS from noise.

Reference:
    https://github.com/jcjohnson/neural-style with its default settings, and Torch's
    optim.lbfgs, which it calls without a line search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from benchmarks.quality.network import build_extractor, from_caffe, to_caffe
from benchmarks.quality.task import Painting, Task, fit, resized

STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))
CONTENT_LAYER = "block4_conv2"
PIXEL_SCALE = 256.0  # neural-style multiplies by 256, not by 255
HISTORY = 100


def paint_johnson(task: Task) -> Painting:
    """neural-style with its default settings.

    Content: mean squared difference at relu4_2, weight 5. Style: mean squared
    differences of Gram matrices divided by C * H * W, at relu1_1 to relu5_1, weight 100
    each. Total variation: half the sum of squared differences of neighbouring pixels,
    weight 1e-3. 1,000 evaluations, starting from noise with deviation 0.001 around
    ImageNet's mean colour; pixels are clipped only at the end. Style and content have
    the same long side.

    The network computes in float32 regardless of the task's precision: L-BFGS learns
    from small differences of gradients, and paints worse if they are rounded.
    """
    extractor = build_extractor(task.backbone, (*STYLE_LAYERS, CONTENT_LAYER))
    sides = task.sides(task.size)
    content = to_caffe(resized(task.content, sides), PIXEL_SCALE)
    style = to_caffe(resized(task.style, fit(task.style, task.size)), PIXEL_SCALE)
    target = extractor(content)[CONTENT_LAYER]
    seen = extractor(style)
    grams = {layer: _gram(seen[layer]) for layer in STYLE_LAYERS}

    @tf.function
    def gradient(image: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(image)
            activations = extractor(image)
            loss = tf.add_n(
                [
                    100 * tf.reduce_mean((_gram(activations[n]) - grams[n]) ** 2)
                    for n in STYLE_LAYERS
                ]
            )
            loss += (
                task.content_factor
                * 5
                * tf.reduce_mean((activations[CONTENT_LAYER] - target) ** 2)
            )
            corner = image[:, :-1, :-1]
            down, right = image[:, 1:, :-1] - corner, image[:, :-1, 1:] - corner
            loss += 1e-3 / 2 * tf.reduce_sum(down**2 + right**2)
        return tape.gradient(loss, image)

    def evaluate(flat: np.ndarray) -> np.ndarray:
        image = tf.constant(flat.reshape(content.shape))
        return gradient(image).numpy().ravel()

    noise = np.random.default_rng(task.seed).normal(0, 0.001, content.shape)
    steps = task.steps()
    evaluations = 0
    for point in lbfgs_points(evaluate, noise.astype(np.float32).ravel(), steps):
        evaluations += 1
        flat = point
    array = from_caffe(tf.constant(flat.reshape(content.shape)), PIXEL_SCALE)[0].numpy()
    spent = evaluations * sides[0] * sides[1]
    return Painting(array, spent, {"evaluations": evaluations})


def lbfgs_points(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    evaluations: int,
    *,
    history: int = HISTORY,
) -> Iterator[np.ndarray]:
    """Torch's L-BFGS without a line search: every step has length 1.

    Only the first one may be shorter: min(1, 1 / |g|_1). It ends early if a gradient
    isn't finite.

    Args:
        gradient: maps a point to its gradient, both float32 vectors.
        start: the first point, a float32 vector.
        evaluations: largest number of evaluations of the gradient.
        history: number of pairs of steps and gradient changes to remember.

    Yields:
        The point after each evaluation.

    Reference:
        Nocedal & Wright, "Numerical Optimization", algorithm 7.4.
    """
    x = start
    steps, changes = [], []
    g = s = None
    for _ in range(evaluations):
        before, g = g, gradient(x)
        if not np.isfinite(g).all():
            return
        if before is None:
            d = -g * np.float32(min(1.0, 1.0 / np.abs(g).sum()))
        else:
            y = g - before
            if y @ s > 1e-10:
                steps, changes = [*steps, s][-history:], [*changes, y][-history:]
            d = _descent(g, steps, changes)
        s = d
        x = x + s
        yield x


def _descent(
    g: np.ndarray, steps: list[np.ndarray], changes: list[np.ndarray]
) -> np.ndarray:
    """-H g by the two-loop recursion."""
    q = -g
    alphas = []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        alphas.append((s @ q) / (y @ s))
        q = q - alphas[-1] * y
    if steps:
        q = q * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y, alpha in zip(steps, changes, reversed(alphas), strict=True):
        q = q + (alpha - (y @ q) / (y @ s)) * s
    return q


def _gram(activations: tf.Tensor) -> tf.Tensor:
    elements = tf.cast(tf.size(activations), tf.float32)
    return tf.einsum("bijc,bijd->bcd", activations, activations) / elements
