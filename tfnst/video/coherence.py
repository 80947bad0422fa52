"""What a frame of a film has in common with the ones before, and where.

Arrays of pictures [H, W, ...] throughout, uint8 sRGB where nothing else is said; flow
is as `tfnst.video.flow.OpticalFlow` gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfnst.video.flow import OpticalFlow, check_flow, import_opencv
from tfnst.video.frames import Frame

# How many frames back the ones lie that a frame is held to.
DISTANCES = (1, 2, 4)
# The flow there and back may miss by sqrt(0.01 * squares of both + 0.5) pixels, and at
# motion edges its derivatives exceed sqrt(0.01 * its square + 0.002): Ruder et al.,
# arXiv 1604.08610, section 4.2.
_MISS_SHARE, _MISS = 0.01, 0.5
_EDGE_SHARE, _EDGE = 0.01, 0.002
# A match whose colours differ by more than this, as a mean over its surroundings, is
# another thing, or in another light.
_DIFFERENCE, _SURROUNDINGS = 24.0, 5
# A pixel stands still if the flow is shorter than this, in pixels, and its surroundings
# have changed by less than this since they were painted.
_STILL_FLOW, _STILL_DIFFERENCE = 0.3, 3.0
# Standing still counts in whole from this many pixels within the edge of what does.
_STILL_MARGIN = 6
# Gaps up to twice this wide are no new parts of the picture, in pixels.
_GAP = 4
# A part that came into sight is finished, and then held to what it was in full, once it
# has been painted in so many steps.
_ENOUGH_STEPS = 60
# Deviation of the Gaussian that softens masks, in pixels.
_FEATHER = 1.5
# A shot ends where less than this share of the picture has a match.
_LEAST_MATCHED = 0.25


class Past(NamedTuple):
    """A frame that has been painted."""

    frame: Frame  # at the size of the painted film
    painted: np.ndarray
    scene: int  # number of its scene


class Traces(NamedTuple):
    """What is remembered of each pixel of the last painted frame."""

    seen: np.ndarray  # what the film showed when it was painted last, uint8 [H, W, 3]
    steps: np.ndarray  # in how many steps it was painted, at most 255, uint8 [H, W]


class Relation(NamedTuple):
    """What the painted frames say about the next one.

    Attributes:
        target: their parts, moved to where these are now, float32 [H, W, 3] in [0, 1].
        known: how far each pixel can be held to it, float32 [H, W, 1] in [0, 1]: less
            where few steps have painted it.
        start: how far each pixel starts from it, alike: also in narrow lines between
            what is known.
        settled: how far each pixel is finished, alike.
        still: how far each pixel stands still, [H, W, 1] alike: 1 where it is finished
            and the film shows what it showed when the pixel was painted.
        traces: as if no pixel of this frame were painted anew.
        scene: number of the frame's scene.
        cut: whether the scene begins here, so that all but `scene` is of no use.
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
    """Those of a frame that has just been painted in whole."""
    return Traces(seen, np.full(seen.shape[:2], 255, np.uint8))


def relate(
    frame: Frame, past: Sequence[Past], traces: Traces, flow: OpticalFlow
) -> Relation:
    """What is known of a frame from those that are painted.

    The nearest one comes first. Those two and four before it count only where it
    doesn't: where something comes into sight again that was hidden for a moment. If
    the nearest one has nothing in common with the frame, the shot before it may go on,
    as after a flash.

    Args:
        frame: at the size of the painted film.
        past: painted frames, the oldest first, at least one; the frames at `DISTANCES`
            from the end are used.
        traces: of the last of them.
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
    # Where nothing is known, too: it is the best guess.
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
    """Flow to a painted frame, what stands still [H, W, 1], what is known [H, W]."""
    there, back = _flows(flow, frame, nearest.frame)
    still = _still(frame, traces.seen, there)
    # What stands still isn't resampled, and so is the same for ever.
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
    """Where a frame shows what an earlier one shows, bool [H, W]."""
    return reliability(there, back) & look_alike(frame.picture, earlier.picture, there)


def warp(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A picture's parts where they are now, by bicubic interpolation.

    Args:
        picture: an earlier one, uint8 or float32.
        flow: from now to then.

    Returns:
        As `picture`; bicubic values may lie a little outside of its range.
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
    """Where flow is to be trusted, bool [H, W].

    Not where it leads out of the picture; where flow there and flow back from there
    disagree, since something is hidden; and at the edges of what moves.

    Args:
        there: from a frame to an earlier one.
        back: from that one to the frame.

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
    """Where the film shows what it showed when it was painted, bool [H, W, 1]."""
    still = find_still(frame.picture, seen, flow)
    # Without specks, each of which would have an edge.
    cv2 = import_opencv()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    still = cv2.morphologyEx(still.astype(np.uint8), cv2.MORPH_OPEN, disc)
    return still.astype(bool)[..., np.newaxis]


def find_still(
    picture: np.ndarray, earlier: np.ndarray, flow: np.ndarray
) -> np.ndarray:
    """Where nothing moves and a frame looks as an earlier one does, bool [H, W]."""
    changed = _difference(picture, earlier)
    return (_square(flow) < _STILL_FLOW**2) & (changed < _STILL_DIFFERENCE)


def look_alike(
    picture: np.ndarray, earlier: np.ndarray, flow: np.ndarray
) -> np.ndarray:
    """Where a frame looks as the earlier one does where the flow leads, bool [H, W]."""
    return _difference(picture, warp(earlier, flow)) < _DIFFERENCE


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean absolute difference around each pixel, in levels, float32 [H, W]."""
    cv2 = import_opencv()
    levels = cv2.absdiff(one, other).mean(-1, dtype=np.float32)
    return cv2.blur(levels, (_SURROUNDINGS, _SURROUNDINGS))


def _close(known: np.ndarray) -> np.ndarray:
    """A mask [H, W, 1] with its gaps of a few pixels filled, but none at its edges.

    There, where parts come into sight, what is known would be drawn out into lines.
    """
    cv2 = import_opencv()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _GAP + 1,) * 2)
    wide = cv2.copyMakeBorder(known, *[2 * _GAP] * 4, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)
    inside = slice(2 * _GAP, -2 * _GAP)
    # What is known at the edge stays so.
    return np.maximum(closed[inside, inside, np.newaxis], known)


def _feather(mask: np.ndarray) -> np.ndarray:
    """A mask [H, W, 1] with soft edges, which leave no line in a picture."""
    cv2 = import_opencv()
    return cv2.GaussianBlur(mask, (0, 0), _FEATHER)[..., np.newaxis]


def _soften(still: np.ndarray) -> np.ndarray:
    """From 1 well inside of what stands still to 0 at its edge, float32 [H, W, 1]."""
    cv2 = import_opencv()
    inside = cv2.distanceTransform(still.astype(np.uint8), cv2.DIST_L2, 5)
    if still.all():
        return np.ones(still.shape, np.float32)
    return np.minimum(inside / _STILL_MARGIN, 1)[..., np.newaxis].astype(np.float32)
