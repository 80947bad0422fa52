import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFilter

import tfnst
from tests.helpers import SAMPLES, picture, real_vgg19
from tfnst.cli import command
from tfnst.evaluation import evaluation
from tfnst.images import reading, writing
from tfnst.networks import vgg, weight_sources

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
# Two blocks of a seeded random network.
TINY = {
    "weights": None,
    "layers": ("block1_conv2", "block2_conv2"),
    "resolutions": (64, 32),
}
STYLE_MEASURES = ("style_gram", "style_swd", "color_swd")
CONTENT_MEASURES = ("content_cosine", "content_self_similarity")


@pytest.fixture(scope="module")
def content_result():
    """The content evaluated as if it were painted."""
    return tfnst.evaluate(CONTENT, STYLE, CONTENT, **TINY)


def values(result):
    return {name: getattr(result, name) for name in result.measures()}


def test_the_content_is_at_no_distance_from_the_content(content_result):
    result = content_result
    assert isinstance(result, tfnst.Evaluation)
    for name in CONTENT_MEASURES:
        assert getattr(result, name) == 0
    for name in STYLE_MEASURES:
        assert getattr(result, name) > 0.05
    assert result.clipped == 0
    assert result.layers == ("block1_conv2", "block2_conv2")
    assert result.resolutions == (64, 32)
    assert result.backbone == "vgg19"
    assert len(result.weights.sha256) == 64


def test_measures_of_ones_own(content_result):
    def darker(content, style, stylized):
        return content.mean() - stylized.mean()

    result = tfnst.evaluate(
        CONTENT, STYLE, CONTENT / 2, **TINY, own_measures={"darker": darker}
    )
    assert result.own["darker"] == pytest.approx(CONTENT.mean() / 2, rel=1e-3)
    assert result.to_dict()["darker"] == result.own["darker"]
    assert "own" not in content_result.to_dict()
    for bad in ({"border": darker}, {"darker": 3}):
        with pytest.raises(ValueError, match=r"^`own_measures` must be functions by"):
            tfnst.evaluate(CONTENT, STYLE, CONTENT, **TINY, own_measures=bad)


def test_the_style_is_at_no_distance_from_the_style():
    result = tfnst.evaluate(STYLE, STYLE, STYLE, **TINY | {"resolutions": (32,)})
    for name in STYLE_MEASURES + CONTENT_MEASURES:
        assert getattr(result, name) == 0
    assert result.high_frequency == 1
    other = tfnst.evaluate(CONTENT, STYLE, picture(60, 80, seed=3), **TINY)
    for name in STYLE_MEASURES + CONTENT_MEASURES:
        assert getattr(other, name) > 0.05


def test_the_same_call_gives_the_same_numbers(content_result):
    assert tfnst.evaluate(CONTENT, STYLE, CONTENT, **TINY) == content_result


def test_a_mirrored_style_is_the_same_style(content_result):
    one = content_result
    other = tfnst.evaluate(CONTENT, STYLE[:, ::-1], CONTENT, **TINY)
    # Not by the network, which can tell left from right.
    assert one.color_swd == pytest.approx(other.color_swd, rel=1e-5)
    assert one.high_frequency == pytest.approx(other.high_frequency, rel=1e-5)


def test_grain_clipping_and_frames_are_seen():
    smooth = np.asarray(
        Image.fromarray(np.uint8(STYLE * 255)).resize((80, 60)), np.float32
    )
    smooth = smooth / 255 * 0.8 + 0.1
    grainy = smooth + np.random.default_rng(0).normal(0, 0.15, smooth.shape)
    grainy = np.clip(grainy, 0, 1).astype(np.float32)
    framed = smooth.copy()
    framed[:2] = framed[-2:] = framed[:, :2] = framed[:, -2:] = 0.1
    plain, rough, frame = (
        tfnst.evaluate(CONTENT, smooth, p, **TINY) for p in (smooth, grainy, framed)
    )
    assert plain.high_frequency == pytest.approx(1)
    assert rough.high_frequency > 3
    assert plain.clipped == 0 < rough.clipped
    assert frame.border > 1.5 * plain.border


def test_pictures_of_all_sizes_are_comparable(content_result):
    large = np.asarray(
        Image.fromarray(np.uint8(CONTENT * 255)).resize((160, 120)), np.float32
    )
    other = tfnst.evaluate(CONTENT, STYLE, large / 255, **TINY)
    for name in STYLE_MEASURES:
        expected = getattr(content_result, name)
        assert getattr(other, name) == pytest.approx(expected, rel=0.15)


def test_resolutions_above_the_pictures_own_are_left_out():
    small = CONTENT[::2, ::2]
    assert tfnst.evaluate(CONTENT, STYLE, small, **TINY).resolutions == (32,)
    tiny = TINY | {"resolutions": (64, 48)}
    assert tfnst.evaluate(CONTENT, STYLE, small, **tiny).resolutions == (40,)


def named_arrays(arrays):
    """Weights by the keys of a weight file of NumPy's."""
    return {
        f"{layer}__{part}": array
        for layer, pair in arrays.items()
        for part, array in zip(("kernel", "bias"), pair, strict=True)
    }


def test_the_layers_that_weights_lack_are_left_out(tmp_path):
    weights = tmp_path / "to_block4_conv1.npz"
    names = vgg.layer_names("vgg19")
    names = names[: names.index("block4_conv1") + 1]
    np.savez(weights, **named_arrays(vgg.random_arrays(vgg.kernel_shapes(names), 1)))
    result = tfnst.evaluate(CONTENT, STYLE, CONTENT, weights=weights)
    assert result.layers == evaluation.LAYERS[:3]
    assert result.weights.path == str(weights)
    with pytest.raises(ValueError, match=r"block4_conv3"):
        tfnst.evaluate(CONTENT, STYLE, CONTENT, weights=weights, layers="block4_conv3")


def test_weights_that_change_are_loaded_anew(tmp_path, monkeypatch):
    shapes = vgg.kernel_shapes(vgg.layer_names("vgg19")[:2])

    def evaluate(path, seed):
        arrays = vgg.random_arrays(shapes, seed)
        np.savez(path, **named_arrays(arrays))
        monkeypatch.setenv(weight_sources.WEIGHTS_VARIABLE, str(path))
        return tfnst.evaluate(CONTENT, STYLE, CONTENT, resolutions=(32,))

    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    first = evaluate(one, seed=1)
    assert first.layers == ("block1_conv2",)
    assert first.weights.source == weight_sources.WEIGHTS_VARIABLE
    assert evaluate(other, seed=2).style_gram != first.style_gram
    assert evaluate(one, seed=2).style_gram != first.style_gram
    assert evaluate(one, seed=1) == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"content_image": "no.png"}, r"^`content_image` "),
        ({"style_image": 7}, r"^`style_image` "),
        (
            {"stylized_image": CONTENT[None].repeat(2, 0)},
            r"^`stylized_image` must be o",
        ),
        (
            {"stylized_image": CONTENT.transpose(1, 0, 2)},
            r"^`stylized_image` must have the content image's shape, 80:60, at any "
            r"size\. Received: a picture of 60x80 pixels$",
        ),
        ({"resolutions": (8,)}, r"^`resolutions` must be integers .* \(8,\)$"),
        ({"resolutions": ()}, r"^`resolutions` "),
        ({"resolutions": (64.5,)}, r"^`resolutions` "),
        ({"resolutions": 64}, r"^`resolutions` "),
        (
            {"backbone": "alexnet"},
            r"^`backbone` must be one of 'vgg19', 'vgg16'\. Received: 'alexnet'$",
        ),
        ({"layers": ("block1_conv9",)}, r"block1_conv9"),
        ({"layers": 3}, r"^`layers` must be one or more different layer names"),
        ({"seed": 10**400}, r"^`seed` must be an integer from 0 to 2147483647\. "),
        (
            {"style_image": picture(20, 900), "layers": ("block4_conv1",)},
            r"^`style_image` must be a picture whose short side has 8 pixels or more "
            r"at every resolution\. Received: a picture of 900x20 pixels, which has 1 "
            r"at 32$",
        ),
        (
            {"stylized_image": picture(60, 1400), "content_image": picture(30, 700)},
            r"^`stylized_image` must be a picture whose short side has 2 pixels or "
            r"more at every resolution\. Received: a picture of 1400x60 pixels, which "
            r"has 1 at 32$",
        ),
    ],
)
def test_arguments_are_checked_by_name(changes, message):
    arguments = {
        "content_image": CONTENT,
        "style_image": STYLE,
        "stylized_image": CONTENT,
        **TINY,
        **changes,
    }
    pictures = [
        arguments.pop(f"{kind}_image") for kind in ("content", "style", "stylized")
    ]
    with pytest.raises((ValueError, OSError), match=message):
        tfnst.evaluate(*pictures, **arguments)


def test_to_dict_is_json(content_result):
    result = content_result
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["layers"] == list(result.layers)
    assert plain["weights"]["sha256"] == result.weights.sha256
    assert {name: plain[name] for name in result.measures()} == values(result)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    tfnst.save_image(CONTENT, tmp_path / "content.png")
    tfnst.save_image(STYLE, tmp_path / "style.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_prints_what_python_gives(pictures):
    arguments = ["evaluate", "content.png", "style.png", "content.png"]
    options = ["--weights", "none", "--backbone", "vgg16"]
    done = CliRunner().invoke(command.cli, [*arguments, *options])
    assert done.exit_code == 0, done.output
    expected = tfnst.evaluate(*arguments[1:], weights=None, backbone="vgg16")
    for name, value in values(expected).items():
        assert f"{name:24}{value:9.4f}   " in done.output
    assert "block4_conv3 of vgg16" in done.output

    done = CliRunner().invoke(command.cli, [*arguments, *options, "--json"])
    assert json.loads(done.output) == expected.to_dict()


def test_the_command_says_in_one_line_what_is_wrong(pictures, monkeypatch, capsys):
    arguments = ["evaluate", "content.png", "style.png", "style.png"]
    monkeypatch.setattr(sys, "argv", ["tfnst", *arguments, "--weights", "none"])
    with pytest.raises(SystemExit) as exit_:
        command.main()
    assert exit_.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tfnst: error: `stylized_image` must have the con")
    assert printed.err.count("\n") == 1


@pytest.mark.slow
def test_real_features_order_photo_blurred_photo_and_noise():
    weights = real_vgg19()
    content, style = SAMPLES / "photo_rocket.jpg", SAMPLES / "style_swirls.jpg"
    photo = writing.to_pil(reading.load_image(content)).resize((192, 128))
    painting = writing.to_pil(reading.load_image(style)).resize((192, 128))
    candidates = {
        "photo": photo,
        "blurred": photo.filter(ImageFilter.GaussianBlur(2)),
        "half": Image.blend(photo, painting, 0.5),
        "noise": np.random.default_rng(0).uniform(0, 1, (128, 192, 3)),
        "painting": painting,
    }
    results = {
        name: tfnst.evaluate(content, style, p, weights=weights)
        for name, p in candidates.items()
    }

    def ordered(measure, *names):
        numbers = [getattr(results[name], measure) for name in names]
        assert numbers == sorted(numbers), (measure, names, numbers)

    for measure in CONTENT_MEASURES:
        ordered(measure, "photo", "blurred", "half", "noise")
    for measure in ("style_gram", "style_swd"):
        ordered(measure, "painting", "half", "photo", "blurred")
        ordered(measure, "painting", "half", "noise")
    ordered("color_swd", "painting", "half", "photo")
    ordered("high_frequency", "blurred", "photo", "painting", "noise")
    assert results["photo"].content_cosine < 0.02
    assert results["painting"].style_gram < 0.3
    assert results["painting"].high_frequency == pytest.approx(1, abs=0.4)
