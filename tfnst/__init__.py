"""Neural style transfer by optimisation, in Keras and TensorFlow.

`import tfnst` is cheap: TensorFlow is loaded when the first name that needs it is
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tfnst.version import __version__

if TYPE_CHECKING:
    from tfnst.batch import stylize_batch
    from tfnst.batch_items import BatchItem
    from tfnst.batch_painter import BatchProgress
    from tfnst.config import StyleTransferConfig
    from tfnst.evaluation import Evaluation, evaluate
    from tfnst.export import export_saved_model
    from tfnst.film import Film
    from tfnst.images import load_image, save_image
    from tfnst.plots import plot_losses
    from tfnst.results import NonFiniteLossError, TransferProgress, TransferResult
    from tfnst.style_images import StyleImage
    from tfnst.transfer import StyleTransfer, stylize

__all__ = [
    "BatchItem",
    "BatchProgress",
    "Evaluation",
    "Film",
    "NonFiniteLossError",
    "StyleImage",
    "StyleTransfer",
    "StyleTransferConfig",
    "TransferProgress",
    "TransferResult",
    "__version__",
    "evaluate",
    "export_saved_model",
    "load_image",
    "plot_losses",
    "save_image",
    "stylize",
    "stylize_batch",
]

_MODULES = {
    "BatchItem": "tfnst.batch_items",
    "BatchProgress": "tfnst.batch_painter",
    "Evaluation": "tfnst.evaluation",
    "Film": "tfnst.film",
    "NonFiniteLossError": "tfnst.results",
    "StyleImage": "tfnst.style_images",
    "StyleTransfer": "tfnst.transfer",
    "StyleTransferConfig": "tfnst.config",
    "TransferProgress": "tfnst.results",
    "TransferResult": "tfnst.results",
    "evaluate": "tfnst.evaluation",
    "export_saved_model": "tfnst.export",
    "load_image": "tfnst.images",
    "plot_losses": "tfnst.plots",
    "save_image": "tfnst.images",
    "stylize": "tfnst.transfer",
    "stylize_batch": "tfnst.batch",
}


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module 'tfnst' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))
