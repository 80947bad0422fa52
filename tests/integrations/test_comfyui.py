"""The nodes of ComfyUI, driven as ComfyUI does: by what their classes say of them."""

import importlib.util
import json
import math
import re
import sys
import types

import numpy as np
import pytest

import tfnst
from tests.helpers import ROOT, TINY, message, picture
from tests.training.helpers import untrained
from tfnst.config import PRESETS, StyleTransferConfig, setting_names
from tfnst.studio.form import HOST_SETTINGS

PACK = ROOT / "integrations" / "comfyui"
TINY_SETTINGS = {
    name: getattr(TINY, name)
    for name in (
        *("weights", "precision", "content_layers", "style_layers"),
        *("min_size", "initial_steps"),
    )
}
CONTENT, OTHER = picture(32, 48, seed=1), picture(32, 48, seed=2)
STYLE, SECOND = picture(40, 40, seed=3), picture(40, 40, seed=4)
LEFT = np.zeros((32, 48), np.float32)
LEFT[:, :24] = 1


class Tensor:
    """As much of `torch.Tensor` as the nodes use."""

    def __init__(self, array):
        self._array = array

    @property
    def shape(self):
        return self._array.shape

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Tensor(self._array.astype(np.float32))

    def numpy(self):
        return self._array

    def new_tensor(self, array):
        return Tensor(np.array(array, self._array.dtype))


@pytest.fixture(params=["stand-in", pytest.param("torch", marks=pytest.mark.slow)])
def tensor(request):
    """Makes a tensor of pictures: torch's where it is installed, and one like it."""
    if request.param == "torch":
        torch = pytest.importorskip("torch")
        return lambda *pictures: torch.from_numpy(np.stack(pictures))
    return lambda *pictures: Tensor(np.stack(pictures))


class Interrupted(BaseException):
    """In place of ComfyUI's exception."""


class Comfy:
    """What the nodes use of ComfyUI, with a record of it.

    Attributes:
        shown: what progress bars showed: (value, total, preview).
        interrupt_after: how often progress is shown before somebody interrupts.
    """

    def __init__(self):
        self.shown = []
        self.interrupt_after = math.inf

    def modules(self):
        """The modules that the nodes import."""
        comfy = types.ModuleType("comfy")
        comfy.utils = types.ModuleType("comfy.utils")
        comfy.utils.ProgressBar = self._bar
        comfy.model_management = types.ModuleType("comfy.model_management")
        comfy.model_management.throw_exception_if_processing_interrupted = self._check
        return {
            "comfy": comfy,
            "comfy.utils": comfy.utils,
            "comfy.model_management": comfy.model_management,
        }

    def _bar(self, total):
        def update_absolute(value, total, preview):
            self.shown.append((value, total, preview))

        return types.SimpleNamespace(total=total, update_absolute=update_absolute)

    def _check(self):
        if len(self.shown) >= self.interrupt_after:
            raise Interrupted


def load_pack(monkeypatch):
    """Imports the pack from its folder, as ComfyUI does."""
    spec = importlib.util.spec_from_file_location(str(PACK), PACK / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, str(PACK), module)
    monkeypatch.delitem(sys.modules, f"{PACK}.nodes", raising=False)
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def comfy(monkeypatch):
    """ComfyUI, as far as the nodes know it."""
    fake = Comfy()
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


@pytest.fixture
def pack(comfy, monkeypatch):
    return load_pack(monkeypatch)


def execute(pack, name, **given):
    """Runs a node with its widgets' defaults, apart from what is given."""
    node = pack.NODE_CLASS_MAPPINGS[name]
    inputs = node.INPUT_TYPES()
    assert set(given) <= set(inputs["required"]) | set(inputs.get("optional", {}))
    values = {
        key: about["default"]
        for key, (_, about) in inputs["required"].items()
        if "default" in about
    }
    results = getattr(node(), node.FUNCTION)(**values | given)
    assert len(results) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    return results[0]


def stylize(pack, content, style, **given):
    given = {"size": 48, "steps": 3, "settings": TINY_SETTINGS} | given
    return execute(
        pack, "TfnstStylize", content_image=content, style_image=style, **given
    )


def painted(content, style, **settings):
    """What `tfnst.stylize` paints with the settings of `stylize`."""
    return tfnst.stylize(content, style, config=TINY, steps=3, **settings).array


def test_every_node_says_what_comfyui_asks(pack):
    assert set(pack.NODE_CLASS_MAPPINGS) == set(pack.NODE_DISPLAY_NAME_MAPPINGS)
    made = {"IMAGE", "MASK"}
    for node in pack.NODE_CLASS_MAPPINGS.values():
        assert callable(getattr(node, node.FUNCTION))
        assert node.CATEGORY == "tfnst"
        assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
        made |= set(node.RETURN_TYPES)
    for node in pack.NODE_CLASS_MAPPINGS.values():
        inputs = node.INPUT_TYPES()
        # It goes to the browser as JSON, which knows no infinity.
        json.dumps(inputs, allow_nan=False)
        for kind, about in (
            each for group in inputs.values() for each in group.values()
        ):
            assert about["tooltip"]
            if isinstance(kind, list):
                assert about["default"] in kind
            elif kind in ("INT", "FLOAT"):
                assert about["min"] <= about["default"] <= about["max"]
            elif kind == "STRING":
                assert isinstance(about["default"], str)
            else:
                assert kind in made
                assert "default" not in about


def test_settings_are_those_of_the_config(pack):
    nodes = pack.NODE_CLASS_MAPPINGS
    required = nodes["TfnstStylize"].INPUT_TYPES()["required"]
    others = nodes["TfnstSettings"].INPUT_TYPES()["required"]
    widgets = {k: v for k, v in (required | others).items() if k in setting_names()}
    assert sorted(widgets) == sorted(set(setting_names()) - set(HOST_SETTINGS))
    assert not set(required) & set(others)
    assert required["preset"] == (
        list(PRESETS),
        {"default": "balanced", "tooltip": required["preset"][1]["tooltip"]},
    )
    kind, about = required["style_strength"]
    assert (kind, about["default"], about["min"], about["max"]) == ("FLOAT", 0.5, 0, 1)
    assert required["preserve_color"][0] == [
        *("none", "luminance", "histogram", "transport")
    ]
    kind, about = required["size"]
    assert (kind, about["default"], about["min"], about["max"]) == ("INT", 0, 0, 16384)
    kind, about = required["seed"]
    assert (kind, about["max"]) == ("INT", 2**31 - 1)
    assert about["control_after_generate"] is False
    kind, about = others["min_size"]
    assert (kind, about["default"], about["min"]) == ("INT", 128, 32)
    assert others["style_layers"][0] == others["patience"][0] == "STRING"


def test_a_picture_is_that_of_stylize(pack, comfy, tensor):
    got = stylize(pack, tensor(CONTENT), tensor(STYLE), style_strength=0.8, seed=7)
    assert tuple(got.shape) == (1, 32, 48, 3)
    expected = painted(CONTENT, STYLE, style_strength=0.8, seed=7)
    assert got.numpy().dtype == np.float32
    np.testing.assert_array_equal(got.numpy()[0], expected)


def test_batches_are_painted_one_by_one_with_progress_and_previews(pack, comfy, tensor):
    got = stylize(
        pack, tensor(CONTENT, OTHER), tensor(STYLE), preserve_color="luminance"
    )
    for array, content in zip(got.numpy(), (CONTENT, OTHER), strict=True):
        expected = painted(content, STYLE, preserve_color="luminance")
        np.testing.assert_array_equal(array, expected)
    values = [value for value, _, _ in comfy.shown]
    assert values == sorted(values)
    assert 1000 in values
    assert values[-1] == 2000
    for _, total, (kind, image, longest) in comfy.shown:
        assert (total, kind) == (2000, "JPEG")
        assert max(image.size) <= longest


def test_styles_are_chained_with_weights_scales_and_masks(pack, tensor):
    first = execute(
        pack,
        "TfnstStyle",
        style_image=tensor(SECOND),
        weight=2.0,
        scale=0.5,
        mask=tensor(np.pad(LEFT, ((0, 8), (0, 0)))[:, :40]),
    )
    both = execute(
        pack,
        "TfnstStyle",
        style_image=tensor(OTHER),
        region=tensor(LEFT),
        more_styles=first,
    )
    got = stylize(pack, tensor(CONTENT), tensor(STYLE), more_styles=both)
    styles = [
        tfnst.StyleImage(image=STYLE),
        tfnst.StyleImage(
            image=SECOND,
            weight=2.0,
            scale=0.5,
            mask=np.pad(LEFT, ((0, 8), (0, 0)))[:, :40],
        ),
        tfnst.StyleImage(image=OTHER, region=LEFT),
    ]
    np.testing.assert_array_equal(got.numpy()[0], painted(CONTENT, styles))


def test_a_region_is_painted_and_the_rest_stays(pack, tensor):
    got = stylize(pack, tensor(CONTENT), tensor(STYLE, SECOND), region=tensor(LEFT))
    styles = [
        tfnst.StyleImage(image=each, weight=0.5, region=LEFT)
        for each in (STYLE, SECOND)
    ]
    np.testing.assert_array_equal(got.numpy()[0], painted(CONTENT, styles))
    np.testing.assert_allclose(got.numpy()[0, :, 24:], CONTENT[:, 24:], atol=1e-6)
    assert np.abs(got.numpy()[0, :, :24] - CONTENT[:, :24]).mean() > 0.01


def test_each_picture_can_have_a_region_of_its_own(pack, tensor):
    right = 1 - LEFT
    regions = tensor(LEFT, right)
    got = stylize(pack, tensor(CONTENT, OTHER), tensor(STYLE), region=regions)
    for array, content, region in zip(
        got.numpy(), (CONTENT, OTHER), (LEFT, right), strict=True
    ):
        style = tfnst.StyleImage(image=STYLE, region=region)
        np.testing.assert_array_equal(array, painted(content, style))


def test_a_preset_sets_what_is_left_at_0(pack, monkeypatch):
    seen = {}

    def fake(content, styles, *, preset, callback, **settings):
        seen.update(settings, preset=preset)
        return types.SimpleNamespace(array=content)

    monkeypatch.setattr(tfnst, "stylize", fake)
    one = Tensor(CONTENT[np.newaxis])
    stylize(pack, one, one, preset="poster", size=0, steps=0, settings=None)
    assert seen == {
        "preset": "poster",
        "style_strength": 0.5,
        "preserve_color": "none",
        "seed": 0,
    }
    stylize(pack, one, one, preset="poster", size=640, settings={"patience": 5})
    assert (seen["size"], seen["steps"], seen["patience"]) == (640, 3, 5)


def test_the_settings_node_gives_what_differs_from_the_defaults(pack):
    assert execute(pack, "TfnstSettings") == {}
    settings = execute(
        pack, "TfnstSettings", style_layers="block1_conv1, block2_conv1", patience="12"
    )
    assert settings == {
        "style_layers": ("block1_conv1", "block2_conv1"),
        "patience": 12,
    }
    text = message(ValueError, execute, pack, "TfnstSettings", learning_rate=0.0)
    assert text == (
        "`learning_rate` must be a number above 0 and at most 1. Received: 0.0"
    )
    values = execute(pack, "TfnstSettings", optimizer="lbfgs", initial_steps="")
    assert values == {"optimizer": "lbfgs"}
    StyleTransferConfig(**values)


def test_recolor_does_what_tfnst_does(pack, tensor):
    got = execute(
        pack,
        "TfnstRecolor",
        painted_image=tensor(STYLE[:32], SECOND[:32]),
        content_image=tensor(CONTENT[:, :40]),
        mask=tensor(LEFT[:, :40]),
    )
    for array, picture_ in zip(got.numpy(), (STYLE, SECOND), strict=True):
        expected = tfnst.recolor(picture_[:32], CONTENT[:, :40], mask=LEFT[:, :40])
        np.testing.assert_array_equal(array, expected.array)


def test_a_network_paints_at_once(pack, comfy, tensor, tmp_path):
    path = tmp_path / "waves.keras"
    untrained().save(path)
    given = {"content_image": tensor(CONTENT, OTHER), "size": 64}
    got = execute(
        pack, "TfnstPaintAtOnce", network=str(path), preserve_color="luminance", **given
    )
    for each, content in zip(got.numpy(), (CONTENT, OTHER), strict=True):
        expected = tfnst.stylize(content, path, size=64, preserve_color="luminance")
        np.testing.assert_allclose(each, expected.array, atol=1e-6)
    assert comfy.shown == [(1, 2, None), (2, 2, None)]
    text = message(ValueError, execute, pack, "TfnstPaintAtOnce", network="x", **given)
    assert text.startswith("`network` must be a file, or the name of a built-in style")


def test_an_interrupted_run_stops(pack, comfy, tensor):
    comfy.interrupt_after = 1
    with pytest.raises(Interrupted):
        stylize(pack, tensor(CONTENT, OTHER), tensor(STYLE), steps=5000)
    # It ended at the next look, long before the end of the first picture.
    assert len(comfy.shown) == 1
    assert comfy.shown[0][0] < 1000


def test_nothing_is_painted_after_an_interruption(pack, comfy, monkeypatch):
    comfy.interrupt_after = 0
    monkeypatch.setattr(tfnst, "stylize", None)
    monkeypatch.setattr(tfnst, "recolor", None)
    one = Tensor(CONTENT[np.newaxis])
    with pytest.raises(Interrupted):
        stylize(pack, one, one)
    with pytest.raises(Interrupted):
        execute(pack, "TfnstRecolor", painted_image=one, content_image=one)


def test_values_that_stray_a_little_are_clipped(pack, tensor):
    strayed = tensor(CONTENT * 1.2 - 0.1)
    got = stylize(pack, strayed, tensor(STYLE))
    expected = painted(np.clip(CONTENT * 1.2 - 0.1, 0, 1).astype(np.float32), STYLE)
    np.testing.assert_array_equal(got.numpy()[0], expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"size": 5},
            "`size` must be an integer from 32 to 16384. Received: 5",
        ),
        (
            {"region": Tensor(np.zeros((1, 32, 48), np.float32))},
            "`region` must have",
        ),
        (
            {"region": Tensor(np.ones((3, 32, 48), np.float32))},
            "`region` must have one picture, to go with `content_image`. "
            "Received: a batch of 3",
        ),
        (
            {"style_image": Tensor(STYLE)},
            "`style_image` must be an IMAGE: [batch, height, width, channels]. "
            "Received: a tensor of shape [40, 40, 3]",
        ),
        (
            {"content_image": Tensor(np.full((1, 32, 48, 3), np.nan, np.float32))},
            "`content_image` must be finite. Received: float32 array of shape "
            "[32, 48, 3] with NaN or infinite values",
        ),
    ],
)
def test_errors_name_the_input(pack, given, expected):
    inputs = {
        "content": Tensor(CONTENT[np.newaxis]),
        "style": Tensor(STYLE[np.newaxis]),
    }
    for name in ("content", "style"):
        if f"{name}_image" in given:
            inputs[name] = given[f"{name}_image"]
    rest = {k: v for k, v in given.items() if not k.endswith("_image")}
    text = message(ValueError, stylize, pack, *inputs.values(), **rest)
    assert text.startswith(expected)


def test_errors_of_masks_and_photos_name_the_input(pack):
    one, three = Tensor(CONTENT[np.newaxis]), Tensor(np.stack([CONTENT] * 3))
    text = message(
        ValueError,
        execute,
        pack,
        "TfnstRecolor",
        painted_image=three,
        content_image=Tensor(np.stack([CONTENT] * 2)),
    )
    assert text == (
        "`content_image` must have one picture or 3, to go with `painted_image`. "
        "Received: a batch of 2"
    )
    mask = Tensor(np.ones((2, 40, 40), np.float32))
    text = message(ValueError, execute, pack, "TfnstStyle", style_image=one, mask=mask)
    assert text.startswith("`mask` must have one picture, to go with `style_image`.")


def test_it_works_without_comfyui(monkeypatch):
    for name in ("comfy", "comfy.utils", "comfy.model_management"):
        monkeypatch.setitem(sys.modules, name, None)
    pack = load_pack(monkeypatch)
    got = stylize(pack, Tensor(CONTENT[np.newaxis]), Tensor(STYLE[np.newaxis]))
    np.testing.assert_array_equal(got.numpy()[0], painted(CONTENT, STYLE))


def test_the_files_for_the_registry_fit_each_other():
    project = (PACK / "pyproject.toml").read_text("utf-8")
    (required,) = re.findall(r"^dependencies = (\[.*\])$", project, re.MULTILINE)
    assert json.loads(required) == (PACK / "requirements.txt").read_text().split()
    (version,) = re.findall(r'^version = "(.*)"$', project, re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert re.search(r"^\[tool\.comfy\]$", project, re.MULTILINE)


def test_the_readme_lists_the_nodes(pack):
    text = (PACK / "README.md").read_text("utf-8")
    for name in pack.NODE_DISPLAY_NAME_MAPPINGS.values():
        assert f"**{name}**" in text
