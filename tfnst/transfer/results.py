"""Results of runs: the result, and the error that holds the last good one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from tfnst.config import StyleTransferConfig
from tfnst.images import metadata, notebooks, writing
from tfnst.images.manifest import build_manifest
from tfnst.networks import weight_sources
from tfnst.transfer.saving import SavedPicture


class NonFiniteLossError(ValueError):
    """The loss or the picture became NaN or infinite.

    Attributes:
        result: TransferResult with the last finite picture.
    """

    def __init__(self, message: str, result: TransferResult) -> None:
        super().__init__(message)
        self.result = result


@dataclasses.dataclass(frozen=True)
class TransferResult(SavedPicture):
    """Result of a style transfer; notebooks show the picture with its losses.

    Attributes:
        array: the stylized image, float32 RGB [H, W, 3] in [0, 1].
        losses: a NumPy structured array with a row for each step and the fields `step`
            (from 1), `size` (long side in pixels), `content`, `style` and
            `total_variation` (unweighted), `total` (weighted) and `seconds` (since the
            first step began). The losses are those of the picture before the step.
        config: the settings of the run.
        backbone: the network that was used. It differs from `config.backbone` if its
            weights could not be found.
        weights: source and SHA-256 of the weights that were used.
        stopped: whether the run was stopped before its end.
        stop_reason: reason for the stop: `"callback"`, or `"max_time"` if no time was
            left for the finest scale; None for a run that ended by itself.
        shortened_by: names of the settings that left a scale fewer steps: `"max_time"`
            and `"patience"`.
        rollbacks: number of times that a loss was no longer finite, so that the run
            went on with half the learning rate.
        content_image: file name and SHA-256 of the content image; see
            `tfnst.images.manifest.describe_source`.
        style_image: the same for the style image; a list if there are several.
        info: contents of the content image's file that the painted file gets, too:
            alpha, Exif data, resolution; see `tfnst.images.metadata.PictureInfo`.
        network: style, settings and training of the network that painted the picture at
            once; None for an optimised picture.
        network_seconds: seconds that it took.
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
    network: dict[str, Any] | None = None
    network_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds that painting took."""
        return (
            float(self.losses["seconds"][-1])
            if len(self.losses)
            else self.network_seconds
        )

    @property
    def manifest(self) -> dict[str, Any]:
        """The record of how the picture was made, as its file holds it."""
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
            **({} if self.network is None else {"network": self.network}),
        )

    @property
    def image(self) -> Image.Image:
        """The stylized image for Pillow, 8-bit RGB, without alpha."""
        return writing.to_pil(self.array)

    def _repr_png_(self) -> bytes:
        """The picture for notebooks, at most 1024 pixels long."""
        return notebooks.encode_preview(self.image, "PNG")

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> dict[str, str]:
        """The picture with its losses, and a text, for notebooks."""
        return {
            "text/html": notebooks.html_figure(self.image, self._summary),
            "text/plain": f"<TransferResult: {self._summary}>",
        }

    @property
    def _summary(self) -> str:
        height, width = self.array.shape[:2]
        summary = f"{width}x{height} pixels, {len(self.losses)} steps"
        if self.network is not None:
            return f"{width}x{height} pixels, painted at once in {self.seconds:.1f} s"
        if not len(self.losses):
            return summary
        last = self.losses[-1]
        return (
            f"{summary} in {last['seconds']:.0f} s; content {last['content']:.3f}, "
            f"style {last['style']:.4f}, total variation "
            f"{last['total_variation']:.4f}, total {last['total']:.3f}"
        )

    def _for_file(
        self,
    ) -> tuple[np.ndarray, metadata.PictureInfo, dict[str, Any] | None]:
        return self.array, self.info, self.manifest
