"""Checkpoints: everything that a run needs to continue after a break, in one file."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import time
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfnst.checks import ArgumentError, argument, argument_error, check_number
from tfnst.config import StyleTransferConfig
from tfnst.files import read_file, show_path, warn_unwritten, write_file
from tfnst.images.manifest import without_names
from tfnst.networks.backbones import Backbone
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.version import __version__

_HEADER = "header.json"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A run as it was after some step.

    Attributes:
        settings: of the run, from `StyleTransferConfig.to_dict`.
        sources: what identifies the content, the style, and the picture that the run
            started from if one was given, by argument name.
        backbone: name of the network.
        weights: SHA-256 of its weights; None for random ones.
        scale: index of the scale.
        scale_step: steps done at that scale.
        losses: rows of all steps done, [1, steps].
        image: the picture, [1, H, W, 3].
        state: from `tfnst.engines.engine.flatten_state`.
        rollbacks: how often the learning rate has been halved.
        scale_steps: steps of the scales up to this one, if `max_time` or `patience`
            may have changed them.
        shortened_by: which of these has made them fewer.
    """

    settings: dict[str, Any]
    sources: dict[str, Any]
    backbone: str
    weights: str | None
    scale: int
    scale_step: int
    losses: np.ndarray
    image: np.ndarray
    state: list[np.ndarray]
    rollbacks: int = 0
    scale_steps: list[int] = dataclasses.field(default_factory=list)
    shortened_by: list[str] = dataclasses.field(default_factory=list)

    def config(self) -> StyleTransferConfig:
        """The settings of the run.

        Raises:
            ValueError: for settings that this version of tfnst doesn't have.
        """
        return StyleTransferConfig().replace(**self.settings)


_ARRAYS = ("losses", "image")


class CheckpointKeeper:
    """Writes a checkpoint now and then.

    Args:
        path: of the file, which is replaced each time.
        seconds: least time between two checkpoints.

    Raises:
        ValueError: if `seconds` isn't a number, 0 or more, or the file holds something
            else.
        OSError: if the file could not be written.
    """

    def __init__(self, path: str | os.PathLike[str], seconds: float) -> None:
        expected = "a finite number, 0 or more"
        seconds = check_number("checkpoint_seconds", seconds, expected, low=0)
        with argument("checkpoint"):
            write_file(path, None)
        if not _may_be_replaced(path):
            raise argument_error(
                "checkpoint",
                "a new file or a checkpoint of tfnst",
                f"{show_path(path)}, which is something else",
            )
        self._path = path
        self._seconds = seconds
        self._last = time.monotonic()

    def due(self, *, last: bool) -> bool:
        """Whether it is time for a checkpoint; the last one of a run is always kept."""
        return last or time.monotonic() - self._last >= self._seconds

    def keep(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint; where it can't, it warns, and an older one stays.

        The painting goes on: it may well be saved elsewhere.
        """
        try:
            save_checkpoint(checkpoint, self._path)
        except (OSError, MemoryError) as error:
            warn_unwritten("the checkpoint", error)
        self._last = time.monotonic()


def _may_be_replaced(path: str | os.PathLike[str]) -> bool:
    """Whether nothing would be lost with the file: there is none, or a checkpoint.

    No suffix says what a file is that was named by mistake.
    """
    if not os.path.isfile(path) or not os.path.getsize(path):
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return _HEADER in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        checkpoint: what to write.
        path: of the file, a zip archive of NumPy arrays and a header in JSON.

    Raises:
        OSError: if the file can't be written.
    """
    header = {
        field.name: getattr(checkpoint, field.name)
        for field in dataclasses.fields(checkpoint)
        if field.name not in (*_ARRAYS, "state")
    }
    arrays = {name: getattr(checkpoint, name) for name in _ARRAYS}
    arrays |= {f"state_{i}": array for i, array in enumerate(checkpoint.state)}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_HEADER, json.dumps({"tfnst": __version__} | header))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    with argument("checkpoint"):
        write_file(path, data.getbuffer())


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads a file that `save_checkpoint` wrote.

    Raises:
        OSError: if the file can't be read.
        ValueError: if it isn't a checkpoint, or one of another version with other
            settings.
    """
    with argument("resume"):
        data = read_file(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read(_HEADER))
            header.pop("tfnst")
            arrays: dict[str, Any] = {}
            for name in archive.namelist():
                if name != _HEADER:
                    with archive.open(name) as file:
                        arrays[name.removesuffix(".npy")] = np.lib.format.read_array(
                            file, allow_pickle=False
                        )
        state = [arrays.pop(f"state_{i}") for i in range(len(arrays) - len(_ARRAYS))]
        checkpoint = Checkpoint(**header, **arrays, state=state)
        _check_types(checkpoint)
    except MemoryError:
        raise
    except Exception as error:  # For a damaged archive, zipfile may raise anything.
        raise argument_error(
            "resume", "a checkpoint of tfnst", show_path(path)
        ) from error
    try:
        checkpoint.config()
    except ValueError as error:
        raise argument_error(
            "resume",
            f"a checkpoint of tfnst {__version__}",
            f"{show_path(path)}, whose settings are others: {error}",
        ) from error
    return checkpoint


def _check_types(checkpoint: Checkpoint) -> None:
    """Raises TypeError for fields that no `save_checkpoint` has written."""
    for name, kind in (
        ("settings", dict),
        ("sources", dict),
        ("scale", int),
        ("scale_step", int),
        ("rollbacks", int),
        ("scale_steps", list),
        ("shortened_by", list),
    ):
        if type(getattr(checkpoint, name)) is not kind:
            raise TypeError(name)
    numbers = checkpoint.scale, checkpoint.scale_step, checkpoint.rollbacks
    if min(numbers) < 0 or not all(type(n) is int for n in checkpoint.scale_steps):
        raise TypeError("numbers")
    if checkpoint.losses.dtype != LOSS_FIELDS or checkpoint.losses.ndim != 2:
        raise TypeError("losses")
    if checkpoint.image.dtype != np.float32 or checkpoint.image.ndim != 4:
        raise TypeError("image")


def describe_run(
    config: StyleTransferConfig,
    backbone: Backbone,
    content_source: dict[str, Any],
    style_source: Any,
    init_source: dict[str, Any] | None,
) -> dict[str, Any]:
    """The fields of a Checkpoint that must equal those of a run that resumes it.

    Args:
        config: the settings.
        backbone: the network.
        content_source: from `tfnst.images.manifest.describe_source`.
        style_source: from `tfnst.images.style_images.describe_style`.
        init_source: as `content_source`, of the picture that the run starts from; None
            if there is none.
    """
    return {
        "settings": config.to_dict(),
        # The names of the files don't matter.
        "sources": {
            "content_image": content_source["sha256"],
            "style_image": without_names(style_source),
            "init_image": init_source and init_source["sha256"],
        },
        "backbone": backbone.name,
        "weights": backbone.weights.sha256,
    }


def check_same_run(checkpoint: Checkpoint, run: dict[str, Any]) -> None:
    """Checks that a checkpoint belongs to a run.

    Args:
        checkpoint: to go on from.
        run: from `describe_run`.

    Raises:
        ValueError: if it belongs to another one; the message says what differs.
    """
    # A run that was short of time may be given more.
    settings = checkpoint.config().replace(max_time=run["settings"]["max_time"])
    # What became of the picture that it started from is in the checkpoint, so it need
    # not be given again.
    sources = dict(checkpoint.sources)
    if run["sources"]["init_image"] is None:
        sources["init_image"] = None
    for what, then in (
        ("settings", settings.to_dict()),
        ("sources", sources),
        ("backbone", checkpoint.backbone),
        ("weights", checkpoint.weights),
    ):
        if run[what] != then:
            shown = "pictures" if what == "sources" else what
            raise ArgumentError(
                "a checkpoint of the same run",
                f"one with other {shown}, {_difference(run[what], then)}",
                argument="resume",
            )


def check_fits(
    checkpoint: Checkpoint, scales: Sequence[tuple[int, int]], steps: int
) -> None:
    """Checks that a checkpoint's arrays have the sizes of a run's.

    Args:
        checkpoint: to go on from.
        scales: height and width of each scale.
        steps: the most of the run.

    Raises:
        ValueError: if they haven't.
    """
    if (
        checkpoint.scale >= len(scales)
        or checkpoint.image.shape != (1, *scales[checkpoint.scale], 3)
        or len(checkpoint.losses) != 1
        or not checkpoint.scale_step <= checkpoint.losses.shape[1] <= steps
        or len(checkpoint.scale_steps) not in (0, checkpoint.scale + 1)
    ):
        raise ArgumentError(
            "a checkpoint of the same run", "one with other shapes", argument="resume"
        )


def _difference(now: Any, then: Any) -> str:
    if not isinstance(now, dict):
        return f"{then} and not {now}"
    return ", ".join(
        f"{name} {then.get(name)} and not {value}"
        for name, value in now.items()
        if then.get(name) != value
    )
