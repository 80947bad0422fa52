"""Requests that are refused before anything of them is kept."""

from __future__ import annotations

from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

# Gradio would hand what is sent there to the command ffmpeg, which opens any file that
# a playlist names. The page doesn't use it.
_CLOSED = "/gradio_api/process_recording"


def app_options(most: int) -> dict[str, Any]:
    """Returns the options of the FastAPI application that serves the page.

    Args:
        most: limit in bytes for all that one request sends. Gradio's own limit is that
            of each file.
    """
    return {
        # It comes before Gradio's own route.
        "routes": [Route(_CLOSED, _not_found, methods=["POST"])],
        "middleware": [Middleware(UploadLimit, max_body_size=most)],
    }


class UploadLimit(RequestBodyLimitMiddleware):
    """Starlette's limit, with an answer that says how much is allowed.

    Requests that don't state their length are cut off by Starlette.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        headers = dict(scope.get("headers", ()))
        if int(headers.get(b"content-length", 0)) <= self.max_body_size:
            await super().__call__(scope, receive, send)
            return
        text = f"An upload may have at most {self.max_body_size >> 20} MiB."
        refusal = PlainTextResponse(text, 413, {"connection": "close"})
        await refusal(scope, receive, send)


def _not_found(request: Request) -> Response:
    return PlainTextResponse("Not found", 404)
