"""Engines for configurations, each loaded and traced once."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import os
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.config import StyleTransferConfig, setting_names
from tfnst.engines import devices, memory, plans
from tfnst.engines.engine import Engine
from tfnst.engines.replicated import ReplicatedEngine
from tfnst.engines.tiled import TiledEngine
from tfnst.engines.whole import WholeEngine
from tfnst.losses.objective import Objective
from tfnst.losses.statistics import style_loss_of_layer
from tfnst.networks import backbones, features, layers, vgg, weight_sources
from tfnst.optimizers.optimizer import build_optimizer

_logger = logging.getLogger(__name__)


def load_engine(
    config: StyleTransferConfig, *, exported: bool = False
) -> tuple[WholeEngine, backbones.Backbone]:
    """The engine for a configuration, and its backbone.

    Runs whose settings differ only in arguments of the engine share one engine, so
    nothing is loaded or traced twice.

    Args:
        config: the settings.
        exported: True if the graphs are computed on other machines.
    """
    extractor, backbone = load_network(_network_key(config, exported), None)
    return build_engine(extractor, _traced_settings(config)), backbone


class ScaleEngines:
    """Chooses the engine for each scale of a run: whole, in tiles, or replicated.

    Args:
        config: the settings.
        pictures: number of pictures painted together.
        regions: number of regions with styles of their own.
        temporal: True for frames of a film that are held to the previous ones.

    Attributes:
        backbone: the network of the engines.

    Raises:
        ValueError: for regions on a device that can't paint them.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        *,
        pictures: int,
        regions: int,
        temporal: bool = False,
    ) -> None:
        self._config = config
        self._pictures = pictures
        self._regions = regions
        self._given = ["content", "style"]
        self._given += ["regions"] * (regions > 0) + ["temporal"] * temporal
        self._whole, self.backbone = load_engine(config)
        self._replicated = None
        strategy = devices.choose_strategy(config.device)
        # One picture is no faster on several GPUs; a TPU can't be reached otherwise.
        if strategy is not None and (
            pictures > 1 or isinstance(strategy, tf.distribute.TPUStrategy)
        ):
            if regions:
                raise ArgumentError(
                    "None on this device", repr(config.device), argument="region"
                )
            self._replicated = load_replicated_engine(config, strategy)

    def for_scale(self, sides: np.ndarray) -> Engine:
        """The engine for one scale.

        Args:
            sides: height and width of the content and of each style, int [1 + S, 2].

        Raises:
            ValueError, MemoryError: as `tfnst.engines.plans.build_plan`.
        """
        height, width = sides[0]
        if self._replicated is not None:
            _logger.info("%dx%d pixels are painted on several devices", width, height)
            return self._replicated
        plan = plans.build_plan(
            self._whole.feature_extractor,
            self._config,
            sides,
            self._limit,
            pictures=self._pictures,
            regions=self._regions,
        )
        limited = math.isfinite(self._limit)
        _logger.info(
            "%dx%d pixels are painted %s; this takes up to %.1f%s GiB of memory",
            width,
            height,
            f"in tiles of {plan.head_side} pixels" if plan.tiled else "whole",
            plan.peak / memory.GIB,
            f" of {self._limit / memory.GIB:.1f}" if limited else "",
        )
        if plan.head_side is None:
            self._whole.loop(self._given).warm_up(self._config.device)
            return self._whole
        return TiledEngine(
            self._whole,
            cut=plan.cut,
            head_side=plan.head_side,
            tail_side=plan.tail_side,
            strip=plan.strip,
            sample_side=plan.sample_side,
        )

    @functools.cached_property
    def _limit(self) -> float:
        """Bytes that the process may hold, as it is when the first scale begins."""
        return memory.memory_limit(self._config.max_memory, self._config.device)


def load_replicated_engine(
    config: StyleTransferConfig, strategy: tf.distribute.Strategy
) -> ReplicatedEngine:
    """As `load_engine`, for the devices of a strategy."""
    return _load_replicated(_network_key(config), _traced_settings(config), strategy)


@dataclasses.dataclass(frozen=True)
class _Network:
    """The settings that a feature extractor depends on.

    `weights_file` is the value of the environment variable for the file of
    `"imagenet"`: another file is another network.
    """

    backbone: str
    weights: str | None
    weights_file: str | None
    seed: int  # 0 unless the weights are random
    pooling: str
    layers: tuple[str, ...]
    precision: str
    device: str
    exported: bool


def _network_key(config: StyleTransferConfig, exported: bool = False) -> _Network:
    return _Network(
        backbone=config.backbone,
        weights=config.weights,
        weights_file=os.environ.get(weight_sources.WEIGHTS_VARIABLE),
        seed=config.seed if config.weights is None else 0,
        pooling=config.pooling,
        layers=tuple(dict.fromkeys(config.content_layers + config.style_layers)),
        precision=config.precision,
        device=config.device,
        exported=exported,
    )


def _traced_settings(config: StyleTransferConfig) -> StyleTransferConfig:
    """The configuration with defaults for all settings that aren't traced."""
    traced = {name: getattr(config, name) for name in setting_names("traced")}
    return StyleTransferConfig(**traced)


@functools.lru_cache(maxsize=4)
def load_network(
    network: _Network, strategy: tf.distribute.Strategy | None
) -> tuple[keras.Model, backbones.Backbone]:
    """The feature extractor and its backbone; in a strategy's scope where given."""
    scope = devices.placement(network.device) if strategy is None else strategy.scope()
    with scope:
        backbone = backbones.load_backbone(
            network.backbone,
            weights=network.weights,
            pooling=network.pooling,
            last_layer=vgg.deepest_layer(
                network.layers, order=vgg.layer_names(network.backbone)
            ),
            seed=network.seed,
        )
        on_cpu = devices.device_kind(network.device) == "cpu"
        own = on_cpu and not network.exported
        extractor = features.build_feature_extractor(
            backbone.model,
            layers=network.layers,
            precision=devices.choose_precision(network.precision, network.device),
            kinds=layers.fastest_layers() if own else layers.PORTABLE_LAYERS,
        )
    return extractor, backbone


@functools.lru_cache(maxsize=6)
def build_engine(extractor: keras.Model, config: StyleTransferConfig) -> WholeEngine:
    """The engine for a feature extractor and the traced settings."""
    strides = features.layer_strides(extractor)
    style_weights = [0.5**i for i in range(len(config.style_layers))]
    objective = Objective(
        extractor,
        content_layers=_normalized(
            config.content_layers,
            config.content_layer_weights or [1.0] * len(config.content_layers),
        ),
        style_layers=_normalized(
            config.style_layers, config.style_layer_weights or style_weights
        ),
        style_losses={
            layer: style_loss_of_layer(config.style_loss, strides[layer])
            for layer in config.style_layers
        },
        seamless=config.seamless,
    )
    return WholeEngine(
        objective,
        build_optimizer(config.optimizer),
        ema_momentum=config.ema_momentum,
        content_detail=config.content_detail,
    )


@functools.lru_cache(maxsize=2)
def _load_replicated(
    network: _Network, traced: StyleTransferConfig, strategy: tf.distribute.Strategy
) -> ReplicatedEngine:
    plain, _ = load_network(network, None)
    replicated, _ = load_network(network, strategy)
    with strategy.scope():
        on_each = build_engine(replicated, traced)
    whole = build_engine(plain, traced)
    return ReplicatedEngine(whole, on_each, strategy)


def _normalized(layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """Weights by layer, scaled to sum to 1."""
    # Relative to the largest first: the sum of huge ones would be infinite.
    relative = [weight / max(weights) for weight in weights]
    pairs = zip(layers, relative, strict=True)
    return {layer: weight / sum(relative) for layer, weight in pairs}
