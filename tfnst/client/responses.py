"""What a server answers."""

from __future__ import annotations

import dataclasses
import io
import os
from typing import NamedTuple

from PIL import Image

from tfnst.images import metadata, writing


class ModelVersionStatus(NamedTuple):
    """How a version of the model is: `"AVAILABLE"`, `"LOADING"`, `"END"`, ..."""

    version: int
    state: str
    error: str  # Empty where there is none.


@dataclasses.dataclass(frozen=True)
class StylizeResponse:
    """What a server answered.

    Attributes:
        image_bytes: the stylized image, a PNG file.
        content_loss: unweighted content loss of the last step.
        style_loss: unweighted style loss of the last step.
        total_loss: weighted sum of all losses of the last step.
        model_version: version of the model that painted it.
        info: what the content image's file held beside its colours, for the
            picture's: alpha, Exif, resolution; see `tfnst.images.metadata.PictureInfo`.
    """

    image_bytes: bytes = dataclasses.field(repr=False)
    content_loss: float
    style_loss: float
    total_loss: float
    model_version: int
    info: metadata.PictureInfo = dataclasses.field(
        default_factory=metadata.PictureInfo, repr=False, compare=False
    )

    @property
    def image(self) -> Image.Image:
        """The stylized image for Pillow, 8-bit RGB, without alpha."""
        with Image.open(io.BytesIO(self.image_bytes)) as image:
            return image.convert("RGB")

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "path",
        quality: int = 95,
        keep_gps: bool = False,
    ) -> None:
        """Writes the picture, with what `info` holds.

        Args:
            path: of the file: PNG, JPEG, WebP or TIFF by suffix.
            name: what errors call the path. Default `"path"`.
            quality: of JPEG and WebP, 1 to 100. Default 95.
            keep_gps: whether the file may say where the photo was taken, as the
                content image's does. Default False.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        writing.save_image(
            self.image,
            path,
            name=name,
            quality=quality,
            info=self.info,
            keep_gps=keep_gps,
        )
