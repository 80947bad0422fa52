"""Requests that are too large, or that the page doesn't need."""

import pytest

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("gradio")

from starlette.requests import Request  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from tfnst.studio.uploads import app_options  # noqa: E402


@pytest.fixture
def client():
    app = fastapi.FastAPI(**app_options(2**20))

    @app.post("/gradio_api/{name}")
    async def receive(name: str, request: Request):
        return len(await request.body())

    return TestClient(app)


def in_chunks(*sizes):
    """A body without a stated length."""
    return (bytes(size) for size in sizes)


def test_the_sum_of_what_is_sent_is_limited(client):
    assert client.post("/gradio_api/upload", content=bytes(2**20)).json() == 2**20
    refused = client.post("/gradio_api/upload", content=bytes(2**20 + 1))
    assert (refused.status_code, refused.text) == (
        413,
        "An upload may have at most 1 MiB.",
    )
    assert refused.headers["connection"] == "close"


def test_bodies_without_a_length_are_cut_off(client):
    sent = client.post("/gradio_api/upload", content=in_chunks(2**19, 2**19))
    assert sent.json() == 2**20
    refused = client.post("/gradio_api/upload", content=in_chunks(2**19, 2**19, 1))
    assert refused.status_code == 413


@pytest.mark.parametrize("path", ["process_recording", "process_recording/"])
def test_nothing_reaches_the_command_ffmpeg(client, path):
    assert client.post(f"/gradio_api/{path}", content=b"video").status_code == 404
