"""Requests that are refused before anything of them is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[MutableMapping[str, Any], Any, _Send], Awaitable[None]]

# Gradio would hand what is sent there to the command ffmpeg, which opens any file that
# a playlist names. The page doesn't use it.
_CLOSED = "/process_recording"


class UploadLimit:
    """ASGI middleware that limits what one request may send.

    Gradio's own limit is that of each file. The length has to be stated first, as
    browsers do; servers see to it that no more is sent.

    Args:
        app: ASGI application that receives the other requests.
        most: limit in bytes.
    """

    def __init__(self, app: _App, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Any, send: _Send
    ) -> None:
        """Passes a request on, or answers it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, text = refusal
        headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": text.encode()})

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        """Status and text with which a request is refused."""
        if scope["path"].rstrip("/").endswith(_CLOSED):
            return 404, "Not found"
        headers = dict(scope["headers"])
        if b"transfer-encoding" in headers:
            return 411, "The length must be stated."
        if int(headers.get(b"content-length", 0)) > self._most:
            return 413, f"An upload may have at most {self._most >> 20} MiB."
        return None
