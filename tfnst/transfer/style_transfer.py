"""`stylize` and `StyleTransfer`: pictures in, a painted picture out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfnst.checks import ArgumentError, argument, check_integer
from tfnst.config import INIT_IMAGES, StyleTransferConfig, build_config
from tfnst.eager import eagerly
from tfnst.engines.devices import placement
from tfnst.engines.memory import memory_errors
from tfnst.files import check_path
from tfnst.images import reading
from tfnst.images.open_files import read_open_files
from tfnst.images.style_images import describe_style, style_images, style_paths
from tfnst.ops.resizing import resize_image
from tfnst.ops.seamless import make_seamless
from tfnst.paths import check_outputs, named_paths
from tfnst.transfer.checkpoint import load_checkpoint
from tfnst.transfer.network_style import NetworkStyle
from tfnst.transfer.pictures import Content
from tfnst.transfer.progress import Callback, as_one_callback
from tfnst.transfer.recovery import Recovery
from tfnst.transfer.results import TransferResult
from tfnst.transfer.run import Given, Run
from tfnst.transfer.style_network import (
    StyleNetwork,
    check_painting_settings,
    find_network,
    find_networks,
)
from tfnst.transfer.styles import Style


@eagerly
def stylize(
    content_image: Any,
    style_image: Any,
    *,
    init_image: Any = None,
    config: StyleTransferConfig | None = None,
    preset: str | None = None,
    callback: Callback | Iterable[Callback] | None = None,
    callback_steps: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    resume: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> TransferResult:
    """Paints the content image in the style of the style image.

    The pixels are optimised, coarse to fine, until the weighted sum of content loss,
    style loss and total variation is small. The result is the moving average of the
    last pictures, at the size asked for and in the shape of the content image.

    Transparent parts of the content image are painted as if the visible colours near
    them went on. Its alpha, Exif data and resolution go into the file that
    `TransferResult.save` writes.

    After a step whose loss is NaN or infinite, the run goes back to the last good
    picture, warns once, and continues with half the learning rate; after four times it
    gives up.

    Args:
        content_image: the picture to paint: a path, bytes of an image file, a binary
            file object, a PIL image, or an array or tensor that `tfnst.load_image`
            accepts.
        style_image: the picture whose style to use; as `content_image`, of any shape.
            Several are blended if given as a list; `tfnst.StyleImage` sets the weight
            and scale of each. A `tfnst.StyleNetwork`, the path of its file, or the
            name of a built-in style paints the picture at once instead, as several do;
            see `tfnst.StyleNetwork.stylize` and `tfnst.built_in_styles`.
        init_image: the picture to start from: `"content"` (default), `"style"`,
            `"noise"`, or any other, which is resized (write `"./noise"` for a file of
            that name). A network stands for the picture that it paints of the content
            image.
        config: the settings; StyleTransferConfig() by default.
        preset: `"fast"`, `"balanced"` (the defaults), `"fine"` or `"poster"`: a few
            settings that override those of `config`.
        callback: function called with a TransferProgress about twice a second and
            after the last step; it may call `progress.stop()`. For several callbacks,
            such as a `tfnst.Timelapse` and a function, pass a list.
        callback_steps: number of steps after each multiple of which it is called, too;
            1 or more.
        checkpoint: file in which the state of the run is kept, so that it can be
            resumed if it is interrupted. It takes about 50 bytes a pixel with Adam. An
            existing file must be a checkpoint; it is replaced. If it can't be written,
            the run warns and goes on.
        checkpoint_seconds: least time between two checkpoints; 0 for one after each
            group of steps. Default 60.
        resume: a checkpoint of the same pictures to continue from, in which the state
            is then kept unless `checkpoint` names another file. It brings its own
            settings and the picture that the run started from; any given here must
            equal them. The result is the picture that the run would have given without
            a break, bit for bit on the same machine.
        **settings: fields of StyleTransferConfig that override `config` and `preset`.

    Returns:
        TransferResult. The same arguments give the same picture on the same machine.

    Raises:
        ValueError: for bad settings or pictures; the message names the argument.
        OSError: if a file can't be read or no weights can be found.
        NonFiniteLossError: (a ValueError) if the loss becomes NaN or infinite and
            shorter steps don't help; its `result` holds the last good picture.
        MemoryError: if the pictures are too large for the machine.

    Reference:
        Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural
        Networks", CVPR 2016. Departures: relative losses (see `tfnst.losses`), coarse
        to fine, Adam by default, averaged output.
    """
    if resume is not None and config is None:
        config = load_checkpoint(resume, settings).config(settings)
    config = build_config(config, preset, settings)
    content_image, style_image, init_image = read_open_files(
        content_image, style_image, init_image
    )
    return StyleTransfer(style_image, config=config).stylize(
        content_image,
        init_image=init_image,
        callback=callback,
        callback_steps=callback_steps,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        resume=resume,
    )


class StyleTransfer:
    """A style for any number of pictures.

    The style's targets are computed once and used for every content image::

        style_transfer = tfnst.StyleTransfer("painting.jpg", size=1024)
        for path in paths:
            style_transfer.stylize(path).save(f"painted/{path.stem}.jpg")

    Args:
        style_image: as for `stylize`.
        config: the settings; StyleTransferConfig() by default.
        preset: as for `stylize`.
        **settings: fields of StyleTransferConfig that override both.

    Attributes:
        config: the settings.

    Raises:
        ValueError: for bad settings or a bad picture; the message names the argument.
        OSError: if a file can't be read.
    """

    @eagerly
    def __init__(
        self,
        style_image: Any,
        *,
        config: StyleTransferConfig | None = None,
        preset: str | None = None,
        **settings: Any,
    ) -> None:
        self.config = build_config(config, preset, settings)
        networks = find_networks(style_image)
        self._at_once = None if networks is None else NetworkStyle(networks)
        if self._at_once is not None:
            check_painting_settings(self.config)
            return
        self._style = load_style(style_image, self.config)
        self._style_paths = style_paths(style_images(style_image))

    @eagerly
    def stylize(
        self,
        content_image: Any,
        *,
        init_image: Any = None,
        callback: Callback | Iterable[Callback] | None = None,
        callback_steps: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 60.0,
        resume: str | os.PathLike[str] | None = None,
    ) -> TransferResult:
        """Paints the content image in the style.

        Args:
            content_image: as for `tfnst.stylize`, like all other arguments.
            init_image: the picture to start from; overrides the setting of that name.
            callback: function called as the run goes on.
            callback_steps: number of steps after each multiple of which it is called.
            checkpoint: file in which the state of the run is kept.
            checkpoint_seconds: least time between two checkpoints.
            resume: a checkpoint to continue from, made with these settings.

        Returns:
            TransferResult, as from `tfnst.stylize`.

        Raises:
            ValueError, OSError, NonFiniteLossError, MemoryError: as `tfnst.stylize`.
        """
        if self._at_once is not None:
            return self._paint_at_once(
                content_image,
                init_image=init_image,
                callback_steps=callback_steps,
                checkpoint=checkpoint,
                resume=resume,
            )
        for name, path in (("checkpoint", checkpoint), ("resume", resume)):
            if path is not None:
                with argument(name):
                    check_path(path)
        resumed = None if resume is None else load_checkpoint(resume, vars(self.config))
        if resumed is not None and init_image is None:
            # The picture that it started from lives on in the checkpoint.
            config, given = self.config, None
        else:
            config, given = _start_from(self.config, init_image)
        if callback_steps is not None:
            callback_steps = check_integer("callback_steps", callback_steps, 1)
        callback = as_one_callback(callback)
        content = load_content(content_image, self._style, config)
        if isinstance(given, StyleNetwork):
            with memory_errors(config.size), placement(config.device):
                painted = np.asarray(given.paint(content.picture))
            given = Given(painted, given.source)
        if checkpoint is None:
            checkpoint = resume
        if checkpoint is not None:
            inputs = named_paths(
                ("content_image", content_image), ("init_image", init_image)
            )
            check_outputs([*inputs, *self._style_paths], [("checkpoint", checkpoint)])
        run = Run(
            config,
            [content],
            given=given,
            callback=callback,
            callback_steps=callback_steps,
            recovery=Recovery(checkpoint, checkpoint_seconds, resumed),
        )
        # The run frees what it no longer needs, if nothing else holds it.
        del content, given, resumed
        (result,) = run.paint()
        return result

    def _paint_at_once(self, content_image: Any, **others: Any) -> TransferResult:
        """Paints a picture by networks, which take no other arguments of a run."""
        assert self._at_once is not None
        for name, value in others.items():
            if value is not None:
                raise ArgumentError(
                    "None where a network paints the picture at once",
                    repr(value),
                    argument=name,
                )
        return self._at_once.stylize(content_image, self.config)


def load_style(
    style_image: Any, config: StyleTransferConfig, *, file_name: str | None = None
) -> Style:
    """Loads a style; the errors are those of `stylize`.

    Args:
        style_image: as for `stylize`.
        config: the settings.
        file_name: as for `tfnst.images.manifest.describe_source`.
    """
    parts = style_images(style_image)
    with argument("style_image"):
        read = [
            reading.read_described(part.image, file_name=file_name) for part in parts
        ]
    pictures, sources = [each[0] for each in read], [each[2] for each in read]
    with memory_errors(config.size):
        return Style(parts, pictures, describe_style(parts, sources), config)


def load_content(
    content_image: Any,
    style: Style,
    config: StyleTransferConfig,
    *,
    file_name: str | None = None,
) -> Content:
    """Loads a content image for a style; the errors are those of `stylize`.

    Args:
        content_image: as for `stylize`.
        style: the style, from `load_style`.
        config: the settings.
        file_name: as for `tfnst.images.manifest.describe_source`.
    """
    with argument("content_image"):
        picture, info, source = reading.read_described(
            content_image, file_name=file_name
        )
    scales = style.scales(picture.shape[1:3], config)
    with memory_errors(config.size):
        picture = resize_image(picture, *scales[-1].sides)
        if config.seamless:
            picture = make_seamless(picture)
    return Content(picture, style, scales, source, info)


def _start_from(
    config: StyleTransferConfig, init_image: Any
) -> tuple[StyleTransferConfig, Given | StyleNetwork | None]:
    """The settings, and the picture to start from, or the network that paints it."""
    if init_image is not None:
        named = isinstance(init_image, str) and init_image in INIT_IMAGES
        config = config.replace(init_image=init_image if named else "given")
    if config.init_image != "given":
        return config, None
    if init_image is None or named:
        raise ArgumentError(
            "a picture when the setting is 'given'",
            repr(init_image),
            argument="init_image",
        )
    network = find_network(init_image, name="init_image")
    if network is not None:
        return config, network
    with argument("init_image"):
        picture, _, source = reading.read_described(init_image)
    return config, Given(picture, source)
