"""The page as a whole."""

from __future__ import annotations

import secrets
from typing import Any

import gradio as gr

from tfnst.studio.batch_tab import BatchTab
from tfnst.studio.events import AS_SENT, QUICK
from tfnst.studio.grid_tab import GridTab
from tfnst.studio.history_tab import HistoryTab
from tfnst.studio.paint_tab import PaintTab
from tfnst.studio.run_tab import RunTab
from tfnst.studio.studio import Studio
from tfnst.studio.video_tab import VideoTab

TITLE = "tfnst studio"


def build_page(studio: Studio) -> gr.Blocks:
    """Builds the page of a studio."""
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(600, 24 * 3600)
    ) as page:
        # Kept by the browser, so that it finds its pictures again.
        visitor = gr.BrowserState("", storage_key="tfnst-visitor", secret="tfnst")
        gr.Markdown(f"# {TITLE}\nPaints a photo in the style of another picture.")
        with gr.Tabs(selected="paint", overflow_behavior="wrap") as tabs:
            with gr.Tab("Paint", id="paint"):
                paint = PaintTab(studio, visitor)
            with gr.Tab("Variations", id="variations"):
                GridTab(studio, visitor, paint, tabs)
            with gr.Tab("Batch", id="batch"):
                going_on: list[RunTab] = [
                    paint,
                    BatchTab(studio, visitor, paint.inputs),
                ]
            if studio.paints_videos:
                with gr.Tab("Video", id="video") as video_tab:
                    video = VideoTab(studio, visitor, paint.inputs)
                going_on.append(video)
                video_tab.select(video.refresh, visitor, video.listed, **QUICK)
            with gr.Tab("History", id="history") as history_tab:
                history = HistoryTab(studio, visitor, paint, tabs)
        history_tab.select(
            history.refresh, [history.most, visitor], history.listed, **QUICK
        )

        page.load(_know_again, visitor, visitor, **QUICK)
        inputs = paint.inputs
        page.load(inputs.restore, inputs.saved, inputs.shown, **QUICK)
        for tab in going_on:
            page.load(tab.resume, tab.read, tab.written, **AS_SENT)
    return page


def _know_again(visitor: Any) -> str:
    """Returns the secret of a browser, which is made at its first visit."""
    if isinstance(visitor, str) and len(visitor) >= 16:
        return visitor
    return secrets.token_urlsafe(24)
