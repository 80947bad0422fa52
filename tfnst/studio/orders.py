"""What is to be painted."""

from __future__ import annotations

import dataclasses
import pathlib

from tfnst.config import StyleTransferConfig
from tfnst.images.style_images import StyleImage


@dataclasses.dataclass(frozen=True)
class Order:
    """A picture to paint.

    Attributes:
        content: path of the photo.
        styles: whose images and regions are paths.
        config: the settings.
        init_image: path of the picture to start from, where the settings say so.
        label: what tells it apart from others of the same job.
    """

    content: pathlib.Path
    styles: tuple[StyleImage, ...]
    config: StyleTransferConfig
    init_image: pathlib.Path | None = None
    label: str = ""

    @property
    def files(self) -> set[pathlib.Path]:
        """The files that it is painted from."""
        masks = [m for style in self.styles for m in (style.mask, style.region)]
        named = [self.content, self.init_image, *masks]
        named += [style.image for style in self.styles]
        return {pathlib.Path(each) for each in named if each is not None}
