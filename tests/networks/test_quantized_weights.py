"""The file of 8-bit weights: read as PyTorch would, and nothing executed."""

import collections
import io
import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest

from tfnst.networks import quantized_weights, weight_files
from tfnst.networks.vgg import kernel_shapes, layer_names


class Tensor:
    """Pickled as PyTorch pickles a tensor."""

    def __init__(self, key, array):
        self.key, self.array = key, array

    def __reduce__(self):
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        arguments = (Storage(self), 0, self.array.shape, strides, False, {})
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


class Storage:
    def __init__(self, tensor):
        self.tensor = tensor


class Pickler(pickle.Pickler):
    def persistent_id(self, item):
        if not isinstance(item, Storage):
            return None
        tensor = item.tensor
        kind = {"u": "ByteStorage", "f": "FloatStorage"}[tensor.array.dtype.kind]
        torch = sys.modules["torch"]
        key, size = tensor.key, tensor.array.size
        return "storage", getattr(torch, kind), key, "cpu", size, None


@pytest.fixture
def torch(monkeypatch):
    """As much of PyTorch as a pickle names."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("ByteStorage", "FloatStorage"):
        setattr(module, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*_):
        raise AssertionError("it isn't called here")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def serialise(arrays):
    """A file in PyTorch's old format."""
    tensors = [Tensor(str(i), array) for i, array in enumerate(arrays.values())]
    file = io.BytesIO()
    for item in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(item, file, protocol=2)
    named = collections.OrderedDict(zip(arrays, tensors, strict=True))
    Pickler(file, protocol=2).dump(named)
    pickle.dump([tensor.key for tensor in tensors], file, protocol=2)
    for tensor in tensors:
        file.write(struct.pack("<q", tensor.array.size) + tensor.array.tobytes())
    return file.getvalue()


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(1)
    found = {}
    for layer, shape in kernel_shapes(layer_names("vgg19")).items():
        *sides, channels, filters = shape
        shape = (filters, channels, *sides)
        found[f"{layer}_W_q"] = rng.integers(0, 256, shape, dtype=np.uint8)
        found[f"{layer}_W_table"] = rng.normal(0, 0.05, 256).astype(np.float32)
        found[f"{layer}_b"] = rng.normal(size=filters).astype(np.float32)
    return found


def test_reads_kernels_by_their_tables(torch, arrays, tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(serialise(arrays))
    read = weight_files.read_weights(path)
    assert list(read) == list(kernel_shapes(layer_names("vgg19")))
    for layer, (kernel, bias) in read.items():
        table = arrays[f"{layer}_W_table"]
        numbers = arrays[f"{layer}_W_q"]
        assert kernel[1, 2, 0, 3] == table[numbers[3, 0, 1, 2]]
        np.testing.assert_array_equal(kernel, table[numbers].transpose(2, 3, 1, 0))
        np.testing.assert_array_equal(bias, arrays[f"{layer}_b"])
    some, found = weight_files.read_convolutions(path, ["block2_conv1"])
    assert found == list(read)
    assert list(some) == ["block2_conv1"]
    np.testing.assert_array_equal(some["block2_conv1"][0], read["block2_conv1"][0])


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("made",)


def test_executes_nothing(torch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.bin"
    start = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    start += pickle.dumps(1001, protocol=2)
    for item in (Hostile(), {"little_endian": Hostile()}):
        path.write_bytes(start + pickle.dumps(item, protocol=2))
        with pytest.raises(ValueError, match=r"it holds posix\.mkdir, which isn't"):
            weight_files.read_weights(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.bin"]


@pytest.mark.parametrize("length", [0, 40, 90, 3000, 100_000, 20_000_000])
def test_a_file_that_is_cut_off_is_refused(torch, arrays, tmp_path, length):
    path = tmp_path / "cut.bin"
    path.write_bytes(serialise(arrays)[:length])
    with pytest.raises(ValueError, match=r"^`path` must be a weight file"):
        weight_files.read_weights(path)


def test_a_tensor_of_gigabytes_is_refused(torch, arrays, tmp_path):
    path = tmp_path / "huge.bin"
    data = serialise({"block1_conv1_b": np.zeros(1234567, np.float32)})
    number = struct.pack("<i", 1234567)
    assert data.count(number) > 1
    path.write_bytes(data.replace(number, struct.pack("<i", 2**31 - 1)))
    with pytest.raises(ValueError, match="a tensor of 2147483647 numbers is no weight"):
        weight_files.read_weights(path)


def test_other_files_are_told_apart(tmp_path):
    path = tmp_path / "text.bin"
    path.write_text("no weights")
    assert not quantized_weights.is_quantized(str(path))
