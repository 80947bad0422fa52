"""The sound of painted films: copied, encoded anew, in sync."""

from fractions import Fraction

import av
import numpy as np
import pytest

from tests.video.film_frames import write
from tests.video.films import RATE, moving, packets, samples, sine, write_film
from tfnst.files import UnwrittenWarning
from tfnst.video.encoding import FORMATS
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import DamagedFilmWarning
from tfnst.video.reading import open_film
from tfnst.video.sound import prepare_sound


def painted(tmp_path, film, kind, **options):
    """A film painted as it is, and its path."""
    path, folder = tmp_path / f"out{kind}", tmp_path / "sound"
    folder.mkdir(exist_ok=True)
    range, format = FrameRange(**options), FORMATS[kind]
    with open_film(film) as reader:
        info, frames = reader.info, list(reader.frames(range))
        tracks = prepare_sound(str(folder), film, reader, range, format)
    write(path, frames, rate=info.rate, time_base=info.time_base, tracks=tracks)
    return path


@pytest.mark.parametrize(
    ("source", "codec", "kind"),
    [
        (".mp4", "aac", ".mp4"),
        (".mkv", "aac", ".mp4"),
        (".ts", "aac", ".mp4"),
        (".mkv", "libopus", ".webm"),
        (".mkv", "libopus", ".mp4"),
    ],
)
def test_sound_is_copied_where_it_can_be(tmp_path, source, codec, kind):
    film = tmp_path / f"film{source}"
    write_film(film, moving(50), tracks=[{"sound": sine(2), "codec": codec}])
    path = painted(tmp_path, film, kind)
    with open_film(film) as reader:
        origin = reader.info.origin
    before = [p for p in packets(film, "audio") if p[0] - origin < 2]
    after = packets(path, "audio")
    if source == ".ts":  # Headers of ADTS go.
        before = [(t, data[7:]) for t, data in before]
    assert [data for _, data in after] == [data for _, data in before]
    gaps = [float(b - origin - a) for (a, _), (b, _) in zip(after, before, strict=True)]
    assert max(gaps) - min(gaps) < 0.002
    assert abs(np.mean(gaps)) < 0.03
    sound, first = samples(path)
    assert abs(first + sound.shape[1] / 48000 - 2) < 0.05


@pytest.mark.parametrize(
    ("codec", "kind"), [("aac", ".webm"), ("pcm_s16le", ".mp4"), ("pcm_s16le", ".webm")]
)
@pytest.mark.parametrize("start", [0, 0.8])
def test_other_sound_is_encoded_anew(tmp_path, codec, kind, start):
    film = tmp_path / "film.mkv"
    write_film(film, moving(50), tracks=[{"sound": chirp(2), "codec": codec}])
    path = painted(tmp_path, film, kind, start=start, end=1.6)
    check_in_sync(path, start, 1.6)


@pytest.mark.parametrize(
    ("codec", "kind"), [("aac", ".mp4"), ("libopus", ".webm"), ("libopus", ".mp4")]
)
def test_part_of_the_sound_in_sync(tmp_path, codec, kind):
    film = tmp_path / "film.mkv"
    write_film(film, moving(50), tracks=[{"sound": chirp(2), "codec": codec}])
    path = painted(tmp_path, film, kind, start=0.8, end=1.6)
    check_in_sync(path, 0.8, 1.6)


def chirp(seconds):
    """Sound whose pitch rises, so that each moment sounds different."""
    moment = np.arange(round(seconds * 48000)) / 48000
    wave = 0.4 * np.sin(2 * np.pi * (300 + 600 * moment) * moment)
    return np.stack([wave, wave]).astype(np.float32)


def check_in_sync(path, start, end, moment=0.3):
    """The sound at a time of the painted film is that of the film `start` later."""
    sound, first = samples(path)
    assert first + sound.shape[1] / 48000 == pytest.approx(end - start, abs=0.05)
    with open_film(path) as reader:
        first -= float(reader.info.origin)
    length = 12000
    begin = round((moment - first) * 48000)
    heard = sound[0, begin : begin + length]
    source = chirp(2)[0]
    expected = round((start + moment) * 48000)
    shifts = range(-1500, 1501, 5)
    scores = [
        float(heard @ source[expected + s : expected + s + length]) for s in shifts
    ]
    assert abs(shifts[int(np.argmax(scores))]) <= 100  # 2 ms.


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_that_starts_late(tmp_path, codec):
    film = tmp_path / "film.mkv"
    track = {"sound": chirp(2), "codec": codec, "start": 48 * 400}
    write_film(film, moving(50), tracks=[track])
    check_in_sync(painted(tmp_path, film, ".mp4"), -0.4, 1.6, moment=0.8)


def test_sound_that_ends_early(tmp_path):
    film = tmp_path / "film.mkv"
    track = {"sound": chirp(0.5), "codec": "pcm_s16le"}
    write_film(film, moving(50), tracks=[track])
    sound, first = samples(painted(tmp_path, film, ".mp4"))
    assert first + sound.shape[1] / 48000 == pytest.approx(0.5, abs=0.05)


def test_films_without_sound(tmp_path):
    film = tmp_path / "film.mp4"
    write_film(film, moving(5))
    with open_film(painted(tmp_path, film, ".mp4")) as reader:
        assert not reader.info.has_sound


# Sound that can't simply be copied.


def seconds_of_sound(path):
    sound, first = samples(path)
    return first + sound.shape[1] / 48000


@pytest.mark.parametrize(
    "kind", [".mp4", pytest.param(".webm", marks=pytest.mark.slow)]
)
def test_sound_that_a_file_cannot_hold_is_encoded(tmp_path, kind):
    film = tmp_path / "film.mkv"
    sound = sine(1, rate=8000)
    track = {"codec": "libmp3lame", "rate": 8000, "sound": sound}
    write_film(film, moving(25), tracks=[track])
    assert seconds_of_sound(painted(tmp_path, film, kind)) == pytest.approx(1, abs=0.15)


def test_a_track_that_is_announced_and_empty_is_left_out(tmp_path):
    film = tmp_path / "film.ts"
    tracks = [{"codec": "mp2"}, {"codec": "mp2", "sound": sine(1)}]
    write_film(film, moving(25), tracks=tracks)
    with open_film(film) as reader:
        assert reader.info.has_sound
    path = painted(tmp_path, film, ".mp4")
    with av.open(str(path)) as file:
        assert len(file.streams.audio) == 1
    assert seconds_of_sound(path) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("codec", ["ac3", "mp2"])
def test_sound_that_changes_midway(tmp_path, codec):
    """A recording whose second half has other channels and another rate."""
    film, parts = tmp_path / "film.ts", []
    for number, (rate, layout) in enumerate([(48000, "stereo"), (44100, "mono")]):
        part = tmp_path / f"{number}.ts"
        track = {"codec": codec, "rate": rate, "layout": layout}
        track["sound"] = 2 * sine(1, rate)
        shifted = {"output_ts_offset": str(number)}
        write_film(part, moving(25), tracks=[track], container_options=shifted)
        parts.append(part.read_bytes())
    film.write_bytes(b"".join(parts))
    path = painted(tmp_path, film, ".mp4")
    sound, first = samples(path)
    assert first + sound.shape[1] / 48000 == pytest.approx(2, abs=0.15)
    # Both halves are heard.
    for half in (sound[0, 10_000:40_000], sound[0, 60_000:90_000]):
        assert np.abs(half).mean() > 0.1


@pytest.mark.parametrize("codec", ["ac3", pytest.param("mp2", marks=pytest.mark.slow)])
def test_times_that_jump_by_many_hours(tmp_path, codec):
    """MP4 files hold no frame that is shown for so long."""
    film, parts = tmp_path / "film.ts", []
    for number, offset in enumerate((0, 20 * 3600)):
        part = tmp_path / f"{number}.ts"
        track = {"codec": codec, "sound": sine(1)}
        shifted = {"output_ts_offset": str(offset)}
        write_film(part, moving(25), tracks=[track], container_options=shifted)
        parts.append(part.read_bytes())
    film.write_bytes(b"".join(parts))
    with pytest.warns(DamagedFilmWarning, match="after 2.00 seconds instead of 72000"):
        path = painted(tmp_path, film, ".mp4")
    with open_film(path) as reader:
        assert [frame.time for frame in reader] == [i / RATE for i in range(50)]
    assert seconds_of_sound(path) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize(
    "kind", [".mp4", pytest.param(".webm", marks=pytest.mark.slow)]
)
def test_times_that_go_back_a_little(tmp_path, kind):
    film = tmp_path / "film.flv"
    write_film(film, moving(25), sound=sine(1))
    data, place, sounds = bytearray(film.read_bytes()), 13, 0
    while place < len(data):
        size = int.from_bytes(data[place + 1 : place + 4], "big")
        if data[place] == 8:  # A packet of sound.
            sounds += 1
            if sounds % 20 == 0:
                time = int.from_bytes(data[place + 4 : place + 7], "big") - 30
                data[place + 4 : place + 7] = time.to_bytes(3, "big")
        place += 11 + size + 4
    film.write_bytes(data)
    assert seconds_of_sound(painted(tmp_path, film, kind)) == pytest.approx(1, abs=0.1)


def test_sound_that_nothing_decodes_is_left_out_with_a_warning(tmp_path):
    film = tmp_path / "film.mp4"
    write_film(film, moving(5), sound=sine(0.2))
    data = film.read_bytes()
    film.write_bytes(data.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    with pytest.warns(UnwrittenWarning, match="Sound track 1 of .* nothing decodes it"):
        path = painted(tmp_path, film, ".mp4")
    with open_film(path) as reader:
        assert not reader.info.has_sound
        assert len(list(reader)) == 5


@pytest.mark.parametrize(
    "kind", [".mp4", pytest.param(".webm", marks=pytest.mark.slow)]
)
def test_a_gap_is_filled_with_silence(tmp_path, kind):
    film, sound = tmp_path / "film.mkv", sine(1)
    with av.open(str(film), "w") as file:
        track = file.add_stream("pcm_s16le", rate=48000)
        track.layout = "stereo"
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for first in (0, 35_000):
            values = (sound[:, :20_000] * 32767).astype(np.int16).T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(values, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48000, first
            frame.time_base = Fraction(1, 48000)
            file.mux(track.encode(frame))
        for number, picture in enumerate(moving(30)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, 1 / RATE
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode())
    found, first = samples(painted(tmp_path, film, kind))
    assert first + found.shape[1] / 48000 == pytest.approx(55_000 / 48000, abs=0.1)
    assert np.abs(found[0, 25_000:32_000]).max() < 0.01
    assert np.abs(found[0, 40_000:50_000]).mean() > 0.1


@pytest.mark.parametrize("kind", [".mp4", ".webm"])
def test_tracks_keep_their_languages_and_titles(tmp_path, kind):
    film = tmp_path / "film.mkv"
    tracks = [
        {"sound": sine(1), "metadata": {"language": "eng", "title": "Comments"}},
        {
            "sound": sine(1, hertz=880),
            "metadata": {"language": "deu", "title": "Stereo"},
            "disposition": 1,
        },
    ]
    write_film(film, moving(25), tracks=tracks)
    with av.open(str(painted(tmp_path, film, kind))) as file:
        tracks = file.streams.audio
        assert [x.metadata["language"] for x in tracks] == ["eng", "deu"]
        # Under names that depend on the kind of file, and on FFmpeg's version.
        for track, title in zip(tracks, ("Comments", "Stereo"), strict=True):
            assert title in track.metadata.values()
        assert [int(x.disposition.value) & 1 for x in tracks] == [0, 1]
