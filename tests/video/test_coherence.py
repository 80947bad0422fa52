"""What painted frames say about the next one."""

import numpy as np
import pytest

from tests.video.moving_photos import frame, panned, photo, with_square, zoomed
from tfnst.video.coherence import Past, new_traces, relate, reliability, warp
from tfnst.video.flow import DISFlow


def no_motion(first, second):
    return np.zeros((*first.picture.shape[:2], 2), np.float32)


class Pan:
    """The flow of `panned`."""

    def __init__(self, right=2, down=1):
        self._each = np.float32([right, down])

    def __call__(self, first, second):
        shape = (*first.picture.shape[:2], 2)
        return np.zeros(shape, np.float32) + self._each * (first.number - second.number)


def paint(picture):
    """As if it were painted: other colours."""
    return 255 - picture


def relation_to(
    pictures, now, flow, *, painted=None, seen=None, steps=255, scenes=None
):
    """What frames that were painted, the oldest first, say about the next one."""
    past = [
        Past(
            frame(each, i),
            paint(each) if painted is None else painted[i],
            0 if scenes is None else scenes[i],
        )
        for i, each in enumerate(pictures)
    ]
    traces = new_traces(pictures[-1] if seen is None else seen)
    traces.steps[:] = steps
    return relate(frame(now, len(pictures)), past, traces, flow)


def test_whole_pixels_are_moved_exactly():
    before, now = panned(2)
    moved = warp(before, Pan()(frame(now, 1), frame(before, 0)))
    np.testing.assert_array_equal(moved[:-1, :-2], now[:-1, :-2])


def test_a_zoom_is_followed():
    now, flow = zoomed(1.1)
    moved = warp(photo(), flow)
    assert np.abs(moved.astype(int) - now).mean() < 0.01


def test_what_comes_into_sight_is_unreliable():
    shape = (48, 64, 2)
    there = np.zeros(shape, np.float32) + np.float32([2, 1])
    known = reliability(there, -there)
    assert known[:-1, :-2].all()
    assert not known[-1].any()
    assert not known[:, -2:].any()


def test_what_was_hidden_is_unreliable():
    # A square that went 6 pixels to the right, on a ground that stands still.
    there, back = (np.zeros((48, 64, 2), np.float32) for _ in range(2))
    there[16:32, 26:42, 0], back[16:32, 20:36, 0] = -6, 6
    known = reliability(there, back)
    assert not known[16:32, 20:26].any()  # behind it
    assert known[18:30, 28:40].all()  # on it
    assert known[:14].all()
    assert known[34:].all()
    assert known[:, :18].all()
    assert known[:, 44:].all()
    assert not known[18:30, 41:43].any()  # at its edge


def test_opencv_finds_what_was_hidden():
    before, now = (np.kron(with_square(i), np.ones((2, 2, 1))) for i in (20, 26))
    before, now = before.astype(np.uint8), now.astype(np.uint8)
    relation = relation_to([before], now, DISFlow())
    # Twice as large: the square is at 40, and then at 52.
    known = relation.known[..., 0]
    assert known[36:60, 43:49].mean() < 0.5
    assert known[40:56, 60:78].mean() > 0.9
    assert known[:24].mean() > 0.9
    assert not relation.cut


def test_a_pan_is_known_but_for_what_is_new():
    pictures = panned(2)
    relation = relation_to(pictures[:1], pictures[1], Pan())
    shape = (48, 64, 1)
    assert relation.target.shape == (48, 64, 3)
    assert [x.shape for x in relation[1:4]] == [shape] * 3
    assert [x.dtype for x in relation[:4]] == [np.float32] * 4
    inside = np.s_[:-8, :-8]
    wanted = paint(pictures[1]) / 255.0
    np.testing.assert_allclose(relation.target[inside], wanted[inside], atol=1e-6)
    np.testing.assert_allclose(relation.known[inside], 1, atol=1e-6)
    assert relation.known[:, -1].max() < 0.4
    assert relation.known.max() <= 1 + 1e-6
    # What comes into sight doesn't begin from what is beside it.
    np.testing.assert_allclose(relation.start, relation.known, atol=1e-6)
    assert not relation.still.any()
    assert not relation.cut


def test_narrow_gaps_begin_from_what_is_around_them():
    picture = photo(48, 64)
    now = picture.copy()
    for part in (np.s_[20:23], np.s_[:, :3]):
        now[part] = 255 - picture[part]
    relation = relation_to([picture], now, no_motion)
    row = relation.known[:, 32, 0]
    assert row[21] < 0.3
    np.testing.assert_allclose(relation.start[8:40, 32], 1, atol=1e-6)
    # Not at the edge, where there is nothing on the other side.
    assert relation.start[8:40, 0].max() < 0.3


def test_nothing_moves():
    picture = photo(48, 64)
    relation = relation_to([picture], picture, DISFlow())
    np.testing.assert_array_equal(relation.still, 1)
    np.testing.assert_array_equal(relation.known, 1)
    np.testing.assert_allclose(relation.target, paint(picture) / 255.0, atol=1e-6)
    np.testing.assert_array_equal(relation.traces.seen, picture)
    assert not relation.cut


def test_noise_of_a_camera_is_no_motion():
    picture = photo(48, 64)
    noise = np.random.default_rng(0).integers(-1, 2, (2, *picture.shape))
    first, second = (np.clip(picture + n, 0, 255).astype(np.uint8) for n in noise)
    relation = relation_to([first], second, DISFlow())
    np.testing.assert_array_equal(relation.still, 1)


def test_a_fade_is_change_once_it_is_seen():
    # The frame before is nearly the same; what was painted isn't.
    seen = np.full((48, 64, 3), 100, np.uint8)
    for level, still in ((101, 1), (102, 1), (104, 0)):
        before, now = (np.full_like(seen, x) for x in (level - 1, level))
        relation = relation_to([before], now, no_motion, seen=seen)
        np.testing.assert_array_equal(relation.still, still)
        np.testing.assert_array_equal(relation.traces.seen, seen)
        np.testing.assert_array_equal(relation.known, 1)


def test_the_edge_of_what_stands_still_is_soft():
    before = photo(48, 64)
    now = before.copy()
    now[:, 40:] = 255 - now[:, 40:]
    relation = relation_to([before], now, no_motion)
    row = relation.still[24, :, 0]
    np.testing.assert_array_equal(row[:28], 1)
    np.testing.assert_array_equal(row[42:], 0)
    assert (np.diff(row) <= 0).all()
    assert len(np.unique(row)) > 5


@pytest.mark.parametrize("flow", [no_motion, DISFlow()])
def test_a_cut(flow):
    one, other = photo(48, 64), photo(48, 64, "coffee")
    assert relation_to([one], 255 - other, flow).cut
    assert not relation_to([one], one, flow).cut


def test_what_was_hidden_for_a_frame_is_painted_as_before():
    ground = photo(48, 64)
    hidden = ground.copy()
    hidden[16:32, 20:40] = 255 - hidden[16:32, 20:40]
    painted = [np.full_like(ground, level) for level in (51, 204)]
    relation = relation_to([ground, hidden], ground, no_motion, painted=painted)
    np.testing.assert_allclose(relation.target[20:28, 24:36], 51 / 255, atol=1e-6)
    np.testing.assert_allclose(relation.target[:12], 204 / 255, atol=1e-6)
    np.testing.assert_allclose(relation.target[:, 46:], 204 / 255, atol=1e-6)
    np.testing.assert_allclose(relation.known, 1, atol=1e-6)
    assert not relation.still[16:32, 20:40].any()
    # With one frame alone nothing is known there.
    relation = relation_to([hidden], ground, no_motion)
    assert relation.known[20:28, 24:36].max() < 1e-3


def test_frames_four_back_come_last():
    ground = photo(48, 64)
    hidden = ground.copy()
    hidden[16:32, 20:40] = 255 - hidden[16:32, 20:40]
    painted = [np.full_like(ground, level) for level in (0, 51, 102, 153)]
    pictures = [ground, hidden, hidden, hidden]
    relation = relation_to(pictures, ground, no_motion, painted=painted)
    np.testing.assert_allclose(relation.target[20:28, 24:36], 0, atol=1e-6)
    # Three back isn't asked for.
    pictures = [hidden, ground, hidden, hidden]
    relation = relation_to(pictures, ground, no_motion, painted=painted)
    assert relation.known[20:28, 24:36].max() < 1e-3
    # Nor what belongs to another scene.
    pictures, scenes = [ground, hidden, hidden, hidden], [0, 1, 1, 1]
    relation = relation_to(pictures, ground, no_motion, painted=painted, scenes=scenes)
    assert relation.known[20:28, 24:36].max() < 1e-3


def test_what_few_steps_have_painted_is_held_less():
    picture = photo(48, 64)
    for steps, known, settled in ((20, 1 / 9, 1 / 3), (60, 1, 1), (255, 1, 1)):
        relation = relation_to([picture], picture, no_motion, steps=steps)
        np.testing.assert_allclose(relation.known, known, rtol=1e-5)
        np.testing.assert_allclose(relation.settled, settled, rtol=1e-5)
        np.testing.assert_array_equal(relation.still, settled == 1)
        np.testing.assert_array_equal(relation.start, 1)
        np.testing.assert_array_equal(relation.traces.steps, steps)


def test_the_steps_of_pixels_move_with_them():
    before, now = panned(2)
    steps = np.arange(64, dtype=np.uint8) + np.zeros((48, 1), np.uint8)
    found = relation_to([before], now, Pan(), steps=steps).traces.steps
    np.testing.assert_array_equal(found[:-1, :-2], steps[:-1, 2:])
    assert not found[:, -2:].any()
    assert not found[-1:].any()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_scene_goes_on_after_a_flash(length):
    ground, flash = photo(48, 64), np.full((48, 64, 3), 255, np.uint8)
    pictures = [ground, ground, *[flash] * length][-4:]
    scenes = [0, 0, *[5] * length][-4:]
    relation = relation_to(pictures, ground, no_motion, scenes=scenes, steps=1)
    assert (relation.cut, relation.scene) == (False, 0)
    np.testing.assert_array_equal(relation.still, 1)
    np.testing.assert_array_equal(relation.traces.seen, ground)
    np.testing.assert_allclose(relation.target, paint(ground) / 255.0, atol=1e-6)
    # Flow from files is there for these distances only.
    asked = []

    def flow(first, second):
        asked.append(abs(first.number - second.number))
        return no_motion(first, second)

    other = relation_to(pictures, 255 - ground, flow, scenes=scenes)
    assert set(asked) <= {1, 2, 4}
    assert (other.cut, other.scene) == (True, 6)
