"""The algorithm of Gatys et al. (arXiv 1508.06576) from its parts, at a single scale.

python examples/from_parts.py PHOTO PAINTING OUTPUT
"""

import sys

import tensorflow as tf

import tfnst
from tfnst import losses
from tfnst.networks import build_feature_extractor, load_backbone
from tfnst.optimizers import adam_init, adam_update

CONTENT = "block4_conv2"
STYLE = ["block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1"]
WEIGHTS = {"content_weight": 1, "style_weight": 200, "total_variation_weight": 20}


def grams(seen):
    return [losses.gram_matrix(seen[layer]) for layer in STYLE]


def paint(content, style, steps=100, **network):
    """Paints [1, H, W, 3] in [0, 1] in the style of another picture."""
    backbone = load_backbone(last_layer=CONTENT, **network)
    look = build_feature_extractor(backbone.model, layers=[CONTENT, *STYLE])
    content_targets, style_targets = [look(content)[CONTENT]], grams(look(style))

    @tf.function
    def step(image, state):
        with tf.GradientTape() as tape:
            tape.watch(image)
            seen = look(image)
            loss = losses.total_loss(
                losses.content_loss([seen[CONTENT]], content_targets),
                losses.style_loss(grams(seen), style_targets),
                losses.total_variation_loss(image),
                **WEIGHTS,
            )
        gradients = tape.gradient(loss, image)
        image, state = adam_update(
            image, gradients, state, learning_rate=0.02, lower=0.0, upper=1.0
        )
        return image, state, loss

    image, state, history = tf.constant(content), adam_init(content), []
    for _ in range(steps):
        image, state, loss = step(image, state)
        history.append(float(loss[0]))
    return image.numpy(), history


if __name__ == "__main__":
    photo, painting = (
        tf.image.resize(picture, [384, 384], preserve_aspect_ratio=True, antialias=True)
        for picture in map(tfnst.load_image, sys.argv[1:3])
    )
    tfnst.save_image(paint(photo, painting)[0], sys.argv[3])
