"""Writing pictures, and the errors on the way."""

import errno
import io
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, message
from tests.image_files import encode, noise, smooth, unit
from tfnst.checks import argument
from tfnst.images.formats import FORMATS, SUFFIXES
from tfnst.images.reading import load_image
from tfnst.images.writing import check_output_path, save_image, to_pil

SUFFIX = "a path that ends in .png, .jpg, .jpeg, .webp, .tif or .tiff"


def test_import_leaves_tensorflow_alone():
    code = "import sys, tfnst.images.writing; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_to_pil_rounds_and_clips():
    values = np.array([0, 0.49, 0.5, 1.49, 1.5, 254.49, 254.5, 255]) / 255
    values = np.concatenate([values, [-3, 7]])
    image = to_pil(np.stack([values] * 3, axis=-1)[np.newaxis, np.newaxis])
    assert image.mode == "RGB"
    assert image.size == (10, 1)
    expected = [0, 0, 1, 1, 2, 254, 255, 255, 0, 255]
    assert np.asarray(image)[0, :, 0].tolist() == expected
    every = np.arange(256).reshape(16, 16, 1).repeat(3, axis=-1) / 255
    for dtype in (np.float16, np.float32, np.float64):
        recovered = np.asarray(to_pil(every.astype(dtype)))
        np.testing.assert_array_equal(recovered, np.round(every * 255))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((16, 16, 4), np.float32),
        np.zeros((16, 16), np.float32),
        np.zeros((0, 16, 3), np.float32),
    ],
)
def test_to_pil_refuses(array):
    assert message(ValueError, to_pil, array) == (
        "`image` must be a float array of shape [1, H, W, 3] or [H, W, 3]. "
        f"Received: {array.dtype} array of shape {list(array.shape)}"
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trips(tmp_path, suffix):
    lossless = suffix in (".png", ".tif", ".tiff")
    array = unit(noise(18, 24, 3)) if lossless else smooth()
    path = tmp_path / f"out{suffix.upper()}"
    for image in (array, array[np.newaxis], to_pil(array)):
        save_image(image, path)
        np.testing.assert_allclose(
            load_image(path)[0], array, atol=0 if lossless else 0.05
        )
    with Image.open(path) as image:
        assert image.format == FORMATS[suffix]
    assert os.listdir(tmp_path) == [path.name]


def test_jpeg_keeps_full_colour_resolution(tmp_path):
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1, 0, 0
    stripes[:, 1::2] = 0, 0, 1
    save_image(stripes, tmp_path / "out.jpg")
    assert np.abs(load_image(tmp_path / "out.jpg")[0] - stripes).mean() < 0.05
    with Image.open(tmp_path / "out.jpg") as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    fine = os.path.getsize(tmp_path / "out.jpg")
    save_image(stripes, tmp_path / "out.jpg", quality=30)
    assert os.path.getsize(tmp_path / "out.jpg") < fine


def test_pil_images_are_saved_as_they_are_loaded(tmp_path):
    array = noise(2, 3, 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(encode(array, exif=exif.tobytes()))) as image:
        save_image(image, tmp_path / "out.png")
        expected = load_image(image, min_side=1)
    assert expected.shape == (1, 3, 2, 3)
    saved = load_image(tmp_path / "out.png", min_side=1)
    np.testing.assert_allclose(saved, expected, atol=0.5001 / 255)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_are_those_of_open(tmp_path):
    path = tmp_path / "out.png"
    old = os.umask(0o027)
    try:
        save_image(smooth(), path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        save_image(smooth(), path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(old)
    link = tmp_path / "link.png"
    link.symlink_to(path)
    save_image(np.ones((16, 16, 3), np.float32), link)
    assert link.is_symlink()
    assert load_image(path).min() == 1


class Stop(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), Stop()]
)
def test_failed_save_leaves_no_trace(tmp_path, monkeypatch, function, failure):
    def fail(*args):
        raise failure

    path = tmp_path / "out.png"
    monkeypatch.setattr(os, function, fail)
    with pytest.raises((OSError, Stop)):
        save_image(smooth(), path)
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"older")
    with pytest.raises((OSError, Stop)) as caught:
        save_image(smooth(), path)
    assert os.listdir(tmp_path) == ["out.png"]
    assert path.read_bytes() == b"older"
    if isinstance(failure, OSError):
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value) == (
            "`output` must be a path in a folder that can be written to. Received: "
            f"{str(path)!r} in the folder {str(tmp_path)!r}, but the disk is full"
        )


def test_unwritable_folder(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "out.png"
    monkeypatch.setattr("builtins.open", refuse)
    expected = (
        "`output_image` must be a path in a folder that can be written to. Received: "
        f"{str(path)!r} in the folder {str(tmp_path)!r}, but permission was denied"
    )
    name = "output_image"
    check = argument(name)(check_output_path)
    assert message(PermissionError, check, path) == expected
    assert message(PermissionError, save_image, smooth(), path, name=name) == expected


def test_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    expected = (
        "`output` must be a file that can be written. "
        f"Received: {str(path)!r}, but permission was denied"
    )
    check = argument("output")(check_output_path)
    assert message(PermissionError, check, path) == expected
    assert message(PermissionError, save_image, smooth(), path) == expected
    assert path.read_bytes() == b"older"


def test_bad_output_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder.png")
    missing = os.path.realpath("missing")
    cases = [
        (ValueError, "out.bmp", SUFFIX, "'out.bmp'"),
        (ValueError, "out", SUFFIX, "'out'"),
        (ValueError, ".png", SUFFIX, "'.png'"),
        (ValueError, "", SUFFIX, "''"),
        (ValueError, "a\nb", SUFFIX, r"'a\nb'"),
        (ValueError, "a\0.png", "the path of a file", r"'a\x00.png'"),
        (ValueError, None, SUFFIX, "None"),
        (ValueError, 3, SUFFIX, "a value of type int"),
        (
            FileNotFoundError,
            "missing/out.png",
            "a path in a folder that exists",
            f"'missing/out.png' in the folder {missing!r}, which does not exist",
        ),
        (
            IsADirectoryError,
            "folder.png",
            "a file that can be written",
            "'folder.png', which is a folder",
        ),
    ]
    check = argument("output")(check_output_path)
    for kind, path, expected, received in cases:
        text = f"`output` must be {expected}. Received: {received}"
        assert message(kind, check, path) == text
        assert message(kind, save_image, smooth(), path) == text
    with open("file", "w"):
        pass
    with pytest.raises(NotADirectoryError, match="in a folder that exists"):
        check_output_path("file/out.png")
    with pytest.raises(OSError, match="a file that can be written") as caught:
        check_output_path("x" * 300 + ".png")
    assert caught.value.errno == errno.ENAMETOOLONG
    assert len(str(caught.value)) < 300
    assert sorted(os.listdir()) == ["file", "folder.png"]


def test_good_output_path_is_left_alone(tmp_path):
    path = tmp_path / "out.png"
    check_output_path(path)
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"older")
    check_output_path(str(path))
    assert os.listdir(tmp_path) == ["out.png"]
    assert path.read_bytes() == b"older"


def test_save_refuses(tmp_path):
    path = tmp_path / "out.webp"
    batch = np.zeros((2, 16, 16, 3), np.float32)
    text = message(ValueError, save_image, batch, path)
    assert text.startswith("`image` must be a float array of shape")
    wide = np.zeros((1, 16_384, 3), np.float32)
    assert message(ValueError, save_image, wide, path) == (
        "`output` must be in a format that holds 16384 x 1 pixels. "
        f"Received: {str(path)!r}"
    )
    assert os.listdir(tmp_path) == []
