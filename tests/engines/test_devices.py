"""The choice of devices and of the precision."""

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, needs_bfloat16, picture
from tfnst.engines import devices as devices_module
from tfnst.networks import backbones, features


# TensorFlow asks the processor itself whether oneDNN computes in bfloat16.
@pytest.fixture
def machine(monkeypatch):
    """Pretends to be a machine of some kind."""

    def pretend(*, flags=(), **devices):
        def details(device):
            return {"compute_capability": device} if device else {}

        monkeypatch.setattr(devices_module, "cpu_flags", lambda: flags)
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind: devices.get(kind, [])
        )
        monkeypatch.setattr(tf.config.experimental, "get_device_details", details)

    return pretend


@pytest.mark.parametrize(
    ("machine_is", "expected"),
    [
        ({"flags": ("avx2", "avx512f")}, "float32"),
        ({"flags": ("avx512f", "avx512_bf16")}, "bfloat16"),
        ({"flags": ("amx_bf16",)}, "bfloat16"),
        ({"flags": None}, "float32"),
        ({"TPU": ["tpu"]}, "bfloat16"),
        ({"GPU": [(8, 0), (9, 0)]}, "bfloat16"),
        ({"GPU": [(7, 5), (7, 5)]}, "float32"),
        ({"GPU": [None], "flags": ("avx512_bf16",)}, "float32"),
    ],
)
def test_auto_takes_what_is_fast(machine, machine_is, expected):
    machine(**machine_is)
    assert devices_module.choose_precision() == expected


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken(machine, asked):
    machine(TPU=["tpu"])
    assert devices_module.choose_precision(asked) == asked


@needs_bfloat16
def test_features_in_bfloat16_come_near_those_in_float32():
    model = backbones.load_backbone(
        "vgg16", weights=None, last_layer="block2_conv2"
    ).model
    layers = ("block1_conv1", "block2_conv2")
    image = picture(40, 32)[None]
    full, half = (
        features.build_feature_extractor(model, layers=layers, precision=kind)(image)
        for kind in ("float32", "bfloat16")
    )
    for layer in layers:
        assert half[layer].dtype == tf.bfloat16
        rounded = tf.cast(half[layer], tf.float32)
        error = np.linalg.norm(rounded - full[layer]) / np.linalg.norm(full[layer])
        assert 0 < error < 0.02


@needs_bfloat16
def test_pictures_in_bfloat16_come_near_those_in_float32():
    pictures = picture(40, 48), picture(36, 32, seed=1)
    few = TINY.replace(steps=2, initial_steps=2)
    full, half = (
        tfnst.stylize(*pictures, config=few.replace(precision=kind))
        for kind in ("float32", "bfloat16")
    )
    assert not np.array_equal(full.array, half.array)
    assert np.abs(half.array - full.array).mean() < 0.02
    np.testing.assert_allclose(
        half.losses["total"][-1], full.losses["total"][-1], rtol=0.02
    )


def found(monkeypatch, *kinds):
    kinds = {"CPU", *kinds}

    def devices_of(kind):
        return [f"{kind}:0"] if kind in kinds else []

    monkeypatch.setattr(tf.config, "list_physical_devices", devices_of)
    for name in ("TPU_NAME", "COLAB_TPU_ADDR"):
        monkeypatch.delenv(name, raising=False)


def test_the_best_device_is_taken(monkeypatch):
    found(monkeypatch)
    assert devices_module.device_kind() == "cpu"
    found(monkeypatch, "GPU")
    assert devices_module.device_kind() == "gpu"
    assert devices_module.device_kind("cpu") == "cpu"
    found(monkeypatch, "GPU", "TPU")
    assert devices_module.device_kind() == "tpu"
    found(monkeypatch, "GPU")
    monkeypatch.setenv("TPU_NAME", "local")
    assert devices_module.device_kind() == "tpu"


def test_a_device_that_is_not_there_is_said(monkeypatch):
    found(monkeypatch, "GPU")
    with pytest.raises(ValueError, match=r"`device` must be .* gpu or cpu, or auto"):
        devices_module.device_kind("tpu")
    monkeypatch.undo()
    if not tf.config.list_physical_devices("GPU"):
        with pytest.raises(ValueError, match=r"`device` must be .*Received: 'gpu'"):
            tfnst.stylize(
                picture(60, 80), picture(50, 40, seed=2), config=TINY, device="gpu"
            )


def test_one_device_needs_no_strategy():
    if len(tf.config.list_physical_devices()) == 1:
        assert devices_module.choose_strategy() is None
        assert devices_module.choose_strategy("cpu") is None
