"""A loss that is no longer finite: back to the last good picture, by smaller steps."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, picture
from tfnst.engines import loading, plans, tiled
from tfnst.engines.engine import TransferState
from tfnst.engines.whole import WholeEngine
from tfnst.transfer import rollback

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
# How far step 9 of each run gets from the content, and step 10 gets farther.
STEADY = TINY.replace(learning_rate=0.015)
RUNS = {
    "average": (STEADY.replace(ema_momentum=0.6), 0.036),
    "no average": (STEADY.replace(ema_momentum=0), 0.040),
    "lbfgs": (STEADY.replace(optimizer="lbfgs", ema_momentum=0.6), 0.075),
}
MESSAGE = (
    r"^The loss is no longer finite at step 10 of 12 \(content .*, style .*, at 48 "
    r"pixels\); the run goes on from the last good picture with half the "
    r"`learning_rate`, up to 4 times$"
)


@pytest.fixture
def poison(monkeypatch):
    """Makes losses NaN where the picture is far from the content and steps are long."""
    loading.forget_engines()
    real = WholeEngine._losses

    def poison(far, rate):
        def losses(self, image, targets, knobs):
            measured = real(self, image, targets, knobs)
            bad = (measured.content > far) & (knobs.learning_rate > rate)
            bad &= tf.shape(image)[2] == 48
            nan = tf.fill(tf.shape(measured.total), float("nan"))
            return measured._replace(total=tf.where(bad, nan, measured.total))

        monkeypatch.setattr(WholeEngine, "_losses", losses)

    yield poison
    loading.forget_engines()


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("callback_steps", [None, 1])
def test_a_run_goes_on_by_smaller_steps(poison, kind, callback_steps):
    config, far = RUNS[kind]
    poison(far, 0.01)
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
    assert content[8] < far
    if kind == "no average":
        assert content[9] == pytest.approx(content[6], rel=1e-3)  # the scale's first
    elif kind == "lbfgs":
        assert content[9] == pytest.approx(content[8], rel=1e-3)  # the last accepted
    else:
        # The average has gone on less far than the picture that failed.
        assert content[7] < content[9] < far
    assert result.rollbacks == result.manifest["rollbacks"] == 1
    # It does not depend on how the steps are grouped.
    with pytest.warns(UserWarning, match="no longer finite"):
        again = tfnst.stylize(CONTENT, STYLE, config=config)
    np.testing.assert_array_equal(again.array, result.array)


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
    monkeypatch.setattr(WholeEngine, "warm_up", lambda *_: None)
    loading.forget_engines()
    config = TINY.replace(ema_momentum=0, init_image="content", learning_rate=0.016)
    with (
        pytest.warns(UserWarning, match="at step 2 of 12") as told,
        pytest.raises(tfnst.NonFiniteLossError, match="at step ") as caught,
    ):
        tfnst.stylize(CONTENT, STYLE, config=config)
    loading.forget_engines()
    assert len(told) == 1
    # The start is good each time, the step from it is not.
    wanted = [0.016 * 0.5**k for k in range(5) for _ in range(2)]
    np.testing.assert_allclose(rates, wanted, rtol=1e-6)
    assert len(caught.value.result.losses) == 5
    assert np.isfinite(caught.value.result.array).all()


def test_a_first_step_has_nothing_to_go_back_to(poison):
    config, _ = RUNS["average"]
    poison(-1.0, 0.0)
    # Nor is anything said of going back: warnings are errors here.
    with pytest.raises(tfnst.NonFiniteLossError, match="at step 7 of 12") as caught:
        tfnst.stylize(CONTENT, STYLE, config=config)
    assert len(caught.value.result.losses) == 6


@pytest.mark.parametrize("kind", RUNS)
def test_tiles_go_back_too(monkeypatch, kind):
    config, far = RUNS[kind]

    def build_plan(*_, **__):
        return plans.Plan("block1_pool", 24, 9, 0, 1.0)

    real = tiled.TiledEngine.losses_and_gradient

    def poisoned(self, image, targets, knobs, carried=()):
        measured, gradient, carried = real(self, image, targets, knobs, carried)
        long = knobs.learning_rate > 0.01 and image.shape[2] == 48
        if long and measured.content[0] > far:
            gradient = gradient * np.float32("nan")
        return measured, gradient, carried

    monkeypatch.setattr(plans, "build_plan", build_plan)
    monkeypatch.setattr(tiled.TiledEngine, "losses_and_gradient", poisoned)
    with pytest.warns(UserWarning, match=MESSAGE) as told:
        result = tfnst.stylize(CONTENT, STYLE, config=config)
    assert len(told) == 1
    content = result.losses["content"]
    assert np.isfinite(content).all()
    assert len(content) == 12
    expected = {"average": content[8], "lbfgs": content[8], "no average": content[6]}
    tolerance = 0.2 if kind == "average" else 1e-3
    assert content[9] == pytest.approx(expected[kind], rel=tolerance)


def test_pictures_of_a_batch_go_back_alone(poison):
    config, far = RUNS["average"]
    flat = 0.2 * CONTENT + 0.4
    healthy = tfnst.stylize(flat, STYLE, config=config)
    poison(far, 0.01)
    loading.forget_engines()
    with pytest.warns(UserWarning, match="no longer finite"):
        alone = tfnst.stylize(CONTENT, STYLE, config=config)
    with pytest.warns(UserWarning, match="no longer finite"):
        items = tfnst.stylize_batch(
            [CONTENT, CONTENT[:, ::-1]], [STYLE], config=config, batch_size=2
        )
    assert [item.status for item in items] == ["painted"] * 2
    np.testing.assert_allclose(items[0].result.array, alone.array, atol=1e-4)
    assert healthy.array.shape == alone.array.shape


def test_a_resumed_run_keeps_its_smaller_steps(poison, tmp_path):
    config, far = RUNS["average"]
    poison(far, 0.01)
    path = tmp_path / "run.checkpoint"
    with pytest.warns(UserWarning, match=MESSAGE):
        whole = tfnst.stylize(CONTENT, STYLE, config=config)

    def stop(progress):
        if progress.step == 11:
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
    image, after = rollback.roll_back(loop, tf.Variable(nan), state, None, 4)
    np.testing.assert_array_equal(image, CONTENT[None])
    np.testing.assert_array_equal(after.average, CONTENT[None])
    assert after.step == 4
    assert not np.any(after.optimizer.first_moment)
    assert not np.any(after.optimizer.second_moment)
