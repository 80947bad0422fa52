"""TensorProto <-> array, as TensorFlow's C++ runtime reads and writes them.

`tf.make_ndarray` reads most of them, too. But it fails where the runtime takes the
first of too many values; and it holds Python's lock while it reads `float_val`, 2.5
seconds for 64 MiB, in which no health check is answered. `tf.make_tensor_proto` writes
arrays to `tensor_content`.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

MAX_RANK = 254
# A proto may claim any shape without sending all values: missing ones repeat the last.
# Some clients shorten constants like that, but nobody has to shorten a picture.
MAX_REPEATED_BYTES = 2**16
_STRING_BYTES = 24  # Size of an empty string in the runtime.
_CHUNK = 2**16
# The field of each type's values if they aren't in `tensor_content`.
_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int8: "int_val",
    tf.int16: "int_val",
    tf.int32: "int_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}
# The fields of half, complex and quantised types.
_RARE_FIELDS = ("half_val", "scomplex_val", "dcomplex_val", "int_val")
_SHORT_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


def type_name(dtype: tf.DType) -> str:
    """Returns the name of a type in the runtime's messages, such as `"float"`."""
    return _SHORT_NAMES.get(dtype.name) or dtype.name


def is_valid(proto: tensor_pb2.TensorProto) -> bool:
    """Returns whether a TensorProto can be decoded; allocates nothing.

    The rules are those of the runtime's `Tensor::FromProto`, plus one: values that
    weren't sent may have at most `MAX_REPEATED_BYTES`.
    """
    try:
        dtype = tf.dtypes.as_dtype(proto.dtype)
        item = _STRING_BYTES if dtype == tf.string else dtype.size
    except (TypeError, KeyError):
        return False
    sizes = [dimension.size for dimension in proto.tensor_shape.dim]
    if (
        dtype in (tf.resource, tf.variant)
        or dtype.name.endswith("_ref")
        or not item
        or proto.tensor_shape.unknown_rank
        or len(sizes) > MAX_RANK
        or min(sizes, default=0) < 0
    ):
        return False
    count = math.prod(sizes)
    if count and proto.tensor_content:
        return dtype != tf.string and len(proto.tensor_content) == count * item
    return _repeated_bytes(proto, dtype, count) <= MAX_REPEATED_BYTES


def _repeated_bytes(proto: tensor_pb2.TensorProto, dtype: tf.DType, count: int) -> int:
    """Returns the size in bytes of the values, out of `count`, that weren't sent."""
    fields = [_FIELDS[dtype]] if dtype in _FIELDS else _RARE_FIELDS
    values = max((getattr(proto, field) for field in fields), key=len)
    missing = max(0, count - len(values))
    if dtype != tf.string:
        return missing * int(dtype.size)
    return missing * (_STRING_BYTES + len(values[-1] if values else b""))


def decode(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """Returns the array in a valid TensorProto.

    Of too many values, the first are used. Of too few, the last is repeated; without
    any, the array is all zeros or empty strings.

    Args:
        proto: TensorProto for which `is_valid` is true.

    Returns:
        Array of the proto's shape and type; strings are bytes in dtype object.

    Raises:
        ValueError: when the values still don't fit the shape.
    """
    dtype = tf.dtypes.as_dtype(proto.dtype)
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    if proto.tensor_content:
        if not math.prod(shape):
            return np.zeros(shape, dtype.as_numpy_dtype)
        flat = np.frombuffer(proto.tensor_content, dtype.as_numpy_dtype)
        return flat.reshape(shape)
    if dtype not in _FIELDS:  # Half, complex, quantised: rare and small.
        return tf.make_ndarray(proto)
    values = getattr(proto, _FIELDS[dtype])
    count = math.prod(shape)
    sent = min(count, len(values))
    array = np.zeros(count, dtype.as_numpy_dtype)
    if dtype == tf.string:
        array[:] = values[sent - 1] if sent else b""
        array[:sent] = values[:sent]
    elif sent:
        # Converted by way of int64, so that large values wrap as they do in C++.
        wide = np.int64 if _FIELDS[dtype] == "int_val" else array.dtype
        # In pieces, between which other threads get their turn.
        for start in range(0, sent, _CHUNK):
            piece = values[start : min(sent, start + _CHUNK)]
            array[start : start + len(piece)] = np.array(piece, wide)
        array[sent:] = array[sent - 1]
    return array.reshape(shape)


def encode(array: np.ndarray | bytes) -> tensor_pb2.TensorProto:
    """Returns the TensorProto of an array.

    As in the real server's answers, the values are in the field of their type
    (`float_val`, ...) and not in `tensor_content`: many clients read nothing else.

    Args:
        array: array of any shape; strings as bytes in dtype object. A scalar string
            may be plain bytes, as sessions return it.
    """
    # As an object: NumPy's own strings lose zeros at their end.
    array = np.array(array, object) if isinstance(array, bytes) else np.asarray(array)
    dtype = tf.dtypes.as_dtype(array.dtype if array.dtype != object else tf.string)
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(array)
    proto = tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum,
        tensor_shape=tf.TensorShape(array.shape).as_proto(),
    )
    flat = array.ravel()
    values = getattr(proto, _FIELDS[dtype])
    # In chunks, because Python's numbers are eight times as large.
    for start in range(0, flat.size, _CHUNK):
        values.extend(flat[start : start + _CHUNK].tolist())
    return proto
