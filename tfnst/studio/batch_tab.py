"""The tab in which many photos are painted in the same style."""

from __future__ import annotations

import dataclasses
import pathlib
import zipfile
from collections.abc import Sequence

import gradio as gr

from tfnst.checks import ArgumentError
from tfnst.studio import panels
from tfnst.studio.events import Updates
from tfnst.studio.inputs import Inputs
from tfnst.studio.run_queue import QueuedRun
from tfnst.studio.run_tab import Data, RunTab, gallery
from tfnst.studio.studio import Studio
from tfnst.studio.tasks import Task


class BatchTab(RunTab):
    """The components of the tab.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
        inputs: the form with styles and settings.
    """

    def __init__(
        self, studio: Studio, visitor: gr.BrowserState, inputs: Inputs
    ) -> None:
        super().__init__(studio, visitor, inputs)
        gr.Markdown(
            "Paints many photos with the styles and settings of the tab “Paint”, but "
            "not its masks over the photo."
        )
        self.photos = gr.File(
            label="Photos",
            file_count="multiple",
            file_types=["image"],
            elem_id="batch-photos",
        )
        self.add_controls(
            "Paint them all",
            name="batch-",
            kept="The pictures will be in the history.",
        )
        self.panel = gr.HTML(elem_id="batch-panel", elem_classes="said")
        self.gallery = gallery("Painted pictures", "batch", visible=False)
        self.download = gr.DownloadButton(
            "Download all", visible=False, elem_id="batch-download"
        )
        self.connect([self.photos], [self.gallery, self.download])

    def read_form(self, data: Data) -> tuple[Task | None, Updates]:
        return self.inputs.read(data, photo=False)

    def tasks(self, data: Data, filled: Task) -> Sequence[Task]:
        photos = [photo["path"] for photo in data[self.photos] or []]
        if not photos:
            raise ValueError("Choose photos first.")
        most = self.studio.limits.max_batch
        if len(photos) > most:
            raise ArgumentError(
                f"at most {most}, as the host allows",
                str(len(photos)),
                argument="photos",
            )
        for photo in photos:
            if wrong := self.studio.check_picture(photo):
                raise ValueError(f"{pathlib.Path(photo).name}: {wrong}")
        paths = map(pathlib.Path, photos)
        return [
            dataclasses.replace(filled, content=path, label=path.name) for path in paths
        ]

    def begun(self, data: Data, filled: Task) -> Updates:
        return {
            self.gallery: gr.update(value=[], visible=False),
            self.download: gr.update(visible=False),
        }

    def painted(self, run: QueuedRun) -> Updates:
        pictures = run.thumbnails()
        return {self.gallery: gr.update(value=pictures, visible=bool(pictures))}

    def finished(self, data: Data, run: QueuedRun) -> Updates:
        text = panels.status(run)
        updates: Updates = {
            self.panel: "",
            self.said: panels.notice(text) + panels.all_errors(run),
        }
        if not run.results:
            return updates
        packed = self.studio.temporary_folder() / "painted.zip"
        # The pictures are compressed already.
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
            for _, entry in run.results:
                file.write(entry.path, entry.name)
        download = gr.update(value=str(packed), visible=True)
        return updates | self.painted(run) | {self.download: download}
