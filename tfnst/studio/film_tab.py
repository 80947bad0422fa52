"""The tab in which a film is painted."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import pathlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr

from tfnst.checks import argument_error, check_integer, check_number
from tfnst.studio import panels
from tfnst.studio.controls import Controls
from tfnst.studio.events import AS_SENT, QUICK, SHOW_ERROR, Updates, path_of
from tfnst.studio.history import FILM_SUFFIXES
from tfnst.studio.inputs import Filled
from tfnst.studio.jobs import BusyError, Job
from tfnst.studio.orders import Film
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.studio import Studio, in_labels

_NEEDED = ("av", "cv2")
_DEFAULTS = Film()
_LABELS = {
    "start": "Begin at second",
    "end": "End at second",
    "every": "Paint each N-th frame",
    "frame_steps": "Steps for a frame that follows others",
    "temporal_weight": "How firmly frames are held to those before",
    "film": "The film",
}


class FilmTab:
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
        self._visitor = visitor
        self._paint = paint
        gr.Markdown(
            "Paints a film with the styles and settings of the tab “Paint”, but not "
            "its masks over the photo. Strokes move with what they depict. Now and "
            "then, others have their turn."
        )
        if not all(importlib.util.find_spec(name) for name in _NEEDED):
            gr.Markdown("**Films need the extra: pip install 'tfnst[video]'**")
        with gr.Row():
            with gr.Column(min_width=320):
                self._inputs()
            with gr.Column(min_width=320, elem_classes="stays"):
                self._result()
        # After the film has been uploaded, and when it is taken away.
        self.film.change(self._look, self.film, self.about, **AS_SENT)
        paint.inputs.after_masks(self.controls.start.click).then(
            self.paint_film,
            {
                *(*paint.inputs.all, self.film, self.suffix),
                *(*self.options.values(), *self.controls.read),
            },
            [
                *(self.said, self.panel, *self.shown, *self.listed),
                *(*self.controls.written, *paint.inputs.errors),
            ],
            **AS_SENT,
        ).then(**SHOW_ERROR)
        self.painted.input(self._show, [self.painted, visitor], self.shown, **QUICK)

    @property
    def listed(self) -> list[Any]:
        """What `refresh` changes."""
        return [self.painted]

    @property
    def shown(self) -> list[Any]:
        """What shows a painted film."""
        return [self.player, self.download]

    def refresh(self, visitor: str, request: gr.Request) -> Any:
        """Lists the films that are there now."""
        history = self._studio.history(visitor or str(request.session_hash))
        names = [path.name for path in history.films()]
        return gr.update(choices=names, visible=bool(names))

    def _inputs(self) -> None:
        # Of any type: what isn't a film is refused in words, not by the browser.
        self.film = gr.File(label="Film", height=140, elem_id="film-file")
        self.about = gr.HTML(elem_id="film-about", elem_classes=["said", "film"])
        with gr.Row():
            start = gr.Number(
                _DEFAULTS.start, label=_LABELS["start"], min_width=140,
                elem_id="film-start",
            )  # fmt: skip
            end = gr.Textbox(
                label=_LABELS["end"], placeholder="to its end", min_width=140,
                elem_id="film-end",
            )  # fmt: skip
            every = gr.Number(
                _DEFAULTS.every, label=_LABELS["every"], precision=0, min_width=140,
                elem_id="film-every",
            )  # fmt: skip
        with gr.Row():
            frame_steps = gr.Number(
                _DEFAULTS.frame_steps,
                label=_LABELS["frame_steps"],
                info="More if strokes smear.",
                precision=0,
                min_width=200,
                elem_id="film-steps",
            )
            temporal_weight = gr.Number(
                _DEFAULTS.temporal_weight,
                label=_LABELS["temporal_weight"],
                info="More if it flickers, less if strokes are dragged along.",
                min_width=200,
                elem_id="film-weight",
            )
        self.options = {
            "start": start,
            "end": end,
            "every": every,
            "frame_steps": frame_steps,
            "temporal_weight": temporal_weight,
        }
        self.suffix = gr.Dropdown(
            list(FILM_SUFFIXES), value=".mp4", label="Format", elem_id="film-format"
        )

    def _result(self) -> None:
        self.controls = Controls(
            self._studio,
            self._visitor,
            "Paint the film",
            name="film-",
            kept="The film will be among the painted films.",
        )
        self.said = gr.HTML(elem_id="film-said", elem_classes="said")
        self.panel = gr.HTML(elem_id="film-panel")
        self.player = gr.Video(
            label="Painted film",
            interactive=False,
            buttons=[],
            loop=True,
            visible=False,
            elem_id="film-player",
        )
        self.download = gr.DownloadButton(
            "Download", visible=False, elem_id="film-download"
        )
        self.painted = gr.Dropdown(
            [],
            value=None,
            label="Painted films, newest first",
            visible=False,
            elem_id="films",
        )

    async def paint_film(
        self, data: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Paints the film; the handler of the button."""
        path = path_of(data[self.film])
        filled, said = await asyncio.to_thread(
            self._paint.inputs.read, data, photo=False
        )
        if filled is None or path is None:
            text = "Choose a film first."
            if filled is None:
                text = "Something is missing or wrong in the tab “Paint”: see there."
            yield said | {self.said: panels.error(text)}
            return
        try:
            job = await asyncio.to_thread(self._submit, path, filled, data, request)
        except (BusyError, ValueError, OSError, ImportError) as error:
            yield said | {self.said: panels.error(_in_words(error, path))}
            return
        yield (
            said
            | self.controls.begun(job)
            | {self.said: "", self.player: gr.update(visible=False)}
            | {self.download: gr.update(visible=False)}
        )
        async for panel in self.controls.watch(job):
            yield {self.panel: panel}
        yield await asyncio.to_thread(self._finish, job)

    def _submit(
        self, path: str, filled: Filled, data: dict[Any, Any], request: gr.Request
    ) -> Job:
        """Hands in a job for the film.

        Raises:
            ValueError, OSError, ImportError: for what is no film, or too long.
            BusyError: when there are too many jobs.
        """
        history = self.controls.history(data, request)
        order = self._studio.order_film(
            history,
            path,
            [style.everywhere() for style in filled.styles],
            filled.config,
            _read_options({name: data[each] for name, each in self.options.items()}),
            data[self.suffix],
        )
        return self.controls.submit((order,), history, data, request)

    def _finish(self, job: Job) -> Updates:
        """What the page shows of a job that has ended."""
        text = panels.status(job, 0, loading=False)
        said = panels.error(text) if job.errors else panels.notice(text)
        updates = self.controls.ended() | {self.panel: "", self.said: said}
        if job.film is None:
            return updates
        names = [path.name for path in job.history.films()]
        listed = gr.update(choices=names, value=job.film.name, visible=True)
        return updates | self._play(job.film) | {self.painted: listed}

    def _play(self, film: pathlib.Path) -> Updates:
        copy = self._studio.hand_out(film)
        return {
            self.player: gr.update(value=copy, visible=True),
            self.download: gr.update(value=copy, visible=True),
        }

    def _show(self, name: str, visitor: str, request: gr.Request) -> Updates:
        history = self._studio.history(visitor or str(request.session_hash))
        for path in history.films():
            if path.name == name:
                return self._play(path)
        return dict.fromkeys(self.shown, gr.update(visible=False))

    def _look(self, sent: dict[str, Any] | None) -> str:
        """A film that was handed in, with its first frame."""
        path = path_of(sent)
        if path is None:
            return ""
        try:
            return panels.film(*self._studio.look_at_film(path))
        except (BusyError, ValueError, OSError, ImportError) as error:
            return panels.error(_in_words(error, path))


def _read_options(values: Mapping[str, Any]) -> Film:
    """How to paint a film, from what was filled in.

    Raises:
        ValueError: for what is out of its range.
    """
    start = check_number("start", values["start"] or 0, "0 or more seconds", low=0)
    end, given = None, str(values["end"] or "").strip()
    if given:
        with contextlib.suppress(ValueError):
            end = float(given)
        if end is None or not start < end < math.inf:
            expected = "seconds after the beginning, or empty"
            raise argument_error("end", expected, repr(given))
    return Film(
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
    """What an error says, without what the server calls the file."""
    film = pathlib.Path(path)
    text = in_labels(error, _LABELS)
    return text.replace(repr(path), film.name).replace(path, film.name)
