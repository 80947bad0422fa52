"""Requests of a client, and the pictures that it reads."""

import io
import re

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2
from PIL import Image, ImageCms
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from tests.client.stand_in import CONTENT, LIMIT, PAINTED, PNG, STYLE, answer, encode
from tfnst.client import StylizeClient, messages
from tfnst.client.pictures import encode_picture
from tfnst.config import StyleTransferConfig, setting_names
from tfnst.images.reading import load_image, read_picture
from tfnst.images.style_images import StyleImage
from tfnst.images.writing import to_pil


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
    weights = server.sent_all()
    del weights["style_bytes"]
    assert weights == {"style_weight": 7, "total_variation_weight": 3}
    client.stylize(PNG, PAINTED, steps=np.int64(3))
    assert set(server.requests[2].inputs) == {"content_bytes", "style_bytes", "steps"}
    assert server.sent("steps") == 3


def test_takes_the_settings_of_requests_and_no_others(server, client):
    for name in setting_names("requested"):
        assert f"`{name}`" in StylizeClient.stylize.__doc__
    client.stylize(PNG, PAINTED, **dict.fromkeys(setting_names("requested")))
    assert set(server.requests[0].inputs) == {"content_bytes", "style_bytes"}
    message = "`settings` must be a setting that requests have: content_weight, "
    with pytest.raises(ValueError, match=f"^{message}.* Received: 'optimizer'$"):
        client.stylize(PNG, PAINTED, optimizer="lbfgs")
    assert len(server.requests) == 1


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
    with StylizeClient(server.target, timeout=LIMIT, **options) as client:
        client.stylize(PNG, PAINTED)
    spec = server.requests[0].model_spec
    assert spec == model_pb2.ModelSpec(**expected)
    assert spec.WhichOneof("version_choice") == next(iter([*expected][1:]), None)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO])
def test_sends_plain_files_as_they_are(server, client, wrap, tmp_path):
    jpeg = encode(CONTENT, "JPEG", quality=90)
    grey = encode(to_pil(STYLE).convert("L"))
    client.stylize(wrap(jpeg), wrap(grey))
    assert server.sent("content_bytes") == jpeg
    assert server.sent("style_bytes") == grey
    path = tmp_path / "content.jpg"
    path.write_bytes(jpeg)
    client.stylize(path, str(path))
    assert server.sent("content_bytes") == server.sent("style_bytes") == jpeg


def test_reads_a_file_object_from_where_it_stands(server, client):
    file = io.BytesIO(b"before" + PNG)
    file.seek(6)
    client.stylize(file, PAINTED)
    assert server.sent("content_bytes") == PNG


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
    encoded = server.sent("content_bytes")
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
    assert encode_picture(encoded)[0] == encoded
    if format == "PNG":
        seen = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    else:
        seen = tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(seen, to_pil(load_image(encoded)))


def test_several_styles_go_to_a_signature_of_their_own(server, client):
    mask = encode(Image.new("L", (20, 20), 200))
    style = [
        StyleImage(image=PNG, weight=2, region=mask),
        StyleImage(image=PAINTED, scale=0.5, mask=STYLE),
        PNG,
    ]
    client.stylize(PNG, style, preserve_color="luminance", steps=3)
    assert server.requests[-1].model_spec.signature_name == "blend"
    inputs = server.sent_all()
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


def test_one_open_file_may_be_content_and_style(server, client):
    file = io.BytesIO(PNG)
    client.stylize(file, file)
    assert server.sent("content_bytes") == server.sent("style_bytes") == PNG


@pytest.mark.parametrize(
    "make",
    [
        lambda path: PNG[:400],
        lambda path: path / "missing.png",
        lambda path: np.full((20, 20), 2.0),
        lambda path: 3,
        lambda path: io.StringIO("text"),
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


def test_a_network_gets_rows_and_no_style(server, client):
    client.stylize(PNG, size=64, preserve_color="luminance")
    (request,) = server.requests
    assert request.model_spec == model_pb2.ModelSpec(name="tfnst")
    assert dict(request.inputs) == {
        "content_bytes": tf.make_tensor_proto([PNG]),
        "size": tf.make_tensor_proto([64], tf.int32),
        "preserve_color": tf.make_tensor_proto([b"luminance"]),
    }
    message = r"^`steps` must be given with a style, or left out\. Received: 9$"
    with pytest.raises(ValueError, match=message):
        client.stylize(PNG, steps=9)
    with pytest.raises(
        ValueError, match=r"^`content_image` must be .* Received: None$"
    ):
        client.stylize(None)
    assert len(server.requests) == 1


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
        {"steps": 1.5},
        {"style_weight": float("nan")},
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
