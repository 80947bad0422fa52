"""The part of the page in which masks are painted over a picture with a brush."""

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
    """The components, laid out where they are made: a drawer with an editor.

    Args:
        studio: that checks pictures.
        picture: what is painted over.
        title: of the drawer.
        about: what is painted and why, for people.
        label: of the editor.
        name: what the names of the elements begin with.
        brushes: how many colours there are, and so masks.
    """

    def __init__(
        self,
        studio: Studio,
        picture: gr.Image,
        *,
        title: str,
        about: str,
        label: str,
        name: str,
        brushes: int,
    ) -> None:
        self._studio = studio
        with gr.Accordion(title, open=False, elem_id=f"{name}s") as drawer:
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
        # The layers that were painted.
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
        """What `shown` change to for a picture.

        Args:
            picture: path of it.
            painted: for each brush the path of its mask, or None.
        """
        value = _editor_value(picture, painted)
        return {self.editor: value, self.painted: value["layers"] or None}

    def begin(self, picture: pathlib.Path, opened: bool) -> Updates:
        """As `show` for a new picture; if the drawer is closed, it is shown later."""
        return self.show(picture) if opened else self.clear()

    def clear(self) -> Updates:
        """What `shown` change to when there is no picture."""
        return dict.fromkeys(self.shown)

    def read(self, data: Mapping[Any, Any], count: int) -> list[np.ndarray | None]:
        """The masks that were painted.

        Args:
            data: the value of `painted`.
            count: how many there are to be.

        Returns:
            For each brush its mask, float32 [H, W] in [0, 1], or None where nothing
            was painted in its colour.
        """
        layers = data[self.painted] or []
        return masks.regions_of([one for one in layers if one[..., 3].any()], count)

    def _expand(self, sent: Any, value: dict[str, Any] | None) -> Updates:
        """The picture to paint over, unless it is there already."""
        there = value is not None and value["background"] is not None
        return {self.opened: True} | ({} if there else self._anew(sent))

    def _anew(self, sent: dict[str, Any] | None, opened: bool = True) -> Updates:
        path = path_of(sent)
        if path is None or self._studio.check_picture(path):
            return self.clear()
        return self.begin(pathlib.Path(path), opened)


def after_masks(event: Any, editors: Sequence[MaskEditor]) -> Any:
    """What to add `then` to, so that `MaskEditor.read` sees the masks as they are now.

    Args:
        event: a method that adds a listener.
        editors: whose masks are read.
    """
    return event(
        _layers_of,
        [each.editor for each in editors],
        [each.painted for each in editors],
        **QUICK,
    )


def _layers_of(*values: dict[str, Any] | None) -> Any:
    layers = [None if value is None else value["layers"] for value in values]
    return layers[0] if len(layers) == 1 else layers


def _editor_value(picture: pathlib.Path, painted: Sequence[Any]) -> dict[str, Any]:
    """A picture in the editor, with masks painted over it."""
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
