"""stylize_batch(): many pictures, every content in every style or in pairs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tfnst.batch.items import BatchItem
from tfnst.batch.painter import BatchPainter
from tfnst.batch.planning import check_settings, plan_items
from tfnst.batch.progress import BatchCallback
from tfnst.checks import ArgumentError, check_integer
from tfnst.config import StyleTransferConfig, build_config
from tfnst.eager import eagerly
from tfnst.images.save_options import SaveOptions


@eagerly
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

    Each style is analysed only once. A picture that can't be read or painted doesn't
    stop the others: its item says why. With an `output` folder, each picture is
    written as soon as it is done, whole or not at all, and a picture that is in the
    folder already, painted from the same pictures with the same settings, is not
    painted again. So a batch that was killed can simply be started again.

    Args:
        contents: the pictures to paint; each as for `tfnst.stylize`.
        styles: the styles to paint them in; each as for `tfnst.stylize`. Networks may
            stand beside pictures; they use those of the settings that have an effect
            on them.
        output: folder for the painted pictures, created if it doesn't exist. They are
            called `CONTENT_STYLE.png` after the names of the files; pictures that
            aren't files are numbered from 1. None keeps the pictures in memory.
        pairs: paints the first content in the first style, the second in the second
            and so on, instead of every content in every style. Default False.
        suffix: suffix of the files, which determines their format. Default `".png"`.
        batch_size: largest number of pictures of the same size to paint together, 1 or
            more; None for a number that suits the device, the default. Memory may allow
            fewer.
        bits: bits per channel, 8 or 16; 16 for PNG and TIFF. Default 8. A picture that
            is in the folder already is not written again for this, nor for `keep_gps`.
        keep_gps: whether the files may say where the photos were taken. Default False.
        config: the settings; StyleTransferConfig() by default.
        preset: as for `tfnst.stylize`.
        callback: function called with a BatchProgress during each run and between
            runs. It may call `progress.stop()`. An error that it raises ends the batch.
        **settings: fields of StyleTransferConfig that override `config` and `preset`.

    Returns:
        One BatchItem for each picture, ordered by style and then by content.

    Raises:
        ValueError: for bad settings, or two pictures with the same name.
        OSError: when no weights can be found, or the folder can't be made.
        Exception: any error that the callback raises, as it is.
    """
    config = build_config(config, preset, settings)
    if config.init_image == "given":
        expected = "'content', 'style' or 'noise' for a batch"
        raise ArgumentError(expected, "'given'", argument="init_image")
    if callback is not None and not callable(callback):
        expected = "a function of a BatchProgress"
        raise ArgumentError(expected, repr(callback), argument="callback")
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1)
    saving = SaveOptions(bits=bits, keep_gps=keep_gps)
    items = plan_items(
        contents, styles, output, pairs=pairs, suffix=suffix, saving=saving
    )
    check_settings(items, config)
    BatchPainter(config, batch_size=batch_size, saving=saving, callback=callback).paint(
        items
    )
    return items
