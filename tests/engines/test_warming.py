"""The step that is taken beforehand, and its thread."""

import contextlib
import threading

import numpy as np
import pytest

import tfnst
from tests.helpers import TINY, picture
from tfnst.engines import loading, warming, whole

CONTENT, STYLE = picture(32, 40, seed=1), picture(36, 32, seed=2)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"optimizer": "lbfgs"}, {}),
        ({"seamless": True}, {"regions": True}),
        pytest.param({"style_loss": "gram"}, {}, marks=pytest.mark.slow),
        pytest.param(
            {"style_loss": "moments", "seamless": True}, {}, marks=pytest.mark.slow
        ),
        pytest.param({}, {}, marks=pytest.mark.slow),
        pytest.param({}, {"regions": True}, marks=pytest.mark.slow),
        pytest.param({}, {"temporal": True}, marks=pytest.mark.slow),
    ],
)
def test_a_blank_step_is_one_that_the_engine_takes(settings, kind):
    engine, _ = loading.load_engine(TINY.replace(**settings), **kind)
    image, state, history = engine.run_steps(*warming.blank_step(engine))
    side = 2 * engine.objective.border.stride
    assert image.shape == (1, side, side, 3)
    assert state.step == 1
    assert history.shape == (1, 4, 1)


def warm_ups():
    return [t for t in threading.enumerate() if t.name == "tfnst-warm-up"]


def test_a_run_takes_one_blank_step_and_waits_for_it(monkeypatch):
    loading.forget_engines()
    taken = []

    def blank_step(engine):
        taken.append(threading.current_thread().name)
        return real(engine)

    real = warming.blank_step
    monkeypatch.setattr(warming, "blank_step", blank_step)
    config = TINY.replace(steps=2)
    warm = tfnst.stylize(CONTENT, STYLE, config=config)
    assert taken == ["tfnst-warm-up"]
    assert not warm_ups()
    again = tfnst.stylize(CONTENT, STYLE, config=config)
    assert len(taken) == 1
    np.testing.assert_array_equal(warm.array, again.array)

    # Without it, the picture is the same.
    loading.forget_engines()
    monkeypatch.setattr(whole.WholeEngine, "warm_up", lambda *_: None)
    cold = tfnst.stylize(CONTENT, STYLE, config=config)
    assert len(taken) == 1
    np.testing.assert_array_equal(warm.array, cold.array)


def test_the_thread_works_where_the_run_does(monkeypatch):
    engine, _ = loading.load_engine(TINY)
    placed = []

    @contextlib.contextmanager
    def placement(device):
        placed.append((device, threading.current_thread().name))
        yield

    monkeypatch.setattr(warming, "placement", placement)
    warming.begin_warm_up(engine, "cpu").join()
    assert placed == [("cpu", "tfnst-warm-up")]


def test_errors_are_left_to_the_first_real_step(monkeypatch):
    engine, _ = loading.load_engine(TINY)
    monkeypatch.setattr(engine, "_warming", None)  # as if it were new

    def blank_step(engine):
        tried.append(engine)
        raise ValueError("of the thread")

    tried = []
    monkeypatch.setattr(warming, "blank_step", blank_step)
    result = tfnst.stylize(CONTENT, STYLE, config=TINY.replace(steps=2))
    assert tried == [engine]
    assert len(result.losses)
    assert not warm_ups()
