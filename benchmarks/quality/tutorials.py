"""The recipes of TensorFlow's tutorial and Keras' example.

Both paint at one size and start from the content image. The tutorial uses Adam, the
example gradient descent.

References:
    https://www.tensorflow.org/tutorials/generative/style_transfer
    https://keras.io/examples/generative/neural_style_transfer/
"""

from __future__ import annotations

import keras
import tensorflow as tf

from benchmarks.quality.network import build_extractor, from_caffe, to_caffe
from benchmarks.quality.task import Painting, Task, fit, resized

STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))
CONTENT_LAYER = "block5_conv2"
LAYERS = (*STYLE_LAYERS, CONTENT_LAYER)

KERAS_STEPS = 4000  # the steps over which its learning rate falls
KERAS_HEIGHT = 400  # the height of the picture its weights are made for


def paint_tensorflow(task: Task) -> Painting:
    """TensorFlow's tutorial.

    Content: mean squared difference, weight 1e4. Style: mean squared differences of
    Gram matrices averaged over positions, weight 1e-2 divided among 5 layers. Total
    variation: the sum of absolute differences of neighbouring pixels, weight 30. Adam
    with a rate of 0.02, a beta_1 of 0.99 and an epsilon of 0.1, 1,000 steps, pixels
    clipped to [0, 1]. Style and content have the same long side.
    """
    extractor = build_extractor(task.backbone, LAYERS, precision=task.precision)
    sides = task.sides(task.size)
    content = resized(task.content, sides)
    style = resized(task.style, fit(task.style, task.size))
    target = extractor(to_caffe(content))[CONTENT_LAYER]
    seen = extractor(to_caffe(style))
    grams = {layer: _mean_gram(seen[layer]) for layer in STYLE_LAYERS}

    image = tf.Variable(content)
    optimizer = keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=0.1)
    optimizer.build([image])

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            activations = extractor(to_caffe(image))
            style_loss = tf.add_n(
                [
                    tf.reduce_mean((_mean_gram(activations[layer]) - grams[layer]) ** 2)
                    for layer in STYLE_LAYERS
                ]
            )
            content_loss = tf.reduce_mean((activations[CONTENT_LAYER] - target) ** 2)
            loss = 1e-2 / len(STYLE_LAYERS) * style_loss
            loss += task.content_factor * 1e4 * content_loss
            loss += 30 * tf.reduce_sum(tf.image.total_variation(image))
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))

    steps = task.steps()
    for _ in range(steps):
        step()
    spent = steps * sides[0] * sides[1]
    return Painting(image.numpy()[0], spent, {"steps": steps})


def paint_keras(task: Task) -> Painting:
    """Keras' example.

    Content: sum of squared differences, weight 2.5e-8. Style: sums of squared
    differences of Gram matrices summed over positions, divided by 4 * 3^2 * (H * W)^2,
    weight 1e-6 divided among 5 layers. Total variation: the sum over pixels of
    (a + b)^1.25, where a and b are the squared differences to the neighbours below and
    to the right, weight 1e-6. Gradient descent with a rate of 100 that is multiplied by
    0.96 every 100 of 4,000 steps; with another number of steps it falls by as much over
    the run. The style is stretched to the content's shape.

    The example paints pictures 400 pixels high. At another size, one of the two factors
    H * W keeps its value at 400 pixels. Otherwise a pixel's share of the style's
    gradient would grow as the picture shrinks, until the rate of 100 made it diverge.
    """
    extractor = build_extractor(task.backbone, LAYERS, precision=task.precision)
    sides = height, width = task.sides(task.size)
    content = to_caffe(resized(task.content, sides))
    target = extractor(content)[CONTENT_LAYER]
    seen = extractor(to_caffe(resized(task.style, sides)))
    grams = {layer: _summed_gram(seen[layer]) for layer in STYLE_LAYERS}
    own_pixels = KERAS_HEIGHT * round(width * KERAS_HEIGHT / height)
    divisor = 4 * 3**2 * float(height * width) * own_pixels

    image = tf.Variable(content)
    steps = task.steps()
    optimizer = keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(
            100.0, decay_steps=100 * steps / KERAS_STEPS, decay_rate=0.96
        )
    )
    optimizer.build([image])

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            activations = extractor(image)
            style_loss = tf.add_n(
                [
                    tf.reduce_sum((_summed_gram(activations[n]) - grams[n]) ** 2)
                    for n in STYLE_LAYERS
                ]
            )
            content_loss = tf.reduce_sum((activations[CONTENT_LAYER] - target) ** 2)
            corner = image[:, :-1, :-1]
            a = tf.square(corner - image[:, 1:, :-1])
            b = tf.square(corner - image[:, :-1, 1:])
            loss = 1e-6 / len(STYLE_LAYERS) * style_loss / divisor
            loss += task.content_factor * 2.5e-8 * content_loss
            loss += 1e-6 * tf.reduce_sum((a + b) ** 1.25)
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])

    for _ in range(steps):
        step()
    array = from_caffe(image)[0].numpy()
    return Painting(array, steps * height * width, {"steps": steps})


def _mean_gram(activations: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(activations)
    positions = tf.cast(shape[1] * shape[2], tf.float32)
    return tf.einsum("bijc,bijd->bcd", activations, activations) / positions


def _summed_gram(activations: tf.Tensor) -> tf.Tensor:
    return tf.einsum("bijc,bijd->bcd", activations, activations)
