"""Relations between a frame of a film and the painted ones before it.

Pictures are arrays [H, W, ...], uint8 sRGB unless stated otherwise; flow is as
`tfnst.video.flow.OpticalFlow` gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfnst.video.flow import OpticalFlow, check_flow, import_opencv
from tfnst.video.frames import Frame

# Distances from a frame to the earlier ones that it is held to.
DISTANCES = (1, 2, 4)
# Flow there and back may end sqrt(0.01 * squares of both + 0.5) pixels off, and at
# motion edges its derivatives exceed sqrt(0.01 * its square + 0.002): Ruder et al.,
# arXiv 1604.08610, section 4.2.
_MISS_SHARE, _MISS = 0.01, 0.5
_EDGE_SHARE, _EDGE = 0.01, 0.002
# Two pixels show different things, or different light, if their colours differ by more
# than this, in 8-bit values, as a mean over a square of this side.
_DIFFERENCE, _SURROUNDINGS = 24.0, 5
# A pixel stands still if the flow is shorter than this, in pixels, and its surroundings
# have changed by less than this, in 8-bit values, since they were painted.
_STILL_FLOW, _STILL_DIFFERENCE = 0.3, 3.0
# Distance over which a still part fades out towards its edge, in pixels.
_STILL_MARGIN = 6
# Gaps up to twice as wide, in pixels, don't count as new parts of the picture.
_GAP = 4
# A part that came into sight is finished after this many steps, and from then on fully
# held to what it was.
_ENOUGH_STEPS = 60
# Deviation of the Gaussian that softens masks, in pixels.
_FEATHER = 1.5
# A scene ends where less than this share of the picture has a match.
_LEAST_MATCHED = 0.25


class Past(NamedTuple):
    """A painted frame."""

    frame: Frame  # at the size of the painted film
    painted: np.ndarray
    scene: int  # number of its scene


class Traces(NamedTuple):
    """The history of each pixel of the last painted frame."""

    seen: np.ndarray  # the film's pixel when it was painted last, uint8 [H, W, 3]
    steps: np.ndarray  # number of steps it was painted in, up to 255, uint8 [H, W]


class Relation(NamedTuple):
    """The relation of the next frame to the painted ones.

    All but `target` are float32 [H, W, 1] in [0, 1], 1 for fully.

    Attributes:
        target: the painted frames, moved to this one, float32 [H, W, 3] in [0, 1].
        known: weight by which each pixel can be held to it: less where few steps have
            painted it.
        start: share by which each pixel starts from it: also in narrow gaps between
            known parts.
        settled: degree to which each pixel is finished.
        still: degree to which each pixel stands still: 1 where it is finished and the
            film shows what it showed when the pixel was painted.
        traces: traces of the frame if none of its pixels is painted again.
        scene: number of the frame's scene.
        cut: whether the scene begins here, so that only `scene` is of use.
    """

    target: np.ndarray
    known: np.ndarray
    start: np.ndarray
    settled: np.ndarray
    still: np.ndarray
    traces: Traces
    scene: int
    cut: bool


def new_traces(seen: np.ndarray) -> Traces:
    """Traces of a frame that has just been painted as a whole."""
    return Traces(seen, np.full(seen.shape[:2], 255, np.uint8))


def relate(
    frame: Frame, past: Sequence[Past], traces: Traces, flow: OpticalFlow
) -> Relation:
    """The relation of a frame to the painted ones before it.

    The nearest one comes first. Those two and four frames back count only where it
    has no match: where something comes into sight again that was hidden for a moment.
    If the nearest one has nothing in common with the frame, the scene before it may go
    on, as after a flash.

    Args:
        frame: the frame, at the size of the painted film.
        past: painted frames, the oldest first, at least one; the frames at `DISTANCES`
            from the end are used.
        traces: traces of the last one.
        flow: finds the motion.

    Reference:
        Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", arXiv
        1604.08610, section 4.3.
    """
    nearest, (there, still, known) = past[-1], _match(frame, past[-1], traces, flow)
    cut = bool(known.mean() < _LEAST_MATCHED)
    earlier_ones = [past[-d] for d in DISTANCES[1:] if d <= len(past)]
    other = next((each for each in earlier_ones if each.scene != nearest.scene), None)
    if cut and other is not None:
        nearest, traces = other, new_traces(other.frame.picture)
        there, still, known = _match(frame, other, traces, flow)
        cut = bool(known.mean() < _LEAST_MATCHED)
    total = known[..., np.newaxis].astype(np.float32)
    # Also where nothing is known: it is the best guess.
    target = warp(nearest.painted.astype(np.float32) / 255, there)
    seen = warp(traces.seen, there)
    steps = warp(traces.steps, there)
    for earlier in earlier_ones:
        if cut or total.all():
            break
        if earlier is nearest or earlier.scene != nearest.scene:
            continue
        there, back = _flows(flow, frame, earlier.frame)
        known = _known(frame, earlier.frame, there, back)
        more = known[..., np.newaxis] & (total == 0)
        moved = warp(earlier.painted.astype(np.float32) / 255, there)
        target = np.where(more, moved, target)
        steps[more[..., 0]] = 255
        total += more
    target, closed = np.clip(target, 0, 1), _close(total)
    steps[closed[..., 0] == 0] = 0
    finished = np.minimum(steps / np.float32(_ENOUGH_STEPS), 1)[..., np.newaxis]
    return Relation(
        target,
        _feather(total * finished**2),
        _feather(closed),
        _feather(finished),
        _soften(still & (finished == 1)),
        Traces(seen, steps),
        max(each.scene for each in past) + 1 if cut else nearest.scene,
        cut,
    )


def _match(
    frame: Frame, nearest: Past, traces: Traces, flow: OpticalFlow
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flow to a painted frame, still parts [H, W, 1] and known parts [H, W]."""
    there, back = _flows(flow, frame, nearest.frame)
    still = _still(frame, traces.seen, there)
    # Still parts aren't resampled, so that they stay the same for ever.
    there = np.where(still, 0, there)
    known = _known(frame, nearest.frame, there, back) | still[..., 0]
    return there, still, known


def _flows(
    flow: OpticalFlow, frame: Frame, earlier: Frame
) -> tuple[np.ndarray, np.ndarray]:
    """The flow from a frame to an earlier one, and back."""
    there, back = flow(frame, earlier), flow(earlier, frame)
    return check_flow(there, frame.picture), check_flow(back, frame.picture)


def _known(
    frame: Frame, earlier: Frame, there: np.ndarray, back: np.ndarray
) -> np.ndarray:
    """Parts of a frame that an earlier one shows, too, bool [H, W]."""
    return reliability(there, back) & look_alike(frame.picture, earlier.picture, there)


def warp(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """An earlier picture moved to a frame, by bicubic interpolation.

    Args:
        picture: the earlier picture, uint8 or float32.
        flow: flow from the frame to it.

    Returns:
        The same dtype; bicubic values may lie a little outside of the picture's range.
    """
    cv2 = import_opencv()
    height, width = flow.shape[:2]
    places = flow + np.dstack(np.meshgrid(np.arange(width), np.arange(height)))
    return cv2.remap(
        picture,
        places.astype(np.float32),
        None,
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def reliability(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Places of reliable flow, bool [H, W].

    Flow isn't reliable where it leads out of the picture, where flow there and back
    disagree, since something is hidden, and at the edges of moving things.

    Args:
        there: flow from a frame to an earlier one.
        back: flow from that one to the frame.

    Reference:
        Sundaram, Brox, Keutzer, "Dense point trajectories by GPU-accelerated large
        displacement optical flow", ECCV 2010, as used by Ruder et al.
    """
    height, width = there.shape[:2]
    places = there + np.dstack(np.meshgrid(np.arange(width), np.arange(height)))
    inside = (places >= 0).all(-1) & (places <= (width - 1, height - 1)).all(-1)
    returned = warp(back, there)
    miss, lengths = _square(there + returned), _square(there) + _square(returned)
    agrees = miss < _MISS_SHARE * lengths + _MISS
    steepness = sum(_square(step) for step in np.gradient(there, axis=(0, 1)))
    smooth = steepness <= _EDGE_SHARE * _square(there) + _EDGE
    return inside & agrees & smooth


def _square(flow: np.ndarray) -> np.ndarray:
    return np.sum(np.square(flow), axis=-1)


def _still(frame: Frame, seen: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Parts in which the film shows what it showed when painted, bool [H, W, 1]."""
    still = find_still(frame.picture, seen, flow)
    # Specks are left out: each of them would have an edge.
    cv2 = import_opencv()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    still = cv2.morphologyEx(still.astype(np.uint8), cv2.MORPH_OPEN, disc)
    return still.astype(bool)[..., np.newaxis]


def find_still(
    picture: np.ndarray, earlier: np.ndarray, flow: np.ndarray
) -> np.ndarray:
    """Parts in which nothing moves and nothing has changed, bool [H, W]."""
    changed = _difference(picture, earlier)
    return (_square(flow) < _STILL_FLOW**2) & (changed < _STILL_DIFFERENCE)


def look_alike(
    picture: np.ndarray, earlier: np.ndarray, flow: np.ndarray
) -> np.ndarray:
    """Parts that look like the earlier frame where the flow leads, bool [H, W]."""
    return _difference(picture, warp(earlier, flow)) < _DIFFERENCE


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean absolute difference around each pixel, in 8-bit values, float32 [H, W]."""
    cv2 = import_opencv()
    difference = cv2.absdiff(one, other).mean(-1, dtype=np.float32)
    return cv2.blur(difference, (_SURROUNDINGS, _SURROUNDINGS))


def _close(known: np.ndarray) -> np.ndarray:
    """A mask [H, W, 1] with gaps of a few pixels filled, except at the picture's edges.

    Parts come into sight there, and known parts would be drawn out into lines.
    """
    cv2 = import_opencv()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _GAP + 1,) * 2)
    wide = cv2.copyMakeBorder(known, *[2 * _GAP] * 4, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)
    inside = slice(2 * _GAP, -2 * _GAP)
    # Known parts at the edge stay known.
    return np.maximum(closed[inside, inside, np.newaxis], known)


def _feather(mask: np.ndarray) -> np.ndarray:
    """A mask [H, W, 1] with soft edges, which leave no line in a picture."""
    cv2 = import_opencv()
    return cv2.GaussianBlur(mask, (0, 0), _FEATHER)[..., np.newaxis]


def _soften(still: np.ndarray) -> np.ndarray:
    """A mask that falls to 0 towards the edges of still parts, float32 [H, W, 1]."""
    cv2 = import_opencv()
    inside = cv2.distanceTransform(still.astype(np.uint8), cv2.DIST_L2, 5)
    if still.all():
        return np.ones(still.shape, np.float32)
    return np.minimum(inside / _STILL_MARGIN, 1)[..., np.newaxis].astype(np.float32)
