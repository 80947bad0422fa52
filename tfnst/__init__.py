"""Neural style transfer by optimisation, in Keras and TensorFlow.

`import tfnst` is cheap: TensorFlow is loaded when the first name that needs it is
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnst.lazy import lazy_names
from tfnst.version import __version__

if TYPE_CHECKING:
    from tfnst.batch.batch import stylize_batch
    from tfnst.batch.items import BatchItem
    from tfnst.batch.progress import BatchProgress
    from tfnst.built_in import built_in_styles
    from tfnst.config import StyleTransferConfig
    from tfnst.evaluation.evaluation import Evaluation, evaluate
    from tfnst.export.saved_model import export_saved_model
    from tfnst.images.label_maps import label_regions
    from tfnst.images.reading import load_image
    from tfnst.images.style_images import StyleImage
    from tfnst.images.writing import save_image
    from tfnst.training.progress import TrainingProgress
    from tfnst.training.training import train_network
    from tfnst.transfer.progress import TransferProgress
    from tfnst.transfer.recoloring import RecolorResult, recolor
    from tfnst.transfer.results import NonFiniteLossError, TransferResult
    from tfnst.transfer.style_network import StyleNetwork, load_network
    from tfnst.transfer.style_transfer import StyleTransfer, stylize
    from tfnst.video.evaluation import FilmEvaluation, evaluate_video
    from tfnst.video.painting import FilmPainter
    from tfnst.video.video import FilmProgress, FilmResult, stylize_video
    from tfnst.visualization.live_display import LiveDisplay
    from tfnst.visualization.plots import plot_losses
    from tfnst.visualization.progress_bar import ProgressBar
    from tfnst.visualization.tensorboard import TensorBoardCallback
    from tfnst.visualization.timelapse import Film, Timelapse

__all__ = [
    "BatchItem",
    "BatchProgress",
    "Evaluation",
    "Film",
    "FilmEvaluation",
    "FilmPainter",
    "FilmProgress",
    "FilmResult",
    "LiveDisplay",
    "NonFiniteLossError",
    "ProgressBar",
    "RecolorResult",
    "StyleImage",
    "StyleNetwork",
    "StyleTransfer",
    "StyleTransferConfig",
    "TensorBoardCallback",
    "Timelapse",
    "TrainingProgress",
    "TransferProgress",
    "TransferResult",
    "__version__",
    "built_in_styles",
    "evaluate",
    "evaluate_video",
    "export_saved_model",
    "label_regions",
    "load_image",
    "load_network",
    "plot_losses",
    "recolor",
    "save_image",
    "stylize",
    "stylize_batch",
    "stylize_video",
    "train_network",
]

_MODULES = {
    "BatchItem": "tfnst.batch.items",
    "BatchProgress": "tfnst.batch.progress",
    "Evaluation": "tfnst.evaluation.evaluation",
    "Film": "tfnst.visualization.timelapse",
    "FilmEvaluation": "tfnst.video.evaluation",
    "FilmPainter": "tfnst.video.painting",
    "FilmProgress": "tfnst.video.video",
    "FilmResult": "tfnst.video.video",
    "LiveDisplay": "tfnst.visualization.live_display",
    "NonFiniteLossError": "tfnst.transfer.results",
    "ProgressBar": "tfnst.visualization.progress_bar",
    "RecolorResult": "tfnst.transfer.recoloring",
    "StyleImage": "tfnst.images.style_images",
    "StyleNetwork": "tfnst.transfer.style_network",
    "StyleTransfer": "tfnst.transfer.style_transfer",
    "StyleTransferConfig": "tfnst.config",
    "TensorBoardCallback": "tfnst.visualization.tensorboard",
    "Timelapse": "tfnst.visualization.timelapse",
    "TrainingProgress": "tfnst.training.progress",
    "TransferProgress": "tfnst.transfer.progress",
    "TransferResult": "tfnst.transfer.results",
    "built_in_styles": "tfnst.built_in",
    "evaluate": "tfnst.evaluation.evaluation",
    "evaluate_video": "tfnst.video.evaluation",
    "export_saved_model": "tfnst.export.saved_model",
    "label_regions": "tfnst.images.label_maps",
    "load_image": "tfnst.images.reading",
    "load_network": "tfnst.transfer.style_network",
    "plot_losses": "tfnst.visualization.plots",
    "recolor": "tfnst.transfer.recoloring",
    "save_image": "tfnst.images.writing",
    "stylize": "tfnst.transfer.style_transfer",
    "stylize_batch": "tfnst.batch.batch",
    "stylize_video": "tfnst.video.video",
    "train_network": "tfnst.training.training",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
