"""The page's events: how they are connected, and what they send."""

from __future__ import annotations

from typing import Any

import gradio as gr

# Component -> its new value, or what `gr.update` returns.
Updates = dict[Any, Any]

# For events that take no time, or whose waiting needn't be shown.
QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}
# For events that receive pictures: Gradio itself would decode them without limits, and
# write others. It has checked that they were uploaded.
AS_SENT: dict[str, Any] = QUICK | {"preprocess": False}

# The class of components without effect while the style is painted at once, which the
# style sheet hides then. (An event would change the page while a run may begin.)
BY_STEPS = "by-steps"

# Shows the first error, which may be far from the button that was pressed.
SHOW_ERROR: dict[str, Any] = QUICK | {
    "fn": None,
    "js": """() => {
        const wrong = [...document.querySelectorAll(".wrong")];
        const first = wrong.find(each => each.offsetParent);
        if (first) first.scrollIntoView({block: "center", behavior: "smooth"});
    }""",
}


def path_of(picture: dict[str, Any] | None) -> str | None:
    """The path of a file as events with `AS_SENT` receive it."""
    return None if picture is None else picture["path"]


def visitor_key(visitor: str, request: gr.Request) -> str:
    """The visitor's secret, or the session's until the browser has sent one."""
    return visitor or str(request.session_hash)
