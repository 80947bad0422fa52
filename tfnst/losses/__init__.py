"""The losses of neural style transfer, as pure functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnst.lazy import lazy_names

if TYPE_CHECKING:
    from tfnst.losses.channel_moments import moments, moments_loss
    from tfnst.losses.gram_matrices import gram_matrix, style_loss
    from tfnst.losses.style import StyleLoss
    from tfnst.losses.terms import content_loss, total_loss, total_variation_loss
    from tfnst.ops.moments import Moments

__all__ = [
    "Moments",
    "StyleLoss",
    "content_loss",
    "gram_matrix",
    "moments",
    "moments_loss",
    "style_loss",
    "total_loss",
    "total_variation_loss",
]

_MODULES = {
    "Moments": "tfnst.ops.moments",
    "StyleLoss": "tfnst.losses.style",
    "content_loss": "tfnst.losses.terms",
    "gram_matrix": "tfnst.losses.gram_matrices",
    "moments": "tfnst.losses.channel_moments",
    "moments_loss": "tfnst.losses.channel_moments",
    "style_loss": "tfnst.losses.gram_matrices",
    "total_loss": "tfnst.losses.terms",
    "total_variation_loss": "tfnst.losses.terms",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
