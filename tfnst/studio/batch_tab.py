"""The tab in which many photos are painted in the same style."""

from __future__ import annotations

import asyncio
import pathlib
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from tfnst.checks import argument_error
from tfnst.studio import panels
from tfnst.studio.controls import Controls
from tfnst.studio.events import AS_SENT, SHOW_ERROR, Updates
from tfnst.studio.inputs import Filled
from tfnst.studio.jobs import BusyError, Job
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.studio import Studio


class BatchTab:
    """The components, laid out where they are made.

    Args:
        studio: that paints.
        visitor: the secret of the visitor's browser.
        paint: where the styles and settings are filled in.
    """

    def __init__(
        self, studio: Studio, visitor: gr.BrowserState, paint: PaintTab
    ) -> None:
        self._studio = studio
        self._paint = paint
        gr.Markdown(
            "Paints many photos with the styles and settings of the tab “Paint”, but "
            "not its masks over the photo. Between two of them, others have their turn."
        )
        self.photos = gr.File(
            label="Photos",
            file_count="multiple",
            file_types=["image"],
            height=180,
            elem_id="batch-photos",
        )
        self.controls = Controls(
            studio,
            visitor,
            "Paint them all",
            name="batch-",
            kept="The pictures will be in the history.",
        )
        self.said = gr.HTML(elem_id="batch-said", elem_classes="said")
        self.panel = gr.HTML(elem_id="batch-panel")
        self.gallery = gr.Gallery(
            label="Painted pictures",
            columns=[3],
            height="auto",
            object_fit="contain",
            interactive=False,
            buttons=[],
            visible=False,
            elem_id="batch",
            elem_classes="painted",
        )
        self.download = gr.DownloadButton(
            "Download all", visible=False, elem_id="batch-download"
        )
        paint.inputs.after_masks(self.controls.start.click).then(
            self.paint_all,
            {*paint.inputs.all, self.photos, *self.controls.read},
            [
                *(self.said, self.gallery, self.panel, self.download),
                *(*self.controls.written, *paint.inputs.errors),
            ],
            **AS_SENT,
        ).then(**SHOW_ERROR)

    async def paint_all(
        self, data: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Paints the photos; the handler of the button."""
        photos = [photo["path"] for photo in data[self.photos] or []]
        filled, said = await asyncio.to_thread(
            self._paint.inputs.read, data, photo=False
        )
        if filled is None or not photos:
            text = "Choose photos first."
            if filled is None:
                text = "Something is missing or wrong in the tab “Paint”: see there."
            yield said | {self.said: panels.error(text)}
            return
        try:
            job = await asyncio.to_thread(self._submit, photos, filled, data, request)
        except (BusyError, ValueError) as error:
            yield said | {self.said: panels.error(str(error))}
            return
        yield (
            said
            | self.controls.begun(job)
            | {
                self.said: "",
                self.gallery: gr.update(value=[], visible=False),
                self.download: gr.update(visible=False),
            }
        )
        done = 0
        async for panel in self.controls.watch(job):
            update: Updates = {self.panel: panel}
            if len(job.outcomes) != done:
                done = len(job.outcomes)
                update |= self._pictures(job)
            yield update
        yield await asyncio.to_thread(self._finish, job)

    def _submit(
        self,
        photos: list[str],
        filled: Filled,
        data: dict[Any, Any],
        request: gr.Request,
    ) -> Job:
        """Hands in a job for the photos.

        Raises:
            ValueError: for too many photos, or one that is no picture.
            BusyError: when there are too many jobs.
        """
        most = self._studio.limits.max_batch
        if len(photos) > most:
            raise argument_error(
                "photos", f"at most {most}, as the host allows", str(len(photos))
            )
        for photo in photos:
            if wrong := self._studio.check_picture(photo):
                raise ValueError(f"{pathlib.Path(photo).name}: {wrong}")
        history = self.controls.history(data, request)
        orders = tuple(
            self._studio.order(
                history,
                photo,
                [style.everywhere() for style in filled.styles],
                filled.config,
                pathlib.Path(photo).name,
                filled.bits,
            )
            for photo in photos
        )
        return self.controls.submit(orders, history, data, request)

    def _pictures(self, job: Job) -> Updates:
        pictures = job.thumbnails()
        return {self.gallery: gr.update(value=pictures, visible=bool(pictures))}

    def _finish(self, job: Job) -> Updates:
        """What the page shows of a job that has ended."""
        text = panels.status(job, 0, loading=False)
        updates = self.controls.ended() | {
            self.panel: "",
            self.said: panels.notice(text) + panels.all_errors(job),
        }
        if not job.results:
            return updates
        packed = self._studio.passing_folder() / "painted.zip"
        # The pictures are compressed already.
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
            for _, entry in job.results:
                file.write(entry.path, entry.name)
        return (
            updates
            | self._pictures(job)
            | {self.download: gr.update(value=str(packed), visible=True)}
        )
