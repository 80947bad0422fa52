"""Functions of tensors, compiled for pictures of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled(function: Callable[..., Any], *specs: Any) -> Any:
    """A `tf.function` with one trace, for arguments of these shapes."""
    return tf.function(function, autograph=False, input_signature=specs)


def output_spec(function: Any) -> Any:
    """The shapes of the results of a compiled function, with None where they vary."""
    return tf.nest.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
        function.get_concrete_function().structured_outputs,
    )
