"""Calls from where operations would become part of a graph."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests import processes
from tests.helpers import TINY, picture

CONTENT, STYLE = picture(32, 40), picture(32, 32, 1)
ONE_STEP = TINY.replace(size=40, steps=1, initial_steps=1)


def paint():
    return tfnst.stylize(CONTENT, STYLE, config=ONE_STEP).array


def test_a_graph_that_is_being_built_is_left_alone():
    expected = paint()
    with tf.Graph().as_default() as graph:
        painted = paint()
        assert not graph.get_operations()
    np.testing.assert_array_equal(painted, expected)
    painted = []

    @tf.function
    def traced(number):
        if number > 0:  # So that there is something to convert.
            painted.append(paint())
        return number + 1

    assert traced(tf.constant(1)) == 2
    np.testing.assert_array_equal(painted[0], expected)


def test_errors_are_those_of_the_function():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="`steps` must be"):
        tfnst.stylize(CONTENT, STYLE, config=ONE_STEP, steps=0)


def test_what_has_no_values_is_refused():
    traced = tf.function(lambda x: tfnst.stylize(x, STYLE, config=ONE_STEP).array)
    with pytest.raises(ValueError, match="`content_image` must be an array or a ten"):
        traced(tf.constant(CONTENT))


def paint_without_eager_execution(how):
    getattr(tf.compat.v1, how)()
    paint()


@pytest.mark.parametrize("how", ["disable_eager_execution", "disable_v2_behavior"])
def test_without_eager_execution_one_sentence_says_so(how, tmp_path):
    done = processes.run(paint_without_eager_execution, how, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "RuntimeError: tfnst needs eager execution, TensorFlow's default: leave out "
        "tf.compat.v1.disable_eager_execution() and disable_v2_behavior(). "
        "Received: a process in which it is disabled"
    )
