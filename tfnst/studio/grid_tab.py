"""The tab in which several small pictures are painted, to choose from."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import gradio as gr

from tfnst.config import COLOR_MODES, setting_names
from tfnst.images.style_images import StyleImage
from tfnst.studio import panels
from tfnst.studio.events import AS_SENT, QUICK, Updates
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.run_queue import QueuedRun
from tfnst.studio.run_tab import Data, RunTab, gallery
from tfnst.studio.studio import Studio, jpeg_copy
from tfnst.studio.tasks import Task

_STRENGTHS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
_SCALES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_KINDS = {
    "Style strength": "style_strength",
    "Scale of the strokes": "style_scale",
    "Colours": "preserve_color",
    "Styles": "styles",
}


class GridTab(RunTab):
    """The components of the tab.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
        paint: the tab with the form, in which one of the pictures is painted large.
        tabs: the tabs of the page.
    """

    scratch = True

    def __init__(
        self, studio: Studio, visitor: gr.BrowserState, paint: PaintTab, tabs: gr.Tabs
    ) -> None:
        super().__init__(studio, visitor, paint.inputs)
        self._tabs = tabs
        gr.Markdown(
            "Paints the photo of the tab “Paint” several times, small and with its "
            "other settings. Choose one of the pictures to paint it large."
        )
        kinds = [k for k in _KINDS if k != "Scale of the strokes" or not studio.server]
        with gr.Row():
            self.kind = gr.Radio(
                kinds,
                value=kinds[0],
                label="What differs",
                min_width=320,
                elem_id="grid-kind",
            )
            self.size = gr.Slider(
                64,
                512,
                value=256,
                step=32,
                label="Size of each in pixels",
                min_width=320,
                elem_id="grid-size",
            )
        self.add_controls("Paint the variations", name="grid-")
        with gr.Row():
            with gr.Column(min_width=240, elem_classes="beside"):
                self.photo = gr.HTML(elem_id="grid-photo", elem_classes="result")
                self.panel = gr.HTML(elem_id="grid-panel", elem_classes="said")
            with gr.Column(min_width=320, scale=3):
                self.gallery = gallery(
                    "Variations", "grid", allow_preview=False, visible=False
                )
        # The variation of each picture in the gallery, as `_changes` returns it.
        self.changes = gr.State([])
        own = [self.photo, self.gallery, self.changes]
        self.connect([self.kind, self.size], own)
        self.gallery.select(
            self._choose,
            self.changes,
            [*self.inputs.shown, tabs],
            **QUICK,
        ).success(paint.paint, paint.read, paint.written, **AS_SENT)

    def read_form(self, data: Data) -> tuple[Task | None, Updates]:
        return self.inputs.read(data, styles=_KINDS[data[self.kind]] != "styles")

    def tasks(self, data: Data, filled: Task) -> Sequence[Task]:
        changes = self._changes(data[self.kind], filled)
        effective = (*setting_names("at_once"), "styles")
        if filled.network and _KINDS[data[self.kind]] not in effective:
            raise ValueError(
                f"{data[self.kind]} has no effect at once. Choose another kind, or "
                f"painting step by step in the tab “Paint”."
            )
        if not changes:
            raise ValueError("There are no styles to choose from.")
        tasks = []
        for label, name, value in changes:
            changed: dict[str, Any] = {"label": label, "bits": 8}
            settings: dict[str, Any] = {"size": int(data[self.size])}
            if name == "styles":
                changed["styles"] = (StyleImage(image=pathlib.Path(value)),)
                if filled.network:
                    changed["network"] = self.studio.network_of(value)
            else:
                settings[name] = value
            config = filled.config.replace(**settings)
            tasks.append(dataclasses.replace(filled, config=config, **changed))
        return tasks

    def begun(self, data: Data, filled: Task) -> Updates:
        changes = self._changes(data[self.kind], filled)
        photo = jpeg_copy(filled.content)
        return {
            self.photo: panels.side_by_side([(photo, "Photo")]),
            self.gallery: gr.update(value=[], visible=False),
            self.changes: changes,
        }

    def painted(self, run: QueuedRun) -> Updates:
        pictures = [(str(entry.path), task.label) for task, entry in run.results]
        return {self.gallery: gr.update(value=pictures, visible=bool(pictures))}

    def finished(self, data: Data, run: QueuedRun) -> Updates:
        said = panels.all_errors(run) + panels.notice("Choose one to paint it large.")
        return {self.panel: "", self.said: said} | self.painted(run)

    def _changes(self, kind: str, filled: Task) -> list[tuple[str, str, Any]]:
        """The variations as tuples (label, name of the setting, its value)."""
        name = _KINDS[kind]
        if name == "style_strength":
            return [(f"strength {v:g}", name, v) for v in _STRENGTHS]
        if name == "style_scale":
            return [(f"scale {v:g}", name, v) for v in _SCALES]
        if name == "preserve_color":
            return [(f"colours: {v}", name, v) for v in COLOR_MODES]
        styles = [style.image for style in filled.styles] + self.studio.styles
        if filled.network:
            styles = [style for style in styles if self.studio.network_of(style)]
        return [(path.stem.removeprefix("style_"), name, str(path)) for path in styles]

    def _choose(
        self, chosen: gr.SelectData, changes: list[tuple[str, str, Any]]
    ) -> Updates:
        label = (chosen.value or {}).get("caption")
        _, name, value = next(each for each in changes if each[0] == label)
        moved = {self._tabs: gr.update(selected="paint")}
        if name == "styles":
            return self.inputs.show_one_style(pathlib.Path(value)) | moved
        return {self.inputs.settings[name]: value} | moved
