"""Files of every format that is read, with some of their bytes changed."""

import functools
import io
import json
import pathlib
import re
import tempfile

import h5py
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

import tfnst
from tests.fuzz.settings import cases
from tests.helpers import TINY, picture
from tfnst.batch.sources import read_pairs
from tfnst.cli.settings import read_config_file
from tfnst.images.formats import SUFFIXES
from tfnst.images.manifest import read_manifest
from tfnst.images.writing import save_image
from tfnst.networks.vgg import kernel_shapes, layer_names, random_arrays
from tfnst.networks.weight_files import read_weights
from tfnst.transfer.checkpoint import load_checkpoint

# Pillow warns of what is odd in a file.
pytestmark = pytest.mark.filterwarnings("ignore")

MANIFEST = {"settings": TINY.to_dict(), "content_image": {"name": "a.png"}}


@functools.cache
def original(name):
    """The bytes of a whole file of some format."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, name)
        WRITERS[path.suffix](path)
        return path.read_bytes()


def write_picture(path):
    bits = 16 if path.stem == "deep" else 8
    save_image(picture(20, 24), path, manifest=MANIFEST, bits=bits)


def write_animation(path):
    frames = [Image.fromarray(np.uint8(255 * picture(20, 24, seed=i))) for i in (1, 2)]
    frames[0].convert("P").save(
        path, save_all=True, append_images=frames[1:], transparency=3
    )


def write_checkpoint(path):
    tfnst.stylize(
        picture(36, 48), picture(40, 40), config=TINY, steps=1, initial_steps=1,
        checkpoint=path,
    )  # fmt: skip


def write_settings(path):
    lines = [
        f"{name} = {json.dumps(value)}"
        for name, value in TINY.to_dict().items()
        if value is not None
    ]
    path.write_text("\n".join(lines))


def write_pairs(path):
    path.write_text("content,style\na.png,b.png\n/c.png,https://d/e.png\n")


def write_arrays(path):
    arrays = random_arrays(kernel_shapes(layer_names("vgg19")[:1]), 0)
    named = {
        f"{layer}__{part}": array
        for layer, pair in arrays.items()
        for part, array in zip(("kernel", "bias"), pair, strict=True)
    }
    if path.suffix == ".npz":
        np.savez(path, **named)
        return
    with h5py.File(path, "w") as file:
        for name, array in named.items():
            file[name.replace("__", "/")] = array


WRITERS = {
    **dict.fromkeys(SUFFIXES, write_picture),
    ".gif": write_animation,
    ".checkpoint": write_checkpoint,
    ".toml": write_settings,
    ".csv": write_pairs,
    ".npz": write_arrays,
    ".h5": write_arrays,
}


def read_picture(path):
    array = tfnst.load_image(path)
    assert array.dtype == np.float32
    assert array.shape[-1] == 3
    assert (array >= 0).all()
    assert (array <= 1).all()


def read_painted(path):
    assert isinstance(read_manifest(path), dict | None)


READERS = {
    **dict.fromkeys((*SUFFIXES, ".gif"), (read_picture, read_painted)),
    ".checkpoint": (load_checkpoint,),
    ".toml": (read_config_file,),
    ".csv": (read_pairs,),
    ".npz": (read_weights,),
    ".h5": (read_weights,),
}
NAMES = [f"file{suffix}" for suffix in READERS] + ["deep.png", "deep.tif"]


@st.composite
def damaged(draw):
    """The name of a file, and its bytes with a few changes."""
    name = draw(st.sampled_from(NAMES))
    data = bytearray(original(name))
    for _ in range(draw(st.integers(1, 6))):
        # Most formats say near their ends what is where.
        place = min(
            draw(st.integers(0, max(len(data) - 1, 0))),
            draw(st.integers(0, 2 * max(len(data) - 1, 0))),
        )
        if draw(st.booleans()):
            place = max(0, len(data) - 1 - place)
        kind = draw(st.sampled_from(["set", "cut", "insert", "remove", "repeat"]))
        length = draw(st.integers(1, 16))
        if kind == "set":
            data[place : place + length] = draw(st.binary(max_size=length))
        elif kind == "cut":
            del data[place:]
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=length))
        elif kind == "remove":
            del data[place : place + length]
        else:
            data[place:place] = data[place : place + length]
    return name, bytes(data)


def refused(read, path):
    """What the error says that reading a file ends with; None if there is none."""
    try:
        read(path)
    except (ValueError, OSError, MemoryError) as error:
        return str(error)
    return None


@cases(50, 150, case=damaged())
def test_a_damaged_file_is_read_or_refused_in_one_line(case):
    name, data = case
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, name)
        path.write_bytes(data)
        for read in READERS[path.suffix]:
            refusal = refused(read, path)
            assert refusal is None or re.fullmatch(r".*`.*", refusal), refusal
        assert path.read_bytes() == data
        assert [each.name for each in path.parent.iterdir()] == [name]


@cases(20, 50, data=st.binary(max_size=200))
def test_bytes_are_no_picture(data):
    for source in (data, io.BytesIO(data)):
        with pytest.raises(ValueError, match=r"^`image` must be an (image|open file)"):
            tfnst.load_image(source)
