"""A plot of a run's losses."""

from __future__ import annotations

import importlib.util
import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnst.checks import ArgumentError, argument, attach_refusal
from tfnst.files import write_file
from tfnst.images.formats import check_suffix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tfnst.transfer.results import TransferResult  # It loads TensorFlow.

SUFFIXES = (".png", ".svg", ".pdf")
_LINES = (
    ("content", "content", "#2b6cb0"),
    ("style", "style", "#c05621"),
    ("total_variation", "total variation", "#718096"),
)


def plot_losses(
    result: TransferResult,
    path: str | os.PathLike[str] | None = None,
    *,
    name: str = "path",
) -> Figure:
    """Plots the weighted losses, which sum up to the total loss, at every step.

    The axis of the losses is logarithmic. A vertical line marks where each scale of the
    pyramid begins, labelled with its size.

    Args:
        result: result of `tfnst.stylize`.
        path: path of the file to write, which ends in `.png`, `.svg` or `.pdf`; no file
            by default.
        name: what errors call the path. Default `"path"`.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ValueError: for any other suffix.
        ImportError: without Matplotlib, which is in the extra `plot`.
        OSError: when the file can't be written; `FileNotFoundError` and the like.
    """
    with argument(name):
        suffix = None if path is None else check_suffix(path, SUFFIXES)
        _check_matplotlib(path)
    # Not pyplot, which has global state and may open windows.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    losses, weights = result.losses, result.config.loss_weights()
    steps = losses["step"]
    axes.plot(steps, losses["total"], color="black", linewidth=1.8, label="total")
    for field, label, color in _LINES:
        weight = weights[f"{field}_weight"]
        if weight:
            shares = np.where(losses[field] > 0, weight * losses[field], np.nan)
            axes.plot(steps, shares, color=color, label=f"{weight:g} x {label}")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, weighted")
    _mark_scales(axes, losses)
    axes.legend(loc="upper right", framealpha=0.9)
    if path is not None and suffix is not None:
        data = io.BytesIO()
        # No dates, so that equal plots give equal files.
        metadata: dict[str, dict[str, Any]] = {
            ".pdf": {"CreationDate": None},
            ".svg": {"Date": None},
        }
        figure.savefig(data, format=suffix[1:], dpi=120, metadata=metadata.get(suffix))
        with argument(name):
            write_file(path, data.getvalue())
    return figure


def check_plot_path(path: str | os.PathLike[str]) -> None:
    """Checks that `plot_losses` could write to a path, before the work starts.

    Raises:
        ValueError, ImportError, OSError: as `plot_losses`.
    """
    check_suffix(path, SUFFIXES)
    _check_matplotlib(path)
    write_file(path, None)


def _check_matplotlib(path: Any) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        expected = "Matplotlib: pip install 'tfnst[plot]'"
        refusal = ArgumentError(expected, repr(path), verb="needs")
        raise attach_refusal(ImportError(), refusal)


def _mark_scales(axes: Axes, losses: np.ndarray) -> None:
    """Draws a line at the first step of each scale."""
    firsts = np.flatnonzero(np.diff(losses["size"], prepend=0))
    for first in firsts:
        step = losses["step"][first]
        axes.axvline(step, color="0.8", linewidth=0.8, zorder=0)
        axes.annotate(
            f"{losses['size'][first]} px",
            (step, 0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 4),
            textcoords="offset points",
            fontsize=8,
            color="0.4",
        )
