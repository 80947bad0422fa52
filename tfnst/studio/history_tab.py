"""The tab with the painted pictures."""

from __future__ import annotations

import contextlib
import html
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from tfnst.limits import MAX_SIZE
from tfnst.studio import panels
from tfnst.studio.events import AS_SENT, QUICK, Updates, visitor_key
from tfnst.studio.history import Entry, History
from tfnst.studio.paint_tab import FORMATS, PaintTab
from tfnst.studio.run_tab import gallery
from tfnst.studio.studio import Studio, in_labels, jpeg_copy

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
        with gr.Row():
            with gr.Column(min_width=320):
                self._lay_out_list()
            with gr.Column(min_width=320, elem_classes="stays"):
                self._lay_out_chosen()
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
            self.gallery: gr.update(
                value=[(str(history.thumbnail(each)), _when(each)) for each in now],
                visible=bool(now),
            ),
            self.names: [entry.name for entry in now],
            self.empty: "" if now else panels.notice("Nothing has been painted yet."),
            self.more: gr.update(visible=len(entries) > most),
        }

    def _lay_out_list(self) -> None:
        self.empty = gr.HTML(elem_classes="said")
        self.gallery = gallery(
            "Painted pictures, newest first",
            "history",
            object_fit="cover",
            allow_preview=False,
        )
        with gr.Row():
            self.look = gr.Button("Refresh", size="sm", elem_id="refresh")
            self.more = gr.Button("Show more", size="sm", visible=False)

    def _lay_out_chosen(self) -> None:
        self.said = gr.HTML(
            panels.notice("Choose a picture."),
            elem_id="chosen-said",
            elem_classes="said",
        )
        self.picture = gr.HTML(elem_id="chosen", elem_classes="result")
        with gr.Column(visible=False) as self.actions:
            self.use = gr.Button(variant="primary", elem_id="use")
            with gr.Accordion("More", open=False, elem_id="more"):
                self.again = gr.Button(size="sm", elem_id="again")
                self.larger = gr.Button(size="sm", elem_id="larger")
                self.settings = gr.Button(size="sm", elem_id="settings")
                self.hold = gr.Button(size="sm", elem_id="hold")
                with gr.Row():
                    self.suffix = gr.Dropdown(
                        list(FORMATS), value=".png", label="Format"
                    )
                    self.download = gr.DownloadButton(
                        "Download", elem_id="chosen-download"
                    )
                with gr.Accordion("Delete", open=False, elem_id="delete") as self.sure:
                    self.delete = gr.Button(
                        size="sm", variant="stop", elem_id="delete-for-good"
                    )
            self.facts = gr.HTML(elem_id="facts")

    def _connect(self) -> None:
        paint, visitor = self._paint, self._visitor
        listing = [self.most, visitor]
        buttons = [self.use, self.again, self.larger, self.settings, self.hold]
        shown = [self.said, self.picture, self.actions, self.facts, *buttons]
        shown += [self.download, self.sure, self.delete, self.chosen, self.held]
        self.look.click(self.refresh, listing, self.listed, **QUICK)
        self.more.click(_add_page, self.most, self.most, **QUICK).then(
            self.refresh, listing, self.listed, **QUICK
        )
        self.gallery.select(
            self._choose, [self.names, self.held, self.suffix, visitor], shown, **QUICK
        )
        self.suffix.input(
            self._convert, [self.chosen, self.suffix, visitor], self.download, **QUICK
        )
        self.hold.click(self._hold, self.chosen, [self.held, self.said], **QUICK)
        filled = [*paint.inputs.shown, *paint.inputs.errors, self._tabs]
        for button, fill, paints in (
            (self.use, self._filling(), False),
            (self.again, self._filling(), True),
            (self.larger, self._filling(larger=True), True),
            (self.settings, self._filling(pictures=False), False),
        ):
            moved = button.click(fill, [self.chosen, visitor], filled, **QUICK)
            if paints:
                moved.success(paint.paint, paint.read, paint.written, **AS_SENT)
        self.delete.click(self._delete, [self.chosen, visitor], shown, **QUICK).then(
            self.refresh, listing, self.listed, **QUICK
        )

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
        try:
            entry = history.find(names[chosen.index])
            if held in ("", entry.name):
                updates = self._show(history, entry)
                updates |= self._offer(history, entry, suffix)
            else:
                which = " the second", " of the second"
                updates = self._compare(history.find(held), entry)
                updates |= self._offer(history, entry, suffix, *which)
            return updates | {
                self.actions: gr.update(visible=True),
                self.chosen: entry.name,
                self.held: "",
            }
        except Exception as error:  # Files and manifests may hold anything.
            return self._show_nothing(panels.error(in_labels(error, {})))

    def _show(self, history: History, entry: Entry) -> Updates:
        """Shows a picture beside its photo."""
        content, after = history.content(entry), jpeg_copy(entry.path)
        if content is None:
            picture = panels.side_by_side([(after, entry.name)])
        else:
            names = "Photo", "Painting"
            picture = panels.comparison(jpeg_copy(content), after, names)
        return {self.picture: picture, self.facts: panels.facts(entry)}

    def _compare(self, first: Entry, second: Entry) -> Updates:
        """Shows two pictures side by side, and over each other."""
        before, after = jpeg_copy(first.path), jpeg_copy(second.path)
        named = [(before, f"First: {first.name}"), (after, f"Second: {second.name}")]
        slider = panels.comparison(before, after, ("First", "Second"))
        return {
            self.picture: panels.side_by_side(named) + slider,
            self.facts: panels.facts(first) + panels.facts(second),
        }

    def _offer(
        self,
        history: History,
        entry: Entry,
        suffix: str,
        it: str = "",
        of_it: str = "",
    ) -> Updates:
        """Labels the buttons, and switches off those that a manifest doesn't allow.

        Args:
            history: the history that keeps the picture's sources.
            entry: the picture.
            suffix: suffix of the file to download.
            it: which of two pictures the buttons act on; empty for a single one.
            of_it: the same with “of”.
        """
        no_settings = _refusal(lambda: entry.config(self._studio.config))
        refusal = no_settings or _refusal(lambda: self._studio.sources(history, entry))
        buttons = {
            self.use: (f"Change and repeat{it}", refusal),
            self.again: (f"Paint{it} again", refusal),
            self.larger: (f"Paint{it} twice as large", refusal),
            self.settings: (f"Take only the settings{of_it}", no_settings),
            self.hold: (f"Compare{it} with another", ""),
            self.delete: (f"Delete{it} for good", ""),
        }
        return {
            self.said: panels.error(refusal),
            self.download: gr.update(
                label=f"Download{it}",
                value=self._studio.download(history, entry, suffix),
            ),
            self.sure: gr.update(label=f"Delete{it}", open=False),
        } | {
            button: gr.update(value=label, interactive=not why_not)
            for button, (label, why_not) in buttons.items()
        }

    def _show_nothing(self, said: str) -> Updates:
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
        with _telling():
            return self._studio.download(history, history.find(name), suffix)

    def _hold(self, name: str) -> Updates:
        return {
            self.held: name,
            self.said: panels.notice(f"Choose the picture to compare {name} with."),
        }

    def _filling(
        self, *, pictures: bool = True, larger: bool = False
    ) -> Callable[[gr.Request, str, str], Updates]:
        """Returns a handler that shows a picture's settings in the tab “Paint”.

        Args:
            pictures: whether to show the pictures that it was painted from, too.
            larger: whether to double the size.
        """

        def fill(request: gr.Request, name: str, visitor: str) -> Updates:
            inputs, history = self._paint.inputs, self._history(visitor, request)
            with _telling():
                entry = history.find(name)
                size = entry.config(self._studio.config).size
                changes = {"size": min(2 * size, MAX_SIZE)} if larger else {}
                updates = inputs.show(entry, history, pictures=pictures, **changes)
            said = dict.fromkeys(inputs.errors, "")
            return updates | said | {self._tabs: gr.update(selected="paint")}

        return fill

    def _delete(self, request: gr.Request, name: str, visitor: str) -> Updates:
        history = self._history(visitor, request)
        try:
            history.delete(history.find(name))
        except (LookupError, OSError) as error:
            return self._show_nothing(panels.error(str(error)))
        return self._show_nothing(panels.notice(f"{name} is deleted."))


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """Tells the visitor why something failed; what would follow isn't done."""
    try:
        yield
    except (LookupError, OSError, ValueError) as error:
        # Gradio would show it as HTML.
        text = html.escape(in_labels(error, {}))
        raise gr.Error(text, print_exception=False) from error


def _refusal(check: Callable[[], object]) -> str:
    """Returns why a check refuses a picture; empty if it doesn't."""
    try:
        check()
    except LookupError as error:
        return str(error)
    except (TypeError, ValueError) as error:
        return f"It can't be painted again: {in_labels(error, {})}"
    return ""


def _add_page(most: int) -> int:
    return most + _PAGE


def _when(entry: Entry) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(entry.modified))
