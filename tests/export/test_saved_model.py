"""What an exported model holds and refuses, and that it paints as Python does."""

import json
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

import tfnst
from tests.export.helpers import (
    CONFIG,
    LIMITS,
    Session,
    Unexported,
    assert_gives,
    assert_losses,
    assert_only_known_operations,
    in_8_bits,
    png,
)
from tests.helpers import TINY, assert_alike, free_memory, picture
from tfnst.config import setting_names
from tfnst.export import requests, saved_model, warmup
from tfnst.export.requests import check_pictures
from tfnst.export.served_model import ServedStyleTransfer

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)


def model_of(config):
    return ServedStyleTransfer(config, requests.RequestLimits(**LIMITS))


@pytest.fixture(scope="module")
def served(base):
    return Session(base / "1")


@pytest.fixture(
    scope="module",
    params=["unexported", pytest.param("exported", marks=pytest.mark.slow)],
)
def painter(request):
    """What runs the signatures that take files."""
    if request.param == "unexported":
        return Unexported(model_of(CONFIG))
    return request.getfixturevalue("served")


def test_lies_where_a_server_looks(base):
    assert [p.name for p in base.iterdir()] == ["1"]
    names = {str(p.relative_to(base)) for p in base.rglob("*") if p.is_file()}
    assert {
        "1/saved_model.pb",
        "1/assets/tfnst.json",
        "1/assets.extra/tf_serving_warmup_requests",
        "1/variables/variables.index",
    } <= names
    manifest = json.loads((base / "1/assets/tfnst.json").read_text())
    assert manifest["config"] == CONFIG.to_dict()
    assert 0.1 < manifest["limits"].pop("max_memory") < 0.5
    assert manifest["limits"] == LIMITS
    assert manifest["backbone"] == "vgg19"
    assert len(manifest["weights"]["sha256"]) == 64


def test_signatures_and_their_defaults(served):
    settings = {
        name: {**CONFIG.to_dict(), **CONFIG.loss_weights()}[name]
        for name in (
            "steps", "size", "seed", "content_weight", "style_weight",
            "total_variation_weight", "learning_rate",
        )
    }  # fmt: skip
    several = {
        "style_weights": [1], "style_scales": [1], "mask_bytes": [b""],
        "region_bytes": [b""], "preserve_color": b"none",
    }  # fmt: skip
    losses = {"content_loss", "style_loss", "total_loss"}
    files = {"content_bytes", "style_bytes"}
    for name, required, defaults, output in (
        ("serving_default", files, settings, "image_bytes"),
        ("stylize", {"content_image", "style_image"}, settings, "stylized_image"),
        ("blend", files, settings | several, "image_bytes"),
    ):
        definition = served.signatures[name]
        assert set(definition.inputs) == required | set(defaults)
        seconds = {"decode_seconds"} if required == files else set()
        assert set(definition.outputs) == losses | {output} | seconds
        assert set(definition.defaults) == set(defaults)
        for setting, value in defaults.items():
            default = tf.make_ndarray(definition.defaults[setting])
            assert default.tolist() == (
                pytest.approx(value) if setting in settings else value
            )
    for name in ("content_image", "style_image"):
        shape = served.signatures["stylize"].inputs[name].tensor_shape
        assert tf.TensorShape(shape).as_list() == [None, None, None, 3]


@pytest.mark.parametrize(
    ("changes", "pictures"),
    [
        ({"size": 32}, (CONTENT, STYLE)),
        (
            {
                "size": 64,
                "steps": 2,
                "content_weight": 2.0,
                "style_weight": 30.0,
                "total_variation_weight": 3.0,
                "learning_rate": 0.03,
            },
            (STYLE, 1 - CONTENT),
        ),
    ],
)
def test_gives_what_python_gives(served, changes, pictures):
    content, style = pictures
    outputs = served.run(
        "stylize", content_image=content[None], style_image=style[None], **changes
    )
    expected = tfnst.stylize(content, style, config=CONFIG, **changes)
    assert_gives(outputs, expected)
    if len(expected.losses) == 1:
        # Of the picture that both start from.
        assert_losses(outputs, expected, rtol=1e-5)


def test_encoded_pictures_in_and_out(painter):
    outputs = painter.run(
        "serving_default", content_bytes=png(CONTENT), style_bytes=png(STYLE)
    )
    assert_gives(outputs, tfnst.stylize(png(CONTENT), png(STYLE), config=CONFIG))


def test_pictures_of_a_batch_are_painted_as_if_alone(served):
    contents = np.stack([CONTENT, CONTENT[:, ::-1], 1 - CONTENT])
    styles = np.stack([STYLE, 1 - STYLE, STYLE[::-1]])
    together = served.run("stylize", content_image=contents, style_image=styles)
    shared = served.run("stylize", content_image=contents, style_image=styles[:1])
    for i in range(3):
        for outputs, style in ((together, styles[i]), (shared, styles[0])):
            alone = served.run(
                "stylize", content_image=contents[i : i + 1], style_image=style[None]
            )
            assert_alike(outputs["stylized_image"][i], alone["stylized_image"][0])
            np.testing.assert_allclose(
                outputs["total_loss"][i], alone["total_loss"][0], rtol=1e-3
            )


def test_threads_share_nothing(served):
    calls = [
        {
            "content_image": np.roll(CONTENT, 5 * i, axis=1)[None],
            "style_image": np.roll(STYLE, 3 * i, axis=0)[None],
            "size": 40 + 8 * i,
            "steps": 1 + i % 2,
            "style_weight": 1.0 + i,
        }
        for i in range(4)
    ]
    alone = [served.run("stylize", **call) for call in calls]
    results = [None] * len(calls)

    def work(i):
        results[i] = served.run("stylize", **calls[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, expected in zip(results, alone, strict=True):
        assert_alike(got["stylized_image"], expected["stylized_image"])
        np.testing.assert_allclose(got["total_loss"], expected["total_loss"], rtol=1e-3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"steps": 0}, "`steps` must be an integer from 1 to 100000. Received:] [0]"),
        (
            {"steps": 100_001},
            "`steps` must be an integer from 1 to 100000. Received:] [100001]",
        ),
        ({"size": 31}, "`size` must be an integer from 32 to 96. Received:] [31]"),
        ({"size": 97}, "`size` must be an integer from 32 to 96. Received:] [97]"),
        ({"seed": -1}, "`seed` must be an integer from 0 to 2147483647."),
        (
            {"content_weight": -1.0},
            "`content_weight` must be a finite number, 0 or more. Received:] [-1]",
        ),
        (
            {"style_weight": np.inf},
            "`style_weight` must be a finite number, 0 or more. Received:] [inf]",
        ),
        (
            {"total_variation_weight": np.nan},
            "`total_variation_weight` must be a finite number, 0 or more.",
        ),
        (
            {"content_weight": 0.0, "style_weight": 0.0},
            "`content_weight` and `style_weight` must not both be 0.",
        ),
        (
            {"learning_rate": 0.0},
            "`learning_rate` must be a number above 0 and at most 1.",
        ),
        (
            {"learning_rate": 1.5},
            "`learning_rate` must be a number above 0 and at most 1.",
        ),
        (
            {"content_image": np.zeros([1, 8, 60, 3])},
            "`content_image` must be one or more pictures of at least 16 pixels a",
        ),
        (
            {"content_image": np.zeros([0, 60, 60, 3])},
            "`content_image` must be one or more pictures of at least 16 pixels a",
        ),
        (
            {"style_image": np.zeros([1, 150, 150, 3])},
            "`style_image` must have at most 20000 pixels.",
        ),
        (
            {"style_image": np.full([1, 50, 50, 3], np.nan)},
            "`style_image` must hold finite numbers from 0 to 1.",
        ),
        (
            {"style_image": np.full([1, 50, 50, 3], 255.0)},
            "`style_image` must hold finite numbers from 0 to 1.",
        ),
        (
            {"style_image": np.zeros([2, 50, 50, 3])},
            "`style_image` must be 1 picture or as many as `content_image`.",
        ),
        (
            {"content_image": np.zeros([50, 20, 20, 3]), "size": 96},
            " GiB for `size` 96 and 50 pictures, 1 styles, 0 regions]",
        ),
        (
            {"content_image": np.zeros([1, 16, 160, 3])},
            "`content_image` or `style_image` is too narrow for `size`",
        ),
    ],
)
def test_the_graph_refuses_bad_input(served, inputs, message):
    inputs = {"content_image": CONTENT[None], "style_image": STYLE[None], **inputs}
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        served.run("stylize", **inputs)
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def loaded(base):
    """The SavedModel as Python loads it."""
    return tf.saved_model.load(str(base / "1"))


@pytest.mark.slow  # `test_signatures_and_their_defaults` compares what they are.
@pytest.mark.parametrize(
    "shape", [[60, 80, 3], [1, 60, 80, 4], [60], [1, 1, 60, 80, 3]]
)
def test_the_graph_refuses_other_ranks(loaded, shape):
    # Python's sessions check shapes themselves; the loaded function doesn't.
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        check_pictures("content_image", tf.zeros(shape), max_pixels=20_000)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError, TypeError)):
        loaded.signatures["stylize"](
            content_image=tf.zeros(shape), style_image=tf.zeros([1, 50, 50, 3])
        )


def test_bytes_that_are_no_picture_are_refused(painter):
    for bad in (b"", b"not a picture", png(CONTENT)[:200]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            painter.run("serving_default", content_bytes=bad, style_bytes=png(STYLE))


OTHER = picture(44, 60, seed=3)
LEFT = np.zeros((64, 64, 3), np.float32)
LEFT[:, :32] = 1
SOFT = in_8_bits(np.tile(np.linspace(0, 1, 90)[None, :, None], (75, 1, 3)))


@pytest.mark.parametrize(
    ("mode", "size"),
    [
        pytest.param("none", 64, marks=pytest.mark.slow),
        ("luminance", 48),
        ("histogram", 48),
        ("transport", 48),
    ],
)
def test_several_styles_give_what_python_gives(painter, mode, size):
    outputs = painter.run(
        "blend",
        content_bytes=png(CONTENT),
        style_bytes=[png(STYLE), png(OTHER), png(STYLE)],
        style_weights=[1, 2, 0.5],
        style_scales=[1, 0.5, 1.2],
        mask_bytes=[b"", png(SOFT), b""],
        region_bytes=[png(LEFT), b"", b""],
        preserve_color=mode,
        size=size,
    )
    style, other = in_8_bits(STYLE), in_8_bits(OTHER)
    blend = [
        tfnst.StyleImage(image=style, region=LEFT),
        tfnst.StyleImage(image=other, weight=2, scale=0.5, mask=SOFT),
        tfnst.StyleImage(image=style, weight=0.5, scale=1.2),
    ]
    settings = {"preserve_color": mode, "size": size}
    expected = tfnst.stylize(in_8_bits(CONTENT), blend, config=CONFIG, **settings)
    assert_gives(outputs, expected)


@pytest.mark.parametrize("mask", [None, SOFT])
def test_a_style_of_one_part_gives_what_python_gives(painter, mask):
    region = b"" if mask is None else png(mask)
    outputs = painter.run(
        "blend",
        content_bytes=png(CONTENT),
        style_bytes=[png(STYLE), png(OTHER)],
        region_bytes=[region],  # one for both
    )
    blend = [
        tfnst.StyleImage(image=in_8_bits(image), region=mask)
        for image in (STYLE, OTHER)
    ]
    expected = tfnst.stylize(in_8_bits(CONTENT), blend, config=CONFIG)
    assert_gives(outputs, expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"content_bytes": b"x"}, "`content_bytes` must be an image file"),
        ({"style_bytes": []}, "`style_bytes` must be from 1 to 8 image files. "),
        ({"style_bytes": [b"x"] * 9}, "must be from 1 to 8 image files. Rec"),
        ({"style_bytes": [b"x"]}, "`style_bytes` must be an image file"),
        ({"style_weights": [1, 1, 1]}, "1 value or as many as `style_bytes`. Rec"),
        *[
            (
                {"style_weights": [1, weight]},
                "`style_weights` must be numbers from 1e-06 to 1e+06. Rec",
            )
            for weight in (0, np.nan, 9e-7, 1.1e6, 3e38)
        ],
        ({"style_scales": [1, 5]}, "`style_scales` must be numbers from 0.1 to 4."),
        ({"style_scales": [3]}, "`style_scales` times `size` must be at most 96. "),
        ({"mask_bytes": [b"x", b""]}, "`mask_bytes` must be an image file"),
        ({"region_bytes": [b"x"]}, "`region_bytes` must be an image file"),
        ({"region_bytes": [png(LEFT * 0)]}, "must have something white in it, to show"),
        ({"preserve_color": "all"}, "must be one of none, luminance, histogram, tra"),
    ],
)
def test_bad_styles_are_refused(painter, inputs, message):
    given = {"content_bytes": png(CONTENT), "style_bytes": [png(STYLE), png(OTHER)]}
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        painter.run("blend", **{**given, **inputs})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("serving_default", marks=pytest.mark.slow),
        "stylize",
        pytest.param("blend", marks=pytest.mark.slow),
    ],
)
def test_warm_up_requests_run(base, served, signature):
    path = base / "1" / warmup.WARMUP
    requests = {}
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        requests[request.model_spec.signature_name] = request.inputs
    assert list(requests) == ["serving_default", "stylize", "blend"]
    inputs = requests[signature].items()
    outputs = served.run(
        signature, **{name: tf.make_ndarray(value) for name, value in inputs}
    )
    assert np.isfinite(outputs["total_loss"]).all()


def test_only_operations_that_servers_know(base):
    assert_only_known_operations(base / "1")


def test_versions(tmp_path):
    made = []

    def write(folder):
        made.append(folder)
        (folder / "saved_model.pb").write_bytes(b"")

    for version, name in ((None, "1"), (7, "7"), (None, "8")):
        assert saved_model.write_version(tmp_path, version, write).name == name
    with pytest.raises(ValueError, match=r"^`version` must be .* Received: 7$"):
        tfnst.export_saved_model(tmp_path, config=TINY, version=7)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "7", "8"]
    # Written under names that servers ignore.
    assert all(not folder.name.isdecimal() for folder in made)


def test_a_failed_export_leaves_nothing(tmp_path):
    def fill(folder):
        (folder / "saved_model.pb").write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        saved_model.write_version(tmp_path, None, fill)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"version": 0},
            f"`version` must be an integer from 1 to {2**63 - 1}. Received: 0",
        ),
        (
            {"version": "1"},
            f"`version` must be an integer from 1 to {2**63 - 1}. Received: '1'",
        ),
        (
            {"max_steps": 5},
            "`max_steps` must be an integer from 6 to 100000. Received: 5",
        ),
        (
            {"max_size": 47},
            "`max_size` must be an integer from 48 to 16384. Received: 47",
        ),
        (
            {"max_pixels": 10**9},
            "`max_pixels` must be an integer from 256 to 89478485. "
            "Received: 1000000000",
        ),
        (
            {"max_memory": 0},
            "`max_memory` must be a number of GiB above 0. Received: 0",
        ),
        (
            {"config": TINY.replace(max_memory=4)},
            "`max_memory` must be None for an export: it paints without tiles; "
            "`max_memory` of the export itself bounds the memory of a request. "
            "Received: 4.0",
        ),
        (
            {"patience": 4},
            "`patience` must be None for an export: every run takes all of its steps. "
            "Received: 4",
        ),
        (
            {"max_time": "1m"},
            "`max_time` must be None for an export: every run takes all of its steps. "
            "Received: 60.0",
        ),
        (
            {"init_image": "given"},
            "`init_image` must be 'content', 'style' or 'noise' for an export: "
            "requests have no picture to start from. Received: 'given'",
        ),
    ],
)
def test_bad_settings_are_named(tmp_path, settings, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared below)
        tfnst.export_saved_model(tmp_path, **{"config": TINY, **settings})
    assert str(caught.value) == message


def test_settings_say_whether_they_are_exported_and_requested():
    assert {*requests.REFUSALS, "device"} == (
        set(setting_names()) - set(setting_names("exported"))
    )
    sent = {each.name for each in requests.setting_inputs(TINY)}
    # `preserve_color` is an input of one signature; the weights follow from the other.
    assert sent | {"preserve_color", "style_strength"} == set(
        setting_names("requested")
    )


# Other configurations: each is an export of its own.


@pytest.fixture
def export(tmp_path):
    """Exports a configuration with some of the signatures, which takes less time."""

    def export(config, *names):
        saved_model.write_model(model_of(config), tmp_path / "1", names)
        assert_only_known_operations(tmp_path / "1")
        return Session(tmp_path / "1")

    yield export
    free_memory()


NEIGHBORS = {
    # At a stride of 4, where `"neighbors"` begins to differ from `"moments"`.
    "style_loss": "neighbors",
    "style_layers": ("block1_conv1", "block3_conv1"),
    "style_layer_weights": (1, 1),
    "content_layers": ("block3_conv1",),
}
LBFGS = {"optimizer": "lbfgs", "init_image": "noise", "style_scale": 1.5}
# All that is unlike TINY.
ALL = NEIGHBORS | LBFGS | {"preserve_color": "luminance", "seamless": True}
EACH = {
    "neighbours": NEIGHBORS,
    "lbfgs": LBFGS | {"initial_steps": None},  # The first scale takes four.
    "seamless": {"seamless": True},
    "seamless style": {"seamless": True, "init_image": "style"},
    "luminance": {"preserve_color": "luminance"},
    "histogram": {"preserve_color": "histogram"},
    "transport": {"preserve_color": "transport"},
}


@pytest.mark.parametrize("settings", [ALL, *EACH.values()], ids=["all", *EACH])
@pytest.mark.slow
def test_other_settings_give_what_python_gives(export, settings):
    config = CONFIG.replace(**settings)
    assert_paints_as_python(export(config, "stylize"), config, sizes=(32, 47))


def test_other_settings_give_what_python_gives_unexported():
    config = CONFIG.replace(**ALL)
    assert_paints_as_python(Unexported(model_of(config)), config, sizes=[47])


def assert_paints_as_python(served, config, sizes):
    contents = np.stack([CONTENT, 1 - CONTENT**2])
    for size in sizes:
        outputs = served.run(
            "stylize", content_image=contents, style_image=STYLE[None], size=size
        )
        for i, content in enumerate(contents):
            expected = tfnst.stylize(content, STYLE, config=config, size=size)
            assert_gives(outputs, expected, i)


@pytest.mark.slow
def test_neighbours_of_several_styles_are_those_of_python(export):
    config = CONFIG.replace(**NEIGHBORS)
    served = export(config, "blend")
    outputs = served.run(
        "blend",
        content_bytes=png(CONTENT),
        style_bytes=[png(STYLE), png(OTHER), png(STYLE)],
        style_weights=[1, 2, 0.5],
        mask_bytes=[b"", png(SOFT), b""],
        region_bytes=[png(LEFT), b"", b""],
    )
    style, other = in_8_bits(STYLE), in_8_bits(OTHER)
    blend = [
        tfnst.StyleImage(image=style, region=LEFT),
        tfnst.StyleImage(image=other, weight=2, mask=SOFT),
        tfnst.StyleImage(image=style, weight=0.5),
    ]
    expected = tfnst.stylize(in_8_bits(CONTENT), blend, config=config)
    assert_gives(outputs, expected)
    moments = tfnst.stylize(
        in_8_bits(CONTENT), blend, config=config, style_loss="moments"
    )
    assert expected.losses["style"][-1] > moments.losses["style"][-1] + 0.1
