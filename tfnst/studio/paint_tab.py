"""The tab in which a picture is painted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from tfnst.studio import jobs, panels
from tfnst.studio.controls import Controls
from tfnst.studio.events import AS_SENT, QUICK, SHOW_ERROR, Updates
from tfnst.studio.inputs import Filled, Inputs
from tfnst.studio.jobs import BusyError, Job
from tfnst.studio.studio import Studio, shown

FORMATS = (".png", ".jpg", ".webp", ".tif")


class PaintTab:
    """The components, laid out where they are made.

    Args:
        studio: that paints.
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
        """What `paint_picture` reads."""
        return {*self.inputs.all, self.suffix, *self.controls.read}

    @property
    def written(self) -> list[Any]:
        """What `paint_picture` changes."""
        return [
            *(self.panel, self.comparison, self.after, self.download),
            *(self.entry, self.busy),
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
        self.busy = gr.HTML(elem_id="busy", elem_classes="said")
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
        """Paints what was filled in; the handler of the button."""
        filled, said = await asyncio.to_thread(self.inputs.read, data)
        if filled is None:
            yield said
            return
        try:
            job = await asyncio.to_thread(self._submit, filled, data, request)
        except BusyError as error:
            yield said | {self.busy: panels.error(str(error))}
            return
        except ValueError as error:
            yield said | self.inputs.place_error(error)
            return
        yield (
            said
            | self.controls.begun(job)
            | {self.after: gr.update(visible=False), self.comparison: "", self.busy: ""}
        )
        async for panel in self.controls.watch(job):
            yield {self.panel: panel}
        yield await asyncio.to_thread(self._finish, job, data[self.suffix])

    def _submit(self, filled: Filled, data: dict[Any, Any], request: gr.Request) -> Job:
        history = self.controls.history(data, request)
        order = self._studio.order(
            history, filled.content, filled.styles, filled.config, bits=filled.bits
        )
        return self.controls.submit((order,), history, data, request)

    def _finish(self, job: Job, suffix: str) -> Updates:
        """What the page shows of a job that has ended."""
        updates = self.controls.ended()
        if job.state == jobs.FAILED:
            return updates | {self.panel: panels.error(job.errors[-1][1])}
        if not job.results:
            return updates
        ((_, entry),) = job.results
        before, after = shown(job.order.content), shown(entry.path)
        text = panels.status(job, 0, loading=False)
        return updates | {
            self.comparison: panels.comparison(before, after, ("Photo", "Painting")),
            self.panel: panels.notice(text) + panels.curves(job.progress.losses),
            self.after: gr.update(visible=True),
            self.entry: entry.name,
            self.download: gr.update(
                value=self._studio.download(job.history, entry, suffix)
            ),
        }

    def _convert(
        self, name: str, suffix: str, visitor: str, request: gr.Request
    ) -> Any:
        if not name:
            return gr.skip()
        history = self._studio.history(visitor or str(request.session_hash))
        path = self._studio.download(history, history.find(name), suffix)
        return gr.update(value=path)
