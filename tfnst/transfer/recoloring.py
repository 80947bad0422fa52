"""Recolouring: a painted picture gets colours or parts of its photo."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from tfnst.checks import ArgumentError, argument, check_choice
from tfnst.config import COLOR_MODES
from tfnst.eager import eagerly
from tfnst.images import notebooks, writing
from tfnst.images.manifest import describe_source, find_manifest, without_manifest
from tfnst.images.metadata import PictureInfo
from tfnst.images.open_files import read_open_files
from tfnst.images.reading import load_mask, read_described
from tfnst.ops import coloring
from tfnst.ops.masks import resize_mask
from tfnst.ops.resizing import resize_image
from tfnst.transfer.results import TransferResult
from tfnst.transfer.saving import SavedPicture
from tfnst.version import __version__

# Largest difference of shape between photo and painting: sides are rounded to pixels.
_SHAPE_TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True)
class RecolorResult(SavedPicture):
    """Result of `recolor`; notebooks show the picture.

    Attributes:
        array: the picture, float32 RGB [H, W, 3] in [0, 1].
        manifest: manifest of the painted picture, with an entry about the recolouring
            under `recolored`; None if the painted picture has none.
        info: contents of the painted picture's file besides the colours; see
            `tfnst.images.metadata.PictureInfo`.
    """

    array: np.ndarray
    manifest: dict[str, Any] | None = None
    info: PictureInfo = dataclasses.field(default_factory=PictureInfo)

    @property
    def image(self) -> Image.Image:
        """The picture for Pillow, 8-bit RGB, without alpha."""
        return writing.to_pil(self.array)

    def _repr_png_(self) -> bytes:
        """The picture for notebooks, at most 1024 pixels long."""
        return notebooks.encode_preview(self.image, "PNG")

    def _for_file(self) -> tuple[np.ndarray, PictureInfo, dict[str, Any] | None]:
        return self.array, self.info, self.manifest


@eagerly
def recolor(
    painted_image: Any,
    content_image: Any,
    *,
    preserve_color: str = "luminance",
    mask: Any = None,
) -> RecolorResult:
    """Gives a finished picture the colours of the photo, without painting it again.

    With `"luminance"`, each pixel gets the photo's hue and chroma and keeps its own
    lightness. With `"transport"` and `"histogram"`, the painted picture's colours as a
    whole get the mean and covariance of the photo's, or their distribution; see
    `tfnst.ops.color_transfer`. Where a mask is black, the photo is kept:
    `mask * recolored + (1 - mask) * photo`.

    This isn't what `tfnst.stylize` does with `preserve_color`. There, the colours are
    settled before anything is painted: the photo and the style are grey for
    `"luminance"`, and for the others the style is in the photo's colours.

    Args:
        painted_image: a picture as for `tfnst.load_image`, or a TransferResult.
        content_image: the photo, in the same way; it is resized to the painted picture.
        preserve_color: `"luminance"` (the default), `"transport"` or `"histogram"`;
            `"none"` with a mask.
        mask: grey picture, stretched over the painted one. None changes all of it.

    Returns:
        RecolorResult, of the size of the painted picture.

    Raises:
        ValueError: for `"none"` without a mask; for a photo of another shape, unless
            only its colours as a whole matter; and for a source that is no picture.
        OSError: when a file can't be read.
    """
    check_choice("preserve_color", preserve_color, COLOR_MODES)
    if preserve_color == "none" and mask is None:
        raise ArgumentError(
            "'luminance', 'transport' or 'histogram' where there is no `mask`",
            "'none'",
            argument="preserve_color",
        )
    painted_image, content_image, mask = read_open_files(
        painted_image, content_image, mask
    )
    painted, info, manifest, source = _read_painted(painted_image)
    with argument("content_image"):
        content, _, content_source = read_described(content_image)
    height, width = painted.shape[1:3]
    if preserve_color == "luminance" or mask is not None:
        _check_shape(content, height, width)
    photo = resize_image(content, height, width)
    picture = coloring.restore_colors(painted, photo, preserve_color)
    done: dict[str, Any] = {
        "preserve_color": preserve_color,
        "painted_image": source,
        "content_image": content_source,
    }
    if mask is not None:
        with argument("mask"):
            weights = resize_mask(load_mask(mask), height, width)
            done["mask"] = describe_source(mask)
        picture = photo + weights * (picture - photo)
    if manifest is not None:
        before = manifest.get("recolored")
        steps = before if isinstance(before, list) else []
        manifest = manifest | {"recolored": [*steps, done | {"tfnst": __version__}]}
    return RecolorResult(np.asarray(picture)[0], manifest, info)


@argument("painted_image")
def _read_painted(
    source: Any,
) -> tuple[np.ndarray, PictureInfo, dict[str, Any] | None, dict[str, str | None]]:
    """A painted picture, [1, H, W, 3], with its info, manifest and description."""
    if isinstance(source, TransferResult):
        described = describe_source(source.array)
        return source.array[np.newaxis], source.info, source.manifest, described
    rgb, info, described = read_described(source)
    manifest = find_manifest(source)
    if manifest is not None:
        # Otherwise a file of another format would hold it twice.
        info = dataclasses.replace(info, exif=without_manifest(info.exif))
    return rgb, info, manifest, described


def _check_shape(content: np.ndarray, height: int, width: int) -> None:
    """Checks that a photo [1, H, W, 3] has the shape of a picture of this size.

    Raises:
        ValueError: if it doesn't.
    """
    rows, columns = content.shape[1:3]
    for side, expected in (
        (height, width * rows / columns),
        (width, height * columns / rows),
    ):
        if abs(side - expected) > max(1, _SHAPE_TOLERANCE * side):
            raise ArgumentError(
                f"the photo that was painted, in the shape of {width}x{height}",
                f"a picture of {columns}x{rows} pixels",
                argument="content_image",
            )
