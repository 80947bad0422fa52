"""The tab in which a video is painted."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from tfnst.checks import check_integer, check_number
from tfnst.studio import panels
from tfnst.studio.events import AS_SENT, BY_STEPS, QUICK, Updates, path_of
from tfnst.studio.history import VIDEO_SUFFIXES
from tfnst.studio.inputs import Inputs
from tfnst.studio.run_queue import BusyError, QueuedRun
from tfnst.studio.run_tab import Data, RunTab
from tfnst.studio.studio import Studio, in_labels
from tfnst.studio.tasks import Task, VideoOptions

_NEEDED = ("av", "cv2")
_LABELS = {
    "start": "Begin at second",
    "end": "End at second",
    "every": "Paint each N-th frame",
    "frame_steps": "Steps for later frames",
    "temporal_weight": "Temporal weight",
    "film": "The video",
}


class VideoTab(RunTab):
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
            "Paints a video with the styles and settings of the tab “Paint”, but not "
            "its masks over the photo. Strokes move with what they depict."
        )
        if not all(importlib.util.find_spec(name) for name in _NEEDED):
            gr.Markdown("**Videos need the extra: pip install 'tfnst[video]'**")
        with gr.Row():
            with gr.Column(min_width=320):
                self._inputs()
            with gr.Column(min_width=320, elem_classes="stays"):
                self._result()
        self.connect(
            [self.video, self.suffix, *self.options.values()],
            [*self.shown, *self.listed],
        )
        # After the video has been uploaded, and when it is taken away.
        self.video.change(self._look, self.video, self.about, **AS_SENT)
        self.choice.input(self._show, [self.choice, visitor], self.shown, **QUICK)

    @property
    def listed(self) -> list[Any]:
        """The components that `refresh` changes."""
        return [self.choice]

    @property
    def shown(self) -> list[Any]:
        """The components that show a painted video."""
        return [self.player, self.download]

    def refresh(self, visitor: str, request: gr.Request) -> Any:
        """Lists the painted videos."""
        names = [path.name for path in self.history(visitor, request).videos()]
        return gr.update(choices=names, visible=bool(names))

    def _inputs(self) -> None:
        # Any type of file: the page says why one can't be read, the browser wouldn't.
        self.video = gr.File(label="Video", height=140, elem_id="video-file")
        self.about = gr.HTML(elem_id="video-about", elem_classes=["said", "video"])
        with gr.Row():
            start = _number("start")
            end = gr.Textbox(
                label=_LABELS["end"],
                placeholder="to its end",
                min_width=140,
                elem_id="video-end",
            )
            every = _number("every", precision=0)
        with gr.Row(elem_classes=BY_STEPS):
            frame_steps = _number(
                "frame_steps", precision=0, info="More if strokes smear."
            )
            temporal_weight = _number(
                "temporal_weight",
                info="More if it flickers, less if strokes are dragged along.",
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
        self.add_controls(
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
        self.choice = gr.Dropdown(
            [],
            value=None,
            label="Painted videos, newest first",
            visible=False,
            elem_id="videos",
        )

    def read_form(self, data: Data) -> tuple[Task | None, Updates]:
        return self.inputs.read(data, photo=False)

    def tasks(self, data: Data, filled: Task) -> Sequence[Task]:
        path = path_of(data[self.video])
        if path is None:
            raise ValueError("Choose a video first.")
        options = {name: data[each] for name, each in self.options.items()}
        task = dataclasses.replace(
            filled,
            content=pathlib.Path(path),
            video=_read_options(options),
            suffix=data[self.suffix],
        )
        return [task]

    def refused(self, data: Data, error: Exception) -> Updates:
        return {self.said: panels.error(_in_words(error, path_of(data[self.video])))}

    def begun(self, data: Data, filled: Task) -> Updates:
        return self._hide()

    def finished(self, data: Data, run: QueuedRun) -> Updates:
        text = panels.status(run)
        said = panels.error(text) if run.errors else panels.notice(text)
        updates: Updates = {self.panel: "", self.said: said}
        if run.video is None:
            return updates
        names = [path.name for path in run.history.videos()]
        listed = gr.update(choices=names, value=run.video.name, visible=True)
        return updates | self._play(run.video) | {self.choice: listed}

    def _play(self, video: pathlib.Path) -> Updates:
        copy = self.studio.copy_file(video)
        return {each: gr.update(value=copy, visible=True) for each in self.shown}

    def _hide(self) -> Updates:
        # Not one update for both: Gradio changes those that it is given.
        return {each: gr.update(visible=False) for each in self.shown}

    def _show(self, name: str, visitor: str, request: gr.Request) -> Updates:
        for path in self.history(visitor, request).videos():
            if path.name == name:
                return self._play(path)
        return self._hide()

    def _look(self, sent: dict[str, Any] | None) -> str:
        """Describes an uploaded video, with its first frame."""
        path = path_of(sent)
        if path is None:
            return ""
        try:
            return panels.video(*self.studio.look_at_video(path))
        except (BusyError, ValueError, OSError, ImportError) as error:
            return panels.error(_in_words(error, path))


def _number(name: str, **about: Any) -> gr.Number:
    """The field of an option of videos."""
    return gr.Number(
        getattr(VideoOptions(), name),
        label=_LABELS[name],
        min_width=200 if "info" in about else 140,
        elem_id=f"video-{name.replace('_', '-')}",
        **about,
    )


def _read_options(values: Mapping[str, Any]) -> VideoOptions:
    """Reads the options of a video from the fields of the page.

    The range of frames is checked where the frames are counted.

    Raises:
        ValueError: for a value out of its range.
    """
    end: Any = str(values["end"] or "").strip() or None
    with contextlib.suppress(TypeError, ValueError):
        end = float(end)
    return VideoOptions(
        start=values["start"] or 0,
        end=end,
        every=values["every"],
        frame_steps=check_integer("frame_steps", values["frame_steps"], 1, 1000),
        temporal_weight=check_number(
            "temporal_weight",
            values["temporal_weight"],
            "a number from 0 to 1e9",
            low=0,
            high=1e9,
        ),
    )


def _in_words(error: BaseException, path: str | None) -> str:
    """An error's message, with the name of the video instead of its path."""
    text = in_labels(error, _LABELS)
    if path is None:
        return text
    name = pathlib.Path(path).name
    return text.replace(repr(path), name).replace(path, name)
