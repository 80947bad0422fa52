"""The messages of TensorFlow Serving that the client sends and reads.

The package tensorflow-serving-api imports all of TensorFlow (2 seconds and 550 MB,
against 0.2 seconds and 50 MB for this module), so the few fields are declared here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# On the wire a message is its fields' numbers and types; names are for people. An enum
# is sent as int32, a map as a list of entries. The fields are from
# tensorflow_serving/apis/*.proto and tensorflow/core/framework/tensor.proto.
_MESSAGES = {
    "Int64Value": ("int64 value = 1",),
    "Dim": ("int64 size = 1",),
    "TensorShapeProto": ("repeated Dim dim = 2",),
    "TensorProto": (
        "int32 dtype = 1",
        "TensorShapeProto tensor_shape = 2",
        "bytes tensor_content = 4",
        "repeated float float_val = 5",
        "repeated int32 int_val = 7",
        "repeated bytes string_val = 8",
    ),
    "Entry": ("string key = 1", "TensorProto value = 2"),
    "ModelSpec": (
        "string name = 1",
        "Int64Value version = 2",
        "string signature_name = 3",
        "string version_label = 4",
    ),
    "PredictRequest": ("ModelSpec model_spec = 1", "repeated Entry inputs = 2"),
    "PredictResponse": ("repeated Entry outputs = 1", "ModelSpec model_spec = 2"),
    "GetModelStatusRequest": ("ModelSpec model_spec = 1",),
    "StatusProto": ("int32 error_code = 1", "string error_message = 2"),
    "ModelVersionStatus": (
        "int64 version = 1",
        "int32 state = 2",
        "StatusProto status = 3",
    ),
    "GetModelStatusResponse": ("repeated ModelVersionStatus model_version_status = 1",),
}
FLOAT, INT32, STRING = 1, 3, 7  # Values of the enum DataType.
_FIELDS = {FLOAT: "float_val", INT32: "int_val", STRING: "string_val"}
STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


def _define_messages() -> dict[str, Any]:
    """The classes of `_MESSAGES`, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tfnst/client.proto", package="tfnst", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto.Type
    labels = descriptor_pb2.FieldDescriptorProto.Label
    for message, fields in _MESSAGES.items():
        definition = file.message_type.add(name=message)
        for text in fields:
            *repeated, kind, name, _, number = text.split()
            label = "LABEL_REPEATED" if repeated else "LABEL_OPTIONAL"
            field = definition.field.add(
                name=name, number=int(number), label=labels.Value(label)
            )
            if kind in _MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".tfnst.{kind}"
            else:
                field.type = kinds.Value(f"TYPE_{kind.upper()}")
    # The pool is separate, so that nothing clashes with TensorFlow's own messages.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"tfnst.{name}")
        )
        for name in _MESSAGES
    }


messages = _define_messages()


def add_input(request: Any, name: str, dtype: int, value: Any) -> None:
    """Adds a tensor to a request.

    Args:
        request: PredictRequest.
        name: name of the input.
        dtype: FLOAT, INT32 or STRING.
        value: number or bytes, for a tensor of rank 0, or a list of them, for a tensor
            of rank 1.
    """
    tensor = request.inputs.add(key=name).value
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    values = value if isinstance(value, list) else [value]
    getattr(tensor, _FIELDS[dtype]).extend(values)
    if isinstance(value, list):
        tensor.tensor_shape.dim.add(size=len(value))


def read_floats(tensor: Any) -> Any:
    """The values of a float32 tensor, whichever of its two fields has them."""
    return tensor.float_val or np.frombuffer(tensor.tensor_content, "<f4")
