"""stylize_batch(): many pictures, each content in each style or pair by pair."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tfnst.batch.items import BatchItem, plan_items
from tfnst.batch.painter import BatchCallback, BatchPainter
from tfnst.config import StyleTransferConfig, build_config


def stylize_batch(
    contents: Iterable[Any],
    styles: Iterable[Any],
    output: str | os.PathLike[str] | None = None,
    *,
    pairs: bool = False,
    suffix: str = ".png",
    batch_size: int | None = None,
    bits: int = 8,
    keep_gps: bool = False,
    config: StyleTransferConfig | None = None,
    preset: str | None = None,
    callback: BatchCallback | None = None,
    **settings: Any,
) -> list[BatchItem]:
    """Paints every content image in every style, or pairs of them.

    What is known of a style is worked out once. A picture that can't be read or
    painted doesn't stop the others: its item says why. With an `output` folder the
    pictures are written as they are done, each whole or not at all, and those that
    are there already, from the same pictures by the same settings, are not painted
    again: a batch that was killed can just be started anew.

    Args:
        contents: what to paint; each as for `tfnst.stylize`.
        styles: in which styles; each as for `tfnst.stylize`.
        output: folder for the pictures, made where it is missing; they are called
            `CONTENT_STYLE.png`, after the files' names, or numbers from 1 for what is
            no file. None keeps the pictures in memory.
        pairs: the first content in the first style, the second in the second and so
            on, instead of each in each.
        suffix: of the files, which says their format. Default `".png"`.
        batch_size: most pictures of the same size to paint together, 1 or more; None
            for what suits the device. Memory may allow fewer.
        bits: of the files, as for `TransferResult.save`, and so is `keep_gps`.
            Pictures that are there already are not written anew for either.
        keep_gps: whether the files may say where the photos were taken.
        config: the settings; StyleTransferConfig() by default.
        preset: as for `tfnst.stylize`.
        callback: called with a BatchProgress as each run goes on and between them. It
            may call `progress.stop()`.
        **settings: fields of StyleTransferConfig that replace those of both.

    Returns:
        One BatchItem a picture: for each style all contents, in their order.

    Raises:
        ValueError: for bad settings, or two pictures of the same name.
        OSError: when no weights can be had, or the folder can't be made.
    """
    config = build_config(config, preset, settings)
    if config.init_image == "given":
        raise ValueError(
            "`init_image` must be 'content', 'style' or 'noise' for a batch. "
            "Received: 'given'"
        )
    if batch_size is not None and (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, int)
        or batch_size < 1
    ):
        raise ValueError(
            f"`batch_size` must be an integer, 1 or more. Received: {batch_size!r}"
        )
    items = plan_items(contents, styles, output, pairs=pairs, suffix=suffix, bits=bits)
    BatchPainter(
        config,
        batch_size=batch_size,
        saving={"bits": bits, "keep_gps": keep_gps},
        callback=callback,
    ).paint(items)
    return items
