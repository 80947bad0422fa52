"""What is to be painted."""

from __future__ import annotations

import dataclasses
import pathlib

from tfnst.config import FRAME_STEPS, TEMPORAL_WEIGHT, StyleTransferConfig
from tfnst.images.style_images import StyleImage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
    """How a film is painted: arguments of `tfnst.stylize_video`."""

    start: float = 0.0
    end: float | None = None
    every: int = 1
    frame_steps: int = FRAME_STEPS
    temporal_weight: float = TEMPORAL_WEIGHT


@dataclasses.dataclass(frozen=True)
class Order:
    """A picture or a film to paint.

    Attributes:
        content: path of the photo or the film.
        styles: whose images and regions are paths.
        config: the settings.
        init_image: path of the picture to start from, where the settings say so.
        label: what tells it apart from others of the same job.
        film: how to paint a film; None for a picture.
        suffix: of the file that is painted.
        bits: of a picture's channels, 8 or 16.
    """

    content: pathlib.Path
    styles: tuple[StyleImage, ...]
    config: StyleTransferConfig
    init_image: pathlib.Path | None = None
    label: str = ""
    film: Film | None = None
    suffix: str = ".png"
    bits: int = 8

    @property
    def files(self) -> set[pathlib.Path]:
        """The files that it is painted from."""
        masks = [m for style in self.styles for m in (style.mask, style.region)]
        named = [self.content, self.init_image, *masks]
        named += [style.image for style in self.styles]
        return {pathlib.Path(each) for each in named if each is not None}
