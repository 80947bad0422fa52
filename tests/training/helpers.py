"""Trainings that take a second."""

import tensorflow as tf

import tfnst
from tests.helpers import TINY, picture
from tfnst.networks.network_files import round_weights
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.ops.moments import Moments
from tfnst.transfer.style_network import StyleNetwork

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


def untrained(seed=1):
    """A network that has learned nothing, which paints all the same."""
    network = PaintingNetwork(width=4, blocks=1)
    network.initialize(seed=seed)
    round_weights(network)
    return StyleNetwork(
        network=network,
        config=tfnst.StyleTransferConfig(**SETTINGS),
        style_image={"name": "waves.png", "sha256": "0" * 64},
        colors=Moments(
            tf.constant([[0.5, 0.4, 0.3]], tf.float64),
            0.05 * tf.eye(3, batch_shape=[1], dtype=tf.float64),
        ),
        weights={"backbone": "vgg19", "sha256": None},
        training={"steps": 0},
    )
