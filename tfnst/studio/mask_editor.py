"""The editor in which masks are painted over a picture with a brush."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from tfnst.studio import masks
from tfnst.studio.events import AS_SENT, QUICK, Updates, path_of
from tfnst.studio.studio import Studio, shrink

_SIZE = 640


class MaskEditor:
    """The editor and its button, in a drawer.

    Args:
        studio: the studio, which checks pictures.
        picture: the component with the picture to paint over.
        drawer: the drawer, which is open in the layout.
        about: explanation for visitors.
        label: label of the editor.
        name: prefix of the elements' names.
        brushes: number of colours, each for one mask.
    """

    def __init__(
        self,
        studio: Studio,
        picture: gr.Image,
        drawer: gr.Accordion,
        *,
        about: str,
        label: str,
        name: str,
        brushes: int,
    ) -> None:
        self._studio = studio
        gr.Markdown(about)
        self.editor = gr.ImageEditor(
            label=label,
            type="numpy",
            image_mode="RGBA",
            format="png",
            sources=(),
            transforms=(),
            layers=False,
            buttons=[],
            brush=gr.Brush(colors=masks.brush_colors(brushes), color_mode="fixed"),
            canvas_size=(_SIZE, _SIZE * 3 // 4),
            elem_id=f"{name}-editor",
        )
        again = gr.Button("Begin anew", size="sm")
        # The painted layers.
        self.painted = gr.State(None)
        # While the drawer is closed, nothing is sent to the editor.
        self.opened = gr.State(False)
        drawer.expand(
            self._expand,
            [picture, self.editor],
            [*self.shown, self.opened],
            **AS_SENT,
        )
        drawer.collapse(lambda: False, None, self.opened, **QUICK)
        again.click(self._anew, picture, self.shown, **AS_SENT)
        picture.input(self._anew, [picture, self.opened], self.shown, **AS_SENT)

    @property
    def shown(self) -> list[Any]:
        """The components that `show` and `clear` change."""
        return [self.editor, self.painted]

    def show(self, picture: pathlib.Path, painted: Sequence[Any] = ()) -> Updates:
        """Returns the changes of `shown` for a picture.

        Args:
            picture: path of the picture.
            painted: path of the mask for each brush, or None.
        """
        value = _editor_value(picture, painted)
        return {self.editor: value, self.painted: value["layers"] or None}

    def begin(self, picture: pathlib.Path, opened: bool) -> Updates:
        """Returns the changes for a new picture; in a closed drawer it shows later."""
        return self.show(picture) if opened else self.clear()

    def clear(self) -> Updates:
        """Returns the changes of `shown` for no picture."""
        return dict.fromkeys(self.shown)

    def read(self, data: Mapping[Any, Any], count: int) -> list[pathlib.Path | None]:
        """Writes the painted masks to files.

        Args:
            data: the values of the page, with that of `painted`.
            count: number of brushes.

        Returns:
            Path of the mask of each brush, or None if nothing is painted in its colour.
        """
        layers = [one for one in data[self.painted] or [] if one[..., 3].any()]
        return [
            None if mask is None else self._studio.mask_file(mask)
            for mask in masks.regions_of(layers, count)
        ]

    def _expand(self, sent: Any, value: dict[str, Any] | None) -> Updates:
        """Shows the picture to paint over, unless it is there already."""
        there = value is not None and value["background"] is not None
        return {self.opened: True} | ({} if there else self._anew(sent))

    def _anew(self, sent: dict[str, Any] | None, opened: bool = True) -> Updates:
        path = path_of(sent)
        if path is None or self._studio.check_picture(path):
            return self.clear()
        return self.begin(pathlib.Path(path), opened)


def _editor_value(picture: pathlib.Path, painted: Sequence[Any]) -> dict[str, Any]:
    """Returns the editor's value for a picture with masks painted over it."""
    small = shrink(picture, _SIZE)
    layer = np.zeros((small.height, small.width, 4), np.uint8)
    for (_, color), path in zip(masks.BRUSHES, painted, strict=False):
        if path is None:
            continue
        with Image.open(path) as mask:
            cover = np.asarray(mask.convert("L").resize(small.size))
        layer[cover > layer[..., 3], :3] = color
        layer[..., 3] = np.maximum(layer[..., 3], cover)
    pixels = np.asarray(small.convert("RGBA"))
    layers = [layer] if layer.any() else []
    return {"background": pixels, "layers": layers, "composite": pixels}
