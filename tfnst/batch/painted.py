"""Pictures that a batch has painted before, found by the manifests in its files."""

from __future__ import annotations

import json
from typing import Any

from tfnst.batch import storage
from tfnst.batch.items import BatchItem
from tfnst.batch.sources import fetch
from tfnst.checks import ArgumentError, argument
from tfnst.config import StyleTransferConfig, picture_settings
from tfnst.images.manifest import describe_source, read_manifest, without_names
from tfnst.images.style_images import describe_style, style_images


def find_painted(
    item: BatchItem,
    config: StyleTransferConfig,
    style_source: dict[str, Any] | list[dict[str, Any]] | None = None,
) -> dict[str, Any] | None:
    """Reads the manifest in an item's file, if it needn't be painted again.

    That is so if it was painted, to the end, from the same pictures with the same
    settings, and through the same network, which isn't compared here.

    Args:
        item: item of the batch.
        config: settings of the picture.
        style_source: description of the networks that the style is given by; None for
            pictures, which are described here.

    Returns:
        The manifest; None where there is no file, or one with another picture that
        tfnst has painted.

    Raises:
        ValueError: for a file that tfnst has not painted, and that would be lost.
        OSError: when a file can't be read.
    """
    if item.output is None or not storage.is_file(item.output):
        return None
    with argument("output"):
        manifest = read_manifest(storage.read_file(item.output))
    if manifest is None:
        raise ArgumentError(
            "a folder without other files of these names",
            f"{str(item.output)!r}, which tfnst has not painted",
            argument="output",
        )
    cut_short = manifest.get("stopped") and manifest.get("stop_reason") != "max_time"
    settings = manifest["settings"]
    if cut_short or not isinstance(settings, dict):
        return None
    if _essence(settings) != _essence(config.to_dict()):
        return None
    with argument("content_image"):
        content = describe_source(fetch(item.content_image))
    style: Any = style_source
    if style_source is None:
        parts = style_images(item.style_image)
        with argument("style_image"):
            sources = [describe_source(fetch(part.image)) for part in parts]
        style = describe_style(parts, sources)
    else:
        sources = style_source if isinstance(style_source, list) else [style_source]
    if any(source["sha256"] is None for source in (content, *sources)):
        return None
    same = all(
        without_names(manifest.get(name)) == without_names(source)
        for name, source in (
            ("content_image", content),
            ("style_image", style),
        )
    )
    return manifest if same else None


def _essence(settings: dict[str, Any]) -> dict[str, Any]:
    """Selects the settings that change the picture (by more than rounding)."""
    return json.loads(json.dumps(picture_settings(settings)))
