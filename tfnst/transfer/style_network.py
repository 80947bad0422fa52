"""StyleNetwork: a style that a network has learned, and painting by it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
import os
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.built_in import find_built_in
from tfnst.checks import ArgumentError, argument
from tfnst.config import (
    StyleTransferConfig,
    build_config,
    config_of_dict,
    refuse_settings_beyond,
)
from tfnst.eager import eagerly
from tfnst.engines.devices import placement
from tfnst.engines.engine import Knobs
from tfnst.engines.memory import memory_errors
from tfnst.images import reading
from tfnst.images.formats import is_network
from tfnst.images.style_images import StyleImage, style_images
from tfnst.networks.network_files import load_network_file, save_network
from tfnst.networks.painting import PicturePainter
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.networks.weight_sources import WeightsInfo
from tfnst.ops import coloring, pyramid
from tfnst.ops.moments import Moments
from tfnst.ops.resizing import resize_image
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.transfer.results import TransferResult
from tfnst.transfer.styles import too_narrow

_logger = logging.getLogger(__name__)


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
            there were several.
        colors: mean and covariance of the style's colours.
        weights: name of the backbone and SHA-256 of its weights.
        training: facts of the training, such as the number of steps.
        source: name and SHA-256 of the network's file; of None where it has none yet.
    """

    network: PaintingNetwork
    config: StyleTransferConfig
    style_image: Any
    colors: Moments
    weights: dict[str, str | None]
    training: dict[str, Any]
    source: dict[str, str | None] = dataclasses.field(
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
        began = time.perf_counter()
        with argument("content_image"):
            picture, info, source = reading.read_described(content_image)
            sides = _sides(picture, config.size)
        with memory_errors(config.size), placement(config.device):
            content = resize_image(picture, *sides)
            del picture
            painted = self.painter.paint(self.prepare(content))
            finished = _restore_colors(painted, content, config.preserve_color)
            array = np.asarray(finished)[0]
        seconds = time.perf_counter() - began
        _logger.info("painted by a network in %.1f s", seconds)
        return TransferResult(
            array=array,
            losses=np.zeros(0, LOSS_FIELDS),
            config=config,
            backbone=str(self.weights["backbone"]),
            weights=WeightsInfo(
                "the training of the network",
                None,
                self.weights["sha256"],
                str(self.weights["backbone"]),
            ),
            content_image=source,
            style_image=self.source,
            info=info,
            network={
                "style_image": self.style_image,
                "settings": self.config.to_dict(),
                **self.training,
            },
            network_seconds=seconds,
        )

    def prepare(self, content_image: tf.Tensor) -> tf.Tensor:
        """Pictures in the colours of the style, as the network sees them.

        Args:
            content_image: [1, H, W, 3] in [0, 1].
        """
        share = Knobs.from_config(self.config).style_share
        return coloring.carry_colors(content_image, self.colors, share)

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


def find_network(style_image: Any) -> StyleNetwork | None:
    """The network that a style is given by; None for pictures.

    Args:
        style_image: as for `tfnst.stylize`.

    Raises:
        OSError, ValueError: as `load_network`.
    """
    parts = style_images(style_image)
    if len(parts) > 1:
        for part in parts:
            if isinstance(part.image, StyleNetwork) or is_network(part.image):
                raise ArgumentError(
                    "pictures where there are several; a network can't be blended",
                    repr(part.image),
                    argument="style_image",
                )
        return None
    (part,) = parts
    network = part.image
    if is_network(network):
        network = load_network(network, name="style_image")
    if not isinstance(network, StyleNetwork):
        return None
    plain = StyleImage(image=None, weight=part.weight)
    if dataclasses.replace(part, image=None) != plain:
        raise ArgumentError(
            "a network without a scale, mask, region, layers or rotations",
            repr(part),
            argument="style_image",
        )
    return network


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


def _sides(picture: np.ndarray, size: int) -> tuple[int, int]:
    """Height and width of a picture with a long side of `size` pixels."""
    sides = picture.shape[1:3]
    wanted = pyramid.finest_sides(tf.constant(sides), size).numpy()
    if max(wanted) != size:
        raise too_narrow([("content_image", sides)], size)
    return int(wanted[0]), int(wanted[1])


def _restore_colors(
    painted: Any, content_image: Any, preserve_color: str
) -> tf.Tensor | np.ndarray:
    """A painted picture with the content's colours, if they are to be kept."""
    if preserve_color == "luminance":
        return coloring.finish(painted, content_image, preserve_color)
    # Not the style gets the content's colours, as in a run: the network has learned it.
    return coloring.match_style_colors(painted, content_image, preserve_color)


def _finite(values: Any, shape: list[int]) -> tf.Tensor:
    """Numbers of a file as a tensor [1, *shape]."""
    array = np.asarray(values, np.float64)
    if list(array.shape) != shape or not np.isfinite(array).all():
        raise ValueError(f"numbers {values!r}")
    return tf.constant(array[np.newaxis])
