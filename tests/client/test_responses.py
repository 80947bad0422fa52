"""Responses and errors, as a client shows them."""

import pickle

import grpc
import numpy as np
import pytest
from PIL import Image

from tests.client.stand_in import LIMIT, PAINTED, PNG, STYLE, Code, answer, encode
from tfnst.client import (
    DeadlineError,
    InvalidRequestError,
    ModelNotFoundError,
    ServerBusyError,
    ServerUnavailableError,
    ServingError,
    StylizeClient,
    StylizeResponse,
)
from tfnst.images.reading import load_image
from tfnst.images.writing import to_pil


@pytest.mark.parametrize("packed", [False, True])
def test_reads_the_answer(server, client, packed, tmp_path):
    server.answers = [answer(losses=(0.25, 0.5, 20.25), version=12)]
    if packed:
        for name in ("content", "style", "total"):
            proto = server.answers[0].outputs[f"{name}_loss"]
            content = np.float32(proto.float_val).tobytes()
            proto.ClearField("float_val")
            proto.tensor_content = content
    response = client.stylize(PNG, PAINTED)
    assert response == StylizeResponse(PAINTED, 0.25, 0.5, 20.25, 12)
    assert type(response.total_loss) is float
    np.testing.assert_array_equal(response.image, to_pil(STYLE))
    assert response.image.mode == "RGB"
    assert repr(response) == (
        "StylizeResponse(content_loss=0.25, style_loss=0.5, total_loss=20.25, "
        "model_version=12)"
    )
    with pytest.raises(AttributeError):
        response.total_loss = 0.0
    response.save(tmp_path / "out.png")
    assert to_pil(load_image(tmp_path / "out.png")) == to_pil(STYLE)
    response.save(tmp_path / "out.jpg", quality=80)
    assert (tmp_path / "out.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"^`path` must be a path that ends in"):
        response.save(tmp_path / "out.xyz")


def test_a_networks_answer_has_no_losses(server, client):
    for name in ("content", "style", "total"):
        del server.answers[0].outputs[f"{name}_loss"]
    response = client.stylize(PNG)
    assert response.image_bytes == PAINTED
    assert (response.content_loss, response.style_loss, response.total_loss) == (
        None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "gave"),
    [
        (lambda outputs: outputs.clear(), "nothing"),
        (
            lambda outputs: outputs.pop("image_bytes"),
            "'content_loss', 'style_loss', 'total_loss'",
        ),
        (
            lambda outputs: outputs["image_bytes"].ClearField("string_val"),
            "'content_loss', 'image_bytes', 'style_loss', 'total_loss'",
        ),
        (
            lambda outputs: outputs["total_loss"].ClearField("float_val"),
            "'content_loss', 'image_bytes', 'style_loss', 'total_loss'",
        ),
    ],
)
def test_an_answer_of_another_model(server, client, change, gave):
    change(server.answers[0].outputs)
    with pytest.raises(ServingError) as error:
        client.stylize(PNG, PAINTED)
    assert type(error.value) is ServingError
    assert error.value.code is None
    assert str(error.value) == (
        f"The server at {server.target} has the model 'tfnst', but that isn't an "
        f"export of tfnst: it returned {gave}"
    )


def test_large_messages_go_both_ways(server, client):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1400, 1400, 3), np.uint8)
    large = encode(Image.fromarray(noise), compress_level=1)
    assert len(large) > 5 * 2**20
    server.answers = [answer(large)]
    response = client.stylize(large, noise)
    assert server.sent("content_bytes") == large
    assert len(server.sent("style_bytes")) > 5 * 2**20
    assert response.image_bytes == large


ASSERTION = (
    "{{function_node __inference_serving_default_7}} assertion failed: [`steps` must "
    "be an integer from 1 to 1000. Received:] [2000]\n\t [[{{node Assert/Assert}}]]"
)


@pytest.mark.parametrize(
    ("code", "details", "kind", "also", "message"),
    [
        (
            Code.INVALID_ARGUMENT,
            "Missing ModelSpec",
            InvalidRequestError,
            ValueError,
            "The server at {target} refuses the request: Missing ModelSpec",
        ),
        (
            Code.INVALID_ARGUMENT,
            ASSERTION,
            InvalidRequestError,
            ValueError,
            "The server at {target} refuses the request: `steps` must be an integer "
            "from 1 to 1000. Received: [2000]",
        ),
        (
            Code.INVALID_ARGUMENT,
            "x" * 2000,
            InvalidRequestError,
            ValueError,
            "The server at {target} refuses the request: " + "x" * 500 + "...",
        ),
        (
            Code.NOT_FOUND,
            "Servable not found for request: Specific(m, 7)",
            ModelNotFoundError,
            LookupError,
            "The server at {target} does not serve the model 'm', version 7; check "
            "the name and the version: Servable not found for request: "
            "Specific(m, 7)",
        ),
        (
            Code.FAILED_PRECONDITION,
            'Serving signature key "serving_default" not found.',
            ModelNotFoundError,
            LookupError,
            "The server at {target} has the model 'm', version 7, but that isn't an "
            'export of tfnst: Serving signature key "serving_default" not found.',
        ),
        (
            Code.UNAVAILABLE,
            "stopping\nsoon",
            ServerUnavailableError,
            ConnectionError,
            "No server answers at {target}; check the address, whether the server is "
            "running, and whether it requires TLS: stopping soon",
        ),
        (
            Code.RESOURCE_EXHAUSTED,
            "The server is busy: 1 of at most 1 requests run.",
            ServerBusyError,
            ServingError,
            "The server at {target} has no room for the request; try again later, or "
            "with a smaller `size`: The server is busy: 1 of at most 1 requests run.",
        ),
        (
            Code.RESOURCE_EXHAUSTED,
            "SERVER: Received message larger than max (100 vs. 10)",
            InvalidRequestError,
            ValueError,
            "The request is too long for the server at {target}; send smaller "
            "pictures, or start `tfnst serve` with larger `--max-message-bytes`: "
            "SERVER: Received message larger than max (100 vs. 10)",
        ),
        (
            Code.DEADLINE_EXCEEDED,
            "Timed out waiting for notification",
            DeadlineError,
            TimeoutError,
            "The server at {target} did not answer within 300 seconds; allow a longer "
            "`timeout`, or ask for fewer `steps` or a smaller `size`.",
        ),
        (
            Code.INTERNAL,
            "XLA compilation disabled",
            ServingError,
            RuntimeError,
            "The server at {target} failed with INTERNAL: XLA compilation disabled",
        ),
        (
            Code.UNIMPLEMENTED,
            "",
            ServingError,
            RuntimeError,
            "The server at {target} failed with UNIMPLEMENTED: it gives no reason",
        ),
    ],
)
def test_errors_are_clear(server, code, details, kind, also, message):
    server.answers = [(code, details)]
    options = {"model": "m", "version": 7, "timeout": LIMIT, "max_attempts": 1}
    with (
        StylizeClient(server.target, **options) as client,
        pytest.raises(ServingError) as error,
    ):
        client.stylize(PNG, PAINTED)
    assert type(error.value) is kind
    assert isinstance(error.value, also)
    assert isinstance(error.value, RuntimeError)
    assert str(error.value) == message.format(target=server.target)
    assert error.value.code is code
    assert error.value.details == details
    assert isinstance(error.value.__cause__, grpc.RpcError)
    copied = pickle.loads(pickle.dumps(error.value))
    assert (type(copied), str(copied)) == (kind, str(error.value))
    assert copied.code is code
    assert len(server.requests) == 1
