"""Runs that end earlier: at a time, or where the loss no longer falls."""

import time
import types

import numpy as np
import pytest

import tfnst
from tests.helpers import TINY, picture
from tfnst.engines import loading
from tfnst.transfer.pace import Pace

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
PIXELS, STEPS = np.array([100, 200, 400]), np.array([40, 25, 10])


def simulate(
    max_time, *, rate=1e-4, entering=2, tracing=0.0, pixels=PIXELS, steps=STEPS
):
    """Steps at each scale, and seconds, where a step takes `rate` for each pixel."""
    pace = Pace(pixels, steps, max_time=max_time)
    now, taken = tracing, [0] * len(pixels)
    for scale, area in enumerate(pixels):
        if not pace.enters(scale):
            break
        now += entering * rate * area
        while taken[scale] < pace.steps[scale]:
            now += rate * area
            taken[scale] += 1
            pace.update(scale, taken[scale], 1, rate * area, now)
    return taken, now, pace


def test_time_enough_changes_nothing():
    taken, now, pace = simulate(2.0)
    assert taken == STEPS.tolist()
    assert now == pytest.approx(1.44)
    assert pace.shortened_by() == []


@pytest.mark.parametrize("max_time", [0.5, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("tracing", [0.0, 0.1])
def test_all_scales_get_the_same_share(max_time, tracing):
    taken, now, pace = simulate(max_time, tracing=tracing)
    assert pace.shortened_by() == ["max_time"]
    assert max_time - 0.05 <= now <= max_time + 0.05
    shares = np.array(taken) / STEPS
    assert shares.max() - shares.min() < 0.13
    assert min(taken) >= 1


def test_scales_that_there_is_no_time_for_are_left_out():
    # A tenth of the finest one's steps would take a hundred seconds.
    taken, now, pace = simulate(1.0, pixels=np.array([100, 200, 1_000_000]))
    assert taken == [40, 25, 0]
    assert now == pytest.approx(0.96)
    assert not pace.enters(2)
    taken, now, _ = simulate(0.05, pixels=np.array([100, 20_000, 1_000_000]))
    assert taken[1:] == [0, 0]
    assert now == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("factor", [1, 10, 1000])
@pytest.mark.parametrize("max_time", [0.4, 1.0, 3.0])
def test_more_steps_are_no_reason_to_leave_out_the_finest_scale(factor, max_time):
    taken, now, _ = simulate(max_time, steps=factor * STEPS)
    assert min(taken) >= 1
    assert now <= max_time + 0.05
    if factor > 1:
        assert now >= max_time - 0.05
        # What is asked for is still the ratio of the scales.
        assert taken[0] > taken[1] > taken[2]


def test_a_plan_that_was_too_careful_is_mended():
    pace = Pace(PIXELS, STEPS, max_time=1.44)
    for done in range(1, 6):
        pace.update(0, done, 1, 0.03, 0.03 * done)
    assert pace.steps[0] < 40
    for done in range(6, 41):
        pace.update(0, done, 1, 1e-5, 0.15)
    assert pace.steps.tolist() == STEPS.tolist()
    assert pace.shortened_by() == []


def test_the_present_scale_ends_when_the_time_is_up():
    pace = Pace(PIXELS, STEPS, max_time=1.0)
    pace.update(1, 3, 3, 0.1, 1.01)
    assert pace.steps.tolist() == [40, 3, 0]
    assert not pace.enters(2)


def test_a_scale_ends_at_a_plateau():
    falling, level = np.array([[8.0, 7, 6, 5, 4, 3]]), np.array([[8.0, 7, 6, 5, 5, 6]])
    for totals, ends in ((falling, False), (level, True), ([*falling, *level], False)):
        pace = Pace(PIXELS, STEPS, patience=2)
        pace.end_at_plateau(1, 6, np.array(totals))
        assert pace.steps.tolist() == [40, 6 if ends else 25, 10]
        assert pace.shortened_by() == ["patience"] * ends
    # A relative hundredth is what counts, and only whole windows do.
    for last, ends in ((0.995, True), (0.985, False)):
        pace = Pace(PIXELS, STEPS, patience=2)
        totals = np.array([[1.0, 1.0, last, last, last]])
        pace.end_at_plateau(0, 5, totals)
        assert pace.steps[0] == 40
        pace.end_at_plateau(0, 4, totals[:, :4])
        assert pace.steps[0] == (4 if ends else 40)


@pytest.mark.parametrize(
    "callback_steps",
    [
        5,
        pytest.param(None, marks=pytest.mark.slow),
        pytest.param(1, marks=pytest.mark.slow),
    ],
)
def test_patience_ends_scales(callback_steps):
    config = TINY.replace(steps=50, initial_steps=50)
    whole = tfnst.stylize(CONTENT, STYLE, config=config)
    seen = []
    result = tfnst.stylize(
        CONTENT, STYLE, config=config, patience=2, callback=seen.append,
        callback_steps=callback_steps,
    )  # fmt: skip
    # What the rule says of the losses of the coarse scale.
    totals = whole.losses["total"][:50].reshape(-1, 2).mean(axis=1)
    first = 2 * (2 + int(np.argmax(totals[1:] > 0.99 * totals[:-1])))
    assert 4 < first < 50
    sizes = result.losses["size"].tolist()
    assert sizes.count(34) == first
    assert sizes.count(48) < 50
    np.testing.assert_array_equal(
        result.losses["total"][:first], whole.losses["total"][:first]
    )
    assert result.losses["step"].tolist() == list(range(1, len(sizes) + 1))
    assert not result.stopped
    assert result.shortened_by == ("patience",)
    assert result.manifest["shortened_by"] == ["patience"]
    assert result.manifest["settings"]["patience"] == 2
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert seen[-1].step == seen[-1].steps == len(sizes)
    # However the steps are grouped.
    again = tfnst.stylize(CONTENT, STYLE, config=config, patience=2)
    np.testing.assert_array_equal(again.array, result.array)


@pytest.mark.parametrize(
    "share",
    [
        0.7,
        pytest.param(0.2, marks=pytest.mark.slow),
        pytest.param(0.95, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_ends_at_the_same_plateau(tmp_path, share):
    config = TINY.replace(steps=50, initial_steps=50, patience=2)
    whole = tfnst.stylize(CONTENT, STYLE, config=config)
    step = round(share * len(whole.losses))

    def stop(progress):
        if progress.step >= step:
            progress.stop()

    path = tmp_path / "run.checkpoint"
    stopped = tfnst.stylize(
        CONTENT, STYLE, config=config, callback=stop, callback_steps=1, checkpoint=path
    )
    assert (stopped.stopped, stopped.stop_reason) == (True, "callback")
    result = tfnst.stylize(CONTENT, STYLE, resume=path)
    np.testing.assert_array_equal(result.array, whole.array)
    np.testing.assert_array_equal(result.losses["total"], whole.losses["total"])
    assert result.shortened_by == whole.shortened_by


@pytest.fixture
def slow(monkeypatch):
    """Makes each step of TINY take some time, by its pixels and a clock of its own."""
    loop, _ = loading.load_engine(TINY)
    real = loop.run

    def slowly(image, state, targets, knobs, steps):
        clock.rates.append(float(knobs.steps))
        clock.now += 2e-5 * image.shape[1] * image.shape[2] * int(steps)
        return real(image, state, targets, knobs, steps)

    clock = types.SimpleNamespace(now=0.0, rates=[])
    monkeypatch.setattr(loop, "run", slowly)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_a_run_ends_in_time_at_its_finest_scale(slow):
    # About 0.02 s and 0.035 s for a step, 2.1 s in all.
    config = TINY.replace(steps=40, initial_steps=40)
    result = tfnst.stylize(CONTENT, STYLE, config=config, max_time=1.0)
    assert 0.9 < slow.now < 1.05
    sizes = result.losses["size"].tolist()
    assert 1 <= sizes.count(34) < 40
    assert 1 <= sizes.count(48) < 40
    assert result.array.shape == (36, 48, 3)
    assert not result.stopped
    assert result.manifest["shortened_by"] == ["max_time"]
    # The schedule is that of the steps that were taken.
    assert slow.rates[-1] == pytest.approx(sizes.count(48), abs=1)


def test_enough_time_gives_the_whole_picture(slow):
    whole = tfnst.stylize(CONTENT, STYLE, config=TINY)
    result = tfnst.stylize(CONTENT, STYLE, config=TINY, max_time="10m")
    np.testing.assert_array_equal(result.array, whole.array)
    assert result.shortened_by == ()
    assert result.config.max_time == 600


def test_too_little_time_gives_a_coarse_picture_of_the_size_asked_for(slow, tmp_path):
    path = tmp_path / "run.checkpoint"
    result = tfnst.stylize(CONTENT, STYLE, config=TINY, max_time=1e-3, checkpoint=path)
    assert set(result.losses["size"]) == {34}
    assert result.array.shape == (36, 48, 3)
    assert (result.stopped, result.stop_reason) == (True, "max_time")
    assert result.manifest["stop_reason"] == "max_time"
    # With more time it goes on.
    result = tfnst.stylize(CONTENT, STYLE, resume=path, max_time=600)
    assert set(result.losses["size"]) == {34, 48}
    assert not result.stopped


def test_a_batch_keeps_what_there_was_time_for(slow, tmp_path):
    def statuses():
        items = tfnst.stylize_batch(
            [CONTENT], [STYLE], tmp_path, config=TINY, max_time=1e-3
        )
        return [item.status for item in items]

    assert statuses() == ["painted"]
    assert statuses() == ["skipped"]
