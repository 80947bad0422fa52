"""The tab in which many photos are painted in the same style."""

from __future__ import annotations

import asyncio
import pathlib
import zipfile
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import gradio as gr

from tfnst.checks import argument_error
from tfnst.studio import panels
from tfnst.studio.controls import Controls, gallery
from tfnst.studio.events import AS_SENT, SHOW_ERROR, Updates
from tfnst.studio.history import History
from tfnst.studio.inputs import Filled
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.run_queue import QueuedRun
from tfnst.studio.studio import Studio
from tfnst.studio.tasks import Task


class BatchTab:
    """The components of the tab.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
        paint: the tab with styles and settings.
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
        self.panel = gr.HTML(elem_id="batch-panel")
        self.gallery = gallery("Painted pictures", "batch", visible=False)
        self.download = gr.DownloadButton(
            "Download all", visible=False, elem_id="batch-download"
        )
        paint.inputs.after_masks(self.controls.start.click).then(
            self.paint_all,
            {*paint.inputs.all, self.photos, *self.controls.read},
            [
                *(self.gallery, self.panel, self.download),
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
            text = panels.SEE_PAINT if filled is None else "Choose photos first."
            yield said | {self.controls.said: panels.error(text)}
            return
        async for updates in self.controls.follow(
            data,
            request,
            partial(self._tasks, photos, filled),
            panel=self.panel,
            checked=said,
            begun={
                self.gallery: gr.update(value=[], visible=False),
                self.download: gr.update(visible=False),
            },
            painted=self._pictures,
            finished=self._finish,
        ):
            yield updates

    def _tasks(
        self, photos: list[str], filled: Filled, history: History
    ) -> tuple[Task, ...]:
        """A task for each photo.

        Raises:
            ValueError: for too many photos, or one that is no picture.
        """
        most = self._studio.limits.max_batch
        if len(photos) > most:
            raise argument_error(
                "photos", f"at most {most}, as the host allows", str(len(photos))
            )
        for photo in photos:
            if wrong := self._studio.check_picture(photo):
                raise ValueError(f"{pathlib.Path(photo).name}: {wrong}")
        return tuple(
            self._studio.picture_task(
                history,
                photo,
                [style.everywhere() for style in filled.styles],
                filled.config,
                pathlib.Path(photo).name,
                filled.bits,
            )
            for photo in photos
        )

    def _pictures(self, run: QueuedRun) -> Updates:
        pictures = run.thumbnails()
        return {self.gallery: gr.update(value=pictures, visible=bool(pictures))}

    def _finish(self, run: QueuedRun) -> Updates:
        """Changes on the page when a run has ended."""
        text = panels.status(run, 0, loading=False)
        updates: Updates = {
            self.panel: "",
            self.controls.said: panels.notice(text) + panels.all_errors(run),
        }
        if not run.results:
            return updates
        packed = self._studio.passing_folder() / "painted.zip"
        # The pictures are compressed already.
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
            for _, entry in run.results:
                file.write(entry.path, entry.name)
        return (
            updates
            | self._pictures(run)
            | {self.download: gr.update(value=str(packed), visible=True)}
        )
