"""Measures of a stylized picture, as pure functions of tensors.

None of them is a loss to minimise: they judge pictures, however those were made.
`tfnst.evaluation.evaluation` chooses the activations and sizes. All of them take
float32 or float64 and return a scalar of the same dtype.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfnst.losses.gram_matrices import gram_matrix

# Cosine distances below this are rounding errors of float32.
_ROUNDING = 1e-6

_CLIPPED = 0.5 / 255  # In 8 bits, anything closer to 0 or 1 is 0 or 255.
_STRIPS = 5  # Along each edge, for `border_contrast`.


def gram_distance(activations: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Distance of two Gram matrices, relative to the second one.

    `|G - A| / |A|` in the Frobenius norm, for matrices of
    `tfnst.losses.gram_matrices.gram_matrix`.

    Args:
        activations: [1, H, W, C], any range.
        target: [1, H', W', C].

    Returns:
        Scalar, 0 or more: 0 for equal Gram matrices, 1 for activations that are all 0.

    Raises:
        ValueError: for other shapes.

    Reference:
        Gatys, Ecker, Bethge, "A Neural Algorithm of Artistic Style",
        arXiv 1508.06576, equation 4, which is squared and has another divisor.
    """
    activations, target = _check_pair(activations, target)
    gram = gram_matrix(target)
    difference = gram_matrix(activations) - gram
    return tf.math.divide_no_nan(tf.norm(difference), tf.norm(gram))


def sliced_wasserstein_distance(
    values: tf.Tensor,
    target: tf.Tensor,
    *,
    projections: int = 128,
    quantiles: int = 256,
    seed: int = 0,
) -> tf.Tensor:
    """Distance that the values would have to move to be distributed like the target.

    This is the Wasserstein-2 distance of two distributions of C-vectors along random
    directions d_k, where it is a distance of sorted numbers ::

        sqrt(C * mean_k mean_q (F_k(q) - T_k(q))^2)

    F_k and T_k are the quantile functions of the values and of the target along d_k,
    at the levels q = (i + 1/2) / quantiles, interpolated as in
    `numpy.quantile(method="hazen")`, so the two may have different numbers of vectors.
    The directions are columns of random orthogonal matrices. Because of the factor C,
    shifting all values by a vector gives the length of that vector (exactly if C
    divides `projections`, otherwise nearly).

    Args:
        values: [..., C]; all axes but the last are positions, whose order and number
            don't matter.
        target: [..., C].
        projections: number of directions, 1 or more. Default 128.
        quantiles: number of levels, 1 or more. Default 256.
        seed: seed of the directions; the same seed gives the same distance.

    Returns:
        Scalar in the units of the values, 0 or more.

    Raises:
        ValueError: when the numbers of channels differ.

    Reference:
        Heitz, Vanhoey, Chambon, Belcour, "A Sliced Wasserstein Loss for Neural Texture
        Synthesis", arXiv 2006.07229.
        Bonneel, Rabin, Peyre, Pfister, "Sliced and Radon Wasserstein Barycenters of
        Measures", J. Math. Imaging Vis. 51 (2015).
    """
    values, target = tf.convert_to_tensor(values), tf.convert_to_tensor(target)
    channels = target.shape[-1]
    if values.shape[-1] != channels or channels is None:
        raise ValueError(
            "`values` and `target` must have the same number of channels. "
            f"Received: {values.shape} and {target.shape}"
        )
    directions = _directions(channels, projections, seed, values.dtype)
    one, other = (_quantiles(x, directions, quantiles) for x in (values, target))
    return tf.sqrt(channels * tf.reduce_mean(tf.math.squared_difference(one, other)))


def standard_deviation(values: tf.Tensor) -> tf.Tensor:
    """Standard deviation of vectors: root mean squared distance to their mean.

    Args:
        values: [..., C].

    Returns:
        Scalar, 0 or more, in the units of the values.
    """
    values = tf.convert_to_tensor(values)
    axes = list(range(values.shape.rank - 1))
    return tf.sqrt(tf.reduce_sum(tf.math.reduce_variance(values, axis=axes)))


def cosine_distance(activations: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """1 minus the cosine similarity at the same place, averaged over places.

    `mean_p (1 - cos(F_p, T_p))`, computed as half the squared distance of the
    normalised vectors, which is exactly 0 where they are equal.

    Args:
        activations: [1, H, W, C].
        target: tensor of the same shape.

    Returns:
        Scalar from 0 to 2; at most 1 if no activation is negative.

    Raises:
        ValueError: when the shapes differ.
    """
    activations, target = _check_pair(activations, target, same_places=True)
    difference = _unit(activations) - _unit(target)
    return tf.reduce_mean(tf.reduce_sum(tf.square(difference), axis=-1)) / 2


def self_similarity_distance(
    activations: tf.Tensor, target: tf.Tensor, *, grid: int = 32
) -> tf.Tensor:
    """Difference in how much places resemble each other, from the target.

    With D_pq the cosine distance of the activations at two places p and q, and E_pq
    the same in the target, each column is normalised to sum to 1 ::

        mean_q 1/2 sum_p |D_pq / sum_r D_rq - E_pq / sum_r E_rq|

    Colours and strokes may change completely; it only matters which places are alike.
    A place is a cell of a grid, over which activations are averaged so that single
    strokes don't count. Kolkin et al. use points, and 1 / n^2 as the factor of the two
    sums; with 1 / (2 n) this is a total variation distance.

    Args:
        activations: [1, H, W, C].
        target: tensor of the same shape.
        grid: most cells along the long side. Default 32.

    Returns:
        Scalar from 0 to 1.

    Raises:
        ValueError: when the shapes differ.

    Reference:
        Kolkin, Salavon, Shakhnarovich, "Style Transfer by Relaxed Optimal Transport
        and Self-Similarity" (STROTSS), arXiv 1904.12785, section 2.3.
    """
    activations, target = _check_pair(activations, target, same_places=True)
    one, other = (_distance_shares(_sample(x, grid)) for x in (activations, target))
    return tf.reduce_mean(tf.reduce_sum(tf.abs(one - other), axis=0)) / 2


def laplacian_energy(image: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of a pixel from the average of its four neighbours.

    Args:
        image: [1, H, W, C], H and W 3 or more.

    Returns:
        Scalar, 0 or more: 0 for an even gradient, large for grain.
    """
    image = tf.convert_to_tensor(image)
    middle = image[:, 1:-1, 1:-1]
    down = image[:, :-2, 1:-1] + image[:, 2:, 1:-1]
    across = image[:, 1:-1, :-2] + image[:, 1:-1, 2:]
    return tf.reduce_mean(tf.math.squared_difference(middle, (down + across) / 4))


def clipped_share(image: tf.Tensor) -> tf.Tensor:
    """Share of the pixels with a channel at 0 or 1, to within half of 1/255.

    Args:
        image: [1, H, W, 3] in [0, 1].

    Returns:
        Scalar from 0 to 1.
    """
    image = tf.convert_to_tensor(image)
    clipped = (image <= _CLIPPED) | (image >= 1 - _CLIPPED)
    return tf.reduce_mean(tf.cast(tf.reduce_any(clipped, axis=-1), image.dtype))


def border_contrast(image: tf.Tensor) -> tf.Tensor:
    """Contrast of the outermost strip with the next, relative to strips further inside.

    Five strips lie along each edge, each 3% of the short side wide (at least 2
    pixels). A strip is described by the mean and standard deviation of its three
    channels. The step from strip i to strip i + 1 is the distance between these six
    numbers, averaged over the four edges; the result is the first step divided by the
    mean of the others.

    Args:
        image: [1, H, W, 3], preferably L*a*b*; H and W 10 or more.

    Returns:
        Scalar, 0 or more: about 1 if the border is like the rest, exactly 1 for a
        uniform picture.
    """
    image = tf.convert_to_tensor(image)[0]
    width = max(2, round(0.03 * min(image.shape[:2])))
    edges = (
        image,
        image[::-1],
        *(tf.transpose(image, [1, 0, 2])[::s] for s in (1, -1)),
    )
    steps = []
    for edge in edges:
        strips = [edge[i * width : (i + 1) * width] for i in range(_STRIPS)]
        numbers = tf.stack(
            [tf.concat(tf.nn.moments(strip, axes=[0, 1]), axis=0) for strip in strips]
        )
        mean, variance = tf.split(numbers, 2, axis=1)
        numbers = tf.concat([mean, tf.sqrt(variance)], axis=1)
        steps.append(tf.norm(numbers[1:] - numbers[:-1], axis=1))
    steps = tf.reduce_mean(tf.stack(steps), axis=0)
    inside = tf.reduce_mean(steps[1:])
    tiny = tf.constant(1e-3, image.dtype)
    return (steps[0] + tiny) / (inside + tiny)


def _check_pair(
    activations: tf.Tensor, target: tf.Tensor, *, same_places: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """Both as tensors [1, H, W, C] with as many channels, or with equal shapes."""
    activations, target = (tf.convert_to_tensor(x) for x in (activations, target))
    shapes = activations.shape, target.shape
    first = 1 if same_places else 3
    if (
        any(shape.rank != 4 or shape[0] != 1 for shape in shapes)
        or shapes[0][first:] != shapes[1][first:]
    ):
        expected = "of the same shape" if same_places else "with as many channels"
        raise ValueError(
            f"`activations` and `target` must be [1, H, W, C] {expected}. "
            f"Received: {shapes[0]} and {shapes[1]}"
        )
    return activations, target


def _directions(
    channels: int, projections: int, seed: int, dtype: tf.DType
) -> tf.Tensor:
    """[C, projections]: columns of random orthogonal matrices."""
    blocks = math.ceil(projections / channels)
    shape = [blocks, channels, channels]
    normal = tf.random.stateless_normal(shape, seed=[seed, channels], dtype=dtype)
    orthogonal = tf.linalg.qr(normal).q
    columns = tf.reshape(tf.transpose(orthogonal, [1, 0, 2]), [channels, -1])
    return columns[:, :projections]


def _quantiles(values: tf.Tensor, directions: tf.Tensor, count: int) -> tf.Tensor:
    """[projections, count]: quantiles of the values along each direction."""
    values = tf.reshape(values, [-1, values.shape[-1]])
    ordered = tf.sort(tf.matmul(directions, values, transpose_a=True, transpose_b=True))
    length = ordered.shape[1]
    levels = (tf.range(count, dtype=values.dtype) + 0.5) / count
    places = tf.clip_by_value(levels * length - 0.5, 0, length - 1)
    below = tf.cast(tf.floor(places), tf.int32)
    above = tf.minimum(below + 1, length - 1)
    share = places - tf.floor(places)
    low, high = (tf.gather(ordered, i, axis=1) for i in (below, above))
    return low + share * (high - low)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    """Vectors scaled to length 1."""
    return tf.math.l2_normalize(vectors, axis=-1, epsilon=1e-24)


def _sample(activations: tf.Tensor, grid: int) -> tf.Tensor:
    """[places, C]: averages over the cells of a regular grid."""
    sides = activations.shape[1:3]
    cell = max(1.0, max(sides) / grid)
    cells = [max(1, round(side / cell)) for side in sides]
    averages = tf.image.resize(activations, cells, method="area")
    return tf.reshape(averages, [-1, activations.shape[-1]])


def _distance_shares(vectors: tf.Tensor) -> tf.Tensor:
    """[places, places]: cosine distances, each column normalised to sum to 1."""
    unit = _unit(vectors)
    distances = 1 - tf.matmul(unit, unit, transpose_b=True)
    distances = tf.where(distances < _ROUNDING, tf.zeros_like(distances), distances)
    return tf.math.divide_no_nan(distances, tf.reduce_sum(distances, axis=0))
