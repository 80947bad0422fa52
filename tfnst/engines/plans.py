"""How a step is cut into tiles so that it fits into memory."""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.engines.memory import GIB, resident_memory
from tfnst.engines.tiles import Segment
from tfnst.networks.features import split_feature_extractor
from tfnst.optimizers import lbfgs

# Sides of tiles to choose from: pixels before the cut, positions behind it.
_HEAD_SIDES = (2048, 1536, 1024, 768, 512, 384, 256)


_TAIL_SIDES = (768, 512, 384, 256, 192, 128, 96, 64)


# Measured with VGG19: a gradient pass holds each activation once, and about five
# times the widest one for what it is just working on; TensorFlow itself grows by so
# much when it first works.
_WORKING_COPIES = 5


_GROWTH = 200 * 2**20


# Pictures of four bytes a channel that a step holds: picture, gradient, moments,
# average; and, where it is one graph, the next values of all of these.
_TILED_PICTURES, _WHOLE_PICTURES = 5, 12


_PIXEL = 3 * 4


# The masks of a region, at the sizes of the layers, too.
_MASK = 2 * 4


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to compute a step at one size.

    Attributes:
        cut: the layer that tiles are cut at; see `tfnst.engines.tiled.TiledEngine`.
        head_side: side of the tiles before the cut; None for a step without tiles.
        tail_side: side of the tiles behind the cut; None for one tile.
        peak: memory that the process holds at most, in bytes, as predicted.
        cost: arithmetic of a step, in units of that of a step without tiles.
    """

    cut: str | None
    head_side: int | None
    tail_side: int | None
    peak: int
    cost: float

    @property
    def tiled(self) -> bool:
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
) -> Plan:
    """The cheapest way to compute a step within a limit.

    Args:
        extractor: the feature extractor.
        config: of the run.
        sides: int [2, 2], height and width of content and style.
        limit: bytes that the process may hold, from `memory_limit`.
        pictures: how many are painted at a time; more than one are not tiled.
        regions: how many there are with a style of their own.
        resident: bytes that it holds already; those that it does by default.

    Raises:
        ValueError: when there is none below `max_memory`; the message says how much
            is needed.
        MemoryError: the same for what is free, where no limit is set.
    """
    resident = resident_memory(config.device) if resident is None else resident
    plans, fitting = [], []
    for plan in _plans(extractor, config, sides, regions):
        if plan.tiled and pictures > 1:
            break
        peak = int(pictures * plan.peak + resident + _GROWTH)
        plans.append(dataclasses.replace(plan, peak=peak))
        if peak <= limit:
            fitting.append(plans[-1])
            if not plan.tiled:
                break
    if not fitting:
        height, width = sides[0]
        least = min(plan.peak for plan in plans) / GIB
        error = MemoryError if config.max_memory is None else ValueError
        raise error(
            f"`max_memory` must be {math.ceil(least * 10) / 10:g} GiB or more for a "
            f"picture of {width}x{height} pixels; choose a smaller `size`. "
            f"Received: {limit / GIB:.1f} GiB"
            + ("" if config.max_memory else ", most of what is free")
        )
    return min(fitting, key=lambda plan: (plan.cost, plan.peak))


def _plans(extractor, config, sides, regions=0):
    """All plans there are, that without tiles first, with the peak of what they add."""
    whole = _Part(extractor, regions)
    larger = int(max(math.prod(map(int, each)) for each in sides))
    pixels = math.prod(map(int, sides[0]))
    content = sum(whole.width(layer) for layer in config.content_layers)
    # Content and style picture are there already, and so are resident.
    kept = pixels * (content * whole.itemsize + regions * _MASK)
    pairs = 0
    if config.optimizer == "lbfgs":
        # The history, and what it is after the next step.
        pairs = 2 * 2 * lbfgs.HISTORY
    yield Plan(
        None,
        None,
        None,
        kept + pixels * (_WHOLE_PICTURES + pairs) * _PIXEL + larger * whole.working,
        1.0,
    )
    # A strip at a time for Adam; L-BFGS takes a step in one graph.
    pictures = _TILED_PICTURES if not pairs else _WHOLE_PICTURES + pairs
    kept += pixels * pictures * _PIXEL
    for cut in (None, *_cuts(extractor)):
        models = split_feature_extractor(extractor, cut)
        head, tail = _Part(models[0], regions), None
        at_cut, tails = 0, [(None, 0, 0.0)]
        if cut is not None:
            tail = _Part(models[1], regions)
            positions = head.stride**2
            # The activations there and their gradient.
            at_cut = 2 * larger * head.width(cut) * head.itemsize
            tails = [(None, tail.working * larger / positions, tail.flops / positions)]
            for side in _TAIL_SIDES:
                area, cost = tail.tile(sides // head.stride, side)
                tails.append((side, area * tail.working, cost / positions))
        for head_side in _HEAD_SIDES:
            area, cost = head.tile(sides, head_side)
            for tail_side, tail_working, tail_cost in tails:
                yield Plan(
                    cut,
                    head_side,
                    tail_side,
                    kept + at_cut + max(area * head.working, tail_working),
                    (cost + tail_cost) / whole.flops,
                )


def _cuts(extractor):
    """The pooling layers that have something before and behind them."""
    names = [layer.name for layer in extractor.layers]
    kinds = keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
    return [
        layer.name
        for layer in extractor.layers
        if isinstance(layer, kinds) and layer.name != names[-1]
    ]


class _Part:
    """A part of the network; all figures for one position of its input."""

    def __init__(self, model, regions=0):
        segment = Segment.from_model(model)
        self.stride = segment.stride
        self._halo = segment.before + segment.after
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
        self.working = self.itemsize * (
            sum(self._widths.values()) + _WORKING_COPIES * widest
        )
        if self.itemsize < 4:
            # Gram matrices are computed of a copy of more digits.
            self.working += 4 * widest
        # Activations times the mask of each region, and gradients by these.
        self.working += regions * 2 * 4 * widest

    def width(self, layer):
        """Numbers that a layer has."""
        return self._widths[layer]

    def tile(self, sides, side):
        """Area of a tile with its halo, and the arithmetic of two passes."""
        height, width = (min(int(s), side) for s in sides[0])
        grown = [
            min(core + self._halo, int(s))
            for core, s in zip((height, width), sides[0], strict=True)
        ]
        area = math.prod(grown)
        # A look costs a half of a step without tiles, a look and a gradient all of it.
        return area, 1.5 * self.flops * area / (height * width)
