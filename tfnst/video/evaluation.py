"""evaluate_video(): measures of a painted film's steadiness and quality."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tfnst.checks import ArgumentError, check_integer
from tfnst.config import StyleTransferConfig
from tfnst.eager import eagerly
from tfnst.evaluation.evaluation import Evaluation, evaluate, have_one_shape
from tfnst.files import show_path
from tfnst.video.coherence import (
    find_still,
    look_alike,
    reliability,
    warp,
)
from tfnst.video.flow import DISFlow, OpticalFlow, check_flow, import_opencv
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import Frame
from tfnst.video.reading import open_film

# Least share of the pixels that must stand still for a drift to be measured.
_LEAST_STILL = 0.001


def _measure(help: str) -> Any:
    """Makes a dataclass field; the command shows `help` beside the number."""
    return dataclasses.field(metadata={"help": help})


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmEvaluation:
    """Measures of a painted film's steadiness and quality; see `evaluate_video`.

    Attributes:
        warping_error: warping error between neighbours, from 0 to 255; None if nothing
            matches.
        warping_error_gap: warping error between frames that lie `gap` apart; also None
            if the film isn't that long.
        drift: drift of the parts that stand still in the film, from 0 to 255; None if
            there are none.
        still: share of the pixels that stand still.
        frames: number of frames that were compared.
        gap: distance of the frames for `warping_error_gap`.
        pictures: means of the measures of single frames.
    """

    warping_error: float | None = _measure("levels; 0 is steady; less is better")
    warping_error_gap: float | None = _measure("levels, over {gap} frames")
    drift: float | None = _measure("levels, where the film stands still; 0 is best")
    still: float
    frames: int
    gap: int
    pictures: Evaluation

    def to_dict(self) -> dict[str, Any]:
        """Returns all values in types for JSON, those of `pictures` among them."""
        own = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "pictures"
        }
        return own | self.pictures.to_dict()

    def measures(self) -> dict[str, str]:
        """Returns the film's own measures, each with a note on good values."""
        return {
            field.name: field.metadata["help"].format(gap=self.gap)
            for field in dataclasses.fields(self)
            if field.metadata
        }


@eagerly
def evaluate_video(
    film: str | os.PathLike[str],
    style_image: Any,
    stylized_film: str | os.PathLike[str],
    *,
    start: float = 0.0,
    end: float | None = None,
    every: int = 1,
    gap: int = 5,
    samples: int = 5,
    flow: OpticalFlow | None = None,
    backbone: str = StyleTransferConfig.backbone,
    weights: str | os.PathLike[str] | None = StyleTransferConfig.weights,
    seed: int = StyleTransferConfig.seed,
) -> FilmEvaluation:
    """Measures how steady a painted film is, and how well it shows style and content.

    - warping_error: root mean square of the difference between a painted frame and the
      one before, moved by the optical flow of the film that was painted, over the
      pixels where this flow is reliable: those that are seen in both.
    - warping_error_gap: the same for frames that lie `gap` apart, which shows slow
      changes.
    - drift: mean absolute difference between the first and the last painted frame,
      over the pixels and channels where the film stands still throughout.
    - The others are the means of `tfnst.evaluate` over some frames, evenly spread over
      the film.

    All are in 8-bit values, 0 to 255, but for those of `tfnst.evaluate`. A film that
    isn't painted at all is the steadiest, so both kinds of numbers count.

    Args:
        film: path of the film that was painted, as for `tfnst.stylize_video`.
        style_image: as for `tfnst.stylize`.
        stylized_film: path of the painted film, by any program. Its frames are those of
            the film, one by one, at any size; there may be fewer.
        start: as for `tfnst.stylize_video`, if the film was painted with it.
        end: as `start`.
        every: as `start`.
        gap: distance of frames to compare besides neighbours, 2 or more. Default 5.
        samples: number of frames, at most, that `tfnst.evaluate` measures, 1 or more.
            Default 5.
        flow: optical flow of the film, as for `tfnst.stylize_video`.
        backbone: as for `tfnst.evaluate`.
        weights: as for `tfnst.evaluate`.
        seed: as for `tfnst.evaluate`.

    Returns:
        FilmEvaluation.

    Raises:
        ValueError: for films that don't fit each other, or arguments out of range.
        OSError: for files that can't be read.
        ImportError: if PyAV or OpenCV is needed and isn't installed.

    Reference:
        Lai et al., "Learning Blind Video Temporal Consistency", arXiv 1808.00449,
        section 4.2, which has means of squares in [0, 1].
    """
    steadiness = Steadiness(
        check_integer("gap", gap, 2), DISFlow() if flow is None else flow
    )
    samples = check_integer("samples", samples, 1)
    pairs = functools.partial(
        _pairs, film, stylized_film, FrameRange(start, end, every)
    )
    for source, painted in pairs():
        steadiness.add(source, painted)
    frames = steadiness.frames
    if frames < 2:
        raise ArgumentError(
            "a film of 2 frames or more",
            show_path(stylized_film),
            argument="stylized_film",
        )
    chosen = {round(x) for x in np.linspace(0, frames - 1, min(samples, frames))}
    rows = [
        evaluate(
            source.picture,
            style_image,
            painted,
            backbone=backbone,
            weights=weights,
            seed=seed,
        )
        for source, painted in pairs()
        if source.number in chosen
    ]
    means: dict[str, Any] = {
        name: float(np.mean([getattr(row, name) for row in rows]))
        for name in Evaluation.measures()
    }
    return FilmEvaluation(
        **steadiness.result()._asdict(),
        frames=frames,
        gap=gap,
        pictures=dataclasses.replace(rows[0], **means),
    )


def _pairs(
    film: str | os.PathLike[str],
    stylized_film: str | os.PathLike[str],
    range: FrameRange,
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yields the frames of both films, those of the first at the second's size."""
    with (
        open_film(film) as source,
        open_film(stylized_film, name="stylized_film") as target,
    ):
        info, painted = source.info, target.info
        sides, painted_sides = ((each.height, each.width) for each in (info, painted))
        if not have_one_shape(sides, painted_sides):
            raise ArgumentError(
                f"of the shape of the film, {info.width}:{info.height}, at any size",
                f"a film of {painted.width}x{painted.height} pixels",
                argument="stylized_film",
            )
        frames = source.frames(range)
        for count, each in enumerate(target):
            frame = next(frames, None)
            if frame is None:
                raise ArgumentError(
                    f"a film of at most as many frames as were painted, {count}",
                    f"{show_path(stylized_film)}, which has more",
                    argument="stylized_film",
                )
            height, width = each.picture.shape[:2]
            picture = _resize(frame.picture, height, width)
            yield dataclasses.replace(frame, picture=picture), each.picture


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    cv2 = import_opencv()
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


class SteadinessResult(NamedTuple):
    """Measures of steadiness, as in `FilmEvaluation`."""

    warping_error: float | None
    warping_error_gap: float | None
    drift: float | None
    still: float


class Steadiness:
    """Measures a film's steadiness, frame by frame.

    Args:
        gap: distance of frames to compare besides neighbours.
        flow: optical flow of the film that was painted.
    """

    def __init__(self, gap: int, flow: OpticalFlow) -> None:
        self._flow = flow
        self._last: collections.deque[tuple[Frame, np.ndarray]]
        self._last = collections.deque(maxlen=gap)
        self._gap = gap
        # Sums of squares, and numbers of squares.
        self._near, self._far = np.zeros(2), np.zeros(2)
        self._first: tuple[Frame, np.ndarray] | None = None
        self._still: np.ndarray | None = None
        self.frames = 0

    def add(self, source: Frame, painted: np.ndarray) -> None:
        """Adds a frame and its painting, both uint8 [H, W, 3]."""
        if self._first is None:
            self._first = source, painted
            self._still = np.ones(painted.shape[:2], bool)
        else:
            there = self._compare(source, painted, self._last[-1], self._near)
            self._still &= find_still(source.picture, self._first[0].picture, there)
        if len(self._last) == self._gap:
            self._compare(source, painted, self._last[0], self._far)
        self._last.append((source, painted))
        self.frames += 1

    def _compare(
        self,
        source: Frame,
        painted: np.ndarray,
        earlier: tuple[Frame, np.ndarray],
        sums: np.ndarray,
    ) -> np.ndarray:
        """Adds the squared differences of a pair of frames; returns its flow."""
        before, painted_before = earlier
        there = check_flow(self._flow(source, before), painted)
        back = check_flow(self._flow(before, source), painted)
        known = reliability(there, back)
        known &= look_alike(source.picture, before.picture, there)
        moved = np.clip(warp(painted_before.astype(np.float32), there), 0, 255)
        squares = np.square(moved - painted)[known]
        sums += squares.sum(dtype=np.float64), squares.size
        return there

    def result(self) -> SteadinessResult:
        """Returns the measures of the frames so far, one or more."""
        assert self._first is not None
        assert self._still is not None
        near, far = (
            float(np.sqrt(squares / count)) if count else None
            for squares, count in (self._near, self._far)
        )
        still, drift = float(self._still.mean()), None
        if still >= _LEAST_STILL and self.frames > 1:
            change = np.abs(self._last[-1][1].astype(int) - self._first[1])
            drift = float(change[self._still].mean())
        return SteadinessResult(near, far, drift, still)
