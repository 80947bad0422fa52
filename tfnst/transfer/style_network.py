"""StyleNetwork: a style that a network has learned, and painting by it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.built_in import find_built_in
from tfnst.checks import ArgumentError, argument, show_type
from tfnst.config import (
    StyleTransferConfig,
    build_config,
    config_of_dict,
    refuse_settings_beyond,
)
from tfnst.eager import eagerly
from tfnst.engines.engine import Knobs
from tfnst.images.formats import is_network
from tfnst.images.style_images import StyleImage, style_images
from tfnst.networks.network_files import load_network_file, save_network
from tfnst.networks.painting import PicturePainter
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.ops import coloring
from tfnst.ops.moments import Moments
from tfnst.transfer.network_blends import blend_networks
from tfnst.transfer.network_style import NetworkStyle
from tfnst.transfer.results import TransferResult


@dataclasses.dataclass(frozen=True)
class StyleNetwork:
    """A style that a network has learned, from `tfnst.train_network`.

    It paints a picture at once, in one pass through the network::

        network = tfnst.load_network("swirls.keras")
        network.stylize("photo.jpg").save("painted.png")

    A path of a network's file, or a StyleNetwork, can be the `style_image` of
    `tfnst.stylize`.

    Attributes:
        network: the keras.Model.
        config: the settings that it was trained with.
        style_image: name and SHA-256 of the picture it has learned from; a list if
            there were several, and for a blend of networks.
        colors: mean and covariance of the style's colours.
        weights: name of the backbone and SHA-256 of its weights.
        training: facts of the training, such as the number of steps.
        source: name and SHA-256 of the network's file; of None where it has none yet. A
            list with their weights for a blend.
    """

    network: PaintingNetwork
    config: StyleTransferConfig
    style_image: Any
    colors: Moments
    weights: dict[str, str | None]
    training: dict[str, Any]
    source: Any = dataclasses.field(
        default_factory=lambda: {"name": None, "sha256": None}
    )

    @eagerly
    def stylize(
        self,
        content_image: Any,
        *,
        config: StyleTransferConfig | None = None,
        preset: str | None = None,
        **settings: Any,
    ) -> TransferResult:
        """Paints a picture in one pass through the network.

        Strokes have the size in pixels that they were learned at, so a larger picture
        has finer ones.

        Args:
            content_image: as for `tfnst.stylize`.
            config: the settings, of which `size`, `preserve_color`, `device` and
                `max_memory` count; the others must have their defaults.
            preset: as for `tfnst.stylize`.
            **settings: settings that override both.

        Returns:
            TransferResult, without losses.

        Raises:
            ValueError: for settings that have no effect, or a bad picture.
            OSError: if a file can't be read.
        """
        config = build_config(config, preset, settings)
        check_painting_settings(config)
        return NetworkStyle([StyleImage(image=self)]).stylize(content_image, config)

    def paint(self, content_image: tf.Tensor) -> tf.Tensor | np.ndarray:
        """The painted picture, of the same size.

        Args:
            content_image: [1, H, W, 3] in [0, 1].
        """
        return self.painter.paint(self.prepare(content_image))

    def prepare(self, content_image: tf.Tensor) -> tf.Tensor:
        """Pictures in the colours of the style, as the network sees them.

        Args:
            content_image: [1, H, W, 3] in [0, 1].
        """
        share = Knobs.from_config(self.config).style_share
        return coloring.carry_colors(content_image, self.colors, share)

    @property
    def facts(self) -> dict[str, Any]:
        """Facts about the network, for the manifests of painted pictures."""
        settings = self.config.to_dict()
        return {"style_image": self.style_image, "settings": settings, **self.training}

    @property
    def root(self) -> str:
        """Digest of the network from which this one comes; its own if from none.

        Networks with the same root can be blended by their weights.
        """
        start = self.training.get("start")
        if start is not None:
            return str(start)
        digest = hashlib.sha256()
        for each in self.network.get_weights():
            digest.update(each.tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def painter(self) -> PicturePainter:
        """The painter of pictures of any size, tiles included."""
        return PicturePainter(self.network)

    def save(self, path: str | os.PathLike[str], *, name: str = "path") -> None:
        """Writes the network, whole or not at all.

        Args:
            path: path of the file, which ends in .keras.
            name: name of the path in errors. Default `"path"`.

        Raises:
            ValueError: for another suffix.
            OSError: if the file can't be written.
        """
        facts = {
            "style_image": self.style_image,
            "settings": self.config.to_dict(),
            "colors": {
                "mean": self.colors.mean.numpy()[0].tolist(),
                "covariance": self.colors.covariance.numpy()[0].tolist(),
            },
            "weights": self.weights,
            "training": self.training,
        }
        with argument(name):
            save_network(self.network, facts, path)


@eagerly
def load_network(path: str | os.PathLike[str], *, name: str = "path") -> StyleNetwork:
    """Loads a network that `tfnst.train_network` or `tfnst train` has written.

    Nothing in the file is executed.

    Args:
        path: path of the file, or the name of a built-in style.
        name: name of the path in errors. Default `"path"`.

    Raises:
        OSError: if the file can't be read.
        ValueError: for any other file.
    """
    with argument(name):
        path = find_built_in(path) or path
        network, facts, sha256 = load_network_file(path)
        try:
            colors = Moments(
                _finite(facts["colors"]["mean"], [3]),
                _finite(facts["colors"]["covariance"], [3, 3]),
            )
            weights = {k: facts["weights"][k] for k in ("backbone", "sha256")}
            return StyleNetwork(
                network=network,
                config=config_of_dict(facts["settings"]),
                style_image=facts["style_image"],
                colors=colors,
                weights=weights,
                training=dict(facts["training"]),
                source={"name": os.path.basename(os.fspath(path)), "sha256": sha256},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArgumentError(
                "a network that this version of tfnst can read",
                f"{os.fspath(path)!r} ({error})",
            ) from error


def find_network(style_image: Any, *, name: str = "style_image") -> StyleNetwork | None:
    """The network that a style is given by, or a blend of several; None for pictures.

    Args:
        style_image: as for `tfnst.stylize`, but without regions.
        name: name of the argument in errors. Default `"style_image"`.

    Raises:
        OSError, ValueError: as `find_networks` and `blend_networks`.
    """
    parts = find_networks(style_image, name=name)
    if parts is None:
        return None
    if any(part.region is not None for part in parts):
        raise ArgumentError(
            "None where networks paint anything but single pictures",
            "a region",
            argument="region",
        )
    with argument(name):
        return blend_networks(parts)


def need_network(source: Any, expected: str, *, name: str) -> StyleNetwork:
    """The network that an argument is given by, where nothing else will do.

    Args:
        source: as for `find_network`.
        expected: description of what the argument must be, for errors.
        name: name of the argument in errors.

    Raises:
        OSError, ValueError: as `find_network`, and for pictures.
    """
    network = find_network(source, name=name)
    if network is None:
        raise ArgumentError(expected, repr(source), argument=name)
    return network


def find_networks(
    style_image: Any, *, name: str = "style_image"
) -> list[StyleImage] | None:
    """The networks that a style is given by, with their weights and regions.

    Args:
        style_image: as for `tfnst.stylize`.
        name: name of the argument in errors. Default `"style_image"`.

    Returns:
        The parts, each with a StyleNetwork for its image; None for pictures.

    Raises:
        OSError, ValueError: as `load_network`; and for networks among pictures.
    """
    with argument(name):
        parts = style_images(style_image)
        networks = [_find_part(part, name) for part in parts]
        found = [network for network in networks if network is not None]
        if found and len(found) < len(parts):
            raise ArgumentError("networks alone or pictures alone", "both")
    return found or None


def _find_part(part: StyleImage, name: str) -> StyleImage | None:
    """A part of a style with a loaded network for its image; None for a picture."""
    network = part.image
    if is_network(network):
        network = load_network(network, name=name)
    if not isinstance(network, StyleNetwork):
        return None
    for field in ("scale", "mask", "layers", "rotations"):
        value = getattr(part, field)
        if value is not None and not (isinstance(value, int | float) and value == 1):
            raise ArgumentError(
                "left out for a style that a network has learned",
                show_type(value),
                argument=field,
            )
    return StyleImage(image=network, weight=part.weight, region=part.region)


def check_painting_settings(config: StyleTransferConfig) -> None:
    """Checks that no setting is changed that a network has learned already.

    Raises:
        ValueError: for such a setting.
    """
    refuse_settings_beyond(
        "at_once",
        config,
        "no effect on a style that a network has learned; leave it out",
        verb="has",
    )


def _finite(values: Any, shape: list[int]) -> tf.Tensor:
    """Numbers of a file as a tensor [1, *shape]."""
    array = np.asarray(values, np.float64)
    if list(array.shape) != shape or not np.isfinite(array).all():
        raise ValueError(f"numbers {values!r}")
    return tf.constant(array[np.newaxis])
