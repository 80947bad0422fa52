"""Shared by many tests: tiny pictures and settings, real pictures, error messages."""

import ctypes
import gc
import os
import pathlib
import sys

import numpy as np
import pytest

from tfnst import StyleTransferConfig
from tfnst.checks import ArgumentError
from tfnst.networks import find_weights

ROOT = pathlib.Path(__file__).parent.parent
SAMPLES = ROOT / "examples" / "images"
SHARED = ROOT.parent / "shared"

# Two blocks of a seeded random network: a step takes milliseconds.
TINY = StyleTransferConfig(
    weights=None,
    precision="float32",
    content_layers=("block2_conv1",),
    style_layers=("block1_conv1", "block2_conv1"),
    size=48,
    min_size=32,
    steps=6,
    initial_steps=6,
)

# TensorFlow asks the processor what it can do, and crashes where oneDNN may not.
needs_bfloat16 = pytest.mark.skipif(
    "ONEDNN_MAX_CPU_ISA" in os.environ
    and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0",
    reason="oneDNN is told that the processor is another",
)


def picture(height, width, seed=0):
    """A smooth coloured picture with some texture, [H, W, 3] float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [
        np.sin(2 * np.pi * (rng.uniform(1, 4) * x + rng.uniform(1, 4) * y + phase))
        for phase in rng.uniform(0, 1, 3)
    ]
    noise = rng.normal(0, 0.05, (height, width, 3))
    return np.clip(0.5 + 0.35 * np.stack(waves, -1) + noise, 0, 1).astype(np.float32)


def paint_in_tiles(monkeypatch, cut="block1_pool", head_side=24, tail_side=9, **others):
    """Has pictures painted in tiles, whatever memory there is.

    Returns the sides of the pictures that a plan was asked for. A `head_side` of None
    has them painted whole.
    """
    from tfnst.engines import plans

    plan = plans.TilingPlan(cut, head_side, tail_side, 0, 1.0, **others)
    planned = []

    def build_plan(extractor, config, sides, limit, *, pictures, regions):
        planned.append(tuple(sides[0]))
        return plan

    monkeypatch.setattr(plans, "build_plan", build_plan)
    return planned


def forget_engines():
    """Lets go of all networks and engines, so that the next run builds its own."""
    from tfnst.engines import loading

    for kept in (loading.load_network, loading.build_engine):
        kept.cache_clear()


def muted(array, contrast=0.3):
    """Colours of little contrast, so that nothing is clipped."""
    return (0.5 + contrast * (array - 0.5)).astype(np.float32)


def assert_alike(array, other, *, mean=1e-3):
    """Pictures after the same few steps, but for the order in which sums are added up.

    Adam makes a whole step of a gradient's sign, which rounding decides where the
    gradient is nearly zero. So a few pixels may differ by much, and the mean may not.
    Not for long runs: they part, and how far depends on the processor.
    """
    assert array.shape == other.shape
    difference = np.abs(np.float64(array) - other)
    assert np.isfinite(difference).all()
    assert difference.mean() <= mean, (difference.mean(), difference.max())


def assert_same_losses(losses, other, *, rtol=1e-3):
    """Histories of the same few steps, by name; see `assert_alike`."""
    for name in ("content", "style", "total_variation", "total"):
        np.testing.assert_allclose(
            losses[name], other[name], rtol=rtol, atol=1e-6, err_msg=name
        )


def grey(array):
    return np.repeat(array.mean(axis=-1, keepdims=True), 3, axis=-1)


def assert_grey(array, atol):
    np.testing.assert_allclose(array, grey(array), atol=atol)


def real_vgg19():
    """The file with VGG19's weights; the test is skipped on a machine without it."""
    found = find_weights("vgg19", download=False)
    if found.sha256 is None:
        pytest.skip("no VGG19 weights; `tfnst weights --fetch` fetches them")
    return found.path


def shared(*parts):
    """A file of test data kept beside the project; skips the test without it."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts)} isn't there")
    return path


def message(kind, function, *args, **kwargs):
    """The text of the error, one line; its class is `kind` or ArgumentError for it."""
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    exact = {ValueError: (ValueError, ArgumentError)}.get(kind, (kind,))
    assert type(caught.value) in exact
    assert "\n" not in str(caught.value)
    return str(caught.value)


def free_memory():
    """Frees graphs that nothing uses any more."""
    from tensorflow.python.framework import ops

    # Each trace of a `tf.custom_gradient` adds a function here for good, and with it
    # its graph.
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
