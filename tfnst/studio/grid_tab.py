"""The tab in which several small pictures are painted, to choose from."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from tfnst.config import COLOR_MODES, StyleTransferConfig
from tfnst.studio import panels
from tfnst.studio.controls import Controls
from tfnst.studio.events import AS_SENT, QUICK, SHOW_ERROR, Updates
from tfnst.studio.inputs import Filled
from tfnst.studio.jobs import BusyError, Job
from tfnst.studio.orders import Order
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.studio import Studio, StyleInput

_STRENGTHS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
_SCALES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_KINDS = {
    "Style strength": "style_strength",
    "Scale of the strokes": "style_scale",
    "Colours": "preserve_color",
    "Styles": "styles",
}


class GridTab:
    """The components, laid out where they are made.

    Args:
        studio: that paints.
        visitor: the secret of the visitor's browser.
        paint: where pictures and settings are filled in, and one is painted large.
        tabs: to go there.
    """

    def __init__(
        self, studio: Studio, visitor: gr.BrowserState, paint: PaintTab, tabs: gr.Tabs
    ) -> None:
        self._studio = studio
        self._paint = paint
        self._tabs = tabs
        gr.Markdown(
            "Paints the photo of the tab “Paint” several times, small and with its "
            "other settings. Choose one of the pictures to paint it large."
        )
        kinds = [k for k in _KINDS if k != "Scale of the strokes" or not studio.server]
        with gr.Row():
            self.kind = gr.Radio(
                kinds, value=kinds[0], label="What differs", elem_id="grid-kind"
            )
            self.size = gr.Slider(
                64, 512, value=192, step=32, label="Size of each in pixels",
                elem_id="grid-size",
            )  # fmt: skip
        self.controls = Controls(studio, visitor, "Paint the variations", name="grid-")
        self.said = gr.HTML(elem_id="grid-said", elem_classes="said")
        self.gallery = gr.Gallery(
            label="Variations",
            columns=[3],
            height="auto",
            object_fit="contain",
            allow_preview=False,
            interactive=False,
            buttons=[],
            elem_id="grid",
            elem_classes="painted",
        )
        self.panel = gr.HTML(elem_id="grid-panel")
        # What each picture of the gallery differs in, as `_changes` gives it.
        self.changes = gr.State([])
        self._connect()

    def _connect(self) -> None:
        paint = self._paint
        paint.inputs.after_masks(self.controls.start.click).then(
            self.paint_grid,
            {*paint.inputs.all, self.kind, self.size, *self.controls.read},
            [
                *(self.said, self.gallery, self.panel, self.changes),
                *(*self.controls.written, *paint.inputs.errors),
            ],
            **AS_SENT,
        ).then(**SHOW_ERROR)
        fields = [
            paint.inputs.settings[name]
            for name in _KINDS.values()
            if name in paint.inputs.settings
        ]
        self.gallery.select(
            self._choose,
            self.changes,
            [*fields, *paint.inputs.shown_styles, self._tabs],
            **QUICK,
        ).success(paint.paint_picture, paint.read, paint.written, **AS_SENT)

    async def paint_grid(
        self, data: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Paints the variations; the handler of the button."""
        of_styles = _KINDS[data[self.kind]] == "styles"
        filled, said = await asyncio.to_thread(
            self._paint.inputs.read, data, styles=not of_styles
        )
        if filled is None:
            yield said | {
                self.said: panels.error(
                    "Something is missing or wrong in the tab “Paint”: see there."
                )
            }
            return
        changes = self._changes(data[self.kind], filled)
        if not changes:
            yield said | {
                self.said: panels.error("There are no styles to choose from.")
            }
            return
        try:
            job = await asyncio.to_thread(self._submit, filled, changes, data, request)
        except (BusyError, ValueError) as error:
            yield said | {self.said: panels.error(str(error))}
            return
        yield (
            said
            | self.controls.begun(job)
            | {self.said: "", self.gallery: [], self.changes: changes}
        )
        done = 0
        async for panel in self.controls.watch(job):
            update: Updates = {self.panel: panel}
            if len(job.outcomes) != done:
                done = len(job.outcomes)
                update[self.gallery] = job.thumbnails()
            yield update
        yield self.controls.ended() | {
            self.panel: "",
            self.gallery: job.thumbnails(),
            self.said: panels.all_errors(job)
            + panels.notice("Choose one to paint it large."),
        }

    def _changes(self, kind: str, filled: Filled) -> list[tuple[str, str, Any]]:
        """Each variation: (its name, what differs, its value)."""
        name = _KINDS[kind]
        if name == "style_strength":
            return [(f"strength {v:g}", name, v) for v in _STRENGTHS]
        if name == "style_scale":
            return [(f"scale {v:g}", name, v) for v in _SCALES]
        if name == "preserve_color":
            return [(f"colours: {v}", name, v) for v in COLOR_MODES]
        styles = [style.image for style in filled.styles] + self._studio.styles
        return [(path.stem.removeprefix("style_"), name, str(path)) for path in styles]

    def _submit(
        self,
        filled: Filled,
        changes: list[tuple[str, str, Any]],
        data: dict[Any, Any],
        request: gr.Request,
    ) -> Job:
        history = self._studio.scratch(str(request.session_hash))
        small = filled.config.replace(size=int(data[self.size]))
        orders = [
            self._order(history, filled, small, label, name, value)
            for label, name, value in changes
        ]
        return self.controls.submit(tuple(orders), history, data, request)

    def _order(
        self,
        history: Any,
        filled: Filled,
        config: StyleTransferConfig,
        label: str,
        name: str,
        value: Any,
    ) -> Order:
        styles = filled.styles
        if name == "styles":
            styles = [StyleInput(image=pathlib.Path(value))]
        else:
            config = config.replace(**{name: value})
        return self._studio.order(history, filled.content, styles, config, label)

    def _choose(
        self, chosen: gr.SelectData, changes: list[tuple[str, str, Any]]
    ) -> Updates:
        label = (chosen.value or {}).get("caption")
        _, name, value = next(each for each in changes if each[0] == label)
        inputs = self._paint.inputs
        moved = {self._tabs: gr.update(selected="paint")}
        if name == "styles":
            return inputs.show_one_style(pathlib.Path(value)) | moved
        return {inputs.settings[name]: value} | moved
