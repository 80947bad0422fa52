"""Pre-trained networks, and the activations of their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnst.keras_backend import require_tensorflow
from tfnst.lazy import lazy_names

if TYPE_CHECKING:
    from tfnst.networks.backbones import Backbone, load_backbone
    from tfnst.networks.features import build_feature_extractor
    from tfnst.networks.weight_sources import WeightsInfo, find_weights

__all__ = [
    "Backbone",
    "WeightsInfo",
    "build_feature_extractor",
    "find_weights",
    "load_backbone",
]

require_tensorflow()

_MODULES = {
    "Backbone": "tfnst.networks.backbones",
    "WeightsInfo": "tfnst.networks.weight_sources",
    "build_feature_extractor": "tfnst.networks.features",
    "find_weights": "tfnst.networks.weight_sources",
    "load_backbone": "tfnst.networks.backbones",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
