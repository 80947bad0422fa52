"""The tab in which a video is painted."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import pathlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import gradio as gr

from tfnst.checks import argument_error, check_integer, check_number
from tfnst.studio import panels
from tfnst.studio.controls import Controls
from tfnst.studio.events import (
    AS_SENT,
    QUICK,
    SHOW_ERROR,
    Updates,
    path_of,
    visitor_key,
)
from tfnst.studio.history import VIDEO_SUFFIXES, History
from tfnst.studio.inputs import Filled
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.run_queue import BusyError, QueuedRun, explain
from tfnst.studio.studio import Studio, in_labels
from tfnst.studio.tasks import Task, VideoOptions

_NEEDED = ("av", "cv2")
_DEFAULTS = VideoOptions()
_LABELS = {
    "start": "Begin at second",
    "end": "End at second",
    "every": "Paint each N-th frame",
    "frame_steps": "Steps for a frame that follows others",
    "temporal_weight": "How firmly frames are held to those before",
    "film": "The video",
}


class VideoTab:
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
        self._visitor = visitor
        self._paint = paint
        gr.Markdown(
            "Paints a video with the styles and settings of the tab “Paint”, but not "
            "its masks over the photo. Strokes move with what they depict. Now and "
            "then, others have their turn."
        )
        if not all(importlib.util.find_spec(name) for name in _NEEDED):
            gr.Markdown("**Videos need the extra: pip install 'tfnst[video]'**")
        with gr.Row():
            with gr.Column(min_width=320):
                self._inputs()
            with gr.Column(min_width=320, elem_classes="stays"):
                self._result()
        # After the video has been uploaded, and when it is taken away.
        self.video.change(self._look, self.video, self.about, **AS_SENT)
        paint.inputs.after_masks(self.controls.start.click).then(
            self.paint_video,
            {
                *(*paint.inputs.all, self.video, self.suffix),
                *(*self.options.values(), *self.controls.read),
            },
            [
                *(self.panel, *self.shown, *self.listed),
                *(*self.controls.written, *paint.inputs.errors),
            ],
            **AS_SENT,
        ).then(**SHOW_ERROR)
        self.painted.input(self._show, [self.painted, visitor], self.shown, **QUICK)

    @property
    def listed(self) -> list[Any]:
        """The components that `refresh` changes."""
        return [self.painted]

    @property
    def shown(self) -> list[Any]:
        """The components that show a painted video."""
        return [self.player, self.download]

    def refresh(self, visitor: str, request: gr.Request) -> Any:
        """Lists the painted videos."""
        history = self._studio.history(visitor_key(visitor, request))
        names = [path.name for path in history.videos()]
        return gr.update(choices=names, visible=bool(names))

    def _inputs(self) -> None:
        # Any type of file: the page says why one can't be read, the browser wouldn't.
        self.video = gr.File(label="Video", height=140, elem_id="video-file")
        self.about = gr.HTML(elem_id="video-about", elem_classes=["said", "video"])
        with gr.Row():
            start = gr.Number(
                _DEFAULTS.start, label=_LABELS["start"], min_width=140,
                elem_id="video-start",
            )  # fmt: skip
            end = gr.Textbox(
                label=_LABELS["end"], placeholder="to its end", min_width=140,
                elem_id="video-end",
            )  # fmt: skip
            every = gr.Number(
                _DEFAULTS.every, label=_LABELS["every"], precision=0, min_width=140,
                elem_id="video-every",
            )  # fmt: skip
        with gr.Row():
            frame_steps = gr.Number(
                _DEFAULTS.frame_steps,
                label=_LABELS["frame_steps"],
                info="More if strokes smear.",
                precision=0,
                min_width=200,
                elem_id="video-steps",
            )
            temporal_weight = gr.Number(
                _DEFAULTS.temporal_weight,
                label=_LABELS["temporal_weight"],
                info="More if it flickers, less if strokes are dragged along.",
                min_width=200,
                elem_id="video-weight",
            )
        self.options = {
            "start": start,
            "end": end,
            "every": every,
            "frame_steps": frame_steps,
            "temporal_weight": temporal_weight,
        }
        self.suffix = gr.Dropdown(
            list(VIDEO_SUFFIXES), value=".mp4", label="Format", elem_id="video-format"
        )

    def _result(self) -> None:
        self.controls = Controls(
            self._studio,
            self._visitor,
            "Paint the video",
            name="video-",
            kept="The video will be among the painted videos.",
        )
        self.panel = gr.HTML(elem_id="video-panel")
        self.player = gr.Video(
            label="Painted video",
            interactive=False,
            buttons=[],
            loop=True,
            visible=False,
            elem_id="video-player",
        )
        self.download = gr.DownloadButton(
            "Download", visible=False, elem_id="video-download"
        )
        self.painted = gr.Dropdown(
            [],
            value=None,
            label="Painted videos, newest first",
            visible=False,
            elem_id="videos",
        )

    async def paint_video(
        self, data: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Paints the video; the handler of the button."""
        path = path_of(data[self.video])
        filled, said = await asyncio.to_thread(
            self._paint.inputs.read, data, photo=False
        )
        if filled is None or path is None:
            text = panels.SEE_PAINT if filled is None else "Choose a video first."
            yield said | {self.controls.said: panels.error(text)}
            return
        options = {name: data[each] for name, each in self.options.items()}
        hidden = gr.update(visible=False)
        async for updates in self.controls.follow(
            data,
            request,
            partial(self._tasks, path, filled, options, data[self.suffix]),
            panel=self.panel,
            checked=said,
            begun={self.player: hidden, self.download: hidden},
            finished=self._finish,
            refused=lambda error: {
                self.controls.said: panels.error(_in_words(error, path))
            },
        ):
            yield updates

    def _tasks(
        self,
        path: str,
        filled: Filled,
        options: Mapping[str, Any],
        suffix: str,
        history: History,
    ) -> tuple[Task]:
        """The task for the video.

        Raises:
            ValueError, OSError, ImportError: for a file that can't be read as a video,
                or one that is too long.
            BusyError: when too many files are being read.
        """
        task = self._studio.video_task(
            history,
            path,
            [style.everywhere() for style in filled.styles],
            filled.config,
            _read_options(options),
            suffix,
        )
        return (task,)

    def _finish(self, run: QueuedRun) -> Updates:
        """Changes on the page when a run has ended."""
        text = panels.status(run, 0, loading=False)
        said = panels.error(text) if run.errors else panels.notice(text)
        updates: Updates = {self.panel: "", self.controls.said: said}
        if run.video is None:
            return updates
        names = [path.name for path in run.history.videos()]
        listed = gr.update(choices=names, value=run.video.name, visible=True)
        return updates | self._play(run.video) | {self.painted: listed}

    def _play(self, video: pathlib.Path) -> Updates:
        copy = self._studio.hand_out(video)
        return {
            self.player: gr.update(value=copy, visible=True),
            self.download: gr.update(value=copy, visible=True),
        }

    def _show(self, name: str, visitor: str, request: gr.Request) -> Updates:
        history = self._studio.history(visitor_key(visitor, request))
        for path in history.videos():
            if path.name == name:
                return self._play(path)
        return dict.fromkeys(self.shown, gr.update(visible=False))

    def _look(self, sent: dict[str, Any] | None) -> str:
        """Describes an uploaded video, with its first frame."""
        path = path_of(sent)
        if path is None:
            return ""
        try:
            return panels.video(*self._studio.look_at_video(path))
        except (BusyError, ValueError, OSError, ImportError) as error:
            return panels.error(_in_words(error, path))


def _read_options(values: Mapping[str, Any]) -> VideoOptions:
    """Reads the options of a video from the fields of the page.

    Raises:
        ValueError: for a value out of its range.
    """
    start = check_number("start", values["start"] or 0, "0 or more seconds", low=0)
    end, given = None, str(values["end"] or "").strip()
    if given:
        with contextlib.suppress(ValueError):
            end = float(given)
        if end is None or not start < end < math.inf:
            expected = "seconds after the beginning, or empty"
            raise argument_error("end", expected, repr(given))
    return VideoOptions(
        start=start,
        end=end,
        every=check_integer("every", values["every"], 1, whole_floats=True),
        frame_steps=check_integer(
            "frame_steps", values["frame_steps"], 1, 1000, whole_floats=True
        ),
        temporal_weight=check_number(
            "temporal_weight",
            values["temporal_weight"],
            "a number from 0 to 1e9",
            low=0,
            high=1e9,
        ),
    )


def _in_words(error: BaseException, path: str) -> str:
    """An error's message, with the name of the video instead of its path."""
    video = pathlib.Path(path)
    text = explain(error).replace(repr(path), video.name).replace(path, video.name)
    return in_labels(text, _LABELS)
