"""The sound of painted films: copied, encoded anew, in sync."""

import numpy as np
import pytest

from tests.video.film_parts import parts
from tests.video.films import moving, packets, samples, sine, write_film
from tfnst.video.reading import open_film


def painted(tmp_path, film, kind, **options):
    """A film painted as it is, and its path."""
    path = tmp_path / f"out{kind}"
    with open_film(film) as reader:
        info = reader.info
        made = parts(tmp_path / "parts", kind, rate=info.rate, time_base=info.time_base)
        for frame in reader.frames(**options):
            made.append(frame)
        made.finish(path, sound_from=film)
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
    write_film(film, moving(50), sound=sine(2), sound_codec=codec)
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
    write_film(film, moving(50), sound=chirp(2), sound_codec=codec)
    path = painted(tmp_path, film, kind, start=start, end=1.6)
    check_in_sync(path, start, 1.6)


@pytest.mark.parametrize(
    ("codec", "kind"), [("aac", ".mp4"), ("libopus", ".webm"), ("libopus", ".mp4")]
)
def test_part_of_the_sound_in_sync(tmp_path, codec, kind):
    film = tmp_path / "film.mkv"
    write_film(film, moving(50), sound=chirp(2), sound_codec=codec)
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
    write_film(
        film, moving(50), sound=chirp(2), sound_codec=codec, sound_start=48 * 400
    )
    check_in_sync(painted(tmp_path, film, ".mp4"), -0.4, 1.6, moment=0.8)


def test_sound_that_ends_early(tmp_path):
    film = tmp_path / "film.mkv"
    write_film(film, moving(50), sound=chirp(0.5), sound_codec="pcm_s16le")
    sound, first = samples(painted(tmp_path, film, ".mp4"))
    assert first + sound.shape[1] / 48000 == pytest.approx(0.5, abs=0.05)


def test_films_without_sound(tmp_path):
    film = tmp_path / "film.mp4"
    write_film(film, moving(5))
    with open_film(painted(tmp_path, film, ".mp4")) as reader:
        assert not reader.info.has_sound
