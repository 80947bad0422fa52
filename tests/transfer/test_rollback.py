"""A loss that is no longer finite: back to the last good picture, by smaller steps."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, paint_in_tiles, picture
from tfnst.engines import loading, tiled
from tfnst.engines.engine import TransferState
from tfnst.engines.whole import WholeEngine
from tfnst.transfer import rollback

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
STEADY = TINY.replace(learning_rate=0.015)
RUNS = {
    "average": STEADY.replace(ema_momentum=0.6),
    "no average": STEADY.replace(ema_momentum=0),
    "lbfgs": STEADY.replace(optimizer="lbfgs", ema_momentum=0.6),
}
FINE = 6  # the first row of the fine scale
MESSAGE = (
    r"^The loss is no longer finite at step {} of 12 \(content .*, style .*, at 48 "
    r"pixels\); the run goes on from the last good picture with half the "
    r"`learning_rate`, up to 4 times$"
)


def farther_step(losses):
    """A row of a run, and a distance from the content that it is the first to pass.

    How far steps get depends on the processor.
    """
    content = losses["content"]
    for row in (9, 10, 11, 8):
        before = content[FINE:row].max()
        if content[row] > 1.01 * before:
            return row, (before + content[row]) / 2
    raise AssertionError(content)


@pytest.fixture(scope="module")
def limits():
    """Losses are NaN farther than the first from the content, by steps above the other.

    They are variables, so that each engine is traced once.
    """
    loading.forget_engines()
    far, rate = tf.Variable(np.inf, dtype=tf.float32), tf.Variable(0.0)
    real = WholeEngine._losses

    def losses(self, image, targets, knobs):
        measured = real(self, image, targets, knobs)
        bad = (measured.content > far) & (knobs.learning_rate > rate)
        bad &= tf.shape(image)[2] == 48
        nan = tf.fill(tf.shape(measured.total), float("nan"))
        return measured._replace(total=tf.where(bad, nan, measured.total))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WholeEngine, "_losses", losses)
        yield far, rate
    loading.forget_engines()


@pytest.fixture
def poison(limits):
    """Sets the limits; they are out of reach before and after a test."""

    def poison(*values):
        for limit, value in zip(limits, values, strict=True):
            limit.assign(value)

    yield poison
    poison(np.inf, 0.0)


def poison_run(poison, config):
    """Has a run fail at the row that is returned, and returns how far that is."""
    losses = tfnst.stylize(CONTENT, STYLE, config=config).losses
    row, far = farther_step(losses)
    poison(far, 0.01)
    return row, far


@pytest.mark.parametrize(
    ("kind", "callback_steps"),
    [
        ("average", 1),
        ("no average", None),
        ("lbfgs", 1),
        pytest.param("average", None, marks=pytest.mark.slow),
        pytest.param("no average", 1, marks=pytest.mark.slow),
        pytest.param("lbfgs", None, marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_by_smaller_steps(poison, kind, callback_steps):
    config = RUNS[kind]
    row, far = poison_run(poison, config)
    seen = []
    with pytest.warns(UserWarning, match=MESSAGE.format(row + 1)) as told:
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
    assert content[row - 1] < far
    if kind == "average":
        # The average has gone on less far than the picture that failed.
        assert content[row - 2] < content[row] < far
    else:
        expected = content[going_back(kind, losses, row)]
        assert content[row] == pytest.approx(expected, rel=1e-3)
    assert result.rollbacks == result.manifest["rollbacks"] == 1
    # It does not depend on how the steps are grouped.
    with pytest.warns(UserWarning, match="no longer finite"):
        again = tfnst.stylize(CONTENT, STYLE, config=config)
    np.testing.assert_array_equal(again.array, result.array)


def going_back(kind, losses, row):
    """The row whose picture a run has gone back to before a row."""
    if kind == "no average":
        return FINE
    # The point that L-BFGS accepted last is the best one so far.
    return FINE + int(np.argmin(losses["total"][FINE:row]))


def test_a_first_step_has_nothing_to_go_back_to(poison):
    poison(-1.0, 0.0)
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
    config, far = RUNS[kind], np.inf
    paint_in_tiles(monkeypatch)
    real = tiled.TiledEngine.losses_and_gradient

    def poisoned(self, image, targets, knobs, carried=()):
        measured, gradient, carried = real(self, image, targets, knobs, carried)
        long = knobs.learning_rate > 0.01 and image.shape[2] == 48
        if long and measured.content[0] > far:
            gradient = gradient * np.float32("nan")
        return measured, gradient, carried

    monkeypatch.setattr(tiled.TiledEngine, "losses_and_gradient", poisoned)
    row, far = farther_step(tfnst.stylize(CONTENT, STYLE, config=config).losses)
    with pytest.warns(UserWarning, match=MESSAGE.format(row + 1)) as told:
        result = tfnst.stylize(CONTENT, STYLE, config=config)
    assert len(told) == 1
    content = result.losses["content"]
    assert np.isfinite(content).all()
    assert len(content) == 12
    if kind == "average":
        assert content[row] == pytest.approx(content[row - 1], rel=0.2)
    else:
        expected = content[going_back(kind, result.losses, row)]
        assert content[row] == pytest.approx(expected, rel=1e-3)


def test_pictures_of_a_batch_go_back_alone(poison):
    config = RUNS["average"]
    poison_run(poison, config)
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
    row, _ = poison_run(poison, config)
    path = tmp_path / "run.checkpoint"
    with pytest.warns(UserWarning, match=MESSAGE.format(row + 1)):
        whole = tfnst.stylize(CONTENT, STYLE, config=config)

    def stop(progress):
        if progress.step == row + 1:
            progress.stop()

    with pytest.warns(UserWarning, match=MESSAGE.format(row + 1)):
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
