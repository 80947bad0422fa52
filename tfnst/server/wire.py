"""A bound on the cost of parsing a message, checked in its wire format.

The parser keeps up to 170 bytes for a field that takes 2 bytes on the wire, such as an
empty entry of a map, and holds Python's lock until it is done: 32 MiB of such entries
become 3 GiB and take 24 seconds. A request has few fields, unless each value of a
tensor is one. For the same reason its tensors, in which strings and integers take up to
24 bytes each, are at most a few MiB larger than the message.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

MAX_FIELDS = 2**17
_VARINT, _EIGHT_BYTES, _LENGTH, _GROUP, _END_GROUP, _FOUR_BYTES = range(6)
# Others are integers of one byte or more.
_NOT_INTEGERS = (
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
    FieldDescriptor.CPPTYPE_STRING,
)


def is_cheap(data: bytes, descriptor: Any) -> bool:
    """Returns whether a message has at most `MAX_FIELDS`; packed integers count, too.

    Args:
        data: encoded message. If it is damaged, only the part before that counts.
        descriptor: descriptor of the message's class.
    """
    try:
        return _is_cheap(data, descriptor)
    except IndexError:  # It is cut off, which the parser will say.
        return True


def _is_cheap(data: bytes, descriptor: Any) -> bool:
    fields = 0
    messages = [(0, len(data), descriptor)]
    while messages:
        at, end, descriptor = messages.pop()
        while at < end:
            tag, at = _read_varint(data, at)
            kind = tag & 7
            fields += 1
            if kind == _VARINT:
                _, at = _read_varint(data, at)
            elif kind == _LENGTH:
                length, at = _read_varint(data, at)
                field = descriptor.fields_by_number.get(tag >> 3)
                if field and field.message_type:
                    inside = (at, min(at + length, end), field.message_type)
                    messages.append(inside)
                elif field and field.cpp_type not in _NOT_INTEGERS:
                    fields += length
                at += length
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                at += 8 if kind == _EIGHT_BYTES else 4
            elif kind not in (_GROUP, _END_GROUP):
                raise IndexError
            if fields > MAX_FIELDS:
                return False
    return True


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at a position, and the position behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise IndexError
