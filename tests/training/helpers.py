"""Trainings that take a second."""

import tfnst
from tests.helpers import TINY, picture

# The settings that a training uses; the others must have their defaults.
SETTINGS = {
    name: getattr(TINY, name)
    for name in ("weights", "precision", "content_layers", "style_layers")
} | {"size": 80}
OPTIONS = {"steps": 12, "crop_size": 64, "width": 4}


def photos():
    return [picture(60, 80, seed) for seed in range(4)]


def train(**others):
    """A network after some steps on the tiny backbone."""
    return tfnst.train_network(
        picture(64, 64, 9), photos(), **{**OPTIONS, **SETTINGS, **others}
    )


def weights_of(network):
    return [each.numpy() for each in network.network.weights]
