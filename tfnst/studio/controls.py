"""The buttons that start and stop a job, and what the page shows of it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr

from tfnst.studio import panels
from tfnst.studio.events import QUICK, Updates
from tfnst.studio.history import History
from tfnst.studio.jobs import Job
from tfnst.studio.orders import Order
from tfnst.studio.studio import Studio

POLL_SECONDS = 0.15


class Controls:
    """The components, laid out where they are made.

    Args:
        studio: that paints.
        visitor: the secret of the visitor's browser.
        label: of the button that starts.
        name: what the names of the elements begin with.
        kept: what becomes of a job that goes on when its page is closed; None where
            none can.
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
        self.job = gr.State("")
        self.stop.click(self._stop, self.job, self.stop, queue=False, **QUICK)
        # On a phone, what is painted comes first from now on.
        self.job.change(
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
        """What `submit` and `history` read."""
        return {self._visitor} | ({self.keep} if self.keep is not None else set())

    @property
    def written(self) -> list[Any]:
        """What `begun` and `ended` change."""
        return [self.start, self.stop, self.job]

    def history(self, data: Mapping[Any, Any], request: gr.Request) -> History:
        """The pictures of the visitor."""
        return self._studio.history(data[self._visitor] or str(request.session_hash))

    def submit(
        self,
        orders: tuple[Order, ...],
        history: History,
        data: Mapping[Any, Any],
        request: gr.Request,
    ) -> Job:
        """Hands in a job.

        Raises:
            BusyError: when there are too many.
        """
        tab = str(request.session_hash)
        job = Job(
            orders,
            history,
            visitor=data[self._visitor] or tab,
            tab=tab,
            keep=self.keep is not None and bool(data[self.keep]),
        )
        self._studio.submit(job)
        return job

    def begun(self, job: Job) -> Updates:
        """What changes when a job has been handed in."""
        return {
            self.start: gr.update(interactive=False),
            self.stop: gr.update(interactive=True),
            self.job: job.key,
        }

    def ended(self) -> Updates:
        """What changes when it has ended."""
        return {
            self.start: gr.update(interactive=True),
            self.stop: gr.update(interactive=False),
        }

    async def watch(self, job: Job) -> AsyncIterator[str]:
        """How far a job is, in HTML, each time that something has changed."""
        last: Any = None
        queue = self._studio.queue
        while True:
            ended, loading = job.ended, not queue.ready.is_set()
            place, done = queue.place(job), len(job.outcomes)
            now = job.state, place, job.progress, done, job.stopping, loading
            if now != last:
                last = now
                yield panels.progress(job, place, loading=loading)
            if ended:
                return
            await asyncio.sleep(POLL_SECONDS)

    def _stop(self, key: str) -> Any:
        self._studio.stop(key)
        return gr.update(interactive=False)
