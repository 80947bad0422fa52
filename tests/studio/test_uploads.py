"""Requests that are too large, or that the page doesn't need."""

import asyncio

import pytest

from tfnst.studio.uploads import UploadLimit


def answer(path="/gradio_api/upload", kind="http", **headers):
    """The status that a request gets behind a limit of a MiB."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        sent.append(message)

    fields = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in headers.items()
    ]
    scope = {"type": kind, "path": path, "headers": fields}
    asyncio.run(UploadLimit(app, most=2**20)(scope, None, send))
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content_length": str(2**20)}, 200),
        ({"content_length": str(2**20 + 1)}, 413),
        ({"content_length": str(10**30)}, 413),
        ({"transfer_encoding": "chunked"}, 411),
    ],
)
def test_the_sum_of_what_is_handed_in_is_limited(headers, status):
    assert answer(**headers)[0] == status


def test_refusals_say_what_is_allowed():
    assert answer(content_length="99999999") == (
        413,
        b"An upload may have at most 1 MiB.",
    )


def test_nothing_reaches_the_command_ffmpeg():
    for path in ("/gradio_api/process_recording", "/a/process_recording/"):
        assert answer(path)[0] == 404


def test_other_connections_pass():
    assert answer(kind="websocket", transfer_encoding="chunked")[0] == 200
