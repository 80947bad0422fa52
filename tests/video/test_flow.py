"""Optical flow: OpenCV's, and that from files."""

import sys

import numpy as np
import pytest

from tests.helpers import message
from tests.video.moving_photos import frame, panned, photo, zoomed
from tfnst.video.coherence import warp
from tfnst.video.flow import DISFlow, FlowFiles, check_flow, parse_flo, scale_flow


def flo(flow):
    """The bytes of a .flo file."""
    height, width = flow.shape[:2]
    sides = np.array([width, height], "<i4").tobytes()
    return b"PIEH" + sides + flow.astype("<f4").tobytes()


def test_flow_of_a_pan_leads_to_the_earlier_picture():
    before, now = panned(2, right=3, down=2, height=96, width=128)
    flow = DISFlow()(frame(now), frame(before))
    assert (flow.shape, flow.dtype) == ((96, 128, 2), np.float32)
    # What is seen now lay further to the right and further down.
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), (3, 2), atol=0.15)
    moved = warp(before, flow)[2:-2, 2:-3].astype(int)
    error = np.abs(moved - now[2:-2, 2:-3]).mean()
    assert error < np.abs(before.astype(int) - now).mean() / 3


def test_flow_of_a_zoom():
    now, exact = zoomed(1.04)
    flow = DISFlow()(frame(now), frame(photo()))
    assert np.abs(flow - exact)[4:-4, 4:-4].mean() < 0.2
    assert np.abs(exact)[4:-4, 4:-4].mean() > 0.8


@pytest.mark.parametrize("sides", [(16, 16), (16, 200), (17, 33)])
def test_flow_of_small_frames(sides):
    picture = np.random.default_rng(0).integers(0, 256, (*sides, 3), np.uint8)
    flow = DISFlow()(frame(picture), frame(picture))
    np.testing.assert_allclose(flow, np.zeros((*sides, 2)), atol=1e-3)


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert message(ImportError, DISFlow) == (
        "`flow` needs OpenCV: pip install 'tfnst[video]'. Received: nothing else that "
        "finds the motion"
    )


def test_flow_from_files(tmp_path):
    wanted = np.random.default_rng(0).normal(0, 3, (48, 64, 2)).astype(np.float32)
    (tmp_path / "flow_7_5.flo").write_bytes(flo(wanted))
    picture = np.zeros((48, 64, 3), np.uint8)
    flow = FlowFiles(tmp_path)
    np.testing.assert_array_equal(flow(frame(picture, 7), frame(picture, 5)), wanted)
    text = message(FileNotFoundError, flow, frame(picture, 5), frame(picture, 7))
    assert text.startswith("`flow` must be ")
    assert "flow_5_7.flo" in text
    assert message(ValueError, FlowFiles, tmp_path / "no").startswith(
        "`flow` must be a folder of .flo files. Received: "
    )


def test_flow_of_another_size_is_scaled(tmp_path):
    (tmp_path / "flow_1_0.flo").write_bytes(flo(np.full((24, 16, 2), 2, np.float32)))
    picture = np.zeros((48, 64, 3), np.uint8)
    found = FlowFiles(tmp_path)(frame(picture, 1), frame(picture, 0))
    np.testing.assert_allclose(found, np.broadcast_to([8, 4], (48, 64, 2)))
    same = np.ones((5, 6, 2), np.float32)
    assert scale_flow(same, 5, 6) is same


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:11],
        lambda data: b"PIEX" + data[4:],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:4] + np.array([-3, -4], "<i4").tobytes() + data[12:],
        lambda data: data[:4] + np.array([2**30, 2**30], "<i4").tobytes() + data[12:],
        lambda data: data[:12] + np.float32(np.nan).tobytes() + data[16:],
        lambda data: data[:12] + np.float32(np.inf).tobytes() + data[16:],
    ],
)
def test_files_that_hold_no_flow(change):
    data = flo(np.zeros((3, 4, 2)))
    np.testing.assert_array_equal(parse_flo(data, "a.flo"), np.zeros((3, 4, 2)))
    assert message(ValueError, parse_flo, change(data), "a.flo") == (
        "`flow` must be a file in Middlebury's .flo format. Received: a.flo"
    )


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((4, 5)),
        np.zeros((5, 4, 2)),
        np.full((4, 5, 2), np.nan),
        np.full((4, 5, 2), np.inf),
    ],
)
def test_what_a_flow_gives_is_checked(given):
    picture = np.zeros((4, 5, 3), np.uint8)
    np.testing.assert_array_equal(check_flow([[[0, 1]] * 5] * 4, picture)[..., 1], 1)
    text = message(ValueError, check_flow, given, picture)
    assert text.startswith("`flow` must be finite numbers of the shape (4, 5, 2). ")
