"""Bounds on the cost of parsing a message, checked in its wire format.

The parser keeps about 90 bytes for an entry of a map that takes 2 bytes on the wire,
and holds Python's lock until it is done: 64 MiB of such entries become 6 GiB and take
16 seconds. A request has few fields, unless each value of a tensor is one.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

MAX_FIELDS = 2**17
MAX_VARINT_BYTES = 2**22
_VARINT, _EIGHT_BYTES, _LENGTH, _GROUP, _END_GROUP, _FOUR_BYTES = range(6)
_VARINT_TYPES = {
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
}


def is_cheap(data: bytes, descriptor: Any) -> bool:
    """Returns whether a message has at most `MAX_FIELDS` and `MAX_VARINT_BYTES`.

    Args:
        data: encoded message. If it is damaged, only the part before that counts.
        descriptor: descriptor of the message's class.
    """
    try:
        return _is_cheap(data, descriptor)
    except IndexError:  # It is cut off, which the parser will say.
        return True


def _is_cheap(data: bytes, descriptor: Any) -> bool:
    fields = varint_bytes = 0
    messages = [(0, len(data), descriptor)]
    while messages:
        at, end, descriptor = messages.pop()
        while at < end:
            tag, at = _read_varint(data, at)
            number, kind = tag >> 3, tag & 7
            fields += 1
            if kind == _VARINT:
                _, at = _read_varint(data, at)
            elif kind == _LENGTH:
                length, at = _read_varint(data, at)
                field = descriptor.fields_by_number.get(number)
                if field and field.message_type:
                    inside = (at, min(at + length, end), field.message_type)
                    messages.append(inside)
                elif field and field.type in _VARINT_TYPES:
                    varint_bytes += length
                at += length
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                at += 8 if kind == _EIGHT_BYTES else 4
            elif kind not in (_GROUP, _END_GROUP):
                raise IndexError
            if fields > MAX_FIELDS or varint_bytes > MAX_VARINT_BYTES:
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
