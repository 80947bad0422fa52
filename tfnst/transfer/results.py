"""What a run gives: the result, the progress on the way, and the error in between."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfnst.config import StyleTransferConfig
from tfnst.images import metadata, writing
from tfnst.images.manifest import build_manifest
from tfnst.images.save_options import SaveOptions
from tfnst.networks import weight_sources
from tfnst.ops import resizing


class NonFiniteLossError(ValueError):
    """The loss or the picture became NaN or infinite.

    Attributes:
        result: TransferResult with the last picture that was finite.
    """

    def __init__(self, message: str, result: TransferResult) -> None:
        super().__init__(message)
        self.result = result


@dataclasses.dataclass(frozen=True)
class TransferResult:
    """What a style transfer gives.

    Attributes:
        array: the stylized image, float32 RGB [H, W, 3] in [0, 1].
        losses: one row a step, a NumPy structured array with the fields `step` (from
            1), `size` (long side in pixels), `content`, `style`, `total_variation`
            (unweighted), `total` (weighted) and `seconds` (since the first step
            began). Losses are those of the picture before the step.
        config: the settings of the run.
        backbone: the network that was used; another one than `config.backbone`
            where its weights could not be had.
        weights: which weights were used, with their SHA-256.
        stopped: whether the run was stopped before its end.
        stop_reason: by what: `"callback"`, or `"max_time"` where that left no time for
            the finest scale; None for a run that wasn't.
        shortened_by: `"max_time"`, `"patience"` or both, where they have made the steps
            of some scale fewer.
        rollbacks: how often a loss was no longer finite and the run went on with half
            the learning rate.
        content_image: file name and SHA-256 of the content image; see
            `tfnst.images.manifest.describe_source`.
        style_image: the same of the style image; of several a list.
        info: what the content image's file held beside its colours, for the
            picture's: alpha, Exif, resolution; see `tfnst.images.metadata.PictureInfo`.
    """

    array: np.ndarray
    losses: np.ndarray
    config: StyleTransferConfig
    backbone: str
    weights: weight_sources.WeightsInfo
    stopped: bool = False
    stop_reason: str | None = None
    shortened_by: tuple[str, ...] = ()
    rollbacks: int = 0
    content_image: dict[str, str | None] = dataclasses.field(default_factory=dict)
    style_image: Any = dataclasses.field(default_factory=dict)
    info: metadata.PictureInfo = dataclasses.field(default_factory=metadata.PictureInfo)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the picture was made from and how, as it is written into its file."""
        return build_manifest(
            content_image=self.content_image,
            style_image=self.style_image,
            settings=self.config.to_dict(),
            backbone=self.backbone,
            weights={"source": self.weights.source, "sha256": self.weights.sha256},
            steps=len(self.losses),
            stopped=self.stopped,
            stop_reason=self.stop_reason,
            shortened_by=list(self.shortened_by),
            rollbacks=self.rollbacks,
        )

    @property
    def image(self) -> Image.Image:
        """The stylized image for Pillow, 8-bit RGB, without alpha."""
        return writing.to_pil(self.array)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "path",
        quality: int = 95,
        bits: int = 8,
        keep_gps: bool = False,
    ) -> None:
        """Writes the picture, with its manifest and what `info` holds.

        Args:
            path: of the file: PNG, JPEG, WebP or TIFF by suffix.
            name: what errors call the path. Default `"path"`.
            quality: of JPEG and WebP, 1 to 100. Default 95.
            bits: 8 or 16 a channel; 16 for PNG and TIFF. Default 8.
            keep_gps: whether the file may say where the photo was taken, as the
                content image's does. Default False.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        options = SaveOptions(bits=bits, quality=quality, keep_gps=keep_gps)
        self.write(path, options, name=name)

    def write(
        self,
        path: str | os.PathLike[str],
        options: SaveOptions,
        *,
        name: str = "path",
    ) -> None:
        """As `save`, with options that have been checked.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        writing.write_picture(
            self.array,
            path,
            options,
            name=name,
            info=self.info,
            manifest=self.manifest,
        )


@dataclasses.dataclass
class TransferProgress:
    """How far a run is; handed to the callback.

    Attributes:
        step: steps done, over all scales.
        steps: steps in all; `max_time` and `patience` change it.
        size: long side of the present scale in pixels.
        losses: row of the last step, with the fields of `TransferResult.losses`.
        fraction: share of the work that is done, from 0 to 1. A step's work is its
            number of pixels, so unlike `step / steps` it grows evenly with time.
        seconds: since the first step began.
    """

    step: int
    steps: int
    size: int
    fraction: float
    losses: np.void
    seconds: float
    _average: tf.Tensor | np.ndarray = dataclasses.field(repr=False)
    _finish: Callable[[tf.Tensor], tf.Tensor] = dataclasses.field(repr=False)
    _info: metadata.PictureInfo = dataclasses.field(repr=False)
    _stopped: bool = dataclasses.field(default=False, repr=False)

    def image(self, size: int | None = None) -> Image.Image:
        """The picture as it is now, the first of several.

        Args:
            size: long side in pixels, at most; None, the default, for the present one.
        """
        picture = self._average[:1]
        if size is not None:
            picture = resizing.shrink_image(picture, size)
        return writing.to_pil(np.asarray(self._finish(picture)[0]))

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "path",
        quality: int = 95,
        bits: int = 8,
        keep_gps: bool = False,
    ) -> None:
        """Writes the picture as it is now, the first of several.

        The arguments are those of `TransferResult.save`, and so are the errors. There
        is no manifest in it: it can't be painted again.
        """
        options = SaveOptions(bits=bits, quality=quality, keep_gps=keep_gps)
        self.write(path, options, name=name)

    def write(
        self,
        path: str | os.PathLike[str],
        options: SaveOptions,
        *,
        name: str = "path",
    ) -> None:
        """As `save`, with options that have been checked.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        picture = np.asarray(self._finish(self._average[:1])[0])
        writing.write_picture(picture, path, options, name=name, info=self._info)

    def stop(self) -> None:
        """Ends the run after this callback; `stylize` returns what there is."""
        self._stopped = True


Callback = Callable[[TransferProgress], None]


def as_one_callback(callback: Callback | Iterable[Callback] | None) -> Callback | None:
    """One callback that calls several in their order.

    Raises:
        ValueError: for what can't be called.
    """
    if callback is None or callable(callback):
        return callback
    each = tuple(callback) if isinstance(callback, Iterable) else (callback,)
    if not all(map(callable, each)):
        raise ValueError(
            "`callback` must be a function, or a list of functions, of a "
            f"TransferProgress. Received: {callback!r}"
        )

    def call(progress):
        for one in each:
            one(progress)

    return call
