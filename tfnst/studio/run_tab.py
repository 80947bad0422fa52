"""A tab that paints: it checks the form, submits a run and follows it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from tfnst.studio import panels
from tfnst.studio.events import AS_SENT, QUICK, SHOW_ERROR, Updates, visitor_key
from tfnst.studio.history import History
from tfnst.studio.inputs import Inputs
from tfnst.studio.run_queue import BusyError, QueuedRun, explain
from tfnst.studio.studio import Studio
from tfnst.studio.tasks import Task

Data = Mapping[Any, Any]

_POLL_SECONDS = 0.15
# Gradio learns that a page has been closed when it is told something.
_SILENT_SECONDS = 0.5
# Errors of a submission that are shown to the visitor.
_REFUSALS = (BusyError, ValueError, OSError, ImportError)


class RunTab:
    """The base of the tabs that paint.

    A tab lays out its components, with `add_controls` and a panel for progress among
    them, and calls `connect`. Its method `tasks` says what is painted, and those after
    it what the page shows.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
        inputs: the form.

    Attributes:
        panel: the component that shows progress.
        read: the components whose values `paint` receives.
        written: the components that `paint` changes.
    """

    # Whether the pictures are thrown away once the page has shown them.
    scratch = False
    # The message if the form has errors, which are shown beside its fields.
    wrong_form = "Something is missing or wrong in the tab “Paint”: see there."
    panel: gr.HTML

    def __init__(
        self, studio: Studio, visitor: gr.BrowserState, inputs: Inputs
    ) -> None:
        self.studio = studio
        self.visitor = visitor
        self.inputs = inputs

    def add_controls(self, label: str, *, name: str = "", kept: str = "") -> None:
        """Lays out the buttons, and below them a place for errors and notices.

        Args:
            label: label of the button that starts.
            name: prefix of the elements' names.
            kept: explanation of what becomes of a run that goes on when its page is
                closed; empty if runs never do.
        """
        with gr.Row(elem_classes="controls"):
            self.start = gr.Button(label, variant="primary", elem_id=f"{name}paint")
            self.stop = gr.Button(
                "Stop", variant="stop", interactive=False, elem_id=f"{name}stop"
            )
        self.keep: gr.Checkbox | None = None
        if kept:
            self.keep = gr.Checkbox(
                label="Go on painting when I close this page",
                info=kept,
                elem_id=f"{name}keep",
            )
        self.run = gr.State("")
        self.said = gr.HTML(elem_id=f"{name}said", elem_classes="said")
        self.stop.click(self._stop, self.visitor, self.stop, queue=False, **QUICK)
        # On a phone, what is painted comes first from now on.
        self.run.change(
            None,
            js=f"""() => {{
                const panel = document.querySelector("#{name}panel");
                const narrow = matchMedia("(max-width: 899px)").matches;
                if (narrow && panel.closest(".stays"))
                    scrollTo({{top: 0, behavior: "smooth"}});
            }}""",
            **QUICK,
        )

    def connect(self, read: Iterable[Any], written: Iterable[Any]) -> None:
        """Connects the buttons.

        Args:
            read: the tab's own components whose values its methods need.
            written: the tab's own components that its methods change.
        """
        self.read = {*self.inputs.all, self.visitor, *read}
        if self.keep is not None:
            self.read.add(self.keep)
        self.written = [self.start, self.stop, self.run, self.said, self.panel]
        self.written += [*written, *self.inputs.errors]
        self.inputs.after_masks(self.start.click).then(
            self.paint, self.read, self.written, **AS_SENT
        ).then(**SHOW_ERROR)

    def history(self, visitor: str, request: gr.Request) -> History:
        """Returns the history that a visitor sees."""
        return self.studio.history(visitor_key(visitor, request))

    def read_form(self, data: Data) -> tuple[Task | None, Updates]:
        """Reads the form; see `Inputs.read`."""
        return self.inputs.read(data)

    def tasks(self, data: Data, filled: Task) -> Sequence[Task]:
        """Returns the tasks of the run, which are one or more.

        Args:
            data: the values of `read`, as they were sent.
            filled: the task as `read_form` returns it.

        Raises:
            ValueError: when the run is refused.
        """
        raise NotImplementedError

    def _allowed_tasks(self, data: Data, filled: Task) -> tuple[Task, ...]:
        """Returns the tasks of the run, unless the host's limits forbid one."""
        tasks = tuple(self.tasks(data, filled))
        for task in tasks:
            self.studio.check_limits(task)
        return tasks

    def refused(self, data: Data, error: Exception) -> Updates:
        """Returns the changes when a run is refused."""
        return {self.said: panels.error(explain(error))}

    def begun(self, data: Data, filled: Task) -> Updates:
        """Returns the changes when a run is in the queue."""
        return {}

    def painted(self, run: QueuedRun) -> Updates:
        """Returns the changes after each task of a run."""
        return {}

    def finished(self, data: Data, run: QueuedRun) -> Updates:
        """Returns the changes when a run has ended."""
        return {}

    async def paint(
        self, data: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Paints what is filled in; the handler of the button."""
        filled, errors = await asyncio.to_thread(self.read_form, data)
        if filled is None:
            yield errors | {self.said: panels.error(self.wrong_form)}
            return
        with contextlib.ExitStack() as stack:
            visitor = visitor_key(data[self.visitor], request)
            history = self.studio.history(visitor)
            if self.scratch:
                history = stack.enter_context(self.studio.scratch())
            try:
                tasks = await asyncio.to_thread(self._allowed_tasks, data, filled)
                keep = self.keep is not None and bool(data[self.keep])
                run = QueuedRun(tasks, history, visitor, keep, type(self).__name__)
                self.studio.queue.submit(run)
            except _REFUSALS as error:
                yield errors | self.refused(data, error)
                return
            # Gradio closes this generator when the page is closed.
            stack.callback(self.studio.queue.leave, run)
            yield errors | self.begun(data, filled)
            async for updates in self._follow(data, run):
                yield updates

    async def resume(
        self, data: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Shows the run that has gone on without its page; for when the page loads."""
        run = self.studio.queue.run_of(visitor_key(data[self.visitor], request))
        if run is None or not run.keep or run.tab != type(self).__name__:
            # Without an answer, Gradio would empty the components.
            yield {self.panel: gr.skip()}
            return
        async for updates in self._follow(data, run):
            yield updates

    async def _follow(self, data: Data, run: QueuedRun) -> AsyncIterator[Updates]:
        """Yields what the page shows of a run, from its start to its result."""
        yield self._buttons(painting=True) | {self.run: run.key, self.said: ""}
        async for updates in self._watch(run):
            yield updates
        finished = await asyncio.to_thread(self.finished, data, run)
        yield self._buttons(painting=False) | finished

    def _buttons(self, *, painting: bool, stopping: bool = False) -> Updates:
        return {
            self.start: gr.update(interactive=not painting),
            self.stop: gr.update(interactive=painting and not stopping),
        }

    async def _watch(self, run: QueuedRun) -> AsyncIterator[Updates]:
        """Yields the progress of a run until it ends."""
        last: Any = None
        done, told = 0, 0.0
        while not run.ended:
            before = self.studio.queue.runs_before(run)
            now = before, run.progress, len(run.outcomes), run.stopping
            if now != last:
                # Said again, since a page that is changed by other events at that
                # moment can miss a run's first changes.
                updates = self._buttons(painting=True, stopping=run.stopping)
                updates[self.panel] = panels.progress(run, before)
                if len(run.outcomes) != done:
                    done = len(run.outcomes)
                    updates |= self.painted(run)
                yield updates
            elif time.monotonic() - told > _SILENT_SECONDS:
                yield {self.panel: gr.skip()}
            else:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            last, told = now, time.monotonic()

    def _stop(self, visitor: str, request: gr.Request) -> Any:
        self.studio.queue.stop(visitor_key(visitor, request))
        return gr.update(interactive=False)


def gallery(label: str, name: str, **options: Any) -> gr.Gallery:
    """A gallery of painted pictures.

    Args:
        label: label of the gallery.
        name: name of the element.
        **options: further options of `gr.Gallery`.
    """
    return gr.Gallery(
        label=label,
        columns=[3],
        height="auto",
        interactive=False,
        buttons=[],
        elem_id=name,
        elem_classes="painted",
        **{"object_fit": "contain"} | options,
    )
