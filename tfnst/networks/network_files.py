"""Files of painting networks, which may come from strangers.

A file is one of Keras' own (`.keras`, a zip archive) with one member more,
`tfnst.json`. Keras loads it like any other once tfnst is imported. tfnst itself builds
the network from the two numbers in `tfnst.json` and reads nothing but arrays, so that a
file can't name code to run.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from typing import Any

import h5py
import keras
import numpy as np

from tfnst.checks import ArgumentError
from tfnst.files import read_file, show_path, write_file
from tfnst.images.formats import NETWORK_SUFFIX, check_suffix
from tfnst.networks.painting_network import PaintingNetwork

_FACTS, _WEIGHTS = "tfnst.json", "model.weights.h5"
_MAX_FACTS = 2**20
_MAX_WIDTH, _MAX_BLOCKS = 128, 8
# Bytes in a file of weights that aren't weights, at most.
_OVERHEAD = 2**20


def round_weights(network: PaintingNetwork) -> None:
    """Rounds the weights to 16 bits, so that the network paints as its file does."""
    network.set_weights(
        [each.astype("float16").astype("float32") for each in network.get_weights()]
    )


def save_network(
    network: PaintingNetwork, facts: dict[str, Any], path: str | os.PathLike[str]
) -> None:
    """Writes a network, whole or not at all.

    Args:
        network: the network, with rounded weights.
        facts: what else is to be known of it, as plain values that JSON can hold.
        path: path of the file, which ends in .keras.

    Raises:
        ValueError: for another suffix.
        OSError: if the file can't be written.
    """
    check_suffix(path, (NETWORK_SUFFIX,))
    sizes = {"width": network.width, "blocks": network.blocks}
    data = io.BytesIO()
    with (
        tempfile.TemporaryDirectory(prefix="tfnst-") as folder,
        zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        saved = os.path.join(folder, f"network{NETWORK_SUFFIX}")
        network.save(saved)
        with zipfile.ZipFile(saved) as written:
            # Keras doesn't compress them. Half the bits of rounded weights are 0.
            for name in written.namelist():
                archive.writestr(name, written.read(name))
        archive.writestr(_FACTS, json.dumps(facts | sizes, indent=1))
    write_file(path, data.getbuffer())


def load_network_file(
    path: str | os.PathLike[str],
) -> tuple[PaintingNetwork, dict[str, Any], str]:
    """Reads a file that `save_network` wrote.

    Args:
        path: path of the file.

    Returns:
        (network, facts, SHA-256 of the file).

    Raises:
        OSError: if the file can't be read.
        ValueError: for any other file.
    """
    data = read_file(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            facts = json.loads(_read_member(archive, _FACTS, _MAX_FACTS))
            if not isinstance(facts, dict):
                raise ValueError(f"{_FACTS} is no object")
            network = PaintingNetwork(
                _size(facts["width"], _MAX_WIDTH), _size(facts["blocks"], _MAX_BLOCKS)
            )
            most = 4 * network.count_params() + _OVERHEAD
            _load_weights(network, _read_member(archive, _WEIGHTS, most), most)
    except MemoryError:
        raise
    except Exception as error:  # For a damaged file, zipfile and HDF5 raise anything.
        raise ArgumentError(
            "a network that `tfnst train` has written", f"{show_path(path)} ({error})"
        ) from error
    return network, facts, hashlib.sha256(data).hexdigest()


def _size(value: Any, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"a size of {value!r}")
    return value


def _read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of a member of an archive, if they are at most so many."""
    # The size is what the archive says; `read` checks it.
    if archive.getinfo(name).file_size > most:
        raise ValueError(f"{name} is larger than {most:,} bytes")
    return archive.read(name)


def _load_weights(network: PaintingNetwork, weights: bytes, most: int) -> None:
    """Gives a network the weights in a file of HDF5, of at most so many bytes."""
    with h5py.File(io.BytesIO(weights)) as file:
        _check_contained(file, most)
    with tempfile.TemporaryDirectory(prefix="tfnst-") as folder:
        path = os.path.join(folder, _WEIGHTS)
        with open(path, "wb") as copy:
            copy.write(weights)
        keras.Model.load_weights(network, path)
    if not all(np.isfinite(each).all() for each in network.get_weights()):
        raise ValueError("its weights aren't finite")


def _check_contained(group: h5py.Group, most: int, depth: int = 0) -> None:
    """Checks that no part of a file leads to another file, or unfolds."""
    if depth > 16:
        raise ValueError("its groups are nested too deeply")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")
        each = group[name]
        if isinstance(each, h5py.Group):
            _check_contained(each, most, depth + 1)
        elif each.external or each.is_virtual:
            raise ValueError(f"{name} lies in another file")
        elif each.nbytes > most:
            raise ValueError(f"{name} is larger than {most:,} bytes")
