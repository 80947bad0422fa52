"""Painted frames as PNG files, with the state from which painting goes on."""

from __future__ import annotations

import contextlib
import io
import os
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from tfnst.files import write_file
from tfnst.video.frames import Frame


class FrameState(NamedTuple):
    """State after a frame, from which the next one is painted.

    Attributes:
        picture: the state's values for each pixel, uint8 [H, W, C].
        past: the state's other values.
    """

    picture: np.ndarray
    past: tuple[int, ...]


class KeptFrames:
    """Frames in a folder, by their numbers. Each file is written whole or not at all.

    Args:
        folder: path of a folder that exists.
    """

    # Patterns of the files' names.
    FILES = r"(frame|source|state)-\d{8}\.png"

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def path(self, kind: str, number: int) -> str:
        """Returns the path of a file; its kind is `frame`, `source` or `state`."""
        return os.path.join(self._folder, f"{kind}-{number:08}.png")

    def has(self, number: int, kind: str = "frame") -> bool:
        """Whether a file is there, that of the frame by default."""
        return os.path.exists(self.path(kind, number))

    def write(self, frame: Frame, pass_number: int) -> None:
        """Keeps a frame that a pass over the film has painted."""
        self._write(
            "frame",
            frame.number,
            frame.picture,
            time=str(frame.time),
            duration=str(frame.duration),
            pass_number=str(pass_number),
        )

    def read(self, number: int) -> Frame:
        """Reads a frame."""
        time, duration = self.times(number)
        return Frame(number, time, duration, self._read("frame", number))

    def times(self, number: int) -> tuple[Fraction, Fraction]:
        """Reads the time and the duration of a frame."""
        texts = self._texts("frame", number)
        return Fraction(texts["time"]), Fraction(texts["duration"])

    def pass_number(self, number: int) -> int:
        """Reads the number of the pass that has painted a frame last."""
        return int(self._texts("frame", number)["pass_number"])

    def write_source(self, number: int, picture: np.ndarray) -> None:
        """Keeps the picture that a frame was painted from."""
        self._write("source", number, picture)

    def source(self, number: int) -> np.ndarray:
        """Reads the picture that a frame was painted from."""
        return self._read("source", number)

    def write_state(self, number: int, state: FrameState, pass_number: int) -> None:
        """Keeps the state after a frame."""
        past = " ".join(map(str, state.past))
        texts = {"past": past, "pass_number": str(pass_number)}
        self._write("state", number, state.picture, **texts)

    def state(self, number: int) -> FrameState:
        """Reads the state after a frame."""
        past = self._texts("state", number)["past"].split()
        return FrameState(self._read("state", number), tuple(map(int, past)))

    def state_pass(self, number: int) -> int:
        """Reads the number of the pass that the state after a frame is from."""
        return int(self._texts("state", number)["pass_number"])

    def remove(self, kind: str, number: int) -> None:
        """Removes a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(kind, number))

    def _write(self, kind: str, number: int, picture: np.ndarray, **texts: str) -> None:
        info = PngImagePlugin.PngInfo()
        for name, text in texts.items():
            info.add_text(name, text)
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "PNG", compress_level=1, pnginfo=info)
        write_file(self.path(kind, number), data.getbuffer(), name="output")

    def _read(self, kind: str, number: int) -> np.ndarray:
        with Image.open(self.path(kind, number)) as image:
            return np.asarray(image)

    def _texts(self, kind: str, number: int) -> dict[str, str]:
        with Image.open(self.path(kind, number)) as image:
            # Not `text`, for which Pillow decodes the picture.
            return {str(name): text for name, text in image.info.items()}
