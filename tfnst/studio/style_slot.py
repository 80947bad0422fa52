"""The parts of the form with one style: its picture, and its options with a mask."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import gradio as gr

from tfnst.images.style_images import ROTATIONS, StyleImage
from tfnst.limits import MAX_SCALE, MIN_SCALE
from tfnst.studio.events import BY_STEPS, Updates, path_of
from tfnst.studio.mask_editor import MaskEditor
from tfnst.studio.studio import Studio

_PICTURE_HEIGHT = 220
# The labels of `ROTATIONS`.
_SEEN = (
    "as it is",
    "also turned by 90 degrees",
    "in all quarter turns",
    "in all quarter turns, also mirrored",
)


class StyleSlot:
    """The components of one style.

    Args:
        studio: the studio, which checks and copies pictures.
        number: number of the style, from 1.
    """

    def __init__(self, studio: Studio, number: int) -> None:
        self._studio = studio
        self._number = number
        with gr.Column(visible=number == 1, min_width=160) as self.group:
            self.image = picture_input(f"Style {number}", f"style-{number}")
            self.weight = gr.Slider(
                0.1,
                10,
                value=1,
                step=0.1,
                label=f"Weight of style {number}",
                elem_id=f"weight-{number}",
            )
            self.wrong = place_for_errors(f"style-{number}")

    def lay_out_options(self) -> None:
        """Lays out what beginners don't need, in a drawer."""
        number = self._number
        with gr.Accordion(
            f"Style {number}: scale, strokes, and the part of it that counts",
            open=False,
            visible=number == 1,
            elem_id=f"style-{number}-masks",
            elem_classes=BY_STEPS,
        ) as self.drawer:
            self.scale = gr.Slider(
                MIN_SCALE,
                MAX_SCALE,
                value=1,
                step=0.05,
                label=f"Scale of style {number}",
                elem_id=f"scale-{number}",
            )
            # Servers support neither.
            with gr.Row(visible=self._studio.server is None):
                self.rotations = gr.Dropdown(
                    list(zip(_SEEN, ROTATIONS, strict=True)),
                    value=1,
                    label=f"Style {number} is seen",
                    info="Turned, its strokes may run in other directions, too.",
                    elem_id=f"rotations-{number}",
                )
                self.layers = gr.Textbox(
                    label=f"Layers of style {number}",
                    info="Style layers for which this picture counts; empty for all. "
                    "Early ones hold fine strokes, late ones forms.",
                    placeholder="block1_conv1, block2_conv1",
                    elem_id=f"layers-{number}",
                )
            self.mask = MaskEditor(
                self._studio,
                self.image,
                self.drawer,
                about="Paint over the part of the picture that is to count as the "
                "style. Without paint, all of it counts.",
                label=f"Mask over style {number}",
                name=f"style-{number}-mask",
                brushes=1,
            )

    @property
    def filled_in(self) -> list[Any]:
        """The picture and its options."""
        return [self.image, self.weight, self.scale, self.rotations, self.layers]

    @property
    def shown(self) -> list[Any]:
        """The components that the other methods change."""
        return [self.group, self.drawer, *self.filled_in, self.wrong, *self.mask.shown]

    def read(
        self, data: Mapping[Any, Any], region: pathlib.Path | None
    ) -> StyleImage | None:
        """Returns the style; None without a picture.

        Args:
            data: the values of the page, as they were sent.
            region: path of the region of the style.

        Raises:
            ValueError: for a bad option.
        """
        path = path_of(data[self.image])
        if not path:
            return None
        (mask,) = self.mask.read(data, 1)
        layers = (data[self.layers] or "").split(",")
        return StyleImage(
            image=pathlib.Path(path),
            weight=data[self.weight] or 1.0,
            scale=data[self.scale] or 1.0,
            rotations=data[self.rotations],
            layers=[x.strip() for x in layers if x.strip()] or None,
            mask=mask,
            region=region,
        )

    def show(self, style: StyleImage) -> Updates:
        """Returns the changes for a style of a painted picture.

        Args:
            style: the style, whose image and mask are paths.
        """
        return {
            self.image: self._studio.copy_picture(style.image),
            self.weight: style.weight,
            self.scale: style.scale,
            self.rotations: style.rotations,
            self.layers: ", ".join(style.layers or ()),
        } | self.mask.show(style.image, [style.mask])

    def show_picture(self, path: pathlib.Path, *, opened: bool) -> Updates:
        """Returns the changes for another picture.

        Args:
            path: path of the picture.
            opened: whether the mask editor is open.
        """
        image = self._studio.copy_picture(path)
        return {self.image: image, self.wrong: ""} | self.mask.begin(path, opened)

    def clear(self) -> Updates:
        """Returns the changes for no style."""
        defaults = zip(self.filled_in, [None, 1, 1, 1, ""], strict=True)
        return dict(defaults) | self.mask.clear()


def place_for_errors(name: str) -> gr.HTML:
    """A place for error messages, which takes no room while there are none."""
    return gr.HTML(elem_id=f"{name}-wrong", elem_classes="said")


def picture_input(label: str, name: str) -> gr.Image:
    """A component that takes a picture by drop, paste, camera or file."""
    return gr.Image(
        label=label,
        type="filepath",
        sources=["upload", "clipboard", "webcam"],
        height=_PICTURE_HEIGHT,
        buttons=[],
        alt_text=label,
        elem_id=name,
    )
