"""Films painted frame by frame, each frame held to those before."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError, argument, check_integer, check_number
from tfnst.config import (
    FRAME_STEPS,
    TEMPORAL_WEIGHT,
    StyleTransferConfig,
    build_config,
)
from tfnst.eager import eagerly
from tfnst.engines.engine import Canvas, Engine, TransferState
from tfnst.engines.loading import ScaleEngines
from tfnst.engines.memory import memory_errors
from tfnst.images.arrays import to_integers
from tfnst.images.reading import read_picture
from tfnst.ops import coloring
from tfnst.ops.masks import resize_mask
from tfnst.ops.pyramid import Scale
from tfnst.ops.resizing import resize_image
from tfnst.transfer.pictures import Content
from tfnst.transfer.progress import Callback
from tfnst.transfer.results import TransferResult
from tfnst.transfer.run import Run
from tfnst.transfer.style_network import find_networks
from tfnst.transfer.style_transfer import load_style
from tfnst.video.coherence import (
    DISTANCES,
    Past,
    Relation,
    Traces,
    new_traces,
    relate,
)
from tfnst.video.flow import DISFlow, OpticalFlow
from tfnst.video.frames import Frame

# Additional steps for a frame that is all new, though no scene begins with it.
_STEPS_FOR_NEW = 40
# A frame of which more than this share is new or unfinished is painted at half the size
# first: large strokes begin there.
_MUCH_NEW = 0.01
# In a later pass, a frame starts from a blend of itself, as painted before, and of this
# share of the frame before it.
_BLEND = 0.5
# A frame of which less than this share has changed isn't painted again.
_LITTLE_CHANGED = 0.0005


@dataclasses.dataclass(frozen=True)
class PaintedFrame:
    """A painted frame.

    Attributes:
        picture: uint8 sRGB [H, W, 3].
        result: result of the run that painted it; None if nothing had changed.
        cut: whether it begins a scene, as the first frame does.
        still: share of its pixels that stand still.
    """

    picture: np.ndarray
    result: TransferResult | None
    cut: bool
    still: float


class FilmEngines(ScaleEngines):
    """Engines of a film's frames, one for each size.

    A new engine that paints in tiles traces its graphs, which takes twice as long as
    the steps of a frame.
    """

    def __init__(self, config: StyleTransferConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self._by_sizes: dict[bytes, Engine] = {}

    def for_scale(self, sides: np.ndarray) -> Engine:
        """As `ScaleEngines.for_scale`."""
        key = sides.tobytes()
        if key not in self._by_sizes:
            self._by_sizes[key] = super().for_scale(sides)
        return self._by_sizes[key]


@dataclasses.dataclass(frozen=True)
class FrameStart:
    """The start of a frame at each scale; a `tfnst.transfer.run.ScaleStart`.

    Pictures are [1, H, W, 3] and masks [1, H, W, 1], in [0, 1], at the size of the
    finest scale.
    """

    target: np.ndarray  # picture of the temporal loss: the painted frames before
    known: np.ndarray  # mask: weight of each pixel in the temporal loss
    weight: float  # weight of the temporal loss where the mask is 1
    first: np.ndarray  # picture that the frame starts from
    start: np.ndarray  # mask: share of each pixel that starts from it
    settled: np.ndarray  # mask: share of each pixel that coarser scales don't change
    preserve_color: str  # as in StyleTransferConfig

    def __call__(
        self,
        engine: Engine,
        canvas: Canvas,
        state: TransferState,
        scale: Scale,
        coarser: Scale | None,
    ) -> tuple[Canvas, TransferState, tuple[tf.Tensor, ...]]:
        """As `tfnst.transfer.run.ScaleStart`."""
        target, first = (
            resize_image(
                coloring.remove_colors(picture, self.preserve_color), *scale.sides
            )
            for picture in (self.target, self.first)
        )
        known, share, settled = (
            resize_mask(mask, *scale.sides)
            for mask in (self.known, self.start, self.settled)
        )
        if coarser is not None:
            # The coarser scales saw the frame as it starts, but for its details.
            coarse = resize_image(resize_image(first, *coarser.sides), *scale.sides)
            first += (1 - settled) * (state.average - coarse)
        # A copy: engines write into the average.
        start = np.array(state.average + share * (first - state.average))
        canvas, state = engine.go_back(canvas, start, state, 0)
        temporal = target, self.weight * known
        return canvas, state._replace(average=start), temporal


class FilmPainter:
    """Paints frames as they come, each of them held to those before.

    Each frame begins as the last painted one, moved by optical flow, and takes a few
    steps, in which a temporal loss holds whatever is known to where it came from. What
    stands still stays as it was painted, to the bit; what comes into sight is painted
    from the film, at half the size first, and held the more the more steps it has had;
    and a new scene begins anew::

        painter = tfnst.FilmPainter("painting.jpg", size=640)
        for picture in camera:
            show(painter.paint(picture).picture)

    Args:
        style_image: as for `tfnst.stylize`.
        frame_steps: gradient steps for a frame that follows others, 1 to 1,000; frames
            of which much is new take more. Default 4.
        temporal_weight: weight of the temporal loss, 0 or more: larger keeps strokes
            where they were, smaller lets them follow what they depict. Default 300.
        flow: finds the motion; see `tfnst.video.flow.OpticalFlow`. OpenCV's dense
            inverse search by default.
        config: the settings, as for a single picture; those of scales and steps are
            for frames that begin a scene.
        preset: as for `tfnst.stylize`.
        **settings: fields of StyleTransferConfig that override both.

    Attributes:
        config: the settings.

    Raises:
        ValueError: for bad settings or a bad picture; the message names the argument.
        OSError: if a file can't be read.
        ImportError: if the motion is to be found by OpenCV, which isn't installed.

    Reference:
        Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", arXiv
        1604.08610. Departures: a few steps a frame; only the weights of reliable
        pixels are soft; nothing that stands still is painted again.
    """

    @eagerly
    def __init__(
        self,
        style_image: Any,
        *,
        frame_steps: int = FRAME_STEPS,
        temporal_weight: float = TEMPORAL_WEIGHT,
        flow: OpticalFlow | None = None,
        config: StyleTransferConfig | None = None,
        preset: str | None = None,
        **settings: Any,
    ) -> None:
        self.config = build_config(config, preset, settings)
        check_film_config(self.config)
        if find_networks(style_image) is not None:
            raise ArgumentError(
                "a picture; a network paints each frame by `StyleNetwork.stylize`",
                "a network",
                argument="style_image",
            )
        self._steps = check_integer("frame_steps", frame_steps, 1, 1000)
        self._weight = check_number(
            "temporal_weight",
            temporal_weight,
            expected="a number from 0 to 1e9",
            low=0,
            high=1e9,
        )
        self.flow: OpticalFlow = DISFlow() if flow is None else flow
        self._style = load_style(style_image, self.config)
        self._load_engines = functools.cache(FilmEngines)
        self._past: collections.deque[Past] = collections.deque(maxlen=max(DISTANCES))
        self._traces: Traces | None = None
        self._number, self._direction = 0, 1

    @property
    def style_source(self) -> Any:
        """The style, as manifests describe it."""
        return self._style.source

    @property
    def past(self) -> tuple[Past, ...]:
        """The painted frames that the next one is held to, the oldest first."""
        return tuple(self._past)

    @property
    def traces(self) -> Traces | None:
        """Traces of the last painted frame; None before the first one."""
        return self._traces

    def painted_sides(self, height: int, width: int) -> tuple[int, int]:
        """Returns height and width of painted frames, for frames of a size."""
        height, width = self._style.scales((height, width), self.config)[-1].sides
        return int(height), int(width)

    def begin_pass(self, number: int, *, backward: bool) -> None:
        """Begins to paint a film's frames, perhaps again.

        Args:
            number: number of the next frame.
            backward: whether the pass begins with the last frame.
        """
        self._past.clear()
        self._traces = None
        self._number, self._direction = number, -1 if backward else 1

    def resume(
        self,
        pictures: Sequence[Any],
        painted: Sequence[np.ndarray],
        scenes: Sequence[int],
        traces: Traces,
    ) -> None:
        """Goes on after frames that were painted before.

        Args:
            pictures: the last frames as they were given to `paint`, the oldest first.
            painted: the same frames, painted.
            scenes: number of the scene of each of them.
            traces: traces of the last one.
        """
        contents = [_to_uint8(self._prepare(picture).picture) for picture in pictures]
        for content, done, scene in zip(contents, painted, scenes, strict=True):
            self._past.append(Past(self._frame(content), done, scene))
        self._traces = traces

    @eagerly
    def paint(
        self,
        picture: Any,
        callback: Callback | None = None,
        *,
        painted: np.ndarray | None = None,
    ) -> PaintedFrame:
        """Paints the next frame.

        Args:
            picture: the frame, as the content image of `tfnst.stylize`. All frames
                are of one shape.
            callback: as for `tfnst.stylize`.
            painted: the frame as it was painted in an earlier pass over the film,
                uint8 [H, W, 3]: it goes on from there.

        Raises:
            ValueError, MemoryError, NonFiniteLossError: as `tfnst.stylize`.
        """
        content = self._prepare(picture)
        frame = self._frame(_to_uint8(content.picture))
        if self._past and self._past[-1].painted.shape != frame.picture.shape:
            wanted, given = (
                "x".join(map(str, shape[1::-1]))
                for shape in (self._past[-1].painted.shape, frame.picture.shape)
            )
            raise ArgumentError(
                f"of the shape of those before, {wanted}",
                f"{given} pixels",
                argument="picture",
            )
        if painted is not None and (
            painted.shape != frame.picture.shape or painted.dtype != np.uint8
        ):
            raise ArgumentError(
                f"uint8 of the painted film's shape, {frame.picture.shape}",
                f"{painted.dtype} of the shape {painted.shape}",
                argument="painted",
            )
        relation = None
        if self._traces is not None:
            relation = relate(frame, self._past, self._traces, self.flow)
        result: TransferResult | None
        if relation is None or relation.cut:
            result = self._begin(content, painted, callback)
            now, still = _to_uint8(result.array), 0.0
            traces = new_traces(frame.picture)
        else:
            result, now = self._go_on(content, relation, painted, callback)
            held = relation.still >= 1
            seen = np.where(held, relation.traces.seen, frame.picture)
            still = float(held.mean())
            traces = new_traces(seen)
            if painted is None:
                taken = 0 if result is None else len(result.losses)
                steps = relation.traces.steps + np.where(held[..., 0], 0, taken)
                traces.steps[:] = np.minimum(steps, 255)
        cut = relation is None or relation.cut
        self._past.append(Past(frame, now, 0 if relation is None else relation.scene))
        self._traces = traces
        return PaintedFrame(now, result, cut, still)

    def _prepare(self, picture: Any) -> Content:
        """A frame at the size of the film."""
        with argument("picture"):
            picture, _ = read_picture(picture)
        scales = self._style.scales(picture.shape[1:3], self.config)
        with memory_errors(self.config.size):
            picture = np.asarray(resize_image(picture, *scales[-1].sides))
        source: dict[str, str | None] = {"name": None, "sha256": None}
        return Content(picture, self._style, scales, source)

    def _frame(self, picture: np.ndarray) -> Frame:
        number = self._number
        self._number += self._direction
        return Frame(number, Fraction(0), Fraction(0), picture)

    def _begin(
        self, content: Content, painted: np.ndarray | None, callback: Callback | None
    ) -> TransferResult:
        """Paints a frame that begins a scene."""
        if painted is None:
            return self._run(content, callback)
        picture = painted[np.newaxis] / np.float32(255)
        ones = np.ones_like(picture[..., :1])
        start = FrameStart(
            target=picture,
            known=0 * ones,
            weight=0.0,
            first=picture,
            start=ones,
            settled=ones,
            preserve_color=self.config.preserve_color,
        )
        return self._run(
            _with_scales(content, content.scales[-1:], self._steps), callback, start
        )

    def _go_on(
        self,
        content: Content,
        relation: Relation,
        painted: np.ndarray | None,
        callback: Callback | None,
    ) -> tuple[TransferResult | None, np.ndarray]:
        """Paints a frame that follows others; returns the frame, too."""
        nearest = [x for x in self._past if x.scene == relation.scene][-1].painted
        if (relation.still < 1).mean() < _LITTLE_CHANGED:
            return None, nearest
        first, share, steps = relation.target, relation.start, self._steps
        scales = content.scales[-1:]
        if painted is not None:
            # Both have their share in what is known.
            own = painted / np.float32(255)
            first = own + _BLEND * relation.known * (first - own)
            share = np.ones_like(share)
        else:
            steps += round((1 - float(share.mean())) * _STEPS_FOR_NEW)
            if 1 - relation.settled.mean() > _MUCH_NEW:
                # Every second scale is half as large.
                scales = content.scales
                scales = scales[-3::2] if len(scales) > 2 else scales
        start = FrameStart(
            target=relation.target[np.newaxis],
            known=relation.known[np.newaxis],
            weight=self._weight,
            first=first[np.newaxis],
            start=share[np.newaxis],
            settled=relation.settled[np.newaxis],
            preserve_color=self.config.preserve_color,
        )
        result = self._run(_with_scales(content, scales, steps), callback, start)
        now = result.array + relation.still * (nearest / 255.0 - result.array)
        return result, _to_uint8(now)

    def _run(
        self,
        content: Content,
        callback: Callback | None,
        start: FrameStart | None = None,
    ) -> TransferResult:
        run = Run(
            self.config,
            [content],
            callback=callback,
            start_scale=start,
            load_engines=self._load_engines,
        )
        (result,) = run.paint()
        return result


def _with_scales(content: Content, scales: Sequence[Scale], steps: int) -> Content:
    """The content for a run of as many steps at each of some scales."""
    used = tuple(dataclasses.replace(scale, steps=steps) for scale in scales)
    return dataclasses.replace(content, scales=used)


def check_film_config(config: StyleTransferConfig) -> None:
    """Raises ValueError for settings of a picture that a film can't have."""
    if config.init_image == "given":
        raise ArgumentError(
            "'content', 'style' or 'noise' for a film",
            "a picture",
            argument="init_image",
        )
    if config.seamless:
        raise ArgumentError(
            "False for a film, where things move out of sight",
            "True",
            argument="seamless",
        )
    if config.max_time is not None:
        raise ArgumentError(
            "None for a film, which can be stopped at any time and resumed",
            f"{config.max_time:g}",
            argument="max_time",
        )


def _to_uint8(picture: np.ndarray) -> np.ndarray:
    """A picture [1, H, W, 3] or [H, W, 3] in [0, 1] as uint8 [H, W, 3]."""
    return to_integers(picture.reshape(picture.shape[-3:]))
