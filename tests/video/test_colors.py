"""Colours of decoded and of encoded frames, against the standards' formulas."""

import itertools

import av
import numpy as np
import pytest

from tests.video.films import blocks, centres, color_tags, write_film, yuv_frame
from tfnst.video.colors import to_bt709, to_picture
from tfnst.video.reading import open_film


def first_picture(path):
    with open_film(path) as reader:
        return next(iter(reader)).picture


@pytest.mark.parametrize(
    ("matrix", "full", "bits"),
    list(itertools.product((1, 5, 6, 9), (False, True), (8, 10))),
)
def test_films_in_any_matrix_and_range(tmp_path, matrix, full, bits):
    path = tmp_path / "film.mkv"
    picture = blocks(seed=matrix, rows=3, columns=4)
    write_film(path, [picture], codec="ffv1", matrix=matrix, full=full, bits=bits)
    assert color_tags(path)[:2] == (2 if full else 1, matrix)
    found = first_picture(path)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(centres(found), centres(picture), atol=2)


@pytest.mark.parametrize(("width", "matrix"), [(96, 6), (1280, 1)])
def test_films_that_name_no_matrix(tmp_path, width, matrix):
    path = tmp_path / "film.mkv"
    picture = blocks(seed=1, rows=2, columns=width // 16)
    write_film(path, [picture], codec="ffv1", matrix=matrix, tagged=False)
    np.testing.assert_allclose(centres(first_picture(path)), centres(picture), atol=2)


def test_jpeg_frames_are_in_full_range(tmp_path):
    path = tmp_path / "film.avi"
    picture = blocks(seed=2)
    write_film(
        path,
        [picture],
        codec="mjpeg",
        matrix=5,
        full=True,
        options={"qmin": "1", "qmax": "1"},
    )
    np.testing.assert_allclose(centres(first_picture(path)), centres(picture), atol=6)


@pytest.mark.parametrize("format", ["rgb24", "bgr0", "gray", "pal8"])
def test_frames_without_a_matrix(format):
    picture = blocks(seed=3)
    if format == "gray":
        picture = np.repeat(picture[..., :1], 3, axis=-1)
        frame = av.VideoFrame.from_ndarray(picture[..., 0].copy(), format="gray")
        frame.color_range = 2
    elif format == "pal8":
        indices = np.kron(np.arange(6).reshape(2, 3), np.ones((16, 16))).astype(
            np.uint8
        )
        palette = np.full((256, 4), 255, np.uint8)
        palette[:6, 1:] = centres(picture).reshape(6, 3)
        frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
    else:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format=format)
    np.testing.assert_allclose(to_picture(frame), picture, atol=1)


def test_wide_primaries_become_srgb():
    """BT.709's red, written in BT.2020, is red again; BT.2020's own is clipped."""
    linear = np.array([0.627404, 0.069097, 0.016391])
    picture = np.tile(255 * linear ** (1 / 2.4), (32, 32, 1))
    picture[:, 16:] = [255, 0, 0]
    frame = yuv_frame(picture, matrix=9, bits=10)
    frame.color_range, frame.colorspace = 1, 9
    found = to_picture(frame, primaries=9)
    np.testing.assert_allclose(found[8, 8], [255, 0, 0], atol=12)
    np.testing.assert_array_equal(found[8, 24], [255, 0, 0])
    # Grey stays grey, at the same level.
    frame = yuv_frame(np.full((32, 32, 3), 100.0), matrix=9, bits=10)
    frame.color_range, frame.colorspace = 1, 9
    found = to_picture(frame, primaries=9)
    np.testing.assert_allclose(found, 100, atol=1)


def hdr_levels(values, transfer):
    """The grey levels that HDR values in [0, 1] are shown with."""
    grey = np.repeat(np.asarray(values), 16)[np.newaxis, :, np.newaxis]
    frame = yuv_frame(255 * np.tile(grey, (16, 1, 3)), matrix=9, bits=10)
    frame.color_range, frame.colorspace = 1, 9
    found = to_picture(frame, primaries=9, transfer=transfer)
    assert np.ptp(found.astype(int), axis=-1).max() <= 2
    return found[8, 8::16, 1].astype(int)


def test_tags_of_films_are_used(tmp_path):
    """A film in HLG is taken for one: 100% is white, and 75% is below."""
    path = tmp_path / "film.mkv"
    picture = np.full((32, 32, 3), 191.25)
    frame = yuv_frame(picture, matrix=9, bits=10)
    write_film(path, [frame], codec="ffv1", matrix=9, bits=10, tags=(9, 18))
    assert color_tags(path)[2:] == (9, 18)
    np.testing.assert_allclose(first_picture(path), 231, atol=3)


def test_hdr_is_shown_with_its_highlights():
    def pq(light):  # SMPTE ST 2084, from cd/m^2.
        power = (light / 10000) ** 0.1593017578125
        root = (0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)
        return root**78.84375

    def srgb(light):
        return 255 * (1.055 * light ** (1 / 2.4) - 0.055)

    levels = hdr_levels([pq(each) for each in (0, 20.3, 101.5, 203, 500, 1000)], 16)
    # Below six tenths of diffuse white, light is as it was.
    np.testing.assert_allclose(levels[:3], [0, srgb(0.1), srgb(0.5)], atol=2)
    assert srgb(0.7) < levels[3] < levels[4] - 5 < levels[5] - 10
    assert levels[5] >= 254
    # HLG's 75% is diffuse white, too (Rec. ITU-R BT.2408), and 100% is the peak.
    found = hdr_levels([0, 0.75, 1], 18)
    np.testing.assert_allclose(found, [0, levels[3], 255], atol=3)


def test_encoded_frames_are_bt709_in_limited_range():
    picture = blocks(seed=4)
    frame = to_bt709(picture)
    assert frame.format.name == "yuv420p"
    assert (frame.colorspace, frame.color_range) == (1, 1)
    wanted = yuv_frame(picture, matrix=1)
    for plane, other, size in zip(frame.planes, wanted.planes, (16, 8, 8), strict=True):
        one, two = (
            np.frombuffer(bytes(p), np.uint8)
            .reshape(p.height, p.line_size)[
                size // 2 :: size, size // 2 : p.width : size
            ]
            .astype(int)
            for p in (plane, other)
        )
        np.testing.assert_allclose(one, two, atol=1)


def test_values_survive_being_written_and_read():
    picture = blocks(seed=5, rows=4, columns=6)
    found = to_picture(to_bt709(picture))
    np.testing.assert_allclose(centres(found), centres(picture), atol=3)


@pytest.mark.parametrize(("chroma", "offset"), [("left", 0), ("center", 0.5)])
def test_chroma_lies_where_it_should(chroma, offset):
    """On a ramp of blue, chroma has the values of the places between the pixels."""
    picture = np.full((16, 64, 3), 100, np.uint8)
    picture[..., 2] = 20 + 3 * np.arange(64)
    plane = to_bt709(picture, chroma=chroma).planes[1]
    row = np.frombuffer(bytes(plane), np.uint8)[: plane.width]
    luma = picture[0] @ [0.2126, 0.7152, 0.0722]
    wanted = 128 + 224 / 255 * (picture[0, :, 2] - luma) / (2 * (1 - 0.0722))
    places = 2 * np.arange(2, 30) + offset
    errors = row[2:30] - np.interp(places, np.arange(64), wanted)
    assert abs(errors.mean()) < 0.3
