"""Neural style transfer from its parts: features, losses, an optimiser and a loop.

A reader's way in: the algorithm of Gatys, Ecker and Bethge (arXiv 1508.06576) at a
single scale. `tfnst.stylize` adds coarse to fine, averaging, tiles and much more.

    python examples/from_parts.py PHOTO PAINTING OUTPUT
"""

import sys

import tensorflow as tf

import tfnst
from tfnst.losses import content_loss, gram_matrix, style_loss, total_variation_loss
from tfnst.networks import build_feature_extractor, load_backbone
from tfnst.optimizers import adam_init, adam_update

CONTENT_LAYERS = ["block4_conv2"]
STYLE_LAYERS = [f"block{i}_conv1" for i in (1, 2, 3, 4)]
CONTENT_WEIGHT, STYLE_WEIGHT, TOTAL_VARIATION_WEIGHT = 1.0, 200.0, 20.0


def paint(content, style, steps=100, **network):
    """Paints [1, H, W, 3] in [0, 1] in the style of another picture."""
    backbone = load_backbone(last_layer="block4_conv2", **network)
    look = build_feature_extractor(backbone.model, layers=CONTENT_LAYERS + STYLE_LAYERS)
    seen_content, seen_style = look(content), look(style)
    content_targets = [seen_content[layer] for layer in CONTENT_LAYERS]
    style_targets = [gram_matrix(seen_style[layer]) for layer in STYLE_LAYERS]

    @tf.function
    def step(image, state):
        with tf.GradientTape() as tape:
            tape.watch(image)
            seen = look(image)
            grams = [gram_matrix(seen[layer]) for layer in STYLE_LAYERS]
            loss = (
                CONTENT_WEIGHT
                * content_loss([seen[x] for x in CONTENT_LAYERS], content_targets)
                + STYLE_WEIGHT * style_loss(grams, style_targets)
                + TOTAL_VARIATION_WEIGHT * total_variation_loss(image)
            )
        gradients = tape.gradient(loss, image)
        image, state = adam_update(
            image, gradients, state, learning_rate=0.02, lower=0.0, upper=1.0
        )
        return image, state, loss

    image, losses = tf.constant(content), []
    state = adam_init(image)
    for _ in range(steps):
        image, state, loss = step(image, state)
        losses.append(float(loss[0]))
    return image.numpy(), losses


if __name__ == "__main__":
    photo, painting = (tfnst.load_image(path) for path in sys.argv[1:3])
    painted, losses = paint(photo, painting)
    tfnst.save_image(painted, sys.argv[3])
    print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}")
