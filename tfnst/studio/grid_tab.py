"""The tab in which several small pictures are painted, to choose from."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import gradio as gr

from tfnst.config import COLOR_MODES
from tfnst.studio import panels
from tfnst.studio.controls import Controls, gallery
from tfnst.studio.events import AS_SENT, QUICK, SHOW_ERROR, Updates
from tfnst.studio.history import History
from tfnst.studio.inputs import Filled
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.run_queue import QueuedRun
from tfnst.studio.studio import Studio, StyleInput
from tfnst.studio.tasks import Task

_STRENGTHS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
_SCALES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_KINDS = {
    "Style strength": "style_strength",
    "Scale of the strokes": "style_scale",
    "Colours": "preserve_color",
    "Styles": "styles",
}


class GridTab:
    """The components of the tab.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
        paint: the tab with pictures and settings, in which one is painted large.
        tabs: the tabs of the page.
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
        self.gallery = gallery("Variations", "grid", allow_preview=False)
        self.panel = gr.HTML(elem_id="grid-panel")
        # The variation of each picture in the gallery, as `_changes` returns it.
        self.changes = gr.State([])
        self._connect()

    def _connect(self) -> None:
        paint = self._paint
        paint.inputs.after_masks(self.controls.start.click).then(
            self.paint_grid,
            {*paint.inputs.all, self.kind, self.size, *self.controls.read},
            [
                *(self.gallery, self.panel, self.changes),
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
        changes = [] if filled is None else self._changes(data[self.kind], filled)
        if filled is None or not changes:
            text = "There are no styles to choose from."
            if filled is None:
                text = panels.SEE_PAINT
            yield said | {self.controls.said: panels.error(text)}
            return
        async for updates in self.controls.follow(
            data,
            request,
            partial(self._tasks, filled, int(data[self.size]), changes),
            panel=self.panel,
            checked=said,
            begun={self.gallery: [], self.changes: changes},
            painted=lambda run: {self.gallery: run.thumbnails()},
            finished=self._finish,
            scratch=True,
        ):
            yield updates

    def _changes(self, kind: str, filled: Filled) -> list[tuple[str, str, Any]]:
        """The variations as tuples (label, name of the setting, its value)."""
        name = _KINDS[kind]
        if name == "style_strength":
            return [(f"strength {v:g}", name, v) for v in _STRENGTHS]
        if name == "style_scale":
            return [(f"scale {v:g}", name, v) for v in _SCALES]
        if name == "preserve_color":
            return [(f"colours: {v}", name, v) for v in COLOR_MODES]
        styles = [style.image for style in filled.styles] + self._studio.styles
        return [(path.stem.removeprefix("style_"), name, str(path)) for path in styles]

    def _tasks(
        self,
        filled: Filled,
        size: int,
        changes: list[tuple[str, str, Any]],
        history: History,
    ) -> tuple[Task, ...]:
        tasks = []
        for label, name, value in changes:
            styles, config = filled.styles, filled.config.replace(size=size)
            if name == "styles":
                styles = [StyleInput(image=pathlib.Path(value))]
            else:
                config = config.replace(**{name: value})
            tasks.append(
                self._studio.picture_task(
                    history, filled.content, styles, config, label
                )
            )
        return tuple(tasks)

    def _finish(self, run: QueuedRun) -> Updates:
        """Changes on the page when a run has ended."""
        return {
            self.panel: "",
            self.gallery: run.thumbnails(),
            self.controls.said: panels.all_errors(run)
            + panels.notice("Choose one to paint it large."),
        }

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
