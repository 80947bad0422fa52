"""The tab in which a picture is painted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import gradio as gr

from tfnst.studio import panels, run_queue
from tfnst.studio.controls import Controls
from tfnst.studio.events import AS_SENT, QUICK, SHOW_ERROR, Updates, visitor_key
from tfnst.studio.history import History
from tfnst.studio.inputs import Filled, Inputs
from tfnst.studio.run_queue import QueuedRun, explain
from tfnst.studio.studio import Studio, jpeg_copy
from tfnst.studio.tasks import Task

FORMATS = (".png", ".jpg", ".webp", ".tif")


class PaintTab:
    """The components of the tab.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
    """

    def __init__(self, studio: Studio, visitor: gr.BrowserState) -> None:
        self._studio = studio
        self._visitor = visitor
        with gr.Row():
            with gr.Column(min_width=320):
                self.inputs = Inputs(studio)
            with gr.Column(min_width=320, elem_classes="stays"):
                self._result()
        self.inputs.after_masks(self.controls.start.click).then(
            self.paint_picture, self.read, self.written, **AS_SENT
        ).then(**SHOW_ERROR)
        self.suffix.input(
            self._convert,
            [self.entry, self.suffix, visitor],
            self.download,
            **QUICK,
        )

    @property
    def read(self) -> set[Any]:
        """The components that `paint_picture` reads."""
        return {*self.inputs.all, self.suffix, *self.controls.read}

    @property
    def written(self) -> list[Any]:
        """The components that `paint_picture` changes."""
        return [
            *(self.panel, self.comparison, self.after, self.download, self.entry),
            *self.controls.written,
            *self.inputs.errors,
        ]

    def _result(self) -> None:
        self.controls = Controls(
            self._studio,
            self._visitor,
            "Paint",
            kept="The picture will be in the history.",
        )
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

    async def paint_picture(
        self, data: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Paints a picture; the handler of the button."""
        filled, said = await asyncio.to_thread(self.inputs.read, data)
        if filled is None:
            yield said
            return

        def refused(error: Exception) -> Updates:
            if isinstance(error, ValueError):
                return self.inputs.place_error(error)
            return {self.controls.said: panels.error(explain(error))}

        async for updates in self.controls.follow(
            data,
            request,
            partial(self._tasks, filled),
            panel=self.panel,
            checked=said,
            begun={self.after: gr.update(visible=False), self.comparison: ""},
            finished=partial(self._finish, data[self.suffix]),
            refused=refused,
        ):
            yield updates

    def _tasks(self, filled: Filled, history: History) -> tuple[Task]:
        task = self._studio.picture_task(
            history, filled.content, filled.styles, filled.config, bits=filled.bits
        )
        return (task,)

    def _finish(self, suffix: str, run: QueuedRun) -> Updates:
        """Changes on the page when a run has ended."""
        if run.state == run_queue.FAILED:
            return {self.panel: panels.error(run.errors[-1][1])}
        if not run.results:
            return {}
        ((_, entry),) = run.results
        before, after = jpeg_copy(run.task.content), jpeg_copy(entry.path)
        text = panels.status(run, 0, loading=False)
        return {
            self.comparison: panels.comparison(before, after, ("Photo", "Painting")),
            self.panel: panels.notice(text) + panels.curves(run.progress.losses),
            self.after: gr.update(visible=True),
            self.entry: entry.name,
            self.download: self._studio.download(run.history, entry, suffix),
        }

    def _convert(
        self, name: str, suffix: str, visitor: str, request: gr.Request
    ) -> Any:
        if not name:
            return gr.skip()
        history = self._studio.history(visitor_key(visitor, request))
        return self._studio.download(history, history.find(name), suffix)
