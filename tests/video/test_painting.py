"""Frames painted one after the other."""

import itertools

import numpy as np
import pytest

import tfnst
from tests.helpers import (
    TINY,
    assert_same_losses,
    message,
    paint_in_tiles,
    picture,
)
from tests.video.moving_photos import frame, panned, photo, with_square
from tests.video.test_coherence import Pan, no_motion
from tfnst.video.coherence import reliability, warp
from tfnst.video.painting import FilmEngines, FilmPainter

SMALL = TINY.replace(size=64)
STYLE, OTHER = picture(50, 40, seed=2), picture(40, 44, seed=3)


def painter(**arguments):
    arguments = {"config": SMALL, "frame_steps": 3, **arguments}
    return FilmPainter(STYLE, **arguments)


def paint(pictures, **arguments):
    film = painter(**arguments)
    return [film.paint(each) for each in pictures]


def stack(frames):
    return np.stack([each.picture for each in frames]).astype(int)


def warping_error(frames, flow):
    """Root mean square between painted neighbours, in levels."""
    squares = []
    for number, (before, now) in enumerate(itertools.pairwise(frames)):
        pair = [frame(each.picture, number + i) for i, each in enumerate((before, now))]
        there, back = flow(pair[1], pair[0]), flow(pair[0], pair[1])
        moved = np.clip(warp(before.picture.astype(np.float32), there), 0, 255)
        difference = moved - now.picture
        squares.append(difference[reliability(there, back)].ravel() ** 2)
    return np.sqrt(np.concatenate(squares).mean())


@pytest.mark.parametrize("noise", [0, 1])
def test_what_stands_still_stays_as_it_was_painted(noise):
    rng = np.random.default_rng(0)
    frames = paint(
        np.clip(
            photo(48, 64) + rng.integers(-noise, noise + 1, (48, 64, 3)), 0, 255
        ).astype(np.uint8)
        for _ in range(20)
    )
    first, *others = frames
    assert first.cut
    assert len(first.result.losses) > 0
    assert np.abs(stack(frames)[0] - photo(48, 64)).mean() > 5
    for each in others:
        np.testing.assert_array_equal(each.picture, first.picture)
        assert (each.result, each.cut, each.still) == (None, False, 1.0)


def test_part_of_a_frame_stands_still():
    frames = paint([with_square(i) for i in (8, 12, 16)])
    changed = (np.diff(stack(frames), axis=0) != 0).any(axis=(0, 3))
    assert not changed[:, 52:].any()
    assert changed[20:28, 12:28].mean() > 0.9
    assert 0.2 < frames[1].still < 0.95
    assert len(frames[1].result.losses) > 0


@pytest.mark.slow
def test_a_fade_is_followed():
    # So slow that each frame is nearly the one before.
    bright = 80 + photo(48, 64) // 2
    pictures = [bright - i for i in range(20)]
    frames = paint(pictures, style_strength=0.1, frame_steps=10)
    alone = painter(style_strength=0.1).paint(pictures[-1])
    steps = [0 if each.result is None else len(each.result.losses) for each in frames]
    assert 0 < np.count_nonzero(steps[1:]) < 14
    assert not any(each.cut for each in frames[1:])
    means = stack(frames).mean(axis=(1, 2, 3))
    wanted = alone.picture.mean() - means[0]
    assert wanted < -13
    assert 0.7 < (means[-1] - means[0]) / wanted < 1.2


def test_a_cut_begins_anew():
    other = 255 - photo(48, 64, "coffee")
    film = painter()
    film.paint(photo(48, 64))
    film.paint(photo(48, 64))
    painted = film.paint(other)
    assert painted.cut
    assert [each.scene for each in film.past] == [0, 0, 1]
    alone = tfnst.stylize(other, STYLE, config=SMALL)
    np.testing.assert_array_equal(painted.picture, np.asarray(alone.image))


def test_a_flash_is_no_cut_for_what_follows():
    ground = photo(48, 64)
    frames = paint([ground, np.full_like(ground, 255), ground])
    assert [each.cut for each in frames] == [True, True, False]
    np.testing.assert_array_equal(frames[2].picture, frames[0].picture)


def test_what_has_come_into_sight_goes_on_being_painted():
    # So that the right half is new in the second frame, and stands still then.
    first, later = photo(48, 64).copy(), photo(48, 64)
    first[:, 32:] = 255 - first[:, 32:]
    frames = paint((first, *[later] * 5), flow=no_motion)
    steps = [0 if each.result is None else len(each.result.losses) for each in frames]
    # At two sizes, until it has had 60 steps.
    assert steps[1:] == [48, 6, 6, 0, 0]
    changes = np.abs(np.diff(stack(frames), axis=0)).mean(axis=(1, 3))
    assert not changes[:, :24].any()
    assert (changes[:3, 40:].mean(axis=1) > 0.5).all()
    assert not changes[3:].any()
    assert frames[-1].still == 1


def passes(pictures, count, **arguments):
    """The frames after each pass over a film."""
    film = painter(**arguments)
    found = [[film.paint(each) for each in pictures]]
    for number in range(1, count):
        backward = number % 2 == 1
        order = list(range(len(pictures)))[:: -1 if backward else 1]
        film.begin_pass(order[0], backward=backward)
        done = {}
        for i in order:
            before = found[-1][i].picture
            done[i] = film.paint(pictures[i], painted=before)
            assert film.past[-1].frame.number == i
        found.append([done[i] for i in range(len(pictures))])
    return found


def test_frames_of_a_later_pass_start_from_what_they_were():
    pictures = panned(4)
    first, second = passes(pictures, 2, flow=Pan(), frame_steps=2)
    assert [each.cut for each in second] == [False, False, False, True]
    assert {len(each.result.losses) for each in second} == {2}
    for before, now in zip(first, second, strict=True):
        difference = np.abs(before.picture.astype(int) - now.picture)
        assert 0.2 < difference.mean() < 20
    # The frame that the pass starts with has no other to start from.
    alone = painter(frame_steps=2, flow=Pan()).paint(
        pictures[-1], painted=first[-1].picture
    )
    np.testing.assert_array_equal(alone.picture, second[-1].picture)


@pytest.mark.slow
def test_passes_make_what_leaves_the_picture_like_what_stays():
    pictures = panned(6, right=4)
    found = passes(pictures, 3, flow=Pan(right=4))
    errors = [warping_error(frames, Pan(right=4)) for frames in found]
    assert errors[2] < errors[0]


def test_a_later_pass_leaves_what_stands_still_as_it_is():
    _, second = passes([with_square(i) for i in (8, 12, 16)], 2)
    changed = (np.diff(stack(second), axis=0) != 0).any(axis=(0, 3))
    assert not changed[:, 52:].any()
    assert changed[20:28, 12:28].mean() > 0.9


def test_what_was_hidden_for_a_frame_is_as_before():
    ground = photo(48, 64)
    hidden = ground.copy()
    hidden[8:40, 16:48] = 255 - hidden[8:40, 16:48]
    frames = paint([ground, hidden, ground], flow=no_motion, temporal_weight=3000)
    first, between, last = stack(frames)
    inside = np.s_[14:34, 22:42]
    assert np.abs(between - first)[inside].mean() > 20
    assert np.abs(last - first)[inside].mean() < 3
    assert np.abs(last - first)[:, 58:].max() == 0


@pytest.mark.slow
def test_the_temporal_loss_holds_strokes_to_what_they_depict():
    pictures = panned(5)
    errors = [
        warping_error(paint(pictures, flow=Pan(), temporal_weight=weight), Pan())
        for weight in (0, 30, 3000)
    ]
    assert errors[0] > 1.5 * errors[2]
    assert errors == sorted(errors, reverse=True)
    alone = [painter().paint(each) for each in pictures]
    assert warping_error(alone, Pan()) > 3 * errors[2]


@pytest.mark.slow
def test_a_long_pan_keeps_its_brightness_and_contrast():
    pictures = panned(16, right=3, down=0, height=40, width=48)
    last = paint(pictures, flow=Pan(3, 0))[-1].picture
    alone = painter().paint(pictures[-1]).picture
    assert last.mean() == pytest.approx(alone.mean(), abs=4)
    np.testing.assert_allclose(last.std((0, 1)), alone.std((0, 1)), rtol=0.25)


def test_what_comes_into_sight_is_painted():
    frames = paint(panned(4, right=6), flow=Pan(right=6))
    for each in frames[1:]:
        # More steps than asked for, on two scales.
        assert len(each.result.losses) > 6
    difference = np.abs(stack(frames) - np.stack(panned(4, right=6)))[1:, :, -6:]
    assert difference.mean() > 5


def test_a_painter_goes_on_after_frames_of_before():
    pictures = [with_square(8 + 3 * i) for i in range(7)]
    film = painter()
    for each in pictures[:5]:
        film.paint(each)
    past, traces = film.past, film.traces
    wanted = [film.paint(each) for each in pictures[5:]]
    other = painter()
    other.begin_pass(1, backward=False)
    other.resume(
        pictures[1:5],
        [each.painted for each in past],
        [each.scene for each in past],
        traces,
    )
    for before, after in zip(past, other.past, strict=True):
        np.testing.assert_array_equal(before.frame.picture, after.frame.picture)
        assert before.frame.number == after.frame.number
    for each, like in zip(pictures[5:], wanted, strict=True):
        found = other.paint(each)
        np.testing.assert_array_equal(found.picture, like.picture)
        assert found.still == like.still


def test_colors_of_the_film_are_kept():
    grey = np.repeat(panned(3)[0][..., :1], 3, axis=-1)
    pictures = [np.roll(grey, -2 * i, axis=1) for i in range(3)]
    frames = paint(pictures, preserve_color="luminance", flow=Pan(down=0))
    for each in frames:
        assert np.ptp(each.picture, axis=-1).max() <= 2
    assert np.abs(stack(frames) - np.stack(pictures)).mean() > 2


def paint_pan(style):
    film = FilmPainter(style, config=SMALL, frame_steps=3, flow=Pan())
    return stack([film.paint(each) for each in panned(2)])


def test_styles_have_their_regions():
    mask = np.zeros((48, 64), np.float32)
    mask[:, :32] = 1
    one, other = (
        paint_pan(
            [
                tfnst.StyleImage(image=STYLE, region=mask),
                tfnst.StyleImage(image=style, region=1 - mask),
            ]
        )
        for style in (STYLE, OTHER)
    )
    difference = np.abs(one - other).mean((1, 3))
    assert (difference[:, :24].mean(1) < 4).all()
    assert (difference[:, 40:].mean(1) > 8).all()


@pytest.mark.slow
def test_styles_are_blended():
    styles = [
        tfnst.StyleImage(image=STYLE, weight=2),
        tfnst.StyleImage(image=OTHER, scale=0.5),
    ]
    blended = paint_pan(styles)
    for alone in (STYLE, OTHER):
        assert (np.abs(blended - paint_pan(alone)).mean((1, 2, 3)) > 2).all()


def test_transparent_frames_are_painted_as_pictures_are():
    clear = np.dstack([photo(48, 64), np.full((48, 64), 255, np.uint8)])
    clear[:, :16, 3] = 0
    film = painter()
    first, second = film.paint(clear), film.paint(clear)
    assert first.picture.shape == (48, 64, 3)
    np.testing.assert_array_equal(first.picture, second.picture)


def few_steps(**settings):
    """A frame's losses, and two frames, after few steps: rounding stays small."""
    settings |= {"flow": Pan(), "min_size": 64, "initial_steps": 2, "frame_steps": 2}
    frames = paint(panned(2), **settings)
    return frames[0].result.losses, stack(frames)


def test_in_tiles(monkeypatch):
    losses, whole = few_steps()
    used = paint_in_tiles(monkeypatch)
    losses_in_tiles, tiled = few_steps()
    assert used
    assert_same_losses(losses, losses_in_tiles)
    assert (np.abs(whole - tiled).mean((1, 2, 3)) < 0.1).all()


def test_engines_are_kept_for_each_size(monkeypatch):
    # In tiles, where each new engine traces its graphs.
    paint_in_tiles(monkeypatch)
    engines = FilmEngines(SMALL, pictures=1, regions=0)
    one, other = np.array([[48, 64], [64, 51]]), np.array([[34, 45], [45, 36]])
    assert engines.for_scale(one) is engines.for_scale(one.copy())
    assert engines.for_scale(one) is not engines.for_scale(other)


@pytest.mark.slow
def test_in_bfloat16():
    (_, exact), (_, rough) = (
        few_steps(precision=precision) for precision in ("float32", "bfloat16")
    )
    assert (np.abs(exact - rough).mean((1, 2, 3)) < 2).all()
    pictures = panned(3)
    errors = [
        warping_error(paint(pictures, flow=Pan(), temporal_weight=3000, **more), Pan())
        for more in ({}, {"precision": "bfloat16"})
    ]
    assert errors[1] < 1.2 * errors[0] + 0.5


def test_other_sizes_of_frames():
    film = painter()
    film.paint(photo(48, 64))
    text = message(ValueError, film.paint, photo(64, 48))
    assert text == (
        "`picture` must be of the shape of those before, 64x48. Received: 48x64 pixels"
    )
    # The film goes on.
    assert film.paint(photo(48, 64)).result is None


def test_what_was_painted_before_is_checked():
    film = painter()
    for before in (photo(48, 64)[:47], photo(48, 64) / 255):
        text = message(ValueError, film.paint, photo(48, 64), painted=before)
        assert text.startswith(
            "`painted` must be uint8 of the painted film's shape, (48, 64, 3)."
        )
    assert film.past == ()


def test_small_frames():
    frames = paint([picture(16, 16), picture(16, 16, seed=1)], size=32)
    assert stack(frames).shape == (2, 32, 32, 3)


def test_a_flow_of_ones_own_is_checked():
    film = painter(flow=lambda first, second: np.zeros((3, 3, 2)))
    film.paint(photo(48, 64))
    text = message(ValueError, film.paint, photo(48, 64))
    assert text.startswith("`flow` must be finite numbers of the shape (48, 64, 2).")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"frame_steps": 0}, "`frame_steps` must be an integer from 1 to 1000."),
        ({"frame_steps": 2.5}, "`frame_steps` must be an integer from 1 to 1000."),
        ({"temporal_weight": -1}, "`temporal_weight` must be a number from 0 to 1e9."),
        ({"temporal_weight": np.nan}, "`temporal_weight` must be a number from 0"),
        ({"init_image": "given"}, "`init_image` must be 'content', 'style' or 'noise'"),
        ({"seamless": True}, "`seamless` must be False for a film, where things move"),
        ({"max_time": 60}, "`max_time` must be None for a film, which can be stopped"),
    ],
)
def test_settings_that_films_cannot_have(arguments, start):
    assert message(ValueError, painter, **arguments).startswith(start)
