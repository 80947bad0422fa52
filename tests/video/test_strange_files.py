"""Films of unusual makes, as cameras, recorders, editors and strangers hand them in."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.video.film_frames import read
from tests.video.films import RATE, blocks, moving, write_film
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import DamagedFilmWarning
from tfnst.video.reading import open_film


def packed(stream, pictures, first=0, format="yuv420p"):
    """The packets of pictures, uint8 [H, W, 3] or with transparency [H, W, 4]."""
    for number, picture in enumerate(pictures):
        kind = "rgb24" if picture.shape[2] == 3 else "rgba"
        frame = av.VideoFrame.from_ndarray(picture, format=kind).reformat(format=format)
        frame.pts, frame.time_base = first + number, 1 / RATE
        yield from stream.encode(frame)
    yield from stream.encode()


def add_stream(file, codec, picture, format="yuv420p", **options):
    stream = file.add_stream(codec, rate=RATE, options=options)
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = format
    return stream


# Lists of other files.

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.m3u8", PLAYLIST + "{url}\n#EXT-X-ENDLIST\n"),
        ("x.m3u8", PLAYLIST + "private.ts\n#EXT-X-ENDLIST\n"),
        # These would have been read for ever.
        ("x.m3u8", PLAYLIST + "missing.ts\n"),
        ("x.mp4", PLAYLIST + "x.mp4\n"),
        ("x.mp4", "ffconcat version 1.0\nfile 'x.mp4'\n"),
        ("x.ffconcat", "ffconcat version 1.0\nfile 'private.ts'\n"),
        ("x.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
         "m=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
    ],
)  # fmt: skip
def test_files_that_name_others_are_no_films(tmp_path, name, text):
    private = tmp_path / "private.ts"
    write_film(private, moving(2))
    path = tmp_path / name
    path.write_text(text.format(url=private.as_uri()))
    said = message(ValueError, open_film, path)
    assert said.startswith("`film` must be a film that can be read. ")
    assert "not a film in a single file" in said or "Invalid data" in said


def test_patterns_are_not_taken_for_films(tmp_path):
    """FFmpeg would read the files that a name stands for."""
    for number in range(2):
        Image.fromarray(blocks(number)).save(tmp_path / f"{number}.jpg")
    single = tmp_path / "0.jpg"
    said = message(ValueError, open_film, single)
    assert said.endswith("which is not a film in a single file")


# Several streams.


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_thumbnail_before_the_film(tmp_path, suffix):
    path, pictures = tmp_path / f"film{suffix}", moving(6)
    with av.open(str(path), "w") as file:
        small = blocks(seed=1)
        thumbnail = add_stream(file, "mjpeg", small, "yuvj420p")
        film = add_stream(file, "libx264", pictures[0], qp="0")
        for packet in [
            *packed(thumbnail, [small], format="yuvj420p"),
            *packed(film, pictures),
        ]:
            file.mux(packet)
    frames = read(path)
    assert [frame.time for frame in frames] == [i / RATE for i in range(6)]
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.picture.astype(int) - picture).mean() < 4


@pytest.mark.skipif(
    ".avif" not in Image.registered_extensions(), reason="Pillow writes no AVIF"
)
def test_an_animated_avif(tmp_path, monkeypatch):
    path, pictures = tmp_path / "film.avif", moving(4)
    images = [Image.fromarray(picture) for picture in pictures]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    clear = [image.copy() for image in images]
    for image in clear:
        image.putalpha(0)
    clear[0].save(
        tmp_path / "clear.avif", save_all=True, append_images=clear[1:], duration=100
    )
    frames = read(path)
    assert [frame.time for frame in frames] == [Fraction(i, 10) for i in range(4)]
    assert np.abs(frames[3].picture.astype(int) - pictures[3]).mean() < 8
    frames = read(tmp_path / "clear.avif")
    assert len(frames) == 4
    assert all((frame.picture == 255).all() for frame in frames)
    # Where Pillow reads none of them.
    monkeypatch.setattr(Image, "registered_extensions", dict)
    found = read(path)
    assert [frame.time for frame in found] == [Fraction(i, 10) for i in range(4)]
    assert np.abs(found[3].picture.astype(int) - pictures[3]).mean() < 8


def test_a_codec_that_nothing_decodes_before_the_film(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as file:
        streams = [
            add_stream(file, codec, moving(1)[0], **options)
            for codec, options in (("mpeg4", {}), ("libx264", {"qp": "0"}))
        ]
        for stream in streams:
            for packet in packed(stream, moving(3)):
                file.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"mp4v", b"zzzz"))
    assert len(read(path)) == 3


# Clocks.


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".flv", ".mp4", ".ts"])
def test_films_that_do_not_begin_at_zero(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as file:
        stream = add_stream(file, codec, moving(1)[0], bf="0")
        for packet in packed(stream, moving(6), first=18_000):
            file.mux(packet)
    with open_film(path) as reader:
        # Whoever warned of damage would fail here.
        frames = list(reader)
        info = reader.info
    assert len(frames) == 6
    assert info.duration == pytest.approx(6 / 25, abs=0.002)
    assert frames[-1].time + frames[-1].duration == pytest.approx(6 / 25, abs=0.002)
    assert FrameRange().count(info) == 6
    assert len(read(path, start=0.1)) == 3


def test_a_matroska_film_that_is_cut_short_is_still_damaged(tmp_path):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as file:
        stream = add_stream(file, "ffv1", moving(1)[0])
        for packet in packed(stream, moving(40), first=1000):
            file.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.warns(DamagedFilmWarning, match="instead of 1.60"):
        assert len(read(path)) < 30


def test_a_frame_in_years(tmp_path):
    """A damaged header whose rate no painted film could hold."""
    path = tmp_path / "film.avi"
    write_film(path, moving(5), codec="ffv1")
    data = bytearray(path.read_bytes())
    place = data.index(b"vids") + 20
    data[place : place + 8] = struct.pack("<2I", 332_188_877, 5)
    path.write_bytes(data)
    with open_film(path) as reader:
        assert reader.info.rate == 25
        frames = reader.frames(FrameRange(end=0.12))
        assert [frame.time for frame in frames] == [i / RATE for i in range(3)]


# Transparency.


@pytest.mark.parametrize(
    ("suffix", "codec", "format", "options"),
    [
        (".webm", "libvpx-vp9", "yuva420p", {"lossless": "1"}),
        (".webm", "libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "4"}),
        (".mov", "prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
        (".mov", "qtrle", "argb", {}),
    ],
)
def test_what_is_transparent_is_white(tmp_path, suffix, codec, format, options):
    path = tmp_path / f"film{suffix}"
    picture = np.zeros((32, 48, 4), np.uint8)
    picture[..., 0], picture[:, 16:32, 3], picture[:, 32:, 3] = 255, 128, 255
    with av.open(str(path), "w") as file:
        stream = add_stream(file, codec, picture, format, **options)
        for packet in packed(stream, [picture] * 3, format=format):
            file.mux(packet)
    frames = read(path)
    assert len(frames) == 3
    found = frames[1].picture[16, 8::16]
    wanted = [[255, 255, 255], [255, 127, 127], [255, 0, 0]]
    np.testing.assert_allclose(found, wanted, atol=12)
    with open_film(path) as reader:
        for start in (0, 0.08, 0.04):
            again = list(reader.frames(FrameRange(start)))
            assert [x.time for x in again] == [x.time for x in frames[-len(again) :]]
            np.testing.assert_array_equal(again[-1].picture, frames[-1].picture)


# Interlacing.


def interlaced(path, count=8, **options):
    """A film of so many frames, each of which has two fields of a moving picture."""
    pictures = [np.repeat(each[..., :1], 3, -1) for each in moving(2 * count)]
    woven = [picture.copy() for picture in pictures[::2]]
    for picture, later in zip(woven, pictures[1::2], strict=True):
        picture[::2] = later[::2]  # Its odd rows are shown first.
    with av.open(str(path), "w") as file:
        options = {"qp": "0", "x264-params": "bff=1"} | options
        stream = add_stream(file, "libx264", woven[0], **options)
        for packet in packed(stream, woven):
            file.mux(packet)
    return pictures[::2]


def test_interlaced_films_have_no_combs(tmp_path):
    path = tmp_path / "film.mkv"
    wanted = interlaced(path)
    frames = read(path)
    assert [frame.time for frame in frames] == [i / RATE for i in range(8)]
    for frame, picture in zip(frames, wanted, strict=True):
        # With combs, it would be about 15.
        assert np.abs(frame.picture.astype(int) - picture).mean() < 3
    # The same frames come out once more, and after a seek.
    again = read(path, start=0.12)
    np.testing.assert_array_equal(again[0].picture, frames[3].picture)


def test_progressive_parts_of_interlaced_films_stay(tmp_path):
    """Both parts of a joined recording, the second one of another size."""
    interlaced(tmp_path / "1.h264")
    write_film(tmp_path / "2.h264", moving(5, 48, 64))
    path = tmp_path / "film.h264"
    data = [(tmp_path / f"{i}.h264").read_bytes() for i in (1, 2)]
    path.write_bytes(b"".join(data))
    frames = read(path)
    assert len(frames) == 13
    assert {frame.picture.shape for frame in frames} == {(32, 48, 3)}
    plain = read(tmp_path / "2.h264")[0].picture
    resized = Image.fromarray(plain).resize((48, 32), Image.Resampling.LANCZOS)
    np.testing.assert_allclose(frames[8].picture.astype(int), resized, atol=2)


# Names.


def test_the_content_of_a_file_counts_not_its_name(tmp_path):
    write_film(tmp_path / "film.mp4", moving(3))
    (tmp_path / "film.mp4").rename(tmp_path / "film.gif")
    assert len(read(tmp_path / "film.gif")) == 3
    images = [Image.fromarray(picture) for picture in moving(3)]
    for kind in ("webp", "gif", "png"):
        path = tmp_path / f"{kind} without suffix"
        options = {"save_all": True, "append_images": images[1:], "duration": 40}
        images[0].save(path, kind, **options)
        assert len(read(path)) == 3
