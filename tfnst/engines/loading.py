"""Engines for configurations, each loaded and traced once."""

from __future__ import annotations

import functools
import os

import tensorflow as tf

from tfnst.config import StyleTransferConfig, setting_names
from tfnst.engines import whole
from tfnst.engines.devices import choose_precision, placement
from tfnst.engines.replicated import ReplicatedEngine
from tfnst.networks import backbones, features, vgg, weight_sources


def load_engine(
    config: StyleTransferConfig, *, regions: bool = False
) -> tuple[whole.StyleTransferEngine, backbones.Backbone]:
    """The engine for a configuration and the backbone that it looks through.

    Runs that differ only in settings which the engine takes as arguments share one,
    so that nothing is loaded or traced twice.

    Args:
        config: the settings.
        regions: whether styles have regions; such runs have an engine of their own.
    """
    plain, backbone = _load_engine(*_key(config), None)
    if not regions:
        return plain, backbone
    return _load_engine_of_regions(plain), backbone


@functools.lru_cache(maxsize=2)
def _load_engine_of_regions(plain):
    return whole.StyleTransferEngine(
        plain.feature_extractor, plain.config, regions=True
    )


def load_replicated_engine(
    config: StyleTransferConfig, strategy: tf.distribute.Strategy
) -> ReplicatedEngine:
    """As `load_engine`, for the devices of a strategy."""
    return _load_replicated_engine(*_key(config), strategy)


def _key(config):
    """The configuration with defaults for what engines don't depend on, and what else
    they depend on."""
    defaults = {
        name: getattr(StyleTransferConfig, name) for name in setting_names(traced=False)
    }
    if config.weights is None:
        defaults["seed"] = config.seed
    # The variable stands in for the weights, so another value is another network.
    return config.replace(**defaults), os.environ.get(weight_sources.WEIGHTS_VARIABLE)


@functools.lru_cache(maxsize=4)
def _load_engine(config, _, strategy):
    scope = placement(config.device) if strategy is None else strategy.scope()
    layers = tuple(dict.fromkeys(config.content_layers + config.style_layers))
    with scope:
        backbone = backbones.load_backbone(
            config.backbone,
            weights=config.weights,
            pooling=config.pooling,
            last_layer=features.deepest_layer(
                layers, order=vgg.layer_names(config.backbone)
            ),
            seed=config.seed,
        )
        extractor = features.build_feature_extractor(
            backbone.model,
            layers=layers,
            precision=choose_precision(config.precision, config.device),
        )
        return whole.StyleTransferEngine(extractor, config), backbone


@functools.lru_cache(maxsize=2)
def _load_replicated_engine(config, variable, strategy):
    plain, _ = _load_engine(config, variable, None)
    replicated, _ = _load_engine(config, variable, strategy)
    return ReplicatedEngine(plain, replicated, strategy)
