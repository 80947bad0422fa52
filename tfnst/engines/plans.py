"""Tiling plans: the tiles in which a step fits into memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.engines.devices import device_kind
from tfnst.engines.memory import GIB, refuse_memory, resident_memory
from tfnst.engines.tiles import NetworkSegment
from tfnst.losses.statistics import style_loss_of_layer
from tfnst.losses.style import StyleLoss
from tfnst.networks.features import (
    layer_strides,
    picture_border,
    split_feature_extractor,
)
from tfnst.optimizers.optimizer import build_optimizer
from tfnst.processor import cpu_flags

# Sides of tiles to choose from: pixels before the cut, positions behind it.
_HEAD_SIDES = range(2048, 255, -128)
_TAIL_SIDES = range(768, 63, -64)
# Rows that are updated at once, and the side of the tiles of a sample, in pixels.
STRIP, SAMPLE_SIDE = 256, 256
# Measured with VGG19: a gradient pass holds each activation once, at least four times
# the widest one, and five times that for what it is working on. TensorFlow itself grows
# by this much when it first works.
_HELD_COPIES, _WORKING_COPIES = 4, 5
_GROWTH = 200 * 2**20
# Code that oneDNN compiles for AMX: measured 0.4 GiB for the first tiles, up to 1.0 for
# all of them. The rest is there already, because activations are predicted amply.
_AMX_CODE, _AMX_TILED_CODE = int(0.3 * GIB), int(0.6 * GIB)
# Pictures of four bytes a channel that a step holds: picture, gradient, two moments,
# average, and the picture with its border; in one graph also the next values of these.
_TILED_PICTURES, _WHOLE_PICTURES = 6, 12
_PIXEL = 3 * 4
# Arithmetic of looking at a tile, in units of that of a step without tiles: of all of
# them twice, at first without the gradient, which is half of it; and at a sample first.
_TWO_LOOKS, _ONE_LOOK = 1.5, 1.08
# The masks of a region, with those at the sizes of the layers.
_MASK = 2 * 4


@dataclasses.dataclass(frozen=True)
class TilingPlan:
    """Tiles, if any, in which a step is computed at one size.

    Attributes:
        cut: layer that the network is cut at; see `tfnst.engines.tiled.TiledEngine`,
            also for the sides, the strip and the sample.
        head_side: side of the tiles before the cut; None for a step without tiles.
        tail_side: side of the tiles behind the cut; None for one tile.
        peak: predicted peak of the memory of the process, in bytes.
        cost: arithmetic of a step, in units of that of a step without tiles.
        strip: rows of a picture that are updated at once.
        sample_side: side of the tiles of a sample, in pixels.
    """

    cut: str | None
    head_side: int | None
    tail_side: int | None
    peak: int
    cost: float
    strip: int = STRIP
    sample_side: int = SAMPLE_SIDE

    @property
    def tiled(self) -> bool:
        """True if the step is computed in tiles."""
        return self.head_side is not None


def build_plan(
    extractor: keras.Model,
    config: StyleTransferConfig,
    sides: np.ndarray,
    limit: float,
    *,
    pictures: int = 1,
    regions: int = 0,
    resident: int | None = None,
) -> TilingPlan:
    """The cheapest way to compute a step within a limit.

    Args:
        extractor: the feature extractor.
        config: settings of the run.
        sides: height and width of the content and of each style, int [1 + S, 2].
        limit: bytes that the process may hold, from `memory_limit`.
        pictures: number of pictures painted together; several are never tiled.
        regions: number of regions with styles of their own.
        resident: bytes that the process holds already; measured by default.

    Raises:
        ValueError: if no plan stays below `max_memory`; the message says how much is
            needed.
        MemoryError: if `max_memory` is None and no plan fits into what is free.
    """
    resident = resident_memory(config.device) if resident is None else resident
    compiles = _compiles_for_amx(extractor, config)
    losses = _style_losses(extractor, config)
    additive = all(loss.additive for loss in losses.values())
    plans, fitting = [], []
    for plan in _plans(extractor, config, sides, regions):
        if plan.tiled and (pictures > 1 or not additive):
            break
        peak = int(pictures * plan.peak + resident + _GROWTH)
        if compiles:
            peak += _AMX_TILED_CODE if plan.tiled else _AMX_CODE
        plans.append(dataclasses.replace(plan, peak=peak))
        if peak <= limit:
            fitting.append(plans[-1])
            if not plan.tiled:
                break
    if not fitting:
        loss = "" if additive else " and a `style_loss` that isn't `additive`"
        least = min(plan.peak for plan in plans)
        refuse_memory(least, limit, sides[0], config.max_memory, loss)
    return min(fitting, key=lambda plan: (plan.cost, plan.peak))


def memory_per_pixel(
    extractor: keras.Model, config: StyleTransferConfig
) -> dict[str, float]:
    """Memory of a step without tiles, in bytes, for servers that plan ahead.

    Returns:
        `fixed` for any step; for each pixel of the picture, `picture`, and `region`
        for each region; and `network` for each pixel of the largest of the picture and
        the styles, with a border of up to `border` pixels at each side.
    """
    losses = _style_losses(extractor, config)
    whole = _Part(extractor, losses)
    content = sum(whole.width(layer) for layer in config.content_layers)
    pictures = _WHOLE_PICTURES + build_optimizer(config.optimizer).history_images
    border = picture_border(extractor, seamless=config.seamless)
    return {
        "fixed": _GROWTH,
        "picture": content * whole.itemsize + pictures * _PIXEL,
        "network": whole.working,
        # What is added where a side isn't a multiple of the stride is less than that.
        "border": (border.before + border.behind + border.stride) / 2,
        "region": _Part(extractor, losses, 2).working
        - _Part(extractor, losses, 1).working
        + _MASK,
    }


def _compiles_for_amx(extractor: keras.Model, config: StyleTransferConfig) -> bool:
    """True if oneDNN computes with AMX, which has 16 bits, on this processor."""
    return (
        tf.as_dtype(extractor.outputs[0].dtype).size == 2
        and device_kind(config.device) == "cpu"
        and "amx_bf16" in (cpu_flags() or ())
    )


def _style_losses(
    extractor: keras.Model, config: StyleTransferConfig
) -> dict[str, StyleLoss]:
    strides = layer_strides(extractor)
    return {
        layer: style_loss_of_layer(config.style_loss, strides[layer])
        for layer in config.style_layers
    }


def _plans(
    extractor: keras.Model,
    config: StyleTransferConfig,
    sides: np.ndarray,
    regions: int,
) -> Iterator[TilingPlan]:
    """All plans, the one without tiles first; `peak` is the memory they add."""
    losses = _style_losses(extractor, config)
    whole = _Part(extractor, losses, regions)
    pixels = math.prod(map(int, sides[0]))
    # The network sees pictures with a border.
    border = picture_border(extractor, seamless=config.seamless)
    sides = sides + sum(border.widths(sides))
    larger = int(max(math.prod(map(int, each)) for each in sides))
    content = sum(whole.width(layer) for layer in config.content_layers)
    # Content and style image are loaded already, and so are part of what is resident.
    kept = math.prod(map(int, sides[0])) * content * whole.itemsize
    kept += pixels * regions * _MASK
    pair = build_optimizer(config.optimizer)
    pictures = _WHOLE_PICTURES + pair.history_images
    peak = kept + pixels * pictures * _PIXEL + larger * whole.working
    yield TilingPlan(None, None, None, peak, 1.0)
    if pair.elementwise:  # updated a strip at a time
        pictures = _TILED_PICTURES + pair.history_images
    else:  # in arrays, which become tensors for an update
        pictures += pair.history_images // 2
    kept += pixels * pictures * _PIXEL
    for cut in (None, *_cuts(extractor)):
        yield from _tiled_plans(
            extractor,
            cut,
            sides,
            losses,
            regions,
            whole.flops,
            kept,
            border.margins,
            _ONE_LOOK if pair.elementwise and not regions else _TWO_LOOKS,
        )


def _tiled_plans(
    extractor: keras.Model,
    cut: str | None,
    sides: np.ndarray,
    losses: dict[str, StyleLoss],
    regions: int,
    flops: float,
    kept: float,
    margins: tuple[int, int],
    last_looks: float,
) -> Iterator[TilingPlan]:
    """The plans with one cut.

    Args:
        extractor: the feature extractor.
        cut: layer at which it is cut; None for no cut.
        sides: height and width of content and style with borders, int [1 + S, 2].
        losses: style losses by layer.
        regions: number of regions.
        flops: arithmetic of the whole network for a position.
        kept: bytes held with any tiles.
        margins: pixels before and behind, on both axes, that don't count.
        last_looks: arithmetic of the last part's looks at a tile.
    """
    larger = int(max(math.prod(map(int, each)) for each in sides))
    models = split_feature_extractor(extractor, cut)
    head = _Part(models[0], losses, regions)
    at_cut = 0.0
    tails: list[tuple[int | None, float, float]] = [(None, 0.0, 0.0)]
    if cut is not None:
        tail = _Part(models[1], losses, regions)
        positions = head.stride**2
        # The activations there and their gradient.
        at_cut = 2 * larger * head.width(cut) * head.itemsize
        tails = [(None, tail.working * larger / positions, tail.flops / positions)]
        behind = tuple(margin // head.stride for margin in margins)
        for side in _TAIL_SIDES:
            area, cost = tail.tile(sides // head.stride, side, behind)
            tails.append((side, area * tail.working, last_looks * cost / positions))
    for head_side in _HEAD_SIDES:
        area, cost = head.tile(sides, head_side, margins)
        cost *= last_looks if cut is None else _TWO_LOOKS
        for tail_side, tail_working, tail_cost in tails:
            peak = kept + at_cut + max(area * head.working, tail_working)
            yield TilingPlan(
                cut, head_side, tail_side, peak, (cost + tail_cost) / flops
            )


def _cuts(extractor: keras.Model) -> list[str]:
    """The pooling layers with layers before and behind them."""
    names = [layer.name for layer in extractor.layers]
    kinds = keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
    return [
        layer.name
        for layer in extractor.layers
        if isinstance(layer, kinds) and layer.name != names[-1]
    ]


class _Part:
    """A part of the network; all figures for one position of its input."""

    def __init__(
        self,
        model: keras.Model,
        losses: dict[str, StyleLoss],
        regions: int = 0,
    ) -> None:
        segment = NetworkSegment.from_model(model)
        self.stride = segment.stride
        self._segment = segment
        self.itemsize = tf.as_dtype(model.outputs[0].dtype).size
        self._widths = {}
        self.flops = 0.0
        stride = 1
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                *kernel, channels_in, channels = layer.kernel.shape
                self.flops += math.prod(kernel) * channels_in * channels / stride**2
            elif isinstance(
                layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
            ):
                stride *= 2
            else:
                continue
            self._widths[layer.name] = channels / stride**2
        widest = max(self._widths.values())
        held = max(sum(self._widths.values()), _HELD_COPIES * widest)
        self.working = self.itemsize * (held + _WORKING_COPIES * widest)
        # What it sees, the gradient of that, and the gradient again as an array. It is
        # much behind a cut only.
        self.working += 3 * self.itemsize * model.input.shape[-1]
        # Activations times the mask of each region, and gradients by these.
        self.working += regions * 2 * 4 * widest
        kept = sum(
            losses[layer].kept * width
            for layer, width in self._widths.items()
            if layer in losses
        )
        self.working += max(1, regions) * 4 * kept

    def width(self, layer: str) -> float:
        """Number of values in a layer's activation."""
        return self._widths[layer]

    def tile(
        self, sides: np.ndarray, side: int, margins: tuple[int, ...]
    ) -> tuple[int, float]:
        """The area of the largest tile, and the arithmetic of one look at all of them.

        Args:
            sides: height and width of the content and of each style, int [1 + S, 2].
            side: rough length of a tile.
            margins: positions before and behind, on both axes, that don't count.
        """
        before, behind = margins
        lengths = [
            [self._segment.lengths(int(s), side, (before, behind)) for s in picture]
            for picture in sides
        ]
        area = max(max(rows) * max(columns) for rows, columns in lengths)
        rows, columns = lengths[0]
        share = sum(rows) * sum(columns) / math.prod(map(int, sides[0]))
        return area, self.flops * share
