"""Neural Neighbor Style Transfer: each feature becomes the nearest of the style's.

Reference:
    Kolkin, Kucera, Paris, Sykora, Shechtman, Shakhnarovich, "Neural Neighbor Style
    Transfer", arXiv 2203.13215, and the settings of
    https://github.com/nkolkin13/NeuralNeighborStyleTransfer, without its last step,
    which puts the style's colours onto the picture by a filter.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from benchmarks.quality.network import Extractor, build_extractor
from benchmarks.quality.task import BudgetError, Painting, Task, fit, resized

LAYERS = tuple(
    f"block{block}_conv{conv}"
    for block, convolutions in ((1, 2), (2, 2), (3, 3), (4, 3))
    for conv in range(1, convolutions + 1)
)
SCALES = 4
ITERATIONS = 200
LEARNING_RATE = 2e-3
# Neighbours are sought for a mixture of this share of the picture with the content.
ALPHA = 0.75
PYRAMID_LEVELS = 8
# Most positions along a side at which the last phase compares a layer.
GRID = 64

Pyramid = list[tf.Tensor]  # of a picture: differences, fine to coarse, then the rest
Loss = Callable[[tf.Tensor], tf.Tensor]


def paint_nnst(task: Task) -> Painting:
    """Neural Neighbor Style Transfer with its default settings.

    Features: hypercolumns of conv1_1 to conv4_3, each divided by its number of
    channels, at a quarter of the size. Four scales, each twice as large as the one
    before; at each, every feature of a mixture of 1/4 content and 3/4 picture (at the
    first scale, of the content alone) is replaced by the most similar one of the style,
    and the picture is optimised for the mean cosine distance to these: 200 steps of
    Adam at a rate of 0.002, on the coefficients of a Laplacian pyramid. Then 200 more
    steps compare the layers one by one, each feature with the nearest, at about 64 x 64
    positions. It starts from the content without its finest detail.

    The budget shortens all phases alike. Content weights change the share of content in
    the mixture, up to all of it.
    """
    content_share = (1 - ALPHA) * task.content_factor
    if content_share > 1:
        raise BudgetError("its content weight has an upper limit, which this is above")
    extractor = build_extractor(
        task.backbone, LAYERS, precision=task.precision, repeat_edge=True
    )
    sides = [task.sides(round(task.size / 2**k)) for k in reversed(range(SCALES))]
    phases = [*sides, sides[-1]]
    pixels = sum(height * width for height, width in phases)
    # Its own run is 200 steps in each phase, 0.466 of a full budget.
    iterations = min(int(task.budget / pixels + 1e-9), ITERATIONS)
    if iterations < 1:
        raise BudgetError("the budget is too small for a step at each scale")
    picture = resized(task.content, sides[0])
    for index, (height, width) in enumerate(sides):
        content = resized(task.content, (height, width))
        style = resized(task.style, fit(task.style, max(height, width)))
        mixture = content
        if index:
            picture = tf.image.resize(picture, (height, width))
            # Neighbours are sought with the content's finest detail.
            coarse = tf.image.resize(content, (height // 2, width // 2))
            detail = content - tf.image.resize(coarse, (height, width))
            mixture = (1 - content_share) * (picture + detail) + content_share * content
        matched = _matched(
            hypercolumns(extractor(mixture)), hypercolumns(extractor(style))
        )
        picture = _optimize(picture, _distance_to(extractor, matched), iterations)
    loss = _distance_by_layer(extractor, extractor(style), task.seed)
    picture = _optimize(picture, loss, iterations)
    array = tf.clip_by_value(picture, 0.0, 1.0)[0].numpy()
    return Painting(array, iterations * pixels, {"iterations": iterations})


def hypercolumns(activations: dict[str, tf.Tensor]) -> tf.Tensor:
    """The layers' features side by side at a quarter of the size, [1, h, w, C]."""
    height, width = activations[LAYERS[0]].shape[1:3]
    sides = max(1, height // 4), max(1, width // 4)
    return tf.concat(
        [
            tf.image.resize(layer / layer.shape[-1], sides)
            for layer in activations.values()
        ],
        axis=-1,
    )


def centered_similarities(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Cosines [P, Q] of features [P, C] and [Q, C], each less their own mean."""
    one, other = (
        tf.math.l2_normalize(x - tf.reduce_mean(x, axis=0), axis=-1, epsilon=1e-16)
        for x in (one, other)
    )
    return tf.matmul(one, other, transpose_b=True)


def to_pyramid(picture: tf.Tensor) -> Pyramid:
    """A picture's Laplacian pyramid, as deep as its sides allow."""
    levels = []
    for _ in range(PYRAMID_LEVELS):
        height, width = picture.shape[1:3]
        if min(height, width) < 2:
            break
        coarse = tf.image.resize(picture, (height // 2, width // 2))
        levels.append(picture - tf.image.resize(coarse, (height, width)))
        picture = coarse
    return [*levels, picture]


def from_pyramid(levels: Pyramid) -> tf.Tensor:
    """The picture of a pyramid."""
    *differences, picture = levels
    for difference in reversed(differences):
        picture = difference + tf.image.resize(picture, difference.shape[1:3])
    return picture


def _flat(features: tf.Tensor) -> tf.Tensor:
    return tf.reshape(features, [-1, features.shape[-1]])


def _matched(features: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
    """Each feature replaced by the most similar of the style's, of length 1."""
    source = _flat(style)
    nearest = tf.argmax(centered_similarities(_flat(features), source), axis=1)
    chosen = tf.math.l2_normalize(tf.gather(source, nearest), axis=-1, epsilon=1e-16)
    return tf.reshape(chosen, features.shape)


def _distance_to(extractor: Extractor, matched: tf.Tensor) -> Loss:
    def loss(picture: tf.Tensor) -> tf.Tensor:
        seen = hypercolumns(extractor(picture))
        seen = tf.math.l2_normalize(seen, axis=-1, epsilon=1e-16)
        return 1 - tf.reduce_mean(tf.reduce_sum(seen * matched, axis=-1))

    return loss


def _distance_by_layer(
    extractor: Extractor, style: dict[str, tf.Tensor], seed: int
) -> Loss:
    random = tf.random.Generator.from_seed(seed)

    def loss(picture: tf.Tensor) -> tf.Tensor:
        seen, total = extractor(picture), tf.constant(0.0)
        for layer in LAYERS:
            stride = max(1, max(seen[layer].shape[1:3]) // GRID)
            top, left = tf.unstack(
                random.uniform([2], maxval=stride, dtype=tf.int32), num=2
            )
            similar = centered_similarities(
                *(
                    _flat(features[:, top::stride, left::stride])
                    for features in (seen[layer], style[layer])
                )
            )
            total += 1 - tf.reduce_mean(tf.reduce_max(similar, axis=1))
        return total

    return loss


def _optimize(picture: tf.Tensor, loss: Loss, iterations: int) -> tf.Tensor:
    """The picture after some steps of Adam on its pyramid."""
    start = to_pyramid(picture)

    @tf.function
    def step(
        count: tf.Tensor, levels: Pyramid, first: Pyramid, second: Pyramid
    ) -> tuple[Pyramid, Pyramid, Pyramid]:
        with tf.GradientTape() as tape:
            tape.watch(levels)
            value = loss(from_pyramid(levels))
        gradients = tape.gradient(value, levels)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [
            0.999 * v + 0.001 * g**2 for v, g in zip(second, gradients, strict=True)
        ]
        moved = [
            level
            - LEARNING_RATE
            * (m / (1 - 0.9**count))
            / (tf.sqrt(v / (1 - 0.999**count)) + 1e-8)
            for level, m, v in zip(levels, first, second, strict=True)
        ]
        return moved, first, second

    levels, first, second = start, *([tf.zeros_like(x) for x in start] for _ in "mv")
    for count in range(1, iterations + 1):
        levels, first, second = step(tf.constant(float(count)), levels, first, second)
    return from_pyramid(levels)
