"""The tab in which a picture is painted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from tfnst.studio import panels, run_queue
from tfnst.studio.events import AS_SENT, QUICK, Updates
from tfnst.studio.inputs import Inputs
from tfnst.studio.run_queue import QueuedRun
from tfnst.studio.run_tab import Data, RunTab
from tfnst.studio.studio import Studio, jpeg_copy
from tfnst.studio.tasks import Task

FORMATS = (".png", ".jpg", ".webp", ".tif")
# Settings that determine how long a run takes.
_LENGTHS = ("size", "min_size", "steps", "initial_steps", "max_time")
# Longest side of the painting as it is shown, so that it can be seen pixel by pixel.
_SHOWN = 4096
_BEGIN = panels.notice("Choose a photo and a style, and press Paint.")


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
        self._connect_expected()
        self.suffix.input(
            self._convert,
            [self.entry, self.suffix, visitor],
            self.download,
            **QUICK,
        )

    def _result(self) -> None:
        self.add_controls("Paint", kept="The picture will be in the history.")
        self.expected = gr.HTML(_BEGIN, elem_id="expected", elem_classes="said")
        self.comparison = gr.HTML(elem_id="comparison", elem_classes="result")
        self.panel = gr.HTML(elem_id="panel", elem_classes="said")
        with gr.Row(visible=False) as self.after:
            self.suffix = gr.Dropdown(
                list(FORMATS), value=".png", label="Format", elem_id="format"
            )
            self.download = gr.DownloadButton("Download", elem_id="download")
        self.entry = gr.State("")

    def tasks(self, data: Data, filled: Task) -> Sequence[Task]:
        return [filled]

    def refused(self, data: Data, error: Exception) -> Updates:
        if isinstance(error, ValueError):
            return self.inputs.place_error(error)
        return super().refused(data, error)

    def begun(self, data: Data, filled: Task) -> Updates:
        return {self.after: gr.update(visible=False), self.comparison: ""}

    def finished(self, data: Data, run: QueuedRun) -> Updates:
        if run.state == run_queue.FAILED:
            return {self.panel: panels.error(run.errors[-1][1])}
        if not run.results:
            return {}
        ((_, entry),) = run.results
        before, after = jpeg_copy(run.task.content), jpeg_copy(entry.path, _SHOWN)
        text = panels.status(run)
        return {
            self.comparison: panels.comparison(before, after, ("Photo", "Painting")),
            self.panel: panels.notice(text) + panels.curves(run.progress.losses),
            self.after: gr.update(visible=True),
            self.entry: entry.name,
            self.download: self.studio.download(run.history, entry, data[self.suffix]),
        }

    def _connect_expected(self) -> None:
        """Has the page say what is to be chosen, or how long the run will take."""
        fields = [self.inputs.settings[name] for name in _LENGTHS]
        # Until this machine's speed is known, if it will be.
        self.asking = gr.Timer(2, active=False)
        gr.on(
            [
                self.inputs.content.change,
                self.asking.tick,
                *(slot.image.change for slot in self.inputs.slots),
                self.inputs.count.change,
                self.inputs.how.change,
                *(field.change for field in fields),
            ],
            self._expect,
            self.inputs.all,
            [self.expected, self.asking],
            trigger_mode="always_last",
            **AS_SENT,
        )

    def _expect(self, data: dict[Any, Any]) -> Updates:
        filled, _ = self.inputs.read(data)
        if filled is None:
            begun = self.inputs.has_pictures(data)
            said = "" if begun else _BEGIN
            return {self.expected: said, self.asking: gr.update(active=False)}
        seconds = self.studio.expected_seconds(filled)
        if seconds is None:
            later = not self.studio.queue.ready.is_set()
            return {self.expected: "", self.asking: gr.update(active=later)}
        # Reading and writing a picture take their time, too.
        shown = panels.duration(max(seconds, 1.0))
        text = panels.notice(f"It will take about {shown}.")
        return {self.expected: text, self.asking: gr.update(active=False)}

    def _convert(
        self, name: str, suffix: str, visitor: str, request: gr.Request
    ) -> Any:
        if not name:
            return gr.skip()
        history = self.history(visitor, request)
        return self.studio.download(history, history.find(name), suffix)
