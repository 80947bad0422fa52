"""The step that is taken beforehand, and its thread."""

import contextlib
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, forget_engines, picture
from tfnst.engines import loading, warming, whole

CONTENT, STYLE = picture(32, 40, seed=1), picture(36, 32, seed=2)
PLAIN = ("content", "style")


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"optimizer": "lbfgs"}, ()),
        ({"seamless": True}, ("regions",)),
        pytest.param({"style_loss": "gram"}, (), marks=pytest.mark.slow),
        pytest.param(
            {"style_loss": "moments", "seamless": True}, (), marks=pytest.mark.slow
        ),
        pytest.param({}, (), marks=pytest.mark.slow),
        pytest.param({}, ("regions",), marks=pytest.mark.slow),
        pytest.param({}, ("temporal",), marks=pytest.mark.slow),
        pytest.param({}, ("regions", "temporal"), marks=pytest.mark.slow),
    ],
)
def test_a_blank_step_is_one_that_the_engine_takes(settings, more):
    engine, _ = loading.load_engine(TINY.replace(**settings))
    given = (*PLAIN, *more)
    image, state, history = engine.loop(given)(*engine.blank_step(given))
    side = 2 * engine.objective.border.stride
    assert image.shape == (1, side, side, 3)
    assert state.step == 1
    assert history.shape == (1, 4, 1)


def warm_ups():
    return [t for t in threading.enumerate() if t.name == "tfnst-warm-up"]


def test_a_run_takes_one_blank_step_and_waits_for_it(monkeypatch):
    forget_engines()
    taken = []

    def blank_step(engine, given):
        taken.append(threading.current_thread().name)
        assert set(given) == set(PLAIN)
        return real(engine, given)

    real = whole.WholeEngine.blank_step
    monkeypatch.setattr(whole.WholeEngine, "blank_step", blank_step)
    config = TINY.replace(steps=2)
    warm = tfnst.stylize(CONTENT, STYLE, config=config)
    assert taken == ["tfnst-warm-up"]
    assert not warm_ups()
    again = tfnst.stylize(CONTENT, STYLE, config=config)
    assert len(taken) == 1
    np.testing.assert_array_equal(warm.array, again.array)

    # Without it, the picture is the same.
    forget_engines()
    monkeypatch.setattr(warming.WarmedFunction, "warm_up", lambda *_: None)
    cold = tfnst.stylize(CONTENT, STYLE, config=config)
    assert len(taken) == 1
    np.testing.assert_array_equal(warm.array, cold.array)


def doubled(blank_arguments):
    function = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([None])])
    return warming.WarmedFunction(function, blank_arguments)


def test_the_thread_works_where_the_run_does(monkeypatch):
    placed, called = [], []

    @contextlib.contextmanager
    def placement(device):
        placed.append((device, threading.current_thread().name))
        yield

    def blank_arguments():
        called.append(threading.current_thread().name)
        return (tf.ones([1]),)

    monkeypatch.setattr(warming, "placement", placement)
    function = doubled(blank_arguments)
    for _ in range(2):
        function.warm_up("cpu")
    function.wait()
    assert placed == [("cpu", "tfnst-warm-up")]
    assert called == ["tfnst-warm-up"]
    assert function.traces == 1


def test_errors_are_left_to_the_first_real_step():
    def blank_arguments():
        tried.append(threading.current_thread().name)
        raise ValueError("of the thread")

    tried = []
    function = doubled(blank_arguments)
    function.warm_up("cpu")
    np.testing.assert_array_equal(function(tf.constant([1.0, 2.0])), [2, 4])
    assert tried == ["tfnst-warm-up"]
    assert not warm_ups()
