"""The signatures of an exported model: their inputs, and the functions to export.

An exported optimisation has three:

- `serving_default` takes `content_bytes` and `style_bytes`, encoded images, string [],
  and returns `image_bytes`, a PNG, string [].
- `stylize` takes `content_image`, float32 [N, H, W, 3], and `style_image`, float32
  [N or 1, h, w, 3], in [0, 1], and returns `stylized_image`, float32 [N, H', W', 3].
- `blend` takes `content_bytes`, string [], and `style_bytes`, S styles, string [S], and
  returns `image_bytes`. Optional are `style_weights` and `style_scales`, float32 [S],
  `mask_bytes` and `region_bytes`, string [S], all as in `tfnst.StyleImage`, where an
  empty string means no mask or region and a single value applies to all styles; and
  `preserve_color`, string [].

All three return `content_loss`, `style_loss` and `total_loss` of the last step, as in
`TransferResult.losses`, float32 [N] ([1] for a single picture). The two that take files
also return `decode_seconds`, the time of decoding all of them, float32 []. All three
take the optional settings `steps`, `size` and `seed`, int32 [], and `content_weight`,
`style_weight`, `total_variation_weight` and `learning_rate`, float32 [].

An exported network has two, with a row for each of N pictures in everything:

- `serving_default` takes `content_bytes`, encoded images, string [N], and returns
  `image_bytes`, PNGs, string [N], and `decode_seconds`, float32 [N]. Optional are
  `size`, int32 [N], and `preserve_color`, string [N]; a single value applies to all.
- `stylize` takes `content_image`, float32 [N, H, W, 3] in [0, 1], and returns
  `stylized_image`, of the same shape.

The graph checks every input and answers a bad one with INVALID_ARGUMENT and a message
that names it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

INTEGER, NUMBER, TEXT = (
    tf.TensorSpec([], dtype) for dtype in (tf.int32, tf.float32, tf.string)
)
INTEGERS, NUMBERS, TEXTS = (
    tf.TensorSpec([None], dtype) for dtype in (tf.int32, tf.float32, tf.string)
)
PICTURES = tf.TensorSpec([None, None, None, 3], tf.float32)


class Input(NamedTuple):
    """An input of a signature.

    Attributes:
        name: name in requests.
        spec: shape and dtype.
        default: value for requests that don't send it; None if they must.
    """

    name: str
    spec: tf.TensorSpec
    default: Any = None


class Signature(NamedTuple):
    """A signature: the function that answers it, and its inputs."""

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: Sequence[Input]


def build_signatures(served: Mapping[str, Signature]) -> dict[str, Any]:
    """The functions to export, by the name of their signature."""
    return {name: _build_signature(name, *each) for name, each in served.items()}


def _build_signature(
    name: str, function: Callable[..., dict[str, tf.Tensor]], inputs: Sequence[Input]
) -> Any:
    """A tf.function whose parameters are the inputs.

    TensorFlow writes defaults that are tensors to `SignatureDef.defaults`.
    """
    parameters = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty
            if each.default is None
            else tf.constant(each.default, each.spec.dtype),
        )
        for each in inputs
    ]
    signature = inspect.Signature(parameters)

    def call(*args: tf.Tensor, **kwargs: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(**signature.bind(*args, **kwargs).arguments)

    call.__name__ = name
    # tf.function reads this in place of the real parameters.
    vars(call)["__signature__"] = signature
    return tf.function(
        call, autograph=False, input_signature=[each.spec for each in inputs]
    )
