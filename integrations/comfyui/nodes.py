"""The nodes: ComfyUI's tensors in, a function of tfnst, tensors out.

The range, default and tooltip of a setting come from `tfnst.config`. Torch isn't
imported: tensors are converted by their own methods. Outside ComfyUI the nodes work,
too, but nothing shows their progress or interrupts them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

# TensorFlow would otherwise take all memory of a GPU, which ComfyUI uses as well.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

import tfnst
from tfnst.config import COLOR_MODES, PRESETS, StyleTransferConfig, setting_names
from tfnst.limits import (
    MAX_SCALE,
    MAX_STYLE_WEIGHT,
    MAX_WEIGHT,
    MIN_SCALE,
    MIN_STYLE_WEIGHT,
)
from tfnst.setting import Setting
from tfnst.studio import form

try:
    from comfy.model_management import throw_exception_if_processing_interrupted
    from comfy.utils import ProgressBar
except ImportError:
    ProgressBar = None

    def throw_exception_if_processing_interrupted() -> None:
        """Nothing interrupts a run outside ComfyUI."""


_FIELDS = {field.name: field for field in form.fields()}
# Settings of the main node.
_FRONT = ("style_strength", "size", "steps", "preserve_color", "seed")
# Settings that follow from the preset unless they are given.
_PRESET = ("size", "steps")
# Parts of the progress bar for a picture, and the long side of its preview.
_PARTS, _PREVIEW = 1000, 512


class Stylize:
    """Paints pictures in the style of other ones."""

    CATEGORY = "tfnst"
    DESCRIPTION = "Paints pictures in the style of other ones, by optimisation."
    FUNCTION = "stylize"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("stylized_image",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """The inputs, as ComfyUI describes them."""
        widgets = {name: _widget(_FIELDS[name]) for name in _FRONT}
        for name in _PRESET:
            _, about = widgets[name]
            about |= {"default": 0, "min": 0}
            about["tooltip"] += " 0 takes the value of the preset."
        # A new seed after each run would paint the same picture again: it matters only
        # where a run starts from noise.
        widgets["seed"][1]["control_after_generate"] = False
        preset = {
            "default": "balanced",
            "tooltip": "Size and steps, and so how fine the picture is.",
        }
        return {
            "required": {
                "content_image": ("IMAGE", {"tooltip": "The picture to paint."}),
                "style_image": (
                    "IMAGE",
                    {"tooltip": "The style; the pictures of a batch are blended."},
                ),
                "preset": (list(PRESETS), preset),
                **widgets,
            },
            "optional": {
                "region": (
                    "MASK",
                    {
                        "tooltip": "Mask of the part to paint, in white. Styles with a "
                        "region of their own go there instead."
                    },
                ),
                "more_styles": (
                    "TFNST_STYLES",
                    {"tooltip": "Styles to blend with the style."},
                ),
                "settings": ("TFNST_SETTINGS", {"tooltip": "All other settings."}),
            },
        }

    def stylize(
        self,
        content_image: Any,
        style_image: Any,
        preset: str,
        region: Any = None,
        more_styles: tuple[tfnst.StyleImage, ...] = (),
        settings: dict[str, Any] | None = None,
        **front: Any,
    ) -> tuple[Any]:
        """Paints each picture of a batch.

        Args:
            content_image: [N, H, W, C] in [0, 1].
            style_image: [S, h, w, C] in [0, 1].
            preset: as for `tfnst.stylize`.
            region: [H, W], [1, H, W] or [N, H, W] in [0, 1]; None for everywhere.
            more_styles: the output of `Style`.
            settings: the output of `Settings`.
            **front: the settings in `_FRONT`.

        Returns:
            ([N, height, width, 3],).

        Raises:
            ValueError, OSError, MemoryError: as `tfnst.stylize`.
        """
        chosen = {
            name: value for name, value in front.items() if value or name not in _PRESET
        }
        contents = _pictures("content_image", content_image)
        regions = _masks("region", region, "content_image", len(contents))
        styles = [*_styles(style_image), *more_styles]
        show = _progress(len(contents))
        painted = []
        for index, content in enumerate(contents):
            throw_exception_if_processing_interrupted()
            result = tfnst.stylize(
                content,
                [_in_region(style, regions[index]) for style in styles],
                preset=preset,
                callback=partial(show, index),
                **(settings or {}) | chosen,
            )
            painted.append(result.array)
        return (_tensor(content_image, painted),)


class Style:
    """A further style, with its weight, scale and region."""

    CATEGORY = "tfnst"
    DESCRIPTION = "A further style; several of these nodes can follow each other."
    FUNCTION = "add"
    RETURN_TYPES = ("TFNST_STYLES",)
    RETURN_NAMES = ("more_styles",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """The inputs, as ComfyUI describes them."""
        weight = {
            "default": 1.0,
            "min": MIN_STYLE_WEIGHT,
            "max": MAX_STYLE_WEIGHT,
            "step": 0.1,
            "round": False,
            "tooltip": "Weight relative to the other styles; the style in the node "
            "Stylise has 1.",
        }
        scale = {
            "default": 1.0,
            "min": MIN_SCALE,
            "max": MAX_SCALE,
            "step": 0.05,
            "tooltip": "Finer strokes below 1, broader strokes above.",
        }
        region = "Mask over the content: the style is painted in its white part."
        mask = "Mask over the style: only its white part counts."
        return {
            "required": {
                "style_image": ("IMAGE", {"tooltip": "The style."}),
                "weight": ("FLOAT", weight),
                "scale": ("FLOAT", scale),
            },
            "optional": {
                "region": ("MASK", {"tooltip": region}),
                "mask": ("MASK", {"tooltip": mask}),
                "more_styles": ("TFNST_STYLES", {"tooltip": "Styles before this one."}),
            },
        }

    def add(
        self,
        style_image: Any,
        weight: float,
        scale: float,
        region: Any = None,
        mask: Any = None,
        more_styles: tuple[tfnst.StyleImage, ...] = (),
    ) -> tuple[tuple[tfnst.StyleImage, ...]]:
        """Adds a style to those before it.

        Args:
            style_image: [S, h, w, C] in [0, 1].
            weight: as for `tfnst.StyleImage`; the pictures of a batch share it.
            scale: as for `tfnst.StyleImage`.
            region: [H, W] or [1, H, W] in [0, 1], over the content image.
            mask: [H, W] or [1, H, W] in [0, 1], over the style image.
            more_styles: the styles before it.

        Raises:
            ValueError: as `tfnst.StyleImage`.
        """
        (place,) = _masks("region", region, "style_image", 1)
        (part,) = _masks("mask", mask, "style_image", 1)
        styles = _styles(style_image, weight, scale=scale, region=place, mask=part)
        return ((*more_styles, *styles),)


class Settings:
    """All settings that the main node doesn't have."""

    CATEGORY = "tfnst"
    DESCRIPTION = "All other settings. Empty ones follow from others."
    FUNCTION = "read"
    RETURN_TYPES = ("TFNST_SETTINGS",)
    RETURN_NAMES = ("settings",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """The inputs, as ComfyUI describes them."""
        return {"required": {field.name: _widget(field) for field in cls._fields()}}

    def read(self, **values: Any) -> tuple[dict[str, Any]]:
        """Returns the settings that differ from the defaults and so override a preset.

        Raises:
            ValueError: for a setting that is out of its range.
        """
        defaults = StyleTransferConfig()
        config, wrong = form.read_values(values, self._fields(), defaults)
        if config is None:
            raise ValueError("; ".join(map(str, wrong.values())))
        changed = {
            name: getattr(config, name)
            for name in values
            if getattr(config, name) != getattr(defaults, name)
        }
        return (changed,)

    @staticmethod
    def _fields() -> list[Setting]:
        return [field for field in _FIELDS.values() if field.name not in _FRONT]


class Recolor:
    """Gives painted pictures the colours of the photo."""

    CATEGORY = "tfnst"
    DESCRIPTION = "Gives painted pictures the photo's colours, or keeps part of it."
    FUNCTION = "recolor"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("recolored_image",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """The inputs, as ComfyUI describes them."""
        colors = {
            "default": "luminance",
            "tooltip": "Colours of the photo to keep: each pixel's hue (luminance), or "
            "the colours as a whole (histogram, transport); none needs a mask.",
        }
        mask = "Mask; in its black part, the photo is kept."
        return {
            "required": {
                "painted_image": ("IMAGE", {"tooltip": "The painted picture."}),
                "content_image": ("IMAGE", {"tooltip": "The photo."}),
                "preserve_color": (list(COLOR_MODES), colors),
            },
            "optional": {"mask": ("MASK", {"tooltip": mask})},
        }

    def recolor(
        self,
        painted_image: Any,
        content_image: Any,
        preserve_color: str,
        mask: Any = None,
    ) -> tuple[Any]:
        """Recolours each picture of a batch.

        Args:
            painted_image: [N, height, width, C] in [0, 1].
            content_image: [1, H, W, C] or [N, H, W, C] in [0, 1].
            preserve_color: as for `tfnst.recolor`.
            mask: [H, W], [1, H, W] or [N, H, W] in [0, 1]; None for everywhere.

        Returns:
            ([N, height, width, 3],).

        Raises:
            ValueError: as `tfnst.recolor`.
        """
        painted = _pictures("painted_image", painted_image)
        contents = _for_each(
            "content_image",
            _pictures("content_image", content_image),
            "painted_image",
            len(painted),
        )
        masks = _masks("mask", mask, "painted_image", len(painted))
        recolored = []
        for picture, content, kept in zip(painted, contents, masks, strict=True):
            throw_exception_if_processing_interrupted()
            result = tfnst.recolor(
                picture, content, preserve_color=preserve_color, mask=kept
            )
            recolored.append(result.array)
        return (_tensor(painted_image, recolored),)


class PaintAtOnce:
    """Paints pictures at once, by a network that has learned a style."""

    CATEGORY = "tfnst"
    DESCRIPTION = "Paints pictures at once, by a network that has learned a style."
    FUNCTION = "paint"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("stylized_image",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """The inputs, as ComfyUI describes them."""
        network = {
            "default": next(iter(tfnst.built_in_styles()), ""),
            "tooltip": "Name of a built-in style "
            f"({', '.join(tfnst.built_in_styles())}), or path of a network from "
            "`tfnst train`.",
        }
        effective = setting_names("at_once")
        return {
            "required": {
                "content_image": ("IMAGE", {"tooltip": "The picture to paint."}),
                "network": ("STRING", network),
                **{n: _widget(_FIELDS[n]) for n in _FIELDS if n in effective},
            }
        }

    def paint(self, content_image: Any, network: str, **settings: Any) -> tuple[Any]:
        """Paints each picture of a batch.

        Args:
            content_image: [N, H, W, C] in [0, 1].
            network: name of a built-in style, or path of a network's file.
            **settings: as for `tfnst.StyleNetwork.stylize`.

        Returns:
            ([N, height, width, 3],).

        Raises:
            ValueError, OSError, MemoryError: as `tfnst.load_network` and
                `tfnst.StyleNetwork.stylize`.
        """
        contents = _pictures("content_image", content_image)
        loaded = tfnst.load_network(network, name="network")
        bar = None if ProgressBar is None else ProgressBar(len(contents))
        painted = []
        for content in contents:
            throw_exception_if_processing_interrupted()
            painted.append(loaded.stylize(content, **settings).array)
            if bar is not None:
                bar.update_absolute(len(painted), len(contents), None)
        return (_tensor(content_image, painted),)


NODE_CLASS_MAPPINGS = {
    "TfnstStylize": Stylize,
    "TfnstPaintAtOnce": PaintAtOnce,
    "TfnstStyle": Style,
    "TfnstSettings": Settings,
    "TfnstRecolor": Recolor,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "TfnstStylize": "Stylise (tfnst)",
    "TfnstPaintAtOnce": "Paint at once (tfnst)",
    "TfnstStyle": "Further style (tfnst)",
    "TfnstSettings": "Settings (tfnst)",
    "TfnstRecolor": "Recolour (tfnst)",
}


def _widget(field: Setting) -> tuple[Any, dict[str, Any]]:
    """A setting as an input of ComfyUI: its type and options."""
    value = form.show_values(StyleTransferConfig(), [field])[field.name]
    about = {"default": value, "tooltip": form.help_of(field)}
    kind = form.kind_of(field)
    if kind == "choice":
        return form.choices_of(field), about
    if kind == "text":
        return "STRING", about | {"default": value or ""}
    # JSON has no infinity. The setting's own check says more.
    low, high = max(field.low, 0), min(field.high, MAX_WEIGHT)
    if kind == "integer":
        return "INT", about | {"min": int(low), "max": int(high), "step": 1}
    step = 0.01 if kind == "slider" else 0.001
    return "FLOAT", about | {"min": low, "max": high, "step": step, "round": False}


def _pictures(name: str, tensor: Any) -> list[np.ndarray]:
    """The pictures of an IMAGE, [N, H, W, C]."""
    return list(
        _array(name, tensor, (4,), "an IMAGE: [batch, height, width, channels]")
    )


def _masks(
    name: str, tensor: Any, pictures: str, count: int
) -> list[np.ndarray] | list[None]:
    """Returns the mask for each picture; None for each if there is no MASK."""
    if tensor is None:
        return [None] * count
    array = _array(name, tensor, (2, 3), "a MASK: [batch, height, width]")
    masks = list(array) if array.ndim == 3 else [array]
    return _for_each(name, masks, pictures, count)


def _array(name: str, tensor: Any, ranks: tuple[int, ...], expected: str) -> np.ndarray:
    """Returns the values of a tensor, clipped to [0, 1]."""
    array = tensor.detach().cpu().float().numpy()
    if array.ndim not in ranks or not len(array):
        raise ValueError(
            f"`{name}` must be {expected}. Received: a tensor of shape "
            f"{list(array.shape)}"
        )
    return np.clip(array, 0, 1)


def _for_each(name: str, each: list[Any], pictures: str, count: int) -> list[Any]:
    """Returns `count` values, one for each picture; a single one is repeated."""
    if len(each) not in (1, count):
        wanted = "one picture" if count == 1 else f"one picture or {count}"
        raise ValueError(
            f"`{name}` must have {wanted}, to go with `{pictures}`. "
            f"Received: a batch of {len(each)}"
        )
    return each * count if len(each) == 1 else each


def _styles(tensor: Any, weight: float = 1.0, **about: Any) -> list[tfnst.StyleImage]:
    """The styles in an IMAGE, which share a weight."""
    pictures = _pictures("style_image", tensor)
    return [
        tfnst.StyleImage(image=picture, weight=weight / len(pictures), **about)
        for picture in pictures
    ]


def _in_region(style: tfnst.StyleImage, region: np.ndarray | None) -> tfnst.StyleImage:
    """A style in a region, unless it has one of its own."""
    return style if style.region is not None else replace(style, region=region)


def _progress(count: int) -> Callable[[int, tfnst.TransferProgress], None]:
    """Returns a callback for `count` pictures that are painted one after the other.

    It shows their progress and a preview, and raises ComfyUI's own exception when
    somebody interrupts the run.
    """
    bar = None if ProgressBar is None else ProgressBar(count * _PARTS)

    def show(done: int, progress: tfnst.TransferProgress) -> None:
        throw_exception_if_processing_interrupted()
        if bar is not None:
            preview = "JPEG", progress.image(_PREVIEW), _PREVIEW
            parts = round((done + progress.fraction) * _PARTS)
            bar.update_absolute(parts, count * _PARTS, preview)

    return show


def _tensor(like: Any, pictures: list[np.ndarray]) -> Any:
    """Pictures [H, W, 3] as a tensor on the device of another one, float32."""
    return like.float().new_tensor(np.stack(pictures))
