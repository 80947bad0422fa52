"""Optical flow: the motion between two frames, for each pixel."""

from __future__ import annotations

import importlib
import os
from typing import Any, Protocol

import numpy as np

from tfnst.checks import ArgumentError, argument, attach_refusal
from tfnst.files import read_file, show_path
from tfnst.video.frames import Frame

# The first four bytes of a .flo file: the number 202021.25.
_FLO = b"PIEH"


def import_opencv() -> Any:
    """Imports the module `cv2`.

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
    """Function that finds the motion between two frames of a film.

    Any such function may be passed to `tfnst.stylize_video` as `flow`.
    """

    def __call__(self, first: Frame, second: Frame) -> np.ndarray:
        """Finds for each pixel of `first` the distance to its match in `second`.

        Args:
            first: a frame, at the size of the painted film.
            second: a frame near it, before or after, of the same size.

        Returns:
            float32 [H, W, 2]: pixels to the right and down.
        """
        ...


class DISFlow:
    """Dense inverse search by OpenCV: quick, on the CPU, without any weights.

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
        folder: folder with the files; also an attribute.

    Raises:
        OSError: when called, if a file can't be read.
        ValueError: if there is no such folder; when called, if a file is of another
            format.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        if not os.path.isdir(self.folder):
            raise ArgumentError(
                "a folder of .flo files", show_path(folder), argument="flow"
            )

    def __call__(self, first: Frame, second: Frame) -> np.ndarray:
        """As `OpticalFlow.__call__`."""
        name = f"flow_{first.number}_{second.number}.flo"
        path = os.path.join(self.folder, name)
        with argument("flow"):
            flow = parse_flo(read_file(path), path)
        return scale_flow(flow, *first.picture.shape[:2])


def parse_flo(data: bytes, path: str) -> np.ndarray:
    """Reads the flow in the bytes of a .flo file, float32 [H, W, 2].

    Reference:
        https://vision.middlebury.edu/flow/code/flow-code/README.txt
    """
    error = ArgumentError("a file in Middlebury's .flo format", path, argument="flow")
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
    """Resizes flow, which is then in pixels of the new size."""
    if flow.shape[:2] == (height, width):
        return flow
    cv2 = import_opencv()
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale


def check_flow(flow: Any, picture: np.ndarray) -> np.ndarray:
    """Checks the result of an `OpticalFlow` for a picture."""
    flow = np.asarray(flow, np.float32)
    shape = (*picture.shape[:2], 2)
    if flow.shape != shape or not np.isfinite(flow).all():
        raise ArgumentError(
            f"finite numbers of the shape {shape}",
            f"shape {flow.shape}",
            argument="flow",
        )
    return flow
