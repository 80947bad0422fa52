"""Pictures say how they were made."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY, picture
from tfnst.checks import argument
from tfnst.images.formats import SUFFIXES
from tfnst.images.manifest import (
    MAX_BYTES,
    build_manifest,
    describe_source,
    read_manifest,
)
from tfnst.images.reading import load_image
from tfnst.images.writing import save_image

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
MANIFEST = build_manifest(
    settings={"size": 48, "weights": "Müller's.h5"},
    content_image={"name": "photo.jpg", "sha256": "ab"},
    style_image={"name": None, "sha256": None},
    steps=3,
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_a_manifest(tmp_path, suffix):
    plain, told = tmp_path / f"plain{suffix}", tmp_path / f"told{suffix}"
    save_image(CONTENT, plain)
    save_image(CONTENT, told, manifest=MANIFEST)
    assert read_manifest(told) == MANIFEST
    assert read_manifest(plain) is None
    np.testing.assert_array_equal(load_image(plain), load_image(told))


def test_a_result_says_what_it_was_made_from(tmp_path):
    path = tmp_path / "content.png"
    save_image(CONTENT, path)
    result = tfnst.stylize(path, STYLE, config=TINY, size=40)
    result.save(tmp_path / "out.png")
    manifest = read_manifest(tmp_path / "out.png")
    assert manifest["content_image"] == {
        "name": "content.png",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert manifest["style_image"] == describe_source(STYLE)
    assert manifest["settings"]["size"] == 40
    # The settings can be made into a configuration again.
    assert tfnst.StyleTransferConfig(**manifest["settings"]) == result.config
    assert manifest["steps"] == len(result.losses)
    assert manifest["weights"]["source"] == result.weights.source
    assert manifest["versions"]["tfnst"] == tfnst.__version__


def test_sources_are_told_apart_by_what_they_hold():
    grey = Image.fromarray(np.zeros([20, 30], np.uint8))
    digests = {
        describe_source(source)["sha256"]
        for source in (
            b"abc",
            np.zeros([2, 6]),
            np.zeros([3, 4]),
            np.zeros([3, 4], np.float32),
            grey,
        )
    }
    assert len(digests) == 5
    assert describe_source(bytearray(b"abc")) == describe_source(b"abc")
    assert describe_source(np.zeros([4, 3]).T) == describe_source(np.zeros([3, 4]))


def test_pil_images_are_told_apart_by_what_is_seen():
    indices = Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20))
    red, blue = indices.copy(), indices.copy()
    red.putpalette([each for i in range(256) for each in (i, 0, 0)])
    blue.putpalette([each for i in range(256) for each in (0, 0, i)])
    clear = red.copy()
    clear.info["transparency"] = 3
    turned = indices.copy()
    turned.getexif()[0x0112] = 6
    pictures = [indices, red, blue, clear, turned]
    digests = [describe_source(picture)["sha256"] for picture in pictures]
    assert len(set(digests)) == len(pictures)
    assert describe_source(indices.copy()) == describe_source(indices)
    assert describe_source(red.convert("RGB")) == describe_source(red)
    with pytest.raises(ValueError, match="must be an image at least 16 pixels"):
        describe_source(Image.new("L", (1, 1)))


def test_a_source_that_is_missing_is_named(tmp_path):
    for name in ("content_image", "region"):
        with pytest.raises(FileNotFoundError) as caught, argument(name):
            describe_source(tmp_path / "no.png")
        assert str(caught.value) == (
            f"`{name}` must be a file that can be read. "
            f"Received: {str(tmp_path / 'no.png')!r}, which does not exist"
        )


def test_bytes_are_named_after_the_file_they_come_from(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"abc")
    assert describe_source(b"abc", file_name="photo.png") == describe_source(path)
    named = {"name": "photo.png", "sha256": None}
    assert describe_source(io.BytesIO(b"abc"), file_name="photo.png") == named


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" * 3])
def test_what_is_no_picture_has_no_manifest(tmp_path, data):
    path = tmp_path / "file.png"
    path.write_bytes(data)
    assert read_manifest(path) is None
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path / "missing.png")
    with pytest.raises(ValueError, match=r" must be the path of a file\. "):
        read_manifest("a\0.png")


def test_another_programs_comment_is_no_manifest(tmp_path):
    for comment in ("a lovely day", json.dumps([1]), json.dumps({"a": 1})):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + comment.encode()
        Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg", exif=exif)
        assert read_manifest(tmp_path / "a.jpg") is None


def test_too_long_a_manifest_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`manifest` must be at most"):
        save_image(CONTENT, tmp_path / "a.jpg", manifest={"settings": "x" * MAX_BYTES})
    assert not list(tmp_path.iterdir())
