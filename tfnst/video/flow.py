"""Optical flow: where each part of a frame was, or will be, in another one."""

from __future__ import annotations

import importlib
import os
from typing import Any, Protocol

import numpy as np

from tfnst.checks import ArgumentError, argument, argument_error, attach_refusal
from tfnst.files import read_file, show_path
from tfnst.video.frames import Frame

# The first four bytes of a .flo file: the number 202021.25.
_FLO = b"PIEH"


def import_opencv() -> Any:
    """The module `cv2`.

    Raises:
        ImportError: when OpenCV isn't installed.
    """
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        refusal = ArgumentError(
            "OpenCV: pip install 'tfnst[video]'",
            "nothing else that finds the motion",
            argument="flow",
            verb="needs",
        )
        raise attach_refusal(ImportError(), refusal) from error


class OpticalFlow(Protocol):
    """Finds the motion between two frames of a film.

    Whatever can be called so may be passed to `tfnst.stylize_video` as `flow`.
    """

    def __call__(self, first: Frame, second: Frame) -> np.ndarray:
        """For each pixel of `first`, how far away its match in `second` is.

        Args:
            first: a frame, at the size of the painted film.
            second: one that is shown near it, before or after, of the same size.

        Returns:
            float32 [H, W, 2]: pixels to the right and down.
        """
        ...


class DISFlow:
    """Dense inverse search, as OpenCV has it: quick, on the CPU, without any weights.

    Reference:
        Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse
        Search", arXiv 1603.03590.
    """

    def __init__(self) -> None:
        cv2 = import_opencv()
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._gray = lambda picture: cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)

    def __call__(self, first: Frame, second: Frame) -> np.ndarray:
        """As `OpticalFlow.__call__`."""
        return self._search.calc(
            self._gray(first.picture), self._gray(second.picture), None
        )


class FlowFiles:
    """Flow that another program has computed, from files in Middlebury's .flo format.

    The file for the flow from frame 12 to frame 11 is `flow_12_11.flo`; frames count
    from 0. Films need the files both ways between each frame and those one, two and
    four before it. Flow of another size than the painted film's is scaled to it.

    Args:
        folder: where the files are; also an attribute.

    Raises:
        OSError: when called, if a file can't be read.
        ValueError: if `folder` isn't one; when called, if a file isn't a .flo file.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        if not os.path.isdir(self.folder):
            raise argument_error("flow", "a folder of .flo files", show_path(folder))

    def __call__(self, first: Frame, second: Frame) -> np.ndarray:
        """As `OpticalFlow.__call__`."""
        name = f"flow_{first.number}_{second.number}.flo"
        path = os.path.join(self.folder, name)
        with argument("flow"):
            flow = parse_flo(read_file(path), path)
        return scale_flow(flow, *first.picture.shape[:2])


def parse_flo(data: bytes, path: str) -> np.ndarray:
    """The flow in the bytes of a .flo file, float32 [H, W, 2].

    Reference:
        https://vision.middlebury.edu/flow/code/flow-code/README.txt
    """
    error = argument_error("flow", "a file in Middlebury's .flo format", path)
    if len(data) < 12 or data[:4] != _FLO:
        raise error
    width, height = np.frombuffer(data, "<i4", 2, offset=4)
    if width < 1 or height < 1 or len(data) != 12 + 8 * int(width) * int(height):
        raise error
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    if not np.isfinite(flow).all():
        raise error
    return flow


def scale_flow(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Flow at another size, in pixels of that size."""
    if flow.shape[:2] == (height, width):
        return flow
    cv2 = import_opencv()
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale


def check_flow(flow: Any, picture: np.ndarray) -> np.ndarray:
    """What an `OpticalFlow` has given for a picture, or ValueError."""
    flow = np.asarray(flow, np.float32)
    shape = (*picture.shape[:2], 2)
    if flow.shape != shape or not np.isfinite(flow).all():
        raise argument_error(
            "flow", f"finite numbers of the shape {shape}", f"shape {flow.shape}"
        )
    return flow
