"""Steps compiled once, also ahead of time, beside other work.

Before it takes a first step, TensorFlow optimises the graph and makes a kernel for each
of its nodes, for about as long as a run takes to find what its first scale starts with.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfnst.engines.devices import placement


class WarmedFunction:
    """A `tf.function` whose first call can be made in a thread, with blank arguments.

    Args:
        function: with an input signature.
        blank_arguments: makes the arguments of the first call.
    """

    def __init__(
        self, function: Any, blank_arguments: Callable[[], tuple[Any, ...]]
    ) -> None:
        self._function = function
        self._blank_arguments = blank_arguments
        self._thread: threading.Thread | None = None

    @property
    def traces(self) -> int:
        """Number of traces of the function, 1 at most."""
        return self._function.experimental_get_tracing_count()

    def warm_up(self, device: str) -> None:
        """Traces the function, and begins its first call; only the first time.

        Whatever goes wrong in the thread goes wrong again in the first real call.

        Args:
            device: device of the run, as in StyleTransferConfig.
        """
        if self._thread is not None:
            return
        self._function.get_concrete_function()

        def call() -> None:
            # Threads don't share in the placement of the one that made them.
            with contextlib.suppress(Exception), placement(device):
                self._function(*self._blank_arguments())

        self._thread = threading.Thread(target=call, name="tfnst-warm-up")
        self._thread.start()

    def wait(self) -> None:
        """Waits for the thread, if there is one."""
        if self._thread is not None:
            self._thread.join()

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function, after its first call has ended."""
        self.wait()
        return self._function(*arguments)


def blank(spec: tf.TensorSpec, side: int = 1) -> tf.Tensor:
    """Ones for one picture, whose height and width are `side`."""
    known = enumerate(spec.shape)
    shape = [length or (side if axis else 1) for axis, length in known]
    return tf.ones(shape, spec.dtype)
