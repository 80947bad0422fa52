"""Frames painted one after the other, each of them held to those before."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tfnst.checks import argument, argument_error, check_integer, check_number
from tfnst.config import (
    FRAME_STEPS,
    TEMPORAL_WEIGHT,
    StyleTransferConfig,
    build_config,
)
from tfnst.eager import eagerly
from tfnst.engines.memory import memory_errors
from tfnst.images.arrays import to_integers
from tfnst.images.metadata import PictureInfo
from tfnst.images.reading import read_picture
from tfnst.ops.pyramid import Level
from tfnst.ops.resizing import resize_image
from tfnst.transfer.progress import Callback
from tfnst.transfer.results import TransferResult
from tfnst.transfer.run import Earlier, Job, Run
from tfnst.transfer.style_transfer import find_levels, load_style
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

# So many more steps for a frame of which everything is new, though there is no cut.
_STEPS_FOR_NEW = 40
# Where more than this share of a frame is new or unfinished, it is painted at half the
# size first: large strokes begin there.
_MUCH_NEW = 0.01
# In a later pass a frame starts from this share of the one before it, and the rest from
# what it was itself.
_BLEND = 0.5
# Where less than this share of a frame has changed, nothing is painted.
_LITTLE_CHANGED = 0.0005


@dataclasses.dataclass(frozen=True)
class PaintedFrame:
    """A frame, painted.

    Attributes:
        picture: uint8 sRGB [H, W, 3].
        result: of the run that painted it; None if nothing had changed.
        cut: whether it began anew, as the first frame does.
        still: the share of its pixels that stand still.
    """

    picture: np.ndarray
    result: TransferResult | None
    cut: bool
    still: float


class FilmPainter:
    """Paints frames as they come, each of them held to those before.

    Each frame begins as the last painted one, moved by optical flow, and takes a few
    steps, in which a temporal loss holds whatever is known to where it came from. What
    stands still stays as it was painted, to the bit; what comes into sight is painted
    from the film, at half the size first, and held the more the more steps it has had;
    and a new shot begins anew::

        painter = tfnst.FilmPainter("painting.jpg", size=640)
        for picture in camera:
            show(painter.paint(picture).picture)

    Args:
        style_image: as for `tfnst.stylize`.
        frame_steps: gradient steps for a frame that follows others, 1 to 1,000; those
            of which much is new take more. Default 8.
        temporal_weight: weight of the temporal loss, 0 or more: larger keeps strokes
            where they were, smaller lets them follow what they depict. Default 300.
        flow: finds the motion; see `tfnst.video.flow.OpticalFlow`. OpenCV's dense
            inverse search by default.
        config: the settings, as for a single picture; those of its scales and steps
            are for frames that begin a shot.
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
        """What is remembered of the last one; None if there is none."""
        return self._traces

    def begin_pass(self, number: int, *, backward: bool) -> None:
        """Begins to paint a film's frames, perhaps again.

        Args:
            number: of the next frame.
            backward: whether the film's end comes first.
        """
        self._past.clear()
        self._traces = None
        self._number, self._direction = number, -1 if backward else 1

    def resume(
        self,
        pictures: Sequence[Any],
        painted: Sequence[np.ndarray],
        shots: Sequence[int],
        traces: Traces,
    ) -> None:
        """Goes on after frames that were painted before.

        Args:
            pictures: the last frames as they were given to `paint`, the oldest first.
            painted: the same, painted.
            shots: that they belong to.
            traces: of the last one.
        """
        contents = [_levels_of(self._prepare(picture)[0]) for picture in pictures]
        for content, done, shot in zip(contents, painted, shots, strict=True):
            self._past.append(Past(self._frame(content), done, shot))
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
        content, levels = self._prepare(picture)
        frame = self._frame(_levels_of(content))
        if self._past and self._past[-1].painted.shape != frame.picture.shape:
            wanted, given = (
                "x".join(map(str, shape[1::-1]))
                for shape in (self._past[-1].painted.shape, frame.picture.shape)
            )
            raise argument_error(
                "picture", f"of the shape of those before, {wanted}", f"{given} pixels"
            )
        if painted is not None and (
            painted.shape != frame.picture.shape or painted.dtype != np.uint8
        ):
            raise argument_error(
                "painted",
                f"uint8 of the painted film's shape, {frame.picture.shape}",
                f"{painted.dtype} of the shape {painted.shape}",
            )
        relation = None
        if self._traces is not None:
            relation = relate(frame, self._past, self._traces, self.flow)
        result: TransferResult | None
        if relation is None or relation.cut:
            result = self._begin(content, levels, painted, callback)
            now, still = _levels_of(result.array), 0.0
            traces = new_traces(frame.picture)
        else:
            result, now = self._go_on(content, levels, relation, painted, callback)
            held = relation.still >= 1
            seen = np.where(held, relation.traces.seen, frame.picture)
            still = float(held.mean())
            traces = new_traces(seen)
            if painted is None:
                taken = 0 if result is None else len(result.losses)
                steps = relation.traces.steps + np.where(held[..., 0], 0, taken)
                traces.steps[:] = np.minimum(steps, 255)
        cut = relation is None or relation.cut
        self._past.append(Past(frame, now, 0 if relation is None else relation.shot))
        self._traces = traces
        return PaintedFrame(now, result, cut, still)

    def _prepare(self, picture: Any) -> tuple[np.ndarray, tuple[Level, ...]]:
        """A frame [1, H, W, 3] in [0, 1] at the size of the film, and its scales."""
        with argument("picture"):
            content, _ = read_picture(picture)
        levels = find_levels(content, self._style, self.config)
        with memory_errors(self.config.size):
            return np.asarray(resize_image(content, *levels[-1].sides)), levels

    def _frame(self, picture: np.ndarray) -> Frame:
        number = self._number
        self._number += self._direction
        return Frame(number, Fraction(0), Fraction(0), picture)

    def _begin(
        self,
        content: np.ndarray,
        levels: tuple[Level, ...],
        painted: np.ndarray | None,
        callback: Callback | None,
    ) -> TransferResult:
        """How a frame that begins a shot was painted."""
        if painted is None:
            return self._run(content, levels, callback)
        picture = painted[np.newaxis] / np.float32(255)
        ones = np.ones_like(picture[..., :1])
        earlier = Earlier(picture, 0 * ones, 0.0, picture, ones, ones)
        levels = (dataclasses.replace(levels[-1], steps=self._steps),)
        return self._run(content, levels, callback, earlier)

    def _go_on(
        self,
        content: np.ndarray,
        levels: tuple[Level, ...],
        relation: Relation,
        painted: np.ndarray | None,
        callback: Callback | None,
    ) -> tuple[TransferResult | None, np.ndarray]:
        """How a frame that follows others was painted, and the frame."""
        nearest = [x for x in self._past if x.shot == relation.shot][-1].painted
        if (relation.still < 1).mean() < _LITTLE_CHANGED:
            return None, nearest
        first, start, steps = relation.target, relation.start, self._steps
        used = levels[-1:]
        if painted is not None:
            # Both have their share in what is known.
            own = painted / np.float32(255)
            first = own + _BLEND * relation.known * (first - own)
            start = np.ones_like(start)
        else:
            steps += round((1 - float(start.mean())) * _STEPS_FOR_NEW)
            if 1 - relation.settled.mean() > _MUCH_NEW:
                used = levels[-3::2] if len(levels) > 2 else levels
        earlier = Earlier(
            relation.target[np.newaxis],
            relation.known[np.newaxis],
            self._weight,
            first[np.newaxis],
            start[np.newaxis],
            relation.settled[np.newaxis],
        )
        result = self._run(
            content,
            tuple(dataclasses.replace(level, steps=steps) for level in used),
            callback,
            earlier,
        )
        now = result.array + relation.still * (nearest / 255.0 - result.array)
        return result, _levels_of(now)

    def _run(
        self,
        content: np.ndarray,
        levels: tuple[Level, ...],
        callback: Callback | None,
        earlier: Earlier | None = None,
    ) -> TransferResult:
        source: dict[str, str | None] = {"name": None, "sha256": None}
        job = Job(content, self._style, levels, source, PictureInfo(), earlier)
        (result,) = Run(self.config, [job], callback=callback).paint()
        return result


def check_film_config(config: StyleTransferConfig) -> None:
    """Raises ValueError for settings of a picture that a film can't have."""
    if config.init_image == "given":
        raise argument_error(
            "init_image", "'content', 'style' or 'noise' for a film", "a picture"
        )
    if config.seamless:
        raise argument_error(
            "seamless", "False for a film, where things move out of sight", "True"
        )
    if config.max_time is not None:
        raise argument_error(
            "max_time",
            "None for a film, which can be stopped at any time and resumed",
            f"{config.max_time:g}",
        )


def _levels_of(picture: np.ndarray) -> np.ndarray:
    """A picture [1, H, W, 3] or [H, W, 3] in [0, 1] as uint8 [H, W, 3]."""
    return to_integers(picture.reshape(picture.shape[-3:]))
