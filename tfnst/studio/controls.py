"""The buttons that start and stop a run, and the run's progress on the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import gradio as gr

from tfnst.studio import panels
from tfnst.studio.events import QUICK, Updates, visitor_key
from tfnst.studio.history import History
from tfnst.studio.run_queue import BusyError, QueuedRun, explain
from tfnst.studio.studio import Studio
from tfnst.studio.tasks import Task

POLL_SECONDS = 0.15
# Errors that are shown to the visitor when a run is submitted.
_REFUSALS = (BusyError, ValueError, OSError, ImportError)

MakeTasks = Callable[[History], tuple[Task, ...]]
Show = Callable[[QueuedRun], Updates]


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


class Controls:
    """The buttons, and below them a place for errors and notices.

    Args:
        studio: the studio that paints.
        visitor: the secret of the visitor's browser.
        label: label of the button that starts.
        name: prefix of the elements' names.
        kept: explanation of what becomes of a run that goes on when its page is closed;
            None if runs never do.
    """

    def __init__(
        self,
        studio: Studio,
        visitor: gr.BrowserState,
        label: str,
        *,
        name: str = "",
        kept: str | None = None,
    ) -> None:
        self._studio = studio
        self._visitor = visitor
        with gr.Row(elem_classes="controls"):
            self.start = gr.Button(label, variant="primary", elem_id=f"{name}paint")
            self.stop = gr.Button(
                "Stop", variant="stop", interactive=False, elem_id=f"{name}stop"
            )
        self.keep: gr.Checkbox | None = None
        if kept is not None:
            self.keep = gr.Checkbox(
                label="Go on painting when I close this page",
                info=kept,
                elem_id=f"{name}keep",
            )
        self.run = gr.State("")
        self.said = gr.HTML(elem_id=f"{name}said", elem_classes="said")
        self.stop.click(self._stop, self.run, self.stop, queue=False, **QUICK)
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

    @property
    def read(self) -> set[Any]:
        """The components that `follow` reads."""
        return {self._visitor} | ({self.keep} if self.keep is not None else set())

    @property
    def written(self) -> list[Any]:
        """The components that `follow` changes, besides the panel."""
        return [self.start, self.stop, self.run, self.said]

    async def follow(
        self,
        data: Mapping[Any, Any],
        request: gr.Request,
        make_tasks: MakeTasks,
        *,
        panel: gr.HTML,
        checked: Updates,
        begun: Updates,
        finished: Show,
        painted: Show = lambda run: {},
        refused: Callable[[Exception], Updates] | None = None,
        scratch: bool = False,
    ) -> AsyncIterator[Updates]:
        """Submits a run, and yields what changes on the page until it has ended.

        Args:
            data: the values of `read`, as they were sent.
            request: the request of the page.
            make_tasks: returns the tasks, given the history that keeps their pictures.
            panel: the component that shows progress.
            checked: changes of the form's errors, which go first.
            begun: changes once the run is in the queue.
            finished: returns the changes when the run has ended.
            painted: returns the changes after each picture of the run.
            refused: returns the changes if the run can't be submitted; by default the
                error is shown below the buttons.
            scratch: whether the pictures are thrown away when the page is closed.
        """
        try:
            run = await asyncio.to_thread(
                self._submit, data, request, make_tasks, scratch
            )
        except _REFUSALS as error:
            if refused is not None:
                yield checked | refused(error)
            else:
                yield checked | {self.said: panels.error(explain(error))}
            return
        yield (
            checked
            | {
                self.start: gr.update(interactive=False),
                self.stop: gr.update(interactive=True),
                self.run: run.key,
                self.said: "",
            }
            | begun
        )
        done = 0
        async for progress in self._watch(run):
            updates: Updates = {panel: progress}
            if len(run.outcomes) != done:
                done = len(run.outcomes)
                updates |= painted(run)
            yield updates
        yield {
            self.start: gr.update(interactive=True),
            self.stop: gr.update(interactive=False),
        } | await asyncio.to_thread(finished, run)

    def _submit(
        self,
        data: Mapping[Any, Any],
        request: gr.Request,
        make_tasks: MakeTasks,
        scratch: bool,
    ) -> QueuedRun:
        """Submits a run.

        Raises:
            BusyError: when there are too many.
        """
        visitor = visitor_key(data[self._visitor], request)
        session = str(request.session_hash)
        studio = self._studio
        history = studio.scratch(session) if scratch else studio.history(visitor)
        run = QueuedRun(
            make_tasks(history),
            history,
            visitor=visitor,
            session=session,
            keep=self.keep is not None and bool(data[self.keep]),
        )
        studio.submit(run)
        return run

    async def _watch(self, run: QueuedRun) -> AsyncIterator[str]:
        """Yields the progress of a run in HTML, each time that something changes."""
        last: Any = None
        queue = self._studio.queue
        while True:
            ended, loading = run.ended, not queue.ready.is_set()
            place, done = queue.place(run), len(run.outcomes)
            now = run.state, place, run.progress, done, run.stopping, loading
            if now != last:
                last = now
                yield panels.progress(run, place, loading=loading)
            if ended:
                return
            await asyncio.sleep(POLL_SECONDS)

    def _stop(self, key: str) -> Any:
        self._studio.queue.stop(key)
        return gr.update(interactive=False)
