"""Eager execution of a function, wherever it is called from."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import tensorflow as tf

from tfnst.checks import ArgumentError

_P = ParamSpec("_P")
_R = TypeVar("_R")


def eagerly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Makes a function run eagerly, even if it is called while a graph is built.

    That may be in a `tf.Graph`, or while a `tf.function` is traced; the function is
    then no part of the graph.

    Raises:
        RuntimeError: when the function is called in a process without eager execution.
    """

    def run_here(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not tf.executing_eagerly():
            raise RuntimeError(
                "tfnst needs eager execution, TensorFlow's default: leave out "
                "tf.compat.v1.disable_eager_execution() and disable_v2_behavior(). "
                "Received: a process in which it is disabled"
            )
        return function(*args, **kwargs)

    @tf.autograph.experimental.do_not_convert
    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if tf.executing_eagerly():
            return function(*args, **kwargs)
        # In a thread: graphs belong to threads, and a new one has none. Not in
        # `tf.init_scope`, where gradients aren't recorded.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            try:
                return thread.submit(run_here, *args, **kwargs).result()
            except ArgumentError as error:
                # AutoGraph passes on only classes that it knows.
                raise ValueError(str(error)) from error

    return run
