"""A loss that is not finite: back to the last good picture, with smaller steps."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, forget_engines, paint_in_tiles, picture
from tfnst.engines import loading, tiled, warming
from tfnst.engines.engine import TransferState
from tfnst.engines.whole import WholeEngine
from tfnst.transfer.recovery import Recovery

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
STEADY = TINY.replace(learning_rate=0.015)
RUNS = {
    "average": STEADY.replace(ema_momentum=0.6),
    "no average": STEADY.replace(ema_momentum=0),
    "lbfgs": STEADY.replace(optimizer="lbfgs", ema_momentum=0.6),
}
MESSAGE = (
    r"^The loss is no longer finite at step 10 of 12 \(content .*, style .*, at 48 "
    r"pixels\); the run goes on from the last good picture with half the "
    r"`learning_rate`, up to 4 times$"
)


@pytest.fixture(scope="module")
def limits():
    """Losses of the fine scale are NaN by steps above a rate, and from a step on.

    Both are variables, so that each engine is traced once.
    """
    forget_engines()
    rate = tf.Variable(np.inf, dtype=tf.float32)
    first = tf.Variable(3)
    real = WholeEngine._update

    def update(self, image, measured, gradients, state, knobs):
        bad = (state.step >= first) & (knobs.learning_rate > rate)
        bad &= tf.shape(image)[2] == 48
        nan = tf.fill(tf.shape(measured.total), float("nan"))
        measured = measured._replace(total=tf.where(bad, nan, measured.total))
        return real(self, image, measured, gradients, state, knobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WholeEngine, "_update", update)
        yield rate, first
    forget_engines()


@pytest.fixture
def poison(limits):
    """Sets the limits; the rate is out of reach before and after a test."""

    def poison(rate=0.01, first=3):
        for limit, value in zip(limits, (rate, first), strict=True):
            limit.assign(value)

    yield poison
    poison(np.inf)


@pytest.mark.parametrize(
    ("kind", "callback_steps"),
    [
        ("average", 1),
        ("lbfgs", 1),
        pytest.param("average", None, marks=pytest.mark.slow),
        pytest.param("no average", None, marks=pytest.mark.slow),
        pytest.param("no average", 1, marks=pytest.mark.slow),
        pytest.param("lbfgs", None, marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_by_smaller_steps(poison, kind, callback_steps):
    config = RUNS[kind]
    steady = tfnst.stylize(CONTENT, STYLE, config=config).losses["content"]
    poison()
    seen = []
    with pytest.warns(UserWarning, match=MESSAGE) as told:
        result = tfnst.stylize(
            CONTENT, STYLE, config=config, callback=lambda p: seen.append(p.step),
            callback_steps=callback_steps,
        )  # fmt: skip
    assert len(told) == 1
    losses = result.losses
    assert losses["step"].tolist() == list(range(1, 13))
    assert all(np.isfinite(losses[name]).all() for name in losses.dtype.names)
    assert seen == sorted(set(seen))
    assert not result.stopped
    # From which picture it went on.
    content = losses["content"]
    np.testing.assert_array_equal(content[:9], steady[:9])
    if kind == "average":
        # The average has gone on less far than the picture that failed.
        assert content[7] < content[9] < steady[9]
    else:
        expected = content[going_back(kind, losses)]
        assert content[9] == pytest.approx(expected, rel=1e-3)
        assert content[9] != pytest.approx(steady[9], rel=2e-3)
    assert result.rollbacks == result.manifest["rollbacks"] == 1
    # It does not depend on how the steps are grouped.
    with pytest.warns(UserWarning, match="no longer finite"):
        again = tfnst.stylize(CONTENT, STYLE, config=config)
    np.testing.assert_array_equal(again.array, result.array)


def going_back(kind, losses):
    """The row whose picture a run has gone back to before row 9."""
    if kind == "no average":
        return 6  # the first of the scale
    # The point that L-BFGS accepted last is the best one so far.
    return 6 + int(np.argmin(losses["total"][6:9]))


def test_a_first_step_has_nothing_to_go_back_to(poison):
    poison(first=0)
    # Nor is anything said of going back: warnings are errors here.
    with pytest.raises(tfnst.NonFiniteLossError, match="at step 7 of 12") as caught:
        tfnst.stylize(CONTENT, STYLE, config=RUNS["average"])
    assert len(caught.value.result.losses) == 6


@pytest.mark.parametrize(
    "kind",
    [
        "average",
        pytest.param("no average", marks=pytest.mark.slow),
        pytest.param("lbfgs", marks=pytest.mark.slow),
    ],
)
def test_tiles_go_back_too(monkeypatch, kind):
    paint_in_tiles(monkeypatch)
    long_steps, rates = [], []
    real = tiled.TiledEngine.losses_and_gradient
    real_run = tiled.TiledEngine.run

    def run(self, canvas, state, targets, knobs, steps):
        rates.append(knobs.learning_rate)
        return real_run(self, canvas, state, targets, knobs, steps)

    def poisoned(self, image, targets, weights, carried=None):
        measured, gradient, carried = real(self, image, targets, weights, carried)
        if rates[-1] > 0.01 and image.shape[2] == 48:
            long_steps.append(image)
            if len(long_steps) > 3:
                gradient = gradient * np.float32("nan")
        return measured, gradient, carried

    monkeypatch.setattr(tiled.TiledEngine, "run", run)
    monkeypatch.setattr(tiled.TiledEngine, "losses_and_gradient", poisoned)
    with pytest.warns(UserWarning, match=MESSAGE) as told:
        result = tfnst.stylize(CONTENT, STYLE, config=RUNS[kind])
    assert len(told) == 1
    content = result.losses["content"]
    assert np.isfinite(content).all()
    assert len(content) == 12
    if kind == "average":
        assert content[9] == pytest.approx(content[8], rel=0.2)
    else:
        expected = content[going_back(kind, result.losses)]
        assert content[9] == pytest.approx(expected, rel=1e-3)


def test_pictures_of_a_batch_go_back_alone(poison):
    config = RUNS["average"]
    poison()
    with pytest.warns(UserWarning, match="no longer finite"):
        alone = tfnst.stylize(CONTENT, STYLE, config=config)
    with pytest.warns(UserWarning, match="no longer finite"):
        items = tfnst.stylize_batch(
            [CONTENT, CONTENT[:, ::-1]], [STYLE], config=config, batch_size=2
        )
    assert [item.status for item in items] == ["painted"] * 2
    np.testing.assert_allclose(items[0].result.array, alone.array, atol=1e-4)
    assert items[0].result.rollbacks == 1


def test_a_resumed_run_keeps_its_smaller_steps(poison, tmp_path):
    config = RUNS["average"]
    poison()
    path = tmp_path / "run.checkpoint"
    with pytest.warns(UserWarning, match=MESSAGE):
        whole = tfnst.stylize(CONTENT, STYLE, config=config)

    def stop(progress):
        if progress.step == 10:
            progress.stop()

    with pytest.warns(UserWarning, match=MESSAGE):
        tfnst.stylize(
            CONTENT, STYLE, config=config, callback=stop, callback_steps=1,
            checkpoint=path,
        )  # fmt: skip
    result = tfnst.stylize(CONTENT, STYLE, resume=path)
    np.testing.assert_array_equal(result.array, whole.array)
    assert result.rollbacks == 1


def test_nothing_poisoned_is_remembered():
    loop, _ = loading.load_engine(TINY)
    average = tf.constant(CONTENT[None])
    nan = tf.fill(average.shape, float("nan"))
    state = loop.init_state(average)
    adam = state.optimizer._replace(first_moment=nan, second_moment=nan)
    state = TransferState(tf.constant(9), adam, average)
    canvas = tf.Variable(nan)
    with pytest.warns(UserWarning, match="at step 9; the run goes on"):
        image, after = Recovery().roll_back(loop, canvas, state, 4, "at step 9")
    np.testing.assert_array_equal(image, CONTENT[None])
    np.testing.assert_array_equal(after.average, CONTENT[None])
    assert after.step == 4
    assert not np.any(after.optimizer.first_moment)
    assert not np.any(after.optimizer.second_moment)


def test_no_less_is_tried_than_four_times(monkeypatch):
    rates = []
    real = WholeEngine._losses

    def losses(self, image, targets, knobs):
        measured = real(self, image, targets, knobs)
        # Wherever a step leads, however short it is.
        bad = measured.content > 1e-6
        tf.py_function(
            lambda rate: rates.append(float(rate)), [knobs.learning_rate], []
        )
        nan = tf.fill(tf.shape(measured.total), float("nan"))
        return measured._replace(total=tf.where(bad, nan, measured.total))

    monkeypatch.setattr(WholeEngine, "_losses", losses)
    # Its step is blank, and not of the run.
    monkeypatch.setattr(warming.WarmedFunction, "warm_up", lambda *_: None)
    forget_engines()
    config = TINY.replace(ema_momentum=0, init_image="content", learning_rate=0.016)
    with (
        pytest.warns(UserWarning, match="at step 2 of 12") as told,
        pytest.raises(tfnst.NonFiniteLossError, match="at step ") as caught,
    ):
        tfnst.stylize(CONTENT, STYLE, config=config)
    forget_engines()
    assert len(told) == 1
    # The start is good each time, the step from it is not.
    wanted = [0.016 * 0.5**k for k in range(5) for _ in range(2)]
    np.testing.assert_allclose(rates, wanted, rtol=1e-6)
    assert len(caught.value.result.losses) == 5
    assert np.isfinite(caught.value.result.array).all()
