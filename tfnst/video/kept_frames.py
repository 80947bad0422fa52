"""Painted frames as PNG files, with what must be known of them to paint others."""

from __future__ import annotations

import contextlib
import io
import os
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from tfnst.checks import argument
from tfnst.files import write_file
from tfnst.video.frames import Frame


class FrameState(NamedTuple):
    """What must be known of the last frame to go on from it."""

    picture: np.ndarray  # uint8 [H, W, C]
    past: tuple[int, ...]  # numbers


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
        """Of a file: `frame`, `source` or `state`."""
        return os.path.join(self._folder, f"{kind}-{number:08}.png")

    def has(self, number: int) -> bool:
        """Whether a frame is there."""
        return os.path.exists(self.path("frame", number))

    def write(self, frame: Frame, pass_number: int) -> None:
        """Keeps a frame as a pass over the film has painted it."""
        self._write(
            "frame",
            frame.number,
            frame.picture,
            time=str(frame.time),
            duration=str(frame.duration),
            pass_number=str(pass_number),
        )

    def read(self, number: int) -> Frame:
        """A frame that was kept."""
        time, duration = self.times(number)
        return Frame(number, time, duration, self._read("frame", number))

    def times(self, number: int) -> tuple[Fraction, Fraction]:
        """Time and duration of a frame."""
        texts = self._texts("frame", number)
        return Fraction(texts["time"]), Fraction(texts["duration"])

    def pass_number(self, number: int) -> int:
        """Of the pass that has painted a frame last."""
        return int(self._texts("frame", number)["pass_number"])

    def write_source(self, number: int, picture: np.ndarray) -> None:
        """Keeps what a frame was painted from."""
        self._write("source", number, picture)

    def source(self, number: int) -> np.ndarray:
        """What a frame was painted from."""
        return self._read("source", number)

    def write_state(self, number: int, state: FrameState, pass_number: int) -> None:
        """Keeps the state after a frame."""
        past = " ".join(map(str, state.past))
        texts = {"past": past, "pass_number": str(pass_number)}
        self._write("state", number, state.picture, **texts)

    def state(self, number: int) -> FrameState:
        """The state after a frame."""
        past = self._texts("state", number)["past"].split()
        return FrameState(self._read("state", number), tuple(map(int, past)))

    def state_pass(self, number: int) -> int:
        """The pass that the state after a frame is from."""
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
        with argument("output"):
            write_file(self.path(kind, number), data.getbuffer())

    def _read(self, kind: str, number: int) -> np.ndarray:
        with Image.open(self.path(kind, number)) as image:
            return np.asarray(image)

    def _texts(self, kind: str, number: int) -> dict[str, str]:
        with Image.open(self.path(kind, number)) as image:
            # Not `text`, for which Pillow decodes the picture.
            return {str(name): text for name, text in image.info.items()}
