"""Bounds of the values and pictures that tfnst accepts, each stated once."""

from __future__ import annotations

# Long side of a picture in pixels.
MIN_SIZE, MAX_SIZE = 32, 16384
# Smallest short side of a picture in pixels, at every scale.
MIN_SIDE = 16
# Most pixels (height times width) of a picture that is read: Pillow's own limit
# against decompression bombs.
MAX_PIXELS = 89_478_485

# Weights of losses, unless they are 0, and of styles.
MIN_WEIGHT, MAX_WEIGHT = 1e-30, 1e30

MAX_STEPS = 100_000
MAX_SEED = 2**31 - 1

# Weight of a style relative to the others. Far beyond these, sums of weights in
# float32 become infinite or 0.
MIN_STYLE_WEIGHT, MAX_STYLE_WEIGHT = 1e-6, 1e6
# Size of a style image relative to the picture.
MIN_SCALE, MAX_SCALE = 0.1, 4.0
# Most styles in one request; a server holds each at the size of the finest scale.
MAX_STYLES = 8
# Smallest mean of a mask; below it, the mask counts as empty.
MIN_SHARE = 1e-4
