"""The tab in which a picture is painted."""

from __future__ import annotations

from typing import Any

import gradio as gr

from tfnst.studio import panels, run_queue
from tfnst.studio.events import QUICK, Updates
from tfnst.studio.inputs import FormValues, Inputs
from tfnst.studio.run_queue import QueuedRun
from tfnst.studio.run_tab import Data, RunTab
from tfnst.studio.studio import Studio, jpeg_copy
from tfnst.studio.tasks import Task

FORMATS = (".png", ".jpg", ".webp", ".tif")


class PaintTab(RunTab):
    """The components of the tab.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
    """

    wrong_form = ""

    def __init__(self, studio: Studio, visitor: gr.BrowserState) -> None:
        with gr.Row():
            # First for keyboards, though on the right.
            with gr.Column(min_width=320, elem_classes="stays") as result:
                pass
            with gr.Column(min_width=320):
                super().__init__(studio, visitor, Inputs(studio))
        with result:
            self._result()
        self.connect(
            [self.suffix], [self.comparison, self.after, self.download, self.entry]
        )
        self.suffix.input(
            self._convert,
            [self.entry, self.suffix, visitor],
            self.download,
            **QUICK,
        )

    def _result(self) -> None:
        self.add_controls("Paint", kept="The picture will be in the history.")
        self.comparison = gr.HTML(elem_id="comparison", elem_classes="result")
        self.panel = gr.HTML(
            panels.notice("Choose a photo and a style, and press Paint."),
            elem_id="panel",
        )
        with gr.Row(visible=False) as self.after:
            self.suffix = gr.Dropdown(
                list(FORMATS), value=".png", label="Format", elem_id="format"
            )
            self.download = gr.DownloadButton("Download", elem_id="download")
        self.entry = gr.State("")

    def tasks(self, data: Data, filled: FormValues) -> tuple[Task, ...]:
        task = self.studio.picture_task(
            filled.content, filled.styles, filled.config, bits=filled.bits
        )
        return (task,)

    def refused(self, data: Data, error: Exception) -> Updates:
        if isinstance(error, ValueError):
            return self.inputs.place_error(error)
        return super().refused(data, error)

    def begun(self, data: Data, filled: FormValues) -> Updates:
        return {self.after: gr.update(visible=False), self.comparison: ""}

    def finished(self, data: Data, run: QueuedRun) -> Updates:
        if run.state == run_queue.FAILED:
            return {self.panel: panels.error(run.errors[-1][1])}
        if not run.results:
            return {}
        ((_, entry),) = run.results
        before, after = jpeg_copy(run.task.content), jpeg_copy(entry.path)
        text = panels.status(run)
        return {
            self.comparison: panels.comparison(before, after, ("Photo", "Painting")),
            self.panel: panels.notice(text) + panels.curves(run.progress.losses),
            self.after: gr.update(visible=True),
            self.entry: entry.name,
            self.download: self.studio.download(run.history, entry, data[self.suffix]),
        }

    def _convert(
        self, name: str, suffix: str, visitor: str, request: gr.Request
    ) -> Any:
        if not name:
            return gr.skip()
        history = self.history(visitor, request)
        return self.studio.download(history, history.find(name), suffix)
