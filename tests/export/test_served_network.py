"""An exported network: it paints as the network does, and refuses bad requests."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.export.helpers import (
    Session,
    Unexported,
    assert_only_known_operations,
    in_8_bits,
    png,
)
from tests.helpers import TINY, assert_alike, picture
from tests.server.helpers import LIMIT
from tfnst import server
from tfnst.client import InvalidRequestError, StylizeClient
from tfnst.export.requests import RequestLimits
from tfnst.export.served_network import ServedNetwork
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.ops.color_transfer import color_moments

CONTENT, OTHER = picture(60, 80, seed=1), picture(64, 48, seed=3)
LIMITS = {"max_size": 96, "max_pixels": 20_000}
DEFAULTS = tfnst.StyleTransferConfig(size=80)


@pytest.fixture(scope="module")
def network():
    """A network that has learned nothing but a style's colours."""
    painting = PaintingNetwork(4, 1)
    painting.initialize(0)
    return tfnst.StyleNetwork(
        network=painting,
        config=TINY,
        style_image={"name": "style.png", "sha256": "0" * 64},
        colors=color_moments(tf.constant(picture(50, 40, seed=2)[None])),
        weights={"backbone": "vgg19", "sha256": None},
        training={"steps": 0},
    )


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "waves.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def base(path, tmp_path_factory):
    """The base path of an export."""
    folder = tmp_path_factory.mktemp("models") / "waves"
    tfnst.export_saved_model(folder, network=path, config=DEFAULTS, **LIMITS)
    return folder


@pytest.fixture(scope="module")
def unexported(network):
    limits = RequestLimits(max_steps=1, **LIMITS)
    return Unexported(ServedNetwork(network, DEFAULTS, limits))


@pytest.fixture(
    scope="module",
    params=["unexported", pytest.param("exported", marks=pytest.mark.slow)],
)
def painter(request):
    if request.param == "unexported":
        return request.getfixturevalue("unexported")
    return Session(request.getfixturevalue("base") / "1")


def files_of(*pictures):
    return np.array([png(each) for each in pictures], object)


def assert_paints(encoded, network, content, **settings):
    expected = network.stylize(in_8_bits(content), **settings).array
    painted = tfnst.load_image(encoded)[0]
    assert_alike(painted, in_8_bits(expected))


def test_files_of_any_size_are_painted(painter, network):
    outputs = painter.run(
        "serving_default", content_bytes=files_of(CONTENT, OTHER), size=[64, 45]
    )
    first, second = outputs["image_bytes"]
    assert_paints(first, network, CONTENT, size=64)
    assert_paints(second, network, OTHER, size=45)
    assert outputs["decode_seconds"].shape == (2,)


@pytest.mark.parametrize("mode", ["luminance", "histogram", "transport"])
def test_colours_can_be_kept(painter, network, mode):
    outputs = painter.run(
        "serving_default",
        content_bytes=files_of(CONTENT, OTHER),
        size=[64],
        preserve_color=[mode.encode(), b"none"],
    )
    first, second = outputs["image_bytes"]
    assert_paints(first, network, CONTENT, size=64, preserve_color=mode)
    assert_paints(second, network, OTHER, size=64)


def test_arrays_are_painted_at_their_size(painter, network):
    contents = np.stack([CONTENT, 1 - CONTENT**2])[:, :50]
    outputs = painter.run("stylize", content_image=contents)
    for content, painted in zip(contents, outputs["stylized_image"], strict=True):
        assert_alike(painted, network.stylize(content, size=80).array)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"size": [31]}, "`size` must be an integer from 32 to 96. Received:"),
        ({"size": [97]}, "`size`, squared and summed over all pictures, must be at mo"),
        (
            {"size": [64, 64, 64]},
            "`size` must be 1 value or as many as `content_bytes`",
        ),
        (
            {"size": [80, 80]},
            "`size`, squared and summed over all pictures, must be at",
        ),
        (
            {"preserve_color": [b"all"]},
            "must be one of none, luminance, histogram, tra",
        ),
        ({"content_bytes": [b"", b""]}, "`content_bytes` must be an image file"),
        (
            {"content_bytes": files_of(picture(16, 160))},
            "`content_bytes` is too narrow for `size`",
        ),
        (
            {"content_bytes": files_of(picture(150, 150))},
            "`content_bytes` must be an image of at most 20000 pixels.",
        ),
    ],
)
def test_bad_files_are_refused(unexported, inputs, message):
    given = {"content_bytes": files_of(CONTENT, OTHER), "size": [40]}
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        unexported.run("serving_default", **{**given, **inputs})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (
            np.zeros([1, 15, 60, 3]),
            "must be one or more pictures of at least 16 pixels",
        ),
        (np.zeros([3, 64, 64, 3]), "`content_image` must have at most 9216 pixels."),
        (np.full([1, 20, 20, 3], np.nan), "must hold finite numbers from 0 to 1."),
    ],
)
def test_bad_arrays_are_refused(unexported, pictures, message):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        unexported.run("stylize", content_image=pictures)
    assert message in str(caught.value)


def test_memory_limits_the_size(network):
    def limits(**changes):
        limits = RequestLimits(max_steps=1, max_size=4096, max_pixels=10**6, **changes)
        return ServedNetwork(network, DEFAULTS, limits).limits

    most = limits()
    assert most.max_size == 4096
    assert limits(max_memory=most.max_memory) == most
    halved = limits(max_memory=most.max_memory / 2)
    assert 2000 < halved.max_size < 4096 / 2**0.5
    with pytest.raises(ValueError, match=r"^`max_memory` must be 0\.1 GiB or more"):
        limits(max_memory=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"max_steps": 20},
            "`max_steps` must be left out with `network`, which takes no steps. "
            "Received: 20",
        ),
        (
            {"steps": 3},
            "`steps` has no effect on a style that a network has learned; leave it "
            "out. Received: 3",
        ),
        (
            {"config": tfnst.StyleTransferConfig(max_memory=2)},
            "`max_memory` must be None for an export: it paints without tiles; "
            "`max_memory` of the export itself bounds the memory of a request. "
            "Received: 2.0",
        ),
        (
            {"network": "style.png"},
            "`network` must be a network that `tfnst train` has written. Received: "
            "'style.png'",
        ),
    ],
)
def test_bad_arguments_are_named(network, tmp_path, arguments, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared below)
        tfnst.export_saved_model(tmp_path, **{"network": network, **arguments})
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_input_and_output_has_a_row_for_each_picture(base):
    # TensorFlow Serving batches nothing else.
    signatures = Session(base / "1").signatures
    for name in ("serving_default", "stylize"):
        signature = signatures[name]
        for each in [*signature.inputs.values(), *signature.outputs.values()]:
            assert each.tensor_shape.dim[0].size == -1


@pytest.mark.slow
def test_the_manifest_tells_of_the_network(base, path):
    assert_only_known_operations(base / "1")
    manifest = json.loads((base / "1/assets/tfnst.json").read_text())
    loaded = tfnst.load_network(path)
    assert manifest["config"] == {"size": 80, "preserve_color": "none"}
    assert 0.06 < manifest["limits"].pop("max_memory") < 0.1
    assert manifest["limits"] == LIMITS
    assert manifest["network"] == {
        "source": loaded.source,
        "style_image": loaded.style_image,
        "settings": TINY.to_dict(),
        "weights": loaded.weights,
        "training": {"steps": 0},
    }


@pytest.mark.slow
def test_a_server_and_its_clients(base, network):
    # Its warm-up requests run before it is available.
    with server.ModelServer(base, port=0) as served:
        assert served.wait_until_available(LIMIT)
        with StylizeClient(f"127.0.0.1:{served.port}") as client:
            response = client.stylize(png(CONTENT), size=64, preserve_color="luminance")
            assert_paints(
                response.image_bytes,
                network,
                CONTENT,
                size=64,
                preserve_color="luminance",
            )
            assert response.total_loss is None
            for refused in ({"size": 97}, {"style_image": png(OTHER)}):
                with pytest.raises(InvalidRequestError):
                    client.stylize(png(CONTENT), **refused)
