"""Descriptions of what is to be painted."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from tfnst.config import FRAME_STEPS, TEMPORAL_WEIGHT, StyleTransferConfig
from tfnst.images.style_images import StyleImage


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Arguments of `tfnst.stylize_video` that visitors choose."""

    start: float = 0.0
    end: float | None = None
    every: int = 1
    frame_steps: int = FRAME_STEPS
    temporal_weight: float = TEMPORAL_WEIGHT


@dataclasses.dataclass(frozen=True)
class Task:
    """A picture or a video to paint.

    Attributes:
        content: path of the photo or the video.
        styles: the styles, whose images, masks and regions are paths.
        config: the settings.
        label: name that tells it from other tasks of the same run.
        video: options of a video; None for a picture.
        suffix: suffix of the painted file.
        bits: bits of a picture's channels, 8 or 16.
        network: path of a network that has learned the style and paints at once; None
            for painting by optimisation.
    """

    content: pathlib.Path
    styles: tuple[StyleImage, ...]
    config: StyleTransferConfig
    label: str = ""
    video: VideoOptions | None = None
    suffix: str = ".png"
    bits: int = 8
    network: pathlib.Path | None = None

    @property
    def style(self) -> Any:
        """The style as `tfnst.stylize_video` takes it."""
        return list(self.styles) if self.network is None else self.network

    @property
    def files(self) -> set[pathlib.Path]:
        """Paths of the files that it is painted from."""
        masks = [m for style in self.styles for m in (style.mask, style.region)]
        named = [self.content, *masks]
        named += [style.image for style in self.styles]
        return {pathlib.Path(each) for each in named if each is not None}
