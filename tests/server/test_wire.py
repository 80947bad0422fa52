"""How large a message becomes when it is parsed."""

import pytest
from google.protobuf import message
from tensorflow_serving.apis import predict_pb2

from tests import toys
from tfnst.server import wire

REQUEST = predict_pb2.PredictRequest


def varint(number):
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + varint(number >> 7)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def with_tensor(tensor):
    return field(2, field(1, b"a") + field(2, tensor))


@pytest.mark.parametrize(
    "data",
    [
        field(2, b"") * (wire.MAX_FIELDS + 1),
        with_tensor(field(8, b"") * wire.MAX_FIELDS),
        with_tensor(field(2, field(2, b"") * wire.MAX_FIELDS)),
        with_tensor(field(10, b"\0" * (wire.MAX_FIELDS + 1))),
        with_tensor(field(15, field(3, field(8, b"") * wire.MAX_FIELDS))),
        b"\x7b\x7c" * wire.MAX_FIELDS,
    ],
    ids=["entries", "strings", "sizes", "integers", "variants", "groups"],
)
def test_what_grows(data):
    assert not wire.is_cheap(data, REQUEST.DESCRIPTOR)


def test_what_does_not():
    tensor = field(4, b"\0" * 2**24) + field(5, b"\0" * 2**24) + field(8, b"x") * 1000
    for data in (
        b"",
        with_tensor(tensor),
        toys.predict_request(a=[1, 2], b=[3]).SerializeToString(),
    ):
        REQUEST.FromString(data)
        assert wire.is_cheap(data, REQUEST.DESCRIPTOR)


@pytest.mark.parametrize(
    "data", [b"\x12", b"\x12\xff", b"\x0f", b"\x80" * 20, b"\x12\xff\xff\x03\0"]
)
def test_damaged_messages_are_left_to_the_parser(data):
    with pytest.raises(message.DecodeError):
        REQUEST.FromString(data)
    assert wire.is_cheap(data, REQUEST.DESCRIPTOR)
