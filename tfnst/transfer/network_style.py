"""NetworkStyle: painting at once, by a network or by one for each region."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfnst.checks import argument
from tfnst.config import StyleTransferConfig
from tfnst.engines.devices import placement
from tfnst.engines.memory import (
    memory_errors,
    memory_limit,
    refuse_memory,
    resident_memory,
)
from tfnst.images import reading
from tfnst.images.style_images import StyleImage, describe_style, relative_weights
from tfnst.networks.painting import WHOLE_PIXELS
from tfnst.networks.weight_sources import WeightsInfo
from tfnst.ops import coloring, pyramid
from tfnst.ops.resizing import resize_image
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.transfer.network_blends import blend_networks
from tfnst.transfer.regions import Regions
from tfnst.transfer.results import TransferResult
from tfnst.transfer.styles import too_narrow

if TYPE_CHECKING:
    from tfnst.transfer.style_network import StyleNetwork

_logger = logging.getLogger(__name__)

# Bytes for each pixel of the picture, which is held several times, and for each channel
# of the first layer and pixel that is painted at once; both were measured.
_BYTES_PER_PIXEL = 60
_BYTES_PER_CHANNEL = 48


class NetworkStyle:
    """A style that networks have learned, for any number of pictures.

    Networks with the same region are blended, as are those that share the rest. The
    pictures of several regions are mixed by their masks; if all networks have a region,
    the rest of the content image stays as it is ::

        content + sum_k mask_k (painted_k - content)

    Args:
        parts: StyleNetworks, with their weights and regions.

    Raises:
        OSError, ValueError: for a region that is no mask, and as `blend_networks`.
    """

    def __init__(self, parts: list[StyleImage]) -> None:
        self._parts = parts
        self._regions = Regions(parts)
        groups: dict[Any, list[StyleImage]] = {}
        for part, key in zip(parts, self._regions.keys, strict=True):
            groups.setdefault(key, []).append(part)
        rest = groups.pop(None, None)
        # In the order of the masks of a division.
        shared = [*groups.values()] if rest is None else [*groups.values(), rest]
        with argument("style_image"):
            self._networks = [blend_networks(group) for group in shared]
        self._has_regions = bool(groups)

    @property
    def source(self) -> dict[str, Any] | list[dict[str, Any]]:
        """Description of the networks, as for manifests."""
        return describe_style(self._parts, [part.image.source for part in self._parts])

    def stylize(
        self, content_image: Any, config: StyleTransferConfig
    ) -> TransferResult:
        """Paints a picture; see `StyleNetwork.stylize`.

        Args:
            content_image: as for `tfnst.stylize`.
            config: the settings, checked by `check_painting_settings`.
        """
        began = time.perf_counter()
        with argument("content_image"):
            picture, info, source = reading.read_described(content_image)
            sides = _sides(picture, config.size)
        with memory_errors(config.size), placement(config.device):
            self._check_memory(sides, config)
            content = resize_image(picture, *sides)
            del picture
            array = np.asarray(self._paint(content, config.preserve_color))[0]
        seconds = time.perf_counter() - began
        _logger.info("painted by a network in %.1f s", seconds)
        first: StyleNetwork = self._networks[0]
        backbone, sha256 = str(first.weights["backbone"]), first.weights["sha256"]
        facts = [network.facts for network in self._networks]
        return TransferResult(
            array=array,
            losses=np.zeros(0, LOSS_FIELDS),
            config=config,
            backbone=backbone,
            weights=WeightsInfo("the training of the network", None, sha256, backbone),
            content_image=source,
            style_image=self.source,
            info=info,
            network=facts[0] if len(facts) == 1 else {"networks": facts},
            network_seconds=seconds,
        )

    def _check_memory(
        self, sides: tuple[int, int], config: StyleTransferConfig
    ) -> None:
        """Checks that a picture of this height and width fits into the memory."""
        limit = memory_limit(config.max_memory, config.device)
        pixels = sides[0] * sides[1]
        at_once = max(n.network.width for n in self._networks) * _BYTES_PER_CHANNEL
        needed = resident_memory(config.device) + pixels * _BYTES_PER_PIXEL
        needed += min(pixels, WHOLE_PIXELS) * at_once
        if needed > limit:
            refuse_memory(needed, limit, sides, config.max_memory)

    def _paint(self, content: Any, preserve_color: str) -> Any:
        """The finished picture, [1, H, W, 3]."""

        def paint(network: StyleNetwork) -> Any:
            painted = network.paint(content)
            return coloring.restore_colors(painted, content, preserve_color)

        if not self._has_regions:
            return paint(self._networks[0])
        weights = np.array(relative_weights(self._parts), np.float32)
        _, height, width, _ = content.shape
        masks = self._regions.divide(height, width, weights).masks
        mixed = np.array(content)
        # A rest without any area has no mask.
        for mask, network in zip(masks, self._networks, strict=False):
            mixed += mask * (paint(network) - content)
        return mixed


def _sides(picture: np.ndarray, size: int) -> tuple[int, int]:
    """Height and width of a picture with a long side of `size` pixels."""
    sides = picture.shape[1:3]
    wanted = pyramid.finest_sides(tf.constant(sides), size).numpy()
    if max(wanted) != size:
        raise too_narrow([("content_image", sides)], size)
    return int(wanted[0]), int(wanted[1])
