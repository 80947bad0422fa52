"""Saving a picture: of a run, of a preview and of recolouring."""

from __future__ import annotations

import abc
import os
from typing import Any

import numpy as np

from tfnst.checks import argument
from tfnst.images.metadata import PictureInfo
from tfnst.images.save_options import SaveOptions
from tfnst.images.writing import write_picture


class SavedPicture(abc.ABC):
    """A picture that can be written to a file."""

    @abc.abstractmethod
    def _for_file(self) -> tuple[np.ndarray, PictureInfo, dict[str, Any] | None]:
        """The pixels [H, W, 3], the other contents of the file, and its manifest."""

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "path",
        quality: int = 95,
        bits: int = 8,
        keep_gps: bool = False,
    ) -> None:
        """Writes the picture; the first one if several are painted together.

        The file also gets the alpha, Exif data and resolution of the photo, and a
        manifest, except for a preview, which can't be painted again.

        Args:
            path: path of the file: PNG, JPEG, WebP or TIFF by suffix.
            name: name of the path in errors. Default `"path"`.
            quality: quality of JPEG and WebP, 1 to 100. Default 95.
            bits: bits of each channel, 8, or 16 for PNG and TIFF. Default 8.
            keep_gps: whether the file keeps the place where the photo was taken.
                Default False.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        options = SaveOptions(bits=bits, quality=quality, keep_gps=keep_gps)
        with argument(name):
            self.write(path, options)

    def write(self, path: str | os.PathLike[str], options: SaveOptions) -> None:
        """Writes the picture as `save` does, with options that have been checked.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        array, info, manifest = self._for_file()
        write_picture(array, path, options, info=info, manifest=manifest)
