"""Blends of networks: means of what they have learned."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.config import LOSS_WEIGHTS
from tfnst.engines.engine import Knobs
from tfnst.images.style_images import StyleImage, describe_style, relative_weights
from tfnst.limits import MIN_WEIGHT
from tfnst.networks.network_files import round_weights
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.ops.moments import blend_moments

if TYPE_CHECKING:
    from tfnst.transfer.style_network import StyleNetwork


def blend_networks(parts: list[StyleImage]) -> StyleNetwork:
    """A network between several that were trained from the same start.

    Its weights, and the settings of its loss, are weighted means of theirs ::

        w = sum_i p_i w_i

    and its colours are those of a mixture of their styles. Networks that have gone
    different ways from one start paint in between wherever they are on the way to each
    other; those from different starts have their channels in different orders, and
    means of them paint nothing.

    Args:
        parts: StyleNetworks and their weights.

    Raises:
        ValueError: for networks of different sizes or starts.

    Reference:
        Wang et al., "Deep Network Interpolation for Continuous Imagery Effect
        Transition", arXiv 1811.10515.
    """
    networks: list[StyleNetwork] = [part.image for part in parts]
    first = networks[0]
    if len(networks) == 1:
        return first
    _check_alike(networks)
    weights = np.array(relative_weights(parts))
    shares = weights / weights.sum()
    blend = PaintingNetwork(first.network.width, first.network.blocks)
    each = [network.network.get_weights() for network in networks]
    blend.set_weights(
        [np.tensordot(shares, same, axes=1) for same in zip(*each, strict=True)]
    )
    round_weights(blend)
    losses = [network.config.loss_weights() for network in networks]
    means = {
        name: float(np.dot(shares, [weights[name] for weights in losses]))
        for name in LOSS_WEIGHTS
    }
    means = {k: mean if mean >= MIN_WEIGHT else 0.0 for k, mean in means.items()}
    # A network that leaves the photo's colours alone has none to add.
    colored = [Knobs.from_config(n.config).style_share.numpy() for n in networks]
    colored = shares * colored if np.any(colored) else shares
    colors = [network.colors for network in networks]
    return dataclasses.replace(
        first,
        network=blend,
        config=first.config.replace(**means),
        style_image=[network.style_image for network in networks],
        colors=blend_moments(
            tf.nest.map_structure(lambda *same: tf.concat(same, axis=0), *colors),
            tf.constant([colored / np.sum(colored)]),
        ),
        training={"start": first.root},
        source=describe_style(parts, [network.source for network in networks]),
    )


def _check_alike(networks: list[StyleNetwork]) -> None:
    """Checks that networks can be blended.

    Raises:
        ValueError: for networks of different sizes or starts.
    """
    widths = [network.network.width for network in networks]
    blocks = [network.network.blocks for network in networks]
    for name, sizes in (("width", widths), ("number of blocks", blocks)):
        if len(set(sizes)) > 1:
            expected = f"networks of the same {name}, to be blended"
            raise ArgumentError(expected, ", ".join(map(str, sizes)))
    if len({network.root for network in networks}) > 1:
        raise ArgumentError(
            "networks that were trained from the same start, to be blended",
            ", ".join(str(network.source["name"]) for network in networks),
        )
