"""Runs a SavedModel in TensorFlow's C library, as tensorflow_model_server does.

It is a separate program because it must import neither tensorflow nor tfnst:

    python -I tests/c_api.py LIBRARIES MODEL < calls > answers

LIBRARIES is the folder that holds libtensorflow_cc, MODEL the one that holds
saved_model.pb. Both streams are pickles. `calls` is a list of `(signature, inputs,
milliseconds)`: inputs are arrays and bytes by name, and missing ones get their default;
0 milliseconds means no time limit. `answers` is a dictionary with the heavy modules
imported (there should be none), the library's version, and an `Answer` for each call.

As in the server, XLA is disabled and shapes aren't checked.

Reference:
    tensorflow/c/c_api.h, tf_tensor.h and tf_tstring.h of TensorFlow.
"""

from __future__ import annotations

import ctypes
import dataclasses
import pathlib
import pickle
import resource
import struct
import sys
import time

import numpy as np

OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, INTERNAL = 0, 3, 4, 13

_STRING, _STRING_BYTES = 7, 24
_DTYPES = {1: np.float32, 3: np.int32}
_NUMBERS = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}

_Pointer = ctypes.c_void_p


@dataclasses.dataclass
class Answer:
    """How a call ended.

    Attributes:
        code: the status code, as in gRPC.
        message: the status message.
        outputs: arrays and bytes by name; empty unless `code` is 0.
        seconds: how long the call took.
        came_to_rest: whether the process used next to no CPU soon after the call, if
            that reached its time limit.
        grown: bytes by which the call raised the process's peak memory.
    """

    code: int
    message: str
    outputs: dict
    seconds: float
    came_to_rest: bool | None = None
    grown: int | None = None


class Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def load_library(folder):
    """Loads libtensorflow_cc and sets the types of the functions called here."""
    # Not RTLD_GLOBAL: its symbols would replace numpy's.
    (path,) = pathlib.Path(folder).glob("libtensorflow_cc.*")
    library = ctypes.CDLL(str(path))
    pointers = ["NewGraph", "NewStatus", "NewBuffer", "NewSessionOptions"]
    returns = {
        **dict.fromkeys(pointers, _Pointer),
        "AllocateTensor": _Pointer,
        "GraphOperationByName": _Pointer,
        "LoadSessionFromSavedModel": _Pointer,
        "TensorData": _Pointer,
        "StringGetDataPointer": _Pointer,
        "StringGetSize": ctypes.c_size_t,
        "Dim": ctypes.c_int64,
        "Message": ctypes.c_char_p,
        "Version": ctypes.c_char_p,
    }
    for name, kind in returns.items():
        getattr(library, f"TF_{name}").restype = kind
    return library


class Model:
    """A SavedModel in a session."""

    def __init__(self, library, folder):
        self._tf = library
        self._graph = _Pointer(library.TF_NewGraph())
        status = _Pointer(library.TF_NewStatus())
        meta_graph = ctypes.cast(library.TF_NewBuffer(), ctypes.POINTER(Buffer))
        self._session = _Pointer(
            library.TF_LoadSessionFromSavedModel(
                _Pointer(library.TF_NewSessionOptions()),
                None,
                str(folder).encode(),
                (ctypes.c_char_p * 1)(b"serve"),
                1,
                self._graph,
                meta_graph,
                status,
            )
        )
        if library.TF_GetCode(status):
            raise RuntimeError(library.TF_Message(status).decode())
        data = ctypes.string_at(meta_graph[0].data, meta_graph[0].length)
        self.signatures = read_signatures(data)

    def run(self, signature, inputs, milliseconds=0) -> Answer:
        given, fetched, defaults = self.signatures[signature]
        values = {**defaults, **inputs}
        assert set(values) == set(given), set(values) ^ set(given)
        tensors = [self._tensor(values[name]) for name in given]
        results = (_Pointer * len(fetched))()
        status = _Pointer(self._tf.TF_NewStatus())
        # RunOptions with timeout_in_ms, the second field.
        options = b"\x10" + write_varint(milliseconds) if milliseconds else b""
        buffer = Buffer(
            ctypes.cast(ctypes.c_char_p(options), ctypes.c_void_p), len(options), None
        )
        start = time.monotonic()
        self._tf.TF_SessionRun(
            self._session,
            ctypes.byref(buffer),
            self._outputs(given.values()),
            (_Pointer * len(tensors))(*tensors),
            len(tensors),
            self._outputs(fetched.values()),
            results,
            len(fetched),
            None,
            0,
            None,
            status,
        )
        seconds = time.monotonic() - start
        code = self._tf.TF_GetCode(status)
        message = self._tf.TF_Message(status).decode()
        self._tf.TF_DeleteStatus(status)
        for value, tensor in zip((values[n] for n in given), tensors, strict=True):
            self._delete(tensor, value)
        outputs = {}
        if code == OK:
            for name, tensor in zip(fetched, results, strict=True):
                outputs[name] = self._read(_Pointer(tensor))
                self._delete(_Pointer(tensor))
        return Answer(code, message, outputs, seconds)

    def _outputs(self, names):
        """The outputs that names such as `"operation:index"` refer to."""
        found = []
        for name in names:
            operation, _, index = name.partition(":")
            pointer = self._tf.TF_GraphOperationByName(self._graph, operation.encode())
            assert pointer, name
            found.append(Output(pointer, int(index)))
        return (Output * len(found))(*found)

    def _tensor(self, value):
        if isinstance(value, bytes | list):
            strings = [value] if isinstance(value, bytes) else value
            sides = (ctypes.c_int64 * 1)(len(strings))
            tensor = _Pointer(
                self._tf.TF_AllocateTensor(
                    _STRING,
                    sides,
                    isinstance(value, list),
                    ctypes.c_size_t(_STRING_BYTES * len(strings)),
                )
            )
            for string, content in zip(
                self._strings(tensor, value), strings, strict=True
            ):
                self._tf.TF_StringInit(string)
                self._tf.TF_StringCopy(string, content, ctypes.c_size_t(len(content)))
            return tensor
        value = np.asarray(value)
        sides = (ctypes.c_int64 * value.ndim)(*value.shape)
        tensor = _Pointer(
            self._tf.TF_AllocateTensor(
                _NUMBERS[value.dtype], sides, value.ndim, ctypes.c_size_t(value.nbytes)
            )
        )
        data = np.ascontiguousarray(value)
        ctypes.memmove(self._tf.TF_TensorData(tensor), data.ctypes.data, value.nbytes)
        return tensor

    def _read(self, tensor):
        data = _Pointer(self._tf.TF_TensorData(tensor))
        kind = self._tf.TF_TensorType(tensor)
        if kind == _STRING:
            return ctypes.string_at(
                self._tf.TF_StringGetDataPointer(data), self._tf.TF_StringGetSize(data)
            )
        shape = [self._tf.TF_Dim(tensor, i) for i in range(self._tf.TF_NumDims(tensor))]
        array = np.empty(shape, _DTYPES[kind])
        ctypes.memmove(array.ctypes.data, data, array.nbytes)
        return array

    def _delete(self, tensor, own=None):
        # The library frees its own strings, but not ours.
        for string in self._strings(tensor, own):
            self._tf.TF_StringDealloc(string)
        self._tf.TF_DeleteTensor(tensor)

    def _strings(self, tensor, value):
        """Addresses of the strings in a tensor made from bytes or a list of bytes."""
        if not isinstance(value, bytes | list):
            return []
        first = self._tf.TF_TensorData(tensor)
        count = len(value) if isinstance(value, list) else 1
        return [_Pointer(first + _STRING_BYTES * i) for i in range(count)]


def read_signatures(meta_graph):
    """Signature -> (input tensors' names, output tensors' names, defaults) by alias."""
    signatures = {}
    for name, signature in read_map(meta_graph, 5):
        inputs, outputs = (
            {
                alias.decode(): read_field(info, 1).decode()
                for alias, info in read_map(signature, number)
            }
            for number in (1, 2)
        )
        defaults = {
            alias.decode(): read_default(tensor)
            for alias, tensor in read_map(signature, 4)
        }
        signatures[name.decode()] = inputs, outputs, defaults
    return signatures


# Just enough of the wire format of Protocol Buffers.


def read_fields(message):
    """The (number, value) of each field; a value is an integer or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        length = {1: 8, 5: 4}.get(tag & 7) or varint()
        yield tag >> 3, message[at : at + length]
        at += length


def read_field(message, number):
    return next(value for n, value in read_fields(message) if n == number)


def read_map(message, number):
    for n, entry in read_fields(message):
        if n == number:
            # An empty value, such as a SignatureDef without inputs, is left out.
            fields = {1: b"", 2: b"", **dict(read_fields(entry))}
            yield fields[1], fields[2]


def read_default(tensor):
    """The value of a TensorProto of rank 0, or of rank 1 with a single value."""
    fields = dict(read_fields(tensor))
    # A value of 0 and a shape without dimensions are left out.
    dtype, of_rank_1 = fields[1], bool(fields.get(2))
    if dtype == _STRING:
        value = fields.get(8, b"")
        return [value] if of_rank_1 else value
    if _DTYPES[dtype] is np.float32:
        value = np.float32(struct.unpack("<f", fields.get(5, bytes(4)))[0])
    else:
        value = 0
        for shift, byte in enumerate(fields.get(7, b"\0")):
            value |= (byte & 127) << 7 * shift
        value = np.int32(value)
    return np.reshape(value, [1]) if of_rank_1 else value


def write_varint(number):
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def peak_memory():
    """The process's peak memory in bytes, or None if the system doesn't report it."""
    # Not ru_maxrss, which starts at the parent process's value.
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def wait_for_rest(limit=300):
    """Whether the process computes nothing any more, within so many seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        start = cpu_seconds()
        time.sleep(0.25)
        if cpu_seconds() - start < 0.01:
            return True
    return False


def main():
    calls = pickle.load(sys.stdin.buffer)
    library = load_library(sys.argv[1])
    library._ZN10tensorflow21DisableXlaCompilationEv()
    model = Model(library, sys.argv[2])
    answers = []
    for signature, inputs, milliseconds in calls:
        before = peak_memory()
        answer = model.run(signature, inputs, milliseconds)
        if before is not None:
            answer.grown = peak_memory() - before
        if answer.code == DEADLINE_EXCEEDED:
            answer.came_to_rest = wait_for_rest()
        answers.append(dataclasses.asdict(answer))
    imported = sorted({"tensorflow", "tfnst", "keras"} & set(sys.modules))
    version = library.TF_Version().decode()
    pickle.dump(
        {"imported": imported, "version": version, "answers": answers},
        sys.stdout.buffer,
    )


if __name__ == "__main__":
    main()
