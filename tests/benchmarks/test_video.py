"""The benchmark of films measures what it claims to."""

import cv2
import numpy as np
import pytest

from benchmarks import video
from tests.helpers import SAMPLES, TINY
from tests.video.films import RATE, write_film
from tests.video.moving_photos import frame
from tfnst.video.coherence import warp

PHOTO, STYLE = SAMPLES / "photo_cat.jpg", SAMPLES / "style_impasto.jpg"


def test_the_flow_of_the_camera_is_exact():
    camera = video.Camera(PHOTO, 96)
    one, other = (
        cv2.GaussianBlur(camera.frame(number), (0, 0), 1.5) for number in (2, 7)
    )
    assert max(one.shape) == 96
    flow = camera(frame(other, 7), frame(one, 2))
    inside = np.s_[16:-16, 16:-16]
    np.testing.assert_allclose(flow[inside].mean((0, 1)), (10, 3.5), atol=1.5)
    before = np.abs(one.astype(int) - other)[inside].mean()
    moved = np.abs(warp(one, flow).astype(int) - other)[inside].mean()
    assert moved < before / 10
    # At twice the size, all of it is twice as far.
    large = [frame(np.zeros((2 * len(one), 192, 3), np.uint8), i) for i in (7, 2)]
    np.testing.assert_allclose(camera(*large)[::2, ::2], 2 * flow, atol=1e-3)


def test_a_part_of_a_film_is_read(tmp_path):
    greys = [np.full((48, 64, 3), 40 * i, np.uint8) for i in range(6)]
    write_film(tmp_path / "film.mp4", greys)
    two = video.read_film(tmp_path / "film.mp4", 2 / RATE, 2)
    assert [round(each.mean() / 40) for each in two] == [2, 3]


@pytest.mark.slow
def test_frames_held_to_each_other_are_steadier():
    camera = video.Camera(PHOTO, 48)
    pictures = [camera.frame(number) for number in range(4)]
    config = TINY.replace(init_image="noise", steps=12)
    alone = video.paint_alone(pictures, STYLE, config, 1)
    held = {"frame_steps": 3, "temporal_weight": 300}
    (coherent,) = video.paint_held("exact", pictures, STYLE, config, camera, held, 1)
    assert len(alone.painted) == len(coherent.painted) == 4
    assert len(alone.seconds) == 4
    assert len(coherent.steps) == 3
    young = video.find_young(pictures, alone.painted[0].shape, camera)
    rows = [
        video.row(variant, alone, pictures, STYLE, config, camera, young, 4).split()
        for variant in (alone, coherent)
    ]
    assert [len(row) for row in rows] == [len(video.HEADINGS)] * 2
    assert [row[0] for row in rows] == ["alone", "exact"]
    assert float(rows[1][1]) < float(rows[0][1])
    assert float(rows[0][-1]) == 1
    assert float(rows[1][-3]) < float(rows[0][-3])
