"""The tab with the painted pictures."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from tfnst.limits import MAX_SIZE
from tfnst.studio import panels
from tfnst.studio.events import AS_SENT, QUICK, Updates, visitor_key
from tfnst.studio.history import Entry, History
from tfnst.studio.paint_tab import FORMATS, PaintTab
from tfnst.studio.run_tab import gallery
from tfnst.studio.studio import Studio, jpeg_copy

_PAGE = 48


class HistoryTab:
    """The components of the tab.

    Args:
        studio: the studio whose pictures they show.
        visitor: the secret of the visitor's browser.
        paint: the tab in which pictures are painted again.
        tabs: the tabs of the page.
    """

    def __init__(
        self, studio: Studio, visitor: gr.BrowserState, paint: PaintTab, tabs: gr.Tabs
    ) -> None:
        self._studio = studio
        self._visitor = visitor
        self._paint = paint
        self._tabs = tabs
        self.names = gr.State([])
        self.chosen = gr.State("")
        self.held = gr.State("")
        self.most = gr.State(_PAGE)
        self._lay_out()
        self._connect()

    @property
    def listed(self) -> list[Any]:
        """The components that `refresh` changes."""
        return [self.gallery, self.names, self.empty, self.more]

    def refresh(self, most: int, visitor: str, request: gr.Request) -> Updates:
        """Shows the newest pictures."""
        history = self._history(visitor, request)
        entries = history.entries()
        now = entries[:most]
        return {
            self.gallery: [
                (str(history.thumbnail(entry)), _when(entry)) for entry in now
            ],
            self.names: [entry.name for entry in now],
            self.empty: "" if now else panels.notice("Nothing has been painted yet."),
            self.more: gr.update(visible=len(entries) > most),
        }

    def _lay_out(self) -> None:
        with gr.Row():
            with gr.Column(min_width=320):
                self.empty = gr.HTML(elem_classes="said")
                self.gallery = gallery(
                    "Painted pictures, newest first",
                    "history",
                    object_fit="cover",
                    allow_preview=False,
                )
                with gr.Row():
                    self.look = gr.Button("Look again", size="sm", elem_id="look-again")
                    self.more = gr.Button("Show more", size="sm", visible=False)
            with gr.Column(min_width=320, elem_classes="stays"):
                self.said = gr.HTML(
                    panels.notice("Choose a picture."), elem_id="chosen-said"
                )
                self.picture = gr.HTML(elem_id="chosen", elem_classes="result")
                with gr.Column(visible=False) as self.actions:
                    with gr.Row():
                        self.again = gr.Button("Paint again", elem_id="again")
                        self.larger = gr.Button("Twice as large", elem_id="larger")
                    with gr.Row():
                        self.use = gr.Button(
                            "Change and repeat", size="sm", elem_id="use"
                        )
                        self.settings = gr.Button(
                            "Take only its settings", size="sm", elem_id="settings"
                        )
                    with gr.Row():
                        self.hold = gr.Button(
                            "Compare with the next one", size="sm", elem_id="hold"
                        )
                        self.delete = gr.Button(
                            "Delete", size="sm", variant="stop", elem_id="delete"
                        )
                    with gr.Row(visible=False) as self.sure:
                        self.really = gr.Button(
                            "Delete it for good", size="sm", variant="stop"
                        )
                        self.keep = gr.Button("Keep it", size="sm")
                    with gr.Row():
                        self.suffix = gr.Dropdown(
                            list(FORMATS), value=".png", label="Format"
                        )
                        self.download = gr.DownloadButton("Download")
                    self.facts = gr.HTML(elem_id="facts")

    def _connect(self) -> None:
        paint, visitor = self._paint, self._visitor
        listing = [self.most, visitor]
        shown_now = [self.said, self.picture, self.actions, self.facts]
        shown_now += [self.download, self.chosen, self.held]
        self.look.click(self.refresh, listing, self.listed, **QUICK)
        self.more.click(_add_page, self.most, self.most, **QUICK).then(
            self.refresh, listing, self.listed, **QUICK
        )
        self.gallery.select(
            self._choose,
            [self.names, self.held, self.suffix, visitor],
            shown_now,
            **QUICK,
        )
        self.suffix.input(
            self._convert, [self.chosen, self.suffix, visitor], self.download, **QUICK
        )
        self.hold.click(self._hold, self.chosen, [self.held, self.said], **QUICK)
        outputs = [*paint.inputs.shown, *paint.inputs.errors, self.said, self._tabs]
        for button, show in (
            (self.again, self._showing()),
            (self.larger, self._showing(larger=True)),
            (self.use, self._showing()),
            (self.settings, self._showing(pictures=False)),
        ):
            moved = button.click(show, [self.chosen, visitor], outputs, **QUICK)
            if button in (self.again, self.larger):
                moved.success(paint.paint, paint.read, paint.written, **AS_SENT)
        asked = [self.sure, self.delete]
        self.delete.click(lambda: _asking(True), None, asked, **QUICK)
        self.keep.click(lambda: _asking(False), None, asked, **QUICK)
        self.really.click(
            self._delete, [self.chosen, visitor], [*shown_now, *asked], **QUICK
        ).then(self.refresh, listing, self.listed, **QUICK)

    def _history(self, visitor: str, request: gr.Request) -> History:
        return self._studio.history(visitor_key(visitor, request))

    def _choose(
        self,
        chosen: gr.SelectData,
        request: gr.Request,
        names: list[str],
        held: str,
        suffix: str,
        visitor: str,
    ) -> Updates:
        history = self._history(visitor, request)
        name = names[chosen.index] if chosen.index < len(names) else ""
        try:
            entry = history.find(name)
            if not held or held == name:
                return self._show(history, entry, suffix)
            other = history.find(held)
        except LookupError as error:
            return self._nothing(panels.error(str(error)))
        pictures = [(jpeg_copy(each.path), _caption(each)) for each in (other, entry)]
        with_slider = panels.comparison(
            pictures[0][0], pictures[1][0], ("First", "Second")
        )
        return self._show(history, entry, suffix) | {
            self.picture: panels.side_by_side(pictures) + with_slider,
            self.said: panels.notice(f"{other.name} and {entry.name}"),
            self.facts: panels.facts(other) + panels.facts(entry),
            self.held: "",
        }

    def _show(self, history: History, entry: Entry, suffix: str) -> Updates:
        content = history.content(entry)
        after = jpeg_copy(entry.path)
        if content is None:
            picture = panels.side_by_side([(after, _caption(entry))])
        else:
            picture = panels.comparison(
                jpeg_copy(content), after, ("Photo", "Painting")
            )
        return {
            self.said: "",
            self.picture: picture,
            self.actions: gr.update(visible=True),
            self.facts: panels.facts(entry),
            self.chosen: entry.name,
            self.download: self._studio.download(history, entry, suffix),
        }

    def _nothing(self, said: str) -> Updates:
        return {
            self.said: said,
            self.picture: "",
            self.actions: gr.update(visible=False),
            self.chosen: "",
            self.held: "",
        }

    def _convert(
        self, request: gr.Request, name: str, suffix: str, visitor: str
    ) -> Any:
        history = self._history(visitor, request)
        return self._studio.download(history, history.find(name), suffix)

    def _hold(self, name: str) -> Updates:
        return {
            self.held: name,
            self.said: panels.notice(f"Choose the picture to compare {name} with."),
        }

    def _showing(self, *, pictures: bool = True, larger: bool = False) -> Any:
        """Makes a handler that shows a picture's settings in the tab “Paint”.

        Args:
            pictures: whether to show the pictures that it was painted from, too.
            larger: whether to double the size.
        """

        def show(request: gr.Request, name: str, visitor: str) -> Updates:
            inputs, history = self._paint.inputs, self._history(visitor, request)
            try:
                entry = history.find(name)
                size = entry.settings.get("size", 512)
                changes = {"size": min(2 * size, MAX_SIZE)} if larger else {}
                updates = inputs.show(entry, history, pictures=pictures, **changes)
            except (LookupError, TypeError, ValueError) as error:
                return {self.said: panels.error(f"It can't be repeated: {error}")}
            said = dict.fromkeys(inputs.errors, "")
            return updates | said | {self._tabs: gr.update(selected="paint")}

        return show

    def _delete(self, request: gr.Request, name: str, visitor: str) -> Updates:
        history = self._history(visitor, request)
        said = panels.notice(f"{name} is deleted.")
        try:
            history.delete(history.find(name), self._studio.queue.files)
        except (LookupError, OSError) as error:
            said = panels.error(str(error))
        asked = zip((self.sure, self.delete), _asking(False), strict=True)
        return self._nothing(said) | dict(asked)


def _add_page(most: int) -> int:
    return most + _PAGE


def _asking(now: bool) -> tuple[Any, Any]:
    """The changes of `sure` and `delete` while the visitor is asked to confirm."""
    return gr.update(visible=now), gr.update(visible=not now)


def _caption(entry: Entry) -> str:
    """The caption of a picture in a comparison."""
    settings = entry.settings
    facts = [f"{settings['size']} px"] if "size" in settings else []
    if "style_strength" in settings:
        facts.append(f"strength {settings['style_strength']:g}")
    return ", ".join([_when(entry), *facts])


def _when(entry: Entry) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(entry.modified))
