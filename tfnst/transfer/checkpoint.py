"""Files of checkpoints: everything that a run needs to continue after a break."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfnst.checks import ArgumentError, argument
from tfnst.config import StyleTransferConfig, config_of_dict
from tfnst.files import read_file, show_path, write_file
from tfnst.images.manifest import without_names
from tfnst.networks.backbones import Backbone
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.version import __version__

_HEADER = "header.json"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state of a run after some step.

    Attributes:
        settings: settings of the run, from `StyleTransferConfig.to_dict`.
        sources: digests of the content, the style, and the picture that the run
            started from if one was given, by argument name.
        backbone: name of the network.
        weights: SHA-256 of its weights; None for random ones.
        scale: index of the scale.
        scale_step: number of steps done at that scale.
        losses: rows of all steps done, [1, steps].
        image: the picture, [1, H, W, 3].
        state: arrays from `tfnst.engines.engine.flatten_state`.
        rollbacks: number of times that the learning rate has been halved.
        scale_steps: steps of the scales up to this one, if `max_time` or `patience`
            may have changed them.
        shortened_by: those of the two that have made them fewer.
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

    def config(self, objects: Mapping[str, Any] | None = None) -> StyleTransferConfig:
        """The settings of the run.

        Args:
            objects: settings by name, for those that are objects of a user's own.

        Raises:
            ValueError: for settings that this version of tfnst doesn't have, and
                objects that `objects` doesn't have.
        """
        return config_of_dict(self.settings, objects)


_ARRAYS = ("losses", "image")


def is_replaceable(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path holds no file, an empty one or a checkpoint.

    Checkpoints have no suffix that would tell a file that was named by mistake.
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
        checkpoint: the checkpoint.
        path: path of the file, a zip archive of NumPy arrays and a header in JSON.

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
    with argument("checkpoint"):
        write_archive(header, arrays, path)


def write_archive(
    header: dict[str, Any], arrays: dict[str, Any], path: str | os.PathLike[str]
) -> None:
    """Writes a zip archive of NumPy arrays and a header in JSON, whole or not at all.

    Raises:
        OSError: if the file can't be written.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_HEADER, json.dumps({"tfnst": __version__} | header))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    write_file(path, data.getbuffer())


def read_archive(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the arrays that `write_archive` wrote; any error for others."""
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
    return header, arrays


def load_checkpoint(
    path: str | os.PathLike[str], objects: Mapping[str, Any] | None = None
) -> Checkpoint:
    """Reads a file that `save_checkpoint` wrote.

    Args:
        path: path of the file.
        objects: as for `Checkpoint.config`.

    Raises:
        OSError: if the file can't be read.
        ValueError: for a file that isn't a checkpoint, or one with settings that this
            version of tfnst doesn't have.
    """
    with argument("resume"):
        data = read_file(path)
    try:
        header, arrays = read_archive(data)
        state = [arrays.pop(f"state_{i}") for i in range(len(arrays) - len(_ARRAYS))]
        checkpoint = Checkpoint(**header, **arrays, state=state)
        _check_types(checkpoint)
    except MemoryError:
        raise
    except Exception as error:  # For a damaged archive, zipfile may raise anything.
        raise ArgumentError(
            "a checkpoint of tfnst", show_path(path), argument="resume"
        ) from error
    try:
        checkpoint.config(objects)
    except ValueError as error:
        raise ArgumentError(
            f"a checkpoint of tfnst {__version__}",
            f"{show_path(path)}, whose settings are others: {error}",
            argument="resume",
        ) from error
    return checkpoint


def _check_types(checkpoint: Checkpoint) -> None:
    """Raises TypeError for fields that `save_checkpoint` can't have written."""
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
    """The identity of a run: the fields that its checkpoints share with it.

    Args:
        config: the settings.
        backbone: the network.
        content_source: the content image, from
            `tfnst.images.manifest.describe_source`.
        style_source: the style, from `tfnst.images.style_images.describe_style`.
        init_source: the picture that the run starts from, as `content_source`; None
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
        checkpoint: the checkpoint to go on from.
        run: the run, from `describe_run`.

    Raises:
        ValueError: if it belongs to another one; the message says what differs.
    """
    # A run that was short of time may be given more.
    settings = StyleTransferConfig().to_dict() | checkpoint.settings
    settings["max_time"] = run["settings"]["max_time"]
    # The picture that it started from lives on in the checkpoint, so it needn't be
    # given again.
    sources = dict(checkpoint.sources)
    if run["sources"]["init_image"] is None:
        sources["init_image"] = None
    for name, then in (
        ("settings", settings),
        ("sources", sources),
        ("backbone", checkpoint.backbone),
        ("weights", checkpoint.weights),
    ):
        if run[name] != then:
            shown = "pictures" if name == "sources" else name
            raise ArgumentError(
                "a checkpoint of the same run",
                f"one with other {shown}, {difference(run[name], then)}",
                argument="resume",
            )


def check_fits(
    checkpoint: Checkpoint, scales: Sequence[tuple[int, int]], steps: int
) -> None:
    """Checks that the arrays of a checkpoint fit the scales of a run.

    Args:
        checkpoint: the checkpoint to go on from.
        scales: height and width of each scale of the run.
        steps: most steps that the run can take.

    Raises:
        ValueError: if they don't.
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


def difference(now: Any, then: Any) -> str:
    """The difference between two values, or between two dicts, in words."""
    if not isinstance(now, dict):
        return f"{then} and not {now}"
    return ", ".join(
        f"{name} {then.get(name)} and not {value}"
        for name, value in now.items()
        if then.get(name) != value
    )
