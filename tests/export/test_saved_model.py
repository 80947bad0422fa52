import json
import pathlib
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

import tfnst
from tests.helpers import ROOT, TINY, free_memory, picture
from tfnst.config import setting_names
from tfnst.export import decoding, requests, saved_model, signatures, warmup
from tfnst.export.requests import check_pictures

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
LIMITS = {"max_steps": 50, "max_size": 96, "max_pixels": 20_000}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("models") / "tfnst"
    tfnst.export_saved_model(directory, config=TINY, **LIMITS)
    return directory


class Session:
    """The SavedModel as TensorFlow Serving runs it: feeding and fetching by name."""

    def __init__(self, folder):
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        with self._graph.as_default():
            meta = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self.signatures = meta.signature_def

    def run(self, signature, **inputs):
        definition = self.signatures[signature]
        feeds = {
            info.name: inputs.pop(name)
            if name in inputs
            else tf.make_ndarray(definition.defaults[name])
            for name, info in definition.inputs.items()
        }
        assert not inputs
        fetches = {name: info.name for name, info in definition.outputs.items()}
        return self._session.run(fetches, feeds)


@pytest.fixture(scope="module")
def served(base):
    return Session(base / "1")


def png(array):
    return decoding.encode_png(tf.constant(array[None])).numpy()


def in_8_bits(array):
    """A picture as `png` stores it."""
    return (np.floor(array * 255 + 0.5) / 255).astype(np.float32)


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
    assert manifest["config"] == TINY.to_dict()
    assert manifest["limits"] == LIMITS
    assert manifest["backbone"] == "vgg19"
    assert len(manifest["weights"]["sha256"]) == 64


def test_signatures_and_their_defaults(served):
    settings = {
        name: {**TINY.to_dict(), **TINY.loss_weights()}[name]
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


@pytest.mark.parametrize("size", [48, 64])
def test_gives_what_python_gives(served, size):
    for content, style in ((CONTENT, STYLE), (STYLE, 1 - CONTENT)):
        settings = {"size": size, "style_weight": 20.0, "steps": 5}
        outputs = served.run(
            "stylize", content_image=content[None], style_image=style[None], **settings
        )
        expected = tfnst.stylize(content, style, config=TINY, **settings)
        np.testing.assert_allclose(
            outputs["stylized_image"][0], expected.array, atol=1 / 255
        )
        row = expected.losses[-1]
        for name in ("content", "style", "total"):
            np.testing.assert_allclose(outputs[f"{name}_loss"], [row[name]], rtol=1e-3)


@pytest.fixture
def only_stylize(monkeypatch):
    """Exports hold that signature alone, which takes a third of the time."""
    build = signatures.build_signatures
    monkeypatch.setattr(
        saved_model,
        "build_signatures",
        lambda model: {"stylize": build(model)["stylize"]},
    )
    yield
    free_memory()


@pytest.mark.usefixtures("only_stylize")
def test_lbfgs_and_noise_give_what_python_gives(tmp_path):
    config = TINY.replace(
        optimizer="lbfgs", init_image="noise", initial_steps=None, style_scale=1.5
    )
    served = Session(tfnst.export_saved_model(tmp_path, config=config, steps=4))
    for size in (48, 64):
        outputs = served.run(
            "stylize", content_image=CONTENT[None], style_image=STYLE[None], size=size
        )
        expected = tfnst.stylize(CONTENT, STYLE, config=config, steps=4, size=size)
        np.testing.assert_allclose(
            outputs["stylized_image"][0], expected.array, atol=1 / 255
        )


@pytest.mark.usefixtures("only_stylize")
@pytest.mark.parametrize("mode", ["luminance", "histogram", "transport"])
def test_kept_colours_are_those_that_python_keeps(tmp_path, mode):
    folder = tfnst.export_saved_model(tmp_path, config=TINY, preserve_color=mode)
    assert_only_known_operations(folder)
    served = Session(folder)
    contents = np.stack([CONTENT, 1 - CONTENT**2])
    for size in (48, 64):
        outputs = served.run(
            "stylize", content_image=contents, style_image=STYLE[None], size=size
        )
        for i, content in enumerate(contents):
            expected = tfnst.stylize(
                content, STYLE, config=TINY, size=size, preserve_color=mode
            )
            np.testing.assert_allclose(
                outputs["stylized_image"][i], expected.array, atol=1.5 / 255
            )
            row = expected.losses[-1]
            np.testing.assert_allclose(
                outputs["total_loss"][i], row["total"], rtol=1e-3
            )


@pytest.mark.usefixtures("only_stylize")
@pytest.mark.parametrize("start", ["content", "style"])
def test_seamless_pictures_are_those_of_python(tmp_path, start):
    config = TINY.replace(seamless=True, init_image=start)
    folder = tfnst.export_saved_model(tmp_path, config=config)
    assert_only_known_operations(folder)
    served = Session(folder)
    contents = np.stack([CONTENT, 1 - CONTENT**2])
    for size in (48, 63):
        outputs = served.run(
            "stylize", content_image=contents, style_image=STYLE[None], size=size
        )
        for i, content in enumerate(contents):
            expected = tfnst.stylize(content, STYLE, config=config, size=size)
            difference = np.abs(outputs["stylized_image"][i] - expected.array)
            # Adam makes much of rounding where the first gradient is nearly zero.
            assert np.quantile(difference, 0.998) < 1 / 255
            assert difference.max() < 0.1


def test_encoded_pictures_in_and_out(served, tmp_path):
    outputs = served.run(
        "serving_default", content_bytes=png(CONTENT), style_bytes=png(STYLE)
    )
    expected = tfnst.stylize(png(CONTENT), png(STYLE), config=TINY)
    stylized = tfnst.load_image(outputs["image_bytes"])
    np.testing.assert_allclose(stylized[0], expected.array, atol=1.01 / 255)


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
            np.testing.assert_allclose(
                outputs["stylized_image"][i], alone["stylized_image"][0], atol=1 / 255
            )
            np.testing.assert_allclose(
                outputs["total_loss"][i], alone["total_loss"][0], rtol=1e-3
            )


def test_threads_share_nothing(served):
    calls = [
        {
            "content_image": np.roll(CONTENT, 5 * i, axis=1)[None],
            "style_image": np.roll(STYLE, 3 * i, axis=0)[None],
            "size": 40 + 4 * i,
            "steps": 2 + i,
            "style_weight": 1.0 + i,
        }
        for i in range(8)
    ]
    alone = [served.run("stylize", **call)["stylized_image"] for call in calls]
    results = [None] * len(calls)

    def work(i):
        results[i] = served.run("stylize", **calls[i])["stylized_image"]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, expected in zip(results, alone, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"steps": 0}, "`steps` must be an integer from 1 to 50. Received:] [0]"),
        ({"steps": 51}, "`steps` must be an integer from 1 to 50. Received:] [51]"),
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
            {"content_image": np.zeros([5, 20, 20, 3])},
            "`size` is too large for this number of pictures: together they may have "
            "at most 96^2 pixels. Received:] [5 48]",
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


def test_bytes_that_are_no_picture_are_refused(served):
    for bad in (b"", b"not a picture", png(CONTENT)[:200]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            served.run("serving_default", content_bytes=bad, style_bytes=png(STYLE))


OTHER = picture(44, 60, seed=3)
LEFT = np.zeros((64, 64, 3), np.float32)
LEFT[:, :32] = 1
SOFT = in_8_bits(np.tile(np.linspace(0, 1, 90)[None, :, None], (75, 1, 3)))


@pytest.mark.parametrize("mode", ["none", "luminance", "histogram", "transport"])
@pytest.mark.parametrize("size", [48, 64])
def test_several_styles_give_what_python_gives(served, mode, size):
    outputs = served.run(
        "blend",
        content_bytes=png(CONTENT),
        style_bytes=[png(STYLE), png(OTHER), png(STYLE)],
        style_weights=[1, 2, 0.5],
        style_scales=[1, 0.5, 1.2],
        mask_bytes=[b"", png(SOFT), b""],
        region_bytes=[png(LEFT), b"", b""],
        preserve_color=mode,
        size=size,
        steps=5,
    )
    style, other = in_8_bits(STYLE), in_8_bits(OTHER)
    blend = [
        tfnst.StyleImage(image=style, region=LEFT),
        tfnst.StyleImage(image=other, weight=2, scale=0.5, mask=SOFT),
        tfnst.StyleImage(image=style, weight=0.5, scale=1.2),
    ]
    settings = {"preserve_color": mode, "size": size, "steps": 5}
    expected = tfnst.stylize(in_8_bits(CONTENT), blend, config=TINY, **settings)
    stylized = tfnst.load_image(outputs["image_bytes"])[0]
    np.testing.assert_allclose(stylized, expected.array, atol=1.01 / 255)
    for name in ("content", "style", "total"):
        np.testing.assert_allclose(
            outputs[f"{name}_loss"], [expected.losses[-1][name]], rtol=1e-3
        )


@pytest.mark.parametrize("mask", [None, SOFT])
def test_a_style_of_one_part_gives_what_python_gives(served, mask):
    region = b"" if mask is None else png(mask)
    outputs = served.run(
        "blend",
        content_bytes=png(CONTENT),
        style_bytes=[png(STYLE), png(OTHER)],
        region_bytes=[region],  # one for both
    )
    blend = [
        tfnst.StyleImage(image=in_8_bits(image), region=mask)
        for image in (STYLE, OTHER)
    ]
    expected = tfnst.stylize(in_8_bits(CONTENT), blend, config=TINY)
    stylized = tfnst.load_image(outputs["image_bytes"])[0]
    np.testing.assert_allclose(stylized, expected.array, atol=1.01 / 255)


def test_neighbours_are_those_of_python(tmp_path):
    # At a stride of 4, where `"neighbors"` begins to differ from `"moments"`.
    config = TINY.replace(
        style_loss="neighbors",
        style_layers=("block1_conv1", "block3_conv1"),
        style_layer_weights=(1, 1),
        content_layers=("block3_conv1",),
    )
    folder = tfnst.export_saved_model(tmp_path, config=config, **LIMITS)
    served = Session(folder)
    assert_only_known_operations(folder)
    outputs = served.run(
        "stylize", content_image=CONTENT[None], style_image=STYLE[None], steps=5
    )
    expected = tfnst.stylize(CONTENT, STYLE, config=config, steps=5)
    np.testing.assert_allclose(
        outputs["stylized_image"][0], expected.array, atol=1 / 255
    )
    moments = tfnst.stylize(
        CONTENT, STYLE, config=config, steps=5, style_loss="moments"
    )
    assert expected.losses["style"][-1] > moments.losses["style"][-1] + 0.1
    outputs = served.run(
        "blend",
        content_bytes=png(CONTENT),
        style_bytes=[png(STYLE), png(OTHER), png(STYLE)],
        style_weights=[1, 2, 0.5],
        mask_bytes=[b"", png(SOFT), b""],
        region_bytes=[png(LEFT), b"", b""],
        steps=5,
    )
    style, other = in_8_bits(STYLE), in_8_bits(OTHER)
    blend = [
        tfnst.StyleImage(image=style, region=LEFT),
        tfnst.StyleImage(image=other, weight=2, mask=SOFT),
        tfnst.StyleImage(image=style, weight=0.5),
    ]
    expected = tfnst.stylize(in_8_bits(CONTENT), blend, config=config, steps=5)
    stylized = tfnst.load_image(outputs["image_bytes"])[0]
    np.testing.assert_allclose(stylized, expected.array, atol=1.01 / 255)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"style_bytes": []}, "`style_bytes` must be from 1 to 8 image files. "),
        ({"style_bytes": [b"x"] * 9}, "from 1 to 8 image files. Received:] [9]"),
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
def test_bad_styles_are_refused(served, inputs, message):
    given = {"content_bytes": png(CONTENT), "style_bytes": [png(STYLE), png(OTHER)]}
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        served.run("blend", **{**given, **inputs})
    assert message in str(caught.value)


def test_warm_up_requests_run(base, served):
    path = base / "1" / warmup.WARMUP
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
    names = []
    for record in records:
        request = prediction_log_pb2.PredictionLog.FromString(
            record
        ).predict_log.request
        names.append(request.model_spec.signature_name)
        outputs = served.run(
            names[-1],
            **{name: tf.make_ndarray(value) for name, value in request.inputs.items()},
        )
        assert np.isfinite(outputs["total_loss"]).all()
    assert names == ["serving_default", "stylize", "blend"]


def test_only_operations_that_servers_know(base):
    assert_only_known_operations(base / "1")


def assert_only_known_operations(folder):
    model = saved_model_pb2.SavedModel.FromString(
        (folder / "saved_model.pb").read_bytes()
    )
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    operations = {node.op for node in nodes}
    assert not {o for o in operations if "PyFunc" in o or "Xla" in o}
    # From the oldest release that setup.cfg allows. TensorFlow doesn't promise that an
    # older server can load a newer release's model, but it does know these.
    known = (ROOT / "tests" / "tensorflow_2_18_operations.txt").read_text().split()
    functions = {function.signature.name for function in graph.library.function}
    assert operations - functions <= set(known)
    # Servers have XLA disabled.
    assert not any(f.attr["_XlaMustCompile"].b for f in graph.library.function)
    # No request writes what another reads.
    by_saver = {"AssignVariableOp"}
    outside_saver = {
        node.op
        for function in graph.library.function
        if "restore" not in function.signature.name
        for node in function.node_def
    }
    assert not by_saver & outside_saver


def test_versions(tmp_path, monkeypatch):
    made = []

    def write(model, folder):
        made.append(folder)
        pathlib.Path(folder, "saved_model.pb").write_bytes(b"")

    monkeypatch.setattr(saved_model, "_write", write)
    assert tfnst.export_saved_model(tmp_path, config=TINY).name == "1"
    assert tfnst.export_saved_model(tmp_path, config=TINY, version=7).name == "7"
    assert tfnst.export_saved_model(tmp_path, config=TINY).name == "8"
    with pytest.raises(ValueError, match=r"^`version` must be .* Received: 7$"):
        tfnst.export_saved_model(tmp_path, config=TINY, version=7)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "7", "8"]
    # Written under names that servers ignore.
    assert all(not folder.name.isdecimal() for folder in made)


@pytest.mark.usefixtures("only_stylize")
def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_model, "write_warmup", full)
    with pytest.raises(OSError, match="No space left"):
        tfnst.export_saved_model(tmp_path, config=TINY)
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
            {"max_memory": 4},
            "`max_memory` must be None for an export: it paints without tiles, and "
            "`max_size` bounds its memory. Received: 4.0",
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
        tfnst.export_saved_model(tmp_path, config=TINY, **settings)
    assert str(caught.value) == message


def test_settings_say_whether_they_are_exported_and_requested():
    assert {*requests.REFUSALS, "device"} == set(setting_names(exported=False))
    limits = requests.RequestLimits(max_steps=9, max_size=64, max_pixels=10**6)
    sent = {setting.name for setting in requests.request_settings(TINY, limits)}
    # `preserve_color` is an input of one signature; the weights follow from the other.
    assert sent | {"preserve_color", "style_strength"} == set(
        setting_names(requested=True)
    )
