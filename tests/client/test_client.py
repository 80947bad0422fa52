import contextlib
import datetime
import io
import ipaddress
import json
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2
from PIL import Image, ImageCms
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.helpers import ROOT, picture
from tfnst.client import (
    DeadlineError,
    InvalidRequestError,
    ModelNotFoundError,
    ModelVersionStatus,
    ServerBusyError,
    ServerUnavailableError,
    ServingError,
    StylizeClient,
    StylizeResponse,
    channels,
    messages,
)
from tfnst.client import client as module
from tfnst.client.pictures import encode_picture
from tfnst.config import StyleTransferConfig
from tfnst.images.reading import load_image, read_picture
from tfnst.images.style_images import StyleImage
from tfnst.images.writing import to_pil
from tfnst.server import model_server

Code = grpc.StatusCode
CONTENT, STYLE = picture(20, 30, seed=1), picture(24, 18, seed=2)


def encode(image, format="PNG", **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else to_pil(image)
    image.save(file, format, **options)
    return file.getvalue()


PNG, PAINTED = encode(CONTENT), encode(STYLE)


def answer(image=PAINTED, losses=(0.25, 0.5, 20.25), version=3):
    response = predict_pb2.PredictResponse()
    response.model_spec.name = "tfnst"
    response.model_spec.version.value = version
    response.model_spec.signature_name = "serving_default"
    response.outputs["image_bytes"].CopyFrom(tf.make_tensor_proto(image))
    for name, loss in zip(("content", "style", "total"), losses, strict=True):
        proto = tf.make_tensor_proto([loss], tf.float32)
        response.outputs[f"{name}_loss"].CopyFrom(proto)
    return response


class Server(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Records requests, and gives prepared answers.

    Answers are responses, (code, details) or functions of the context; the last one
    is repeated.
    """

    def __init__(self, credentials=None):
        self.requests, self.contexts, self.status_requests = [], [], []
        self.answers, self.status_answers = [answer()], []
        self._server = grpc.server(
            futures.ThreadPoolExecutor(4),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            self, self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.target = f"127.0.0.1:{self.port}"
        self._server.start()

    def Predict(self, request, context):  # noqa: N802 (named by the service)
        self.requests.append(request)
        self.contexts.append(context)
        return self._answer(self.answers, context)

    def GetModelStatus(self, request, context):  # noqa: N802
        self.status_requests.append(request)
        return self._answer(self.status_answers, context)

    def _answer(self, answers, context):
        given = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(given, tuple):
            context.abort(*given)
        return given(context) if callable(given) else given

    def close(self):
        self._server.stop(None).wait(10)


@pytest.fixture
def server():
    with contextlib.closing(Server()) as server:
        yield server


@pytest.fixture
def client(server):
    with StylizeClient(server.target, timeout=20) as client:
        yield client


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(channels, "_FIRST_BACKOFF", 0.05)


def sent(server, name):
    return tf.make_ndarray(server.requests[-1].inputs[name])[()]


# What goes over the wire


@pytest.mark.parametrize(
    ("name", "official"),
    [
        ("ModelSpec", model_pb2.ModelSpec),
        ("PredictRequest", predict_pb2.PredictRequest),
        ("PredictResponse", predict_pb2.PredictResponse),
        ("GetModelStatusRequest", get_model_status_pb2.GetModelStatusRequest),
        ("GetModelStatusResponse", get_model_status_pb2.GetModelStatusResponse),
    ],
)
def test_messages_are_those_of_tensorflow_serving(name, official):
    def label_of(field):
        # The descriptor itself says it in another way in each release of protobuf.
        proto = descriptor_pb2.DescriptorProto()
        field.containing_type.CopyToProto(proto)
        (label,) = [each.label for each in proto.field if each.name == field.name]
        return label

    def check(mine, theirs):
        for field in mine.fields:
            other = theirs.fields_by_number[field.number]
            assert field.name == other.name
            assert label_of(field) == label_of(other)
            kind = other.TYPE_INT32 if other.type == other.TYPE_ENUM else other.type
            assert field.type == kind
            if field.message_type:
                check(field.message_type, other.message_type)

    check(messages.messages[name].DESCRIPTOR, official.DESCRIPTOR)


def test_sends_two_pictures_and_nothing_else_by_default(server, client):
    client.stylize(PNG, PAINTED)
    (request,) = server.requests
    assert set(request.inputs) == {"content_bytes", "style_bytes"}
    for name, expected in (("content_bytes", PNG), ("style_bytes", PAINTED)):
        proto = request.inputs[name]
        assert proto == tf.make_tensor_proto(expected)
        assert proto.dtype == tf.string.as_datatype_enum
        assert proto.HasField("tensor_shape")
    assert request.model_spec == model_pb2.ModelSpec(name="tfnst")
    assert list(request.output_filter) == []


def test_sends_the_settings_that_are_given(server, client):
    integers = {"steps": 7, "size": 64, "seed": 0}
    numbers = {
        "content_weight": 0,
        "style_weight": 12.5,
        "total_variation_weight": 1,
        "learning_rate": 0.25,
    }
    client.stylize(PNG, PAINTED, **integers, **numbers)
    inputs = server.requests[0].inputs
    assert set(inputs) == {"content_bytes", "style_bytes", *integers, *numbers}
    for name, value in integers.items():
        assert inputs[name] == tf.make_tensor_proto(value, tf.int32, [])
    for name, value in numbers.items():
        assert inputs[name] == tf.make_tensor_proto(value, tf.float32, [])
    client.stylize(PNG, PAINTED, style_strength=0.25, style_weight=7)
    weights = sent_all(server)
    del weights["style_bytes"]
    assert weights == {"style_weight": 7, "total_variation_weight": 3}
    client.stylize(PNG, PAINTED, steps=np.int64(3))
    assert set(server.requests[2].inputs) == {"content_bytes", "style_bytes", "steps"}
    assert sent(server, "steps") == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "m"}, {"name": "m"}),
        ({"version": 0}, {"name": "tfnst", "version": {"value": 0}}),
        ({"version": 2**40}, {"name": "tfnst", "version": {"value": 2**40}}),
        ({"version_label": "stable"}, {"name": "tfnst", "version_label": "stable"}),
    ],
)
def test_says_which_model_and_version(server, options, expected):
    with StylizeClient(server.target, timeout=20, **options) as client:
        client.stylize(PNG, PAINTED)
    spec = server.requests[0].model_spec
    assert spec == model_pb2.ModelSpec(**expected)
    assert spec.WhichOneof("version_choice") == next(iter([*expected][1:]), None)


# Pictures


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO])
def test_sends_plain_files_as_they_are(server, client, wrap, tmp_path):
    jpeg = encode(CONTENT, "JPEG", quality=90)
    grey = encode(to_pil(STYLE).convert("L"))
    client.stylize(wrap(jpeg), wrap(grey))
    assert sent(server, "content_bytes") == jpeg
    assert sent(server, "style_bytes") == grey
    path = tmp_path / "content.jpg"
    path.write_bytes(jpeg)
    client.stylize(path, str(path))
    assert sent(server, "content_bytes") == sent(server, "style_bytes") == jpeg


def test_reads_a_file_object_from_where_it_stands(server, client):
    file = io.BytesIO(b"before" + PNG)
    file.seek(6)
    client.stylize(file, PAINTED)
    assert sent(server, "content_bytes") == PNG


def transparent():
    image = to_pil(CONTENT).convert("RGBA")
    image.putalpha(100)
    return image


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize(
    "source",
    [
        encode(CONTENT, "WEBP", lossless=True),
        encode(CONTENT, "TIFF"),
        encode(CONTENT, "BMP"),
        encode(to_pil(CONTENT).quantize(16), "GIF"),
        encode(to_pil(CONTENT).quantize(16), "PNG"),
        encode(transparent()),
        encode(CONTENT, "JPEG", exif=turned(6)),
        encode(CONTENT, "PNG", exif=turned(3)),
        encode(CONTENT, "JPEG", icc_profile=profile()),
        encode(to_pil(CONTENT).convert("CMYK"), "JPEG"),
        encode(Image.fromarray(np.full((20, 20), 40_000, np.uint16))),
        encode(CONTENT) + bytes(2**20),
        to_pil(CONTENT),
        transparent(),
        CONTENT,
        CONTENT[None],
        (CONTENT * 255).astype(np.uint8),
        CONTENT[..., 0].astype(np.float64),
        tf.constant(CONTENT),
    ],
    ids=[
        *("webp", "tiff", "bmp", "gif", "palette", "alpha", "turned-jpeg"),
        *("turned-png", "profile", "cmyk", "deep", "bloated", "pil", "pil-alpha"),
        *("float", "batch", "uint8", "grey", "tensor"),
    ],
)
def test_reads_everything_else_and_sends_png(server, client, source):
    client.stylize(source, PAINTED)
    encoded = sent(server, "content_bytes")
    image = Image.open(io.BytesIO(encoded))
    image.load()
    assert (image.format, image.mode) == ("PNG", "RGB")
    assert not image.getexif()
    assert "icc_profile" not in image.info
    np.testing.assert_array_equal(image, to_pil(read_picture(source)[0]))
    decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    np.testing.assert_array_equal(decoded, np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_the_server_sees_plain_files_as_load_image_does(mode, format):
    encoded = encode(to_pil(CONTENT).convert(mode), format)
    assert encode_picture(encoded, name="content_image")[0] == encoded
    if format == "PNG":
        seen = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    else:
        seen = tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(seen, to_pil(load_image(encoded)))


def sent_all(server):
    """The inputs of the last request except the content image."""
    inputs = {
        name: tf.make_ndarray(proto)
        for name, proto in server.requests[-1].inputs.items()
    }
    del inputs["content_bytes"]
    return inputs


def test_several_styles_go_to_a_signature_of_their_own(server, client):
    mask = encode(Image.new("L", (20, 20), 200))
    style = [
        StyleImage(image=PNG, weight=2, region=mask),
        StyleImage(image=PAINTED, scale=0.5, mask=STYLE),
        PNG,
    ]
    client.stylize(PNG, style, preserve_color="luminance", steps=3)
    assert server.requests[-1].model_spec.signature_name == "blend"
    inputs = sent_all(server)
    style_mask = inputs.pop("mask_bytes")
    assert {name: value.tolist() for name, value in inputs.items()} == {
        "style_bytes": [PNG, PAINTED, PNG],
        "style_weights": [2, 1, 1],
        "style_scales": [1, 0.5, 1],
        "region_bytes": [mask, b"", b""],
        "preserve_color": b"luminance",
        "steps": 3,
    }
    assert style_mask[[0, 2]].tolist() == [b"", b""]
    np.testing.assert_array_equal(
        Image.open(io.BytesIO(style_mask[1])), to_pil(load_image(STYLE))
    )


@pytest.mark.parametrize(
    ("style", "settings", "signature"),
    [
        (StyleImage(image=PAINTED, weight=3), {}, ""),
        ([PAINTED], {"size": 64}, ""),
        (StyleImage(image=PAINTED, scale=2), {}, "blend"),
        (StyleImage(image=PAINTED, region=CONTENT), {}, "blend"),
        (StyleImage(image=PAINTED, mask=CONTENT), {}, "blend"),
        (PAINTED, {"preserve_color": "none"}, "blend"),
        ([PAINTED, PAINTED], {}, "blend"),
    ],
)
def test_one_picture_goes_to_the_default_signature(
    server, client, style, settings, signature
):
    client.stylize(PNG, style, **settings)
    assert server.requests[-1].model_spec.signature_name == signature


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ([], "`style_image` must be one picture or more"),
        ([PNG, b"no"], "`style_image` must be an image file"),
        (StyleImage(image=PNG, mask=b"no"), "`mask` must be an image file"),
        (
            StyleImage(image=PNG, region=np.stack([CONTENT] * 2)),
            "`region` must be one picture. Received: a batch of 2",
        ),
    ],
)
def test_bad_styles_are_not_sent(server, client, style, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        client.stylize(PNG, style)
    assert not server.requests


def test_the_painted_file_keeps_what_the_photo_held(server, client, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8825] = {1: "N"}
    server.answers = [answer(image=encode(CONTENT))]
    photo = encode(transparent(), exif=exif.tobytes(), dpi=(300, 300))
    response = client.stylize(photo, PAINTED)
    for keep_gps in (False, True):
        response.save(tmp_path / "out.png", keep_gps=keep_gps)
        with Image.open(tmp_path / "out.png") as image:
            assert image.mode == "RGBA"
            assert set(np.asarray(image)[..., 3].flat) == {100}
            assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
            assert image.getexif()[0x010F] == "Maker"
            assert bool(image.getexif().get_ifd(0x8825)) == keep_gps


def closed_file():
    file = io.BytesIO(PNG)
    file.close()
    return file


class BrokenFile:
    def read(self):
        raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    "make",
    [
        lambda path: b"",
        lambda path: b"no picture",
        lambda path: encode(CONTENT, "JPEG")[:300],
        lambda path: PNG[:400],
        lambda path: path / "missing.png",
        lambda path: path,
        lambda path: np.zeros((4, 4)),
        lambda path: np.full((20, 20), 2.0),
        lambda path: np.full((20, 20, 3), np.nan),
        lambda path: None,
        lambda path: 3,
        lambda path: io.StringIO("text"),
        lambda path: io.BytesIO(b"no picture"),
        lambda path: closed_file(),
        lambda path: BrokenFile(),
    ],
)
@pytest.mark.parametrize("name", ["content_image", "style_image"])
def test_bad_pictures_never_reach_the_server(server, client, tmp_path, make, name):
    with pytest.raises((ValueError, OSError)) as expected:
        load_image(make(tmp_path), name=name)
    pictures = {"content_image": PNG, "style_image": PNG, name: make(tmp_path)}
    with pytest.raises(type(expected.value)) as caught:
        client.stylize(*pictures.values())
    assert str(caught.value) == str(expected.value)
    assert str(caught.value).startswith(f"`{name}` must be ")
    assert type(caught.value) is type(expected.value)
    assert server.requests == []


def test_one_picture_each(server, client):
    with pytest.raises(
        ValueError, match=r"^`style_image` must be one picture"
    ) as error:
        client.stylize(CONTENT, np.stack([STYLE, STYLE]))
    assert str(error.value).endswith("Received: a batch of 2")
    assert server.requests == []


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": 1.5},
        {"steps": True},
        {"size": 31},
        {"seed": -1},
        {"content_weight": -1},
        {"style_weight": float("nan")},
        {"total_variation_weight": "much"},
        {"learning_rate": 0},
        {"learning_rate": 2},
        {"content_weight": 0, "style_weight": 0},
    ],
)
def test_bad_settings_never_reach_the_server(server, client, settings):
    with pytest.raises(ValueError) as expected:  # noqa: PT011 (compared below)
        StyleTransferConfig(**settings)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        client.stylize(PNG, PNG, **settings)
    assert str(caught.value) == str(expected.value)
    assert server.requests == []


# Answers


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
    assert sent(server, "content_bytes") == large
    assert len(sent(server, "style_bytes")) > 5 * 2**20
    assert response.image_bytes == large


# Deadlines


@pytest.mark.parametrize(
    ("client_timeout", "call", "expected"),
    [
        (None, {}, 60 + 100 * 512 * 512 * 15 / 1e6),
        (None, {"size": 1000, "steps": 3}, 360),
        (None, {"size": 64, "steps": 1}, 60 + 0.4096),
        (None, {"size": 16384, "steps": 100_000}, 7 * 24 * 3600),
        (90, {"size": 1000}, 90),
        (90, {"timeout": 33.5}, 33.5),
    ],
)
def test_the_deadline_fits_the_work(server, client_timeout, call, expected):
    server.answers = [lambda context: answer(losses=(context.time_remaining(), 0, 0))]
    with StylizeClient(server.target, timeout=client_timeout) as client:
        left = client.stylize(PNG, PAINTED, **call).content_loss
    # It is sent with few digits, rounded up.
    assert expected - 3 < left < expected * 1.01


def test_a_deadline_that_passes(server, client):
    gone = threading.Event()

    def wait(context):
        assert context.add_callback(gone.set)
        gone.wait(10)
        return answer()

    server.answers = [wait]
    start = time.monotonic()
    with pytest.raises(DeadlineError) as error:
        client.stylize(PNG, PAINTED, timeout=0.5)
    assert 0.4 < time.monotonic() - start < 5
    assert str(error.value) == (
        f"The server at {server.target} did not answer within 0.5 seconds; allow a "
        "longer `timeout`, or ask for fewer `steps` or a smaller `size`."
    )
    assert isinstance(error.value, TimeoutError)
    assert error.value.code is Code.DEADLINE_EXCEEDED
    assert gone.wait(5)
    assert len(server.requests) == 1


def test_a_ping_may_wait_behind_a_picture_on_a_slow_link():
    # By default gRPC gives up a connection whose ping isn't answered for a minute.
    assert dict(channels.channel_options(1))["grpc.http2.ping_timeout_ms"] == 600_000
    assert dict(model_server._OPTIONS)["grpc.http2.ping_timeout_ms"] == 600_000


# Retries


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED])
@pytest.mark.usefixtures("hasty")
def test_repeats_what_may_pass(server, code):
    server.answers = [(code, "not now")] * 3 + [answer(version=9)]
    large = (np.random.default_rng(0).random((400, 400, 3)) * 255).astype(np.uint8)
    with StylizeClient(server.target, timeout=20) as client:
        # Larger than what gRPC keeps for a retry by default.
        assert client.stylize(large, PAINTED).model_version == 9
    assert len(server.requests) == 4
    assert len(server.requests[0].inputs["content_bytes"].string_val[0]) > 2**18
    assert all(request == server.requests[0] for request in server.requests)


@pytest.mark.parametrize("attempts", [1, 2, 5])
@pytest.mark.usefixtures("hasty")
def test_gives_up_after_so_many_attempts(server, attempts):
    server.answers = [(Code.UNAVAILABLE, "not now")]
    with (
        StylizeClient(server.target, timeout=20, max_attempts=attempts) as client,
        pytest.raises(ServerUnavailableError),
    ):
        client.stylize(PNG, PAINTED)
    assert len(server.requests) == attempts


def test_waits_between_attempts_and_keeps_the_deadline(server, client):
    server.answers = [(Code.UNAVAILABLE, "not now")]
    start = time.monotonic()
    with pytest.raises(DeadlineError):
        client.stylize(PNG, PAINTED, timeout=1.5)
    assert 1.3 < time.monotonic() - start < 6
    assert 1 <= len(server.requests) <= 2


@pytest.mark.usefixtures("hasty")
def test_waits_for_a_server_that_comes_late(monkeypatch):
    first = Server()
    first.close()
    monkeypatch.setattr(channels, "_FIRST_BACKOFF", 1.0)
    with StylizeClient(first.target, timeout=60, max_attempts=5) as client:
        thread = futures.ThreadPoolExecutor(1)
        call = thread.submit(client.stylize, PNG, PAINTED)
        time.sleep(0.5)
        assert not call.done()
        late = grpc.server(futures.ThreadPoolExecutor(2))
        servicer = Server.__new__(Server)
        servicer.requests, servicer.contexts, servicer.answers = [], [], [answer()]
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            servicer, late
        )
        assert late.add_insecure_port(first.target) == first.port
        late.start()
        try:
            assert call.result(30).model_version == 3
        finally:
            late.stop(None).wait(10)
            thread.shutdown()


# Errors

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
            "The server at {target} did not answer within 20 seconds; allow a longer "
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
    options = {"model": "m", "version": 7, "timeout": 20, "max_attempts": 1}
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


def test_no_server():
    server = Server()
    server.close()
    with (
        StylizeClient(server.target, timeout=20, max_attempts=1) as client,
        pytest.raises(ServerUnavailableError, match=r"^No server answers at 127") as e,
    ):
        client.stylize(PNG, PAINTED)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("environment", "target", "expected"),
    [
        ({}, "127.0.0.1:1", None),
        ({"http_proxy": "http://a:1"}, "127.0.0.1:1", "http_proxy"),
        ({"http_proxy": "http://a:1", "grpc_proxy": "http://b:1"}, "a:1", "grpc_proxy"),
        ({"https_proxy": "http://a:1"}, "dns:///host.example:1", "https_proxy"),
        ({"HTTP_PROXY": "http://a:1"}, "127.0.0.1:1", None),
        ({"http_proxy": "http://a:1"}, "unix:///a/b", None),
        ({"http_proxy": "http://a:1", "no_proxy": "x, 0.0.1"}, "127.0.0.1:1", None),
        ({"http_proxy": "http://a:1", "no_proxy": "example"}, "a.example:1", None),
        (
            {"http_proxy": "http://a:1", "no_proxy": "a", "no_grpc_proxy": "b"},
            "a:1",
            "http_proxy",
        ),
    ],
)
def test_names_the_proxy_as_grpc_finds_it(environment, target, expected, monkeypatch):
    for name in ("http", "https", "grpc", "no", "no_grpc"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert channels.proxy_variable(target) == expected


def test_a_proxy_that_does_not_answer(server, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with (
        StylizeClient(server.target, timeout=20, max_attempts=1) as client,
        pytest.raises(ServerUnavailableError) as error,
    ):
        client.stylize(PNG, PAINTED)
    assert str(error.value).startswith(
        f"No server answers at {server.target}; check the address, whether the server "
        "is running, and whether it requires TLS, and the proxy in the environment "
        "variable http_proxy: "
    )
    assert server.requests == []


def test_a_closed_client(server, client):
    client.close()
    for call in (lambda: client.stylize(PNG, PAINTED), client.status):
        with pytest.raises(ServingError, match=rf"^The client of {server.target} is c"):
            call()
    assert server.requests == server.status_requests == []


def test_a_very_long_timeout(server, client):
    assert client.stylize(PNG, PAINTED, timeout=9.3e9).model_version == 3
    assert client.stylize(PNG, PAINTED, timeout=1e300).model_version == 3


def test_closing_ends_a_call(server):
    started, leave = threading.Event(), threading.Event()

    def wait(context):
        started.set()
        leave.wait(10)
        return answer()

    server.answers = [wait]
    client = StylizeClient(server.target, timeout=20)
    with futures.ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.stylize, PNG, PAINTED)
        assert started.wait(10)
        client.close()
        with pytest.raises(ServingError, match=r"client was closed|CANCELLED"):
            call.result(10)
        leave.set()


def test_an_interrupt_cancels_the_call(server, client):
    cancelled = threading.Event()

    def wait(context):
        assert context.add_callback(cancelled.set)
        # Not while gRPC is still sending and may hold its locks.
        time.sleep(0.5)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        cancelled.wait(10)
        return answer()

    server.answers = [wait]
    # A shell's background processes ignore the signal, and Python inherits this.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            client.stylize(PNG, PAINTED)
    finally:
        signal.signal(signal.SIGINT, before)
    assert cancelled.wait(5)


def test_threads_share_a_client(server, client):
    def echo(context):
        return answer(losses=(0, 0, 0), version=5)

    server.answers = [echo]
    with futures.ThreadPoolExecutor(8) as threads:
        calls = [
            threads.submit(client.stylize, PNG, PAINTED, seed=seed)
            for seed in range(16)
        ]
        assert [call.result(20).model_version for call in calls] == [5] * 16
    seeds = sorted(request.inputs["seed"].int_val[0] for request in server.requests)
    assert seeds == list(range(16))


# Status


def versions(*states):
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, state, error in states:
        item = response.model_version_status.add(version=version, state=state)
        if error:
            item.status.error_code, item.status.error_message = 3, error
    return response


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"name": "tfnst"}),
        ({"version": 2}, {"name": "tfnst", "version": {"value": 2}}),
        ({"version_label": "stable"}, {"name": "tfnst"}),
    ],
)
def test_status(server, options, expected):
    server.status_answers = [
        versions((3, 30, ""), (1, 50, "bad weights"), (2, 40, ""), (4, 10, ""))
    ]
    with StylizeClient(server.target, **options) as client:
        assert client.status() == [
            ModelVersionStatus(1, "END", "bad weights"),
            ModelVersionStatus(2, "UNLOADING", ""),
            ModelVersionStatus(3, "AVAILABLE", ""),
            ModelVersionStatus(4, "START", ""),
        ]
    assert server.status_requests == [
        get_model_status_pb2.GetModelStatusRequest(
            model_spec=model_pb2.ModelSpec(**expected)
        )
    ]


def test_a_status_that_takes_too_long(server, client):
    server.status_answers = [lambda context: time.sleep(1) or versions()]
    with pytest.raises(DeadlineError) as error:
        client.status(timeout=0.2)
    assert str(error.value) == (
        f"The server at {server.target} did not answer within 0.2 seconds; allow a "
        "longer `timeout`."
    )


def test_states_are_those_of_tensorflow_serving():
    state = get_model_status_pb2.ModelVersionStatus.State
    assert {n: k for k, n in state.items() if n} == messages.STATES
    assert tf.float32.as_datatype_enum == messages.FLOAT
    assert tf.int32.as_datatype_enum == messages.INT32
    assert tf.string.as_datatype_enum == messages.STRING


def test_waits_until_a_version_is_there(server, client, monkeypatch):
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.05)
    server.status_answers = [
        (Code.UNAVAILABLE, "starting"),
        (Code.NOT_FOUND, "Could not find any versions of model tfnst"),
        versions((1, 20, "")),
        versions((1, 30, ""), (2, 20, "")),
    ]
    client.wait_until_ready(20)
    assert len(server.status_requests) == 4


def test_waits_no_longer_than_told(server, client, monkeypatch):
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.05)
    server.status_answers = [versions((1, 50, "no\nweights"), (2, 20, ""))]
    with pytest.raises(DeadlineError) as error:
        client.wait_until_ready(0.5)
    assert str(error.value) == (
        f"The server at {server.target} did not have the model 'tfnst' ready within "
        "0.5 seconds: version 1 is END (no weights), version 2 is LOADING"
    )
    server.status_answers = [(Code.PERMISSION_DENIED, "no")]
    with pytest.raises(ServingError, match=r"failed with PERMISSION_DENIED: no$"):
        client.wait_until_ready(20)


# The client itself


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "localhost"}, "`target` must be HOST:PORT. Received: 'localhost'"),
        (
            {"target": "http://a:8500"},
            "`target` must be HOST:PORT. Received: 'http://a:8500'",
        ),
        *[
            (
                {"target": f"{host}:{port}"},
                "`target` must be HOST:PORT, with a port from 1 to 65535. "
                f"Received: '{host}:{port}'",
            )
            for host, port in (("a", 99999), ("dns:///a", 65536), ("a", 0))
        ],
        ({"target": None}, "`target` must be HOST:PORT. Received: None"),
        ({"model": ""}, "`model` must be a non-empty string. Received: ''"),
        (
            {"version": -1},
            f"`version` must be an integer from 0 to {2**63 - 1}. Received: -1",
        ),
        (
            {"version": "1"},
            f"`version` must be an integer from 0 to {2**63 - 1}. Received: '1'",
        ),
        (
            {"version": 2**63},
            f"`version` must be an integer from 0 to {2**63 - 1}. Received: {2**63}",
        ),
        (
            {"version": 1, "version_label": "a"},
            "`version` must be left out with `version_label`. Received: 1",
        ),
        (
            {"version_label": ""},
            "`version_label` must be a non-empty string. Received: ''",
        ),
        (
            {"max_attempts": 6},
            "`max_attempts` must be an integer from 1 to 5. Received: 6",
        ),
        (
            {"timeout": 0},
            "`timeout` must be a finite number of seconds above 0. Received: 0",
        ),
        (
            {"timeout": float("inf")},
            "`timeout` must be a finite number of seconds above 0. Received: inf",
        ),
        (
            {"client_key": "k"},
            "`client_certificate` must be given with `client_key`. "
            "Received: (None, 'k')",
        ),
        (
            {"client_certificate": "c", "client_key": "k"},
            "`root_certificates` must be given with `client_certificate`. "
            "Received: None",
        ),
        (
            {"root_certificates": __file__},
            f"`root_certificates` must be a PEM file. Received: {__file__!r}",
        ),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (compared below)
        StylizeClient(**{"target": "localhost:8500", **options})
    assert str(error.value) == message


@pytest.mark.parametrize("target", ["[::1]:8500", "dns:///a:1", "unix:///a/b"])
def test_targets(target):
    with StylizeClient(target) as client:
        assert client.target == target


def test_bad_timeouts_of_calls(client, server):
    for call in (
        lambda timeout: client.stylize(PNG, PNG, timeout=timeout),
        lambda timeout: client.status(timeout=timeout),
        client.wait_until_ready,
    ):
        with pytest.raises(ValueError, match=r"^`timeout` must be a finite number"):
            call(-1)
    assert server.requests == server.status_requests == []


def certificate(folder, name, signer=None):
    """Writes `<name>.crt` and `<name>.key`, signed by `signer` or self-signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing_key = signer or (subject, key)
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(signer is None, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.crt").write_bytes(made.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return subject, key


@pytest.mark.parametrize("mutual", [False, True])
def test_tls(tmp_path, mutual):
    pytest.importorskip("cryptography")
    authority = certificate(tmp_path, "ca")
    for name in ("server", "client"):
        certificate(tmp_path, name, authority)
    certificate(tmp_path, "stranger")
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    server = Server(
        grpc.ssl_server_credentials(
            [(files["server.key"], files["server.crt"])],
            files["ca.crt"] if mutual else None,
            mutual,
        )
    )
    own = {
        "client_certificate": tmp_path / "client.crt",
        "client_key": tmp_path / "client.key",
    }
    trusted = {"root_certificates": tmp_path / "ca.crt", **(own if mutual else {})}
    strangers = [
        {"root_certificates": tmp_path / "stranger.crt", **(own if mutual else {})},
        {},
    ]
    if mutual:
        strangers.append({"root_certificates": tmp_path / "ca.crt"})
    with contextlib.closing(server):
        with StylizeClient(server.target, timeout=20, **trusted) as client:
            assert client.stylize(PNG, PAINTED).model_version == 3
        assert server.contexts[0].auth_context()["transport_security_type"] == [b"ssl"]
        for options in strangers:
            with (
                StylizeClient(
                    server.target, timeout=20, max_attempts=1, **options
                ) as client,
                pytest.raises(ServerUnavailableError, match="whether it requires TLS"),
            ):
                client.stylize(PNG, PAINTED)
        assert len(server.requests) == 1
    with pytest.raises(FileNotFoundError):
        StylizeClient("localhost:1", root_certificates=tmp_path / "missing.pem")


def test_takes_no_tensorflow():
    # With a whole call, which includes lazy imports.
    code = """
import json, sys
from tfnst.client import ServerUnavailableError, StylizeClient
import numpy as np
with StylizeClient("127.0.0.1:1", max_attempts=1) as client:
    try:
        client.stylize(np.zeros((20, 20)), np.zeros((20, 20)), timeout=20)
    except ServerUnavailableError:
        pass
names = ("tensorflow", "tensorflow_serving", "keras", "h5py")
print(json.dumps([name for name in names if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(done.stdout) == []
