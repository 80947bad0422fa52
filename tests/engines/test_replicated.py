"""Several devices: each paints its share, and the pictures are the same."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests import processes
from tests.helpers import ROOT, TINY, assert_alike, assert_same_losses, picture
from tfnst.engines import engine, loading

CONTENTS = [picture(60, 80, seed=i) for i in range(5)]
STYLES = [picture(50, 40, seed=2), picture(44, 60, seed=3)]
MASK = np.zeros((16, 16), np.float32)
MASK[:, :8] = 1
# Devices add up in other orders, which many steps magnify. There is one scale, as each
# has a trace of its own.
FEW = TINY.replace(steps=2, initial_steps=2, min_size=48)
KINDS = {
    "adam": FEW,
    "lbfgs": FEW.replace(optimizer="lbfgs"),
    "seamless": FEW.replace(seamless=True),
    "scales": FEW.replace(min_size=32),
}

# Logical devices can only be made before TensorFlow first works.
SPREAD = """
import json
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * count,
)
import tfnst
from tests.engines.test_replicated import FEW, CONTENTS, KINDS, MASK, STYLES
from tfnst.engines import devices, replicated
strategy = devices.choose_strategy()
seen = []
real = replicated.ReplicatedEngine.run
def run(self, image, state, targets, knobs, steps):
    seen.append(int(image.shape[0]))
    return real(self, image, state, targets, knobs, steps)
replicated.ReplicatedEngine.run = run
arrays = {}
def keep(name, items):
    for i, item in enumerate(items):
        arrays[f"{name}{i}"] = item.result.array
        arrays[f"{name}{i}_losses"] = item.result.losses
for kind in kinds:
    items = tfnst.stylize_batch(
        CONTENTS, STYLES, config=KINDS[kind], batch_size=count + 1
    )
    keep(kind, items)
masked = tfnst.StyleImage(image=STYLES[0], mask=MASK)
keep("masked", tfnst.stylize_batch(
    CONTENTS[:count], [masked], config=FEW, batch_size=count
))
np.savez(path, **arrays)
print(json.dumps({"replicas": strategy.num_replicas_in_sync, "together": seen}))
"""


@pytest.mark.parametrize(
    ("count", "kinds"),
    [
        (2, ["adam"]),
        pytest.param(2, ["lbfgs", "seamless", "scales"], marks=pytest.mark.slow),
        pytest.param(4, list(KINDS), marks=pytest.mark.slow),
    ],
)
def test_several_devices_give_what_one_gives(tmp_path, count, kinds):
    path = tmp_path / "arrays.npz"
    told = {"count": count, "kinds": kinds, "path": path}
    done = processes.run(exec, SPREAD, told, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["replicas"] == count
    # Batches of one more than there are devices, and what is left; one alone needs
    # no more than one device.
    assert {count, count + 1} | {10 % (count + 1)} - {0, 1} <= set(told["together"])
    arrays = np.load(path)

    def compare(name, items):
        for i, item in enumerate(items):
            assert_alike(arrays[f"{name}{i}"], item.result.array)
            assert_same_losses(arrays[f"{name}{i}_losses"], item.result.losses)

    for kind in kinds:
        items = tfnst.stylize_batch(CONTENTS, STYLES, config=KINDS[kind])
        compare(kind, items)
    masked = tfnst.StyleImage(image=STYLES[0], mask=MASK)
    items = tfnst.stylize_batch(CONTENTS[:count], [masked], config=FEW)
    compare("masked", items)
    assert len(arrays) == 2 * (10 * len(kinds) + count)


@pytest.mark.parametrize(
    ("style_loss", "optimizer", "pooling"),
    [
        ("moments", "adam", "max"),
        pytest.param("neighbors", "adam", "average", marks=pytest.mark.slow),
        pytest.param("neighbors", "lbfgs", "max", marks=pytest.mark.slow),
        pytest.param("gram", "lbfgs", "average", marks=pytest.mark.slow),
    ],
)
def test_steps_compile_with_xla(style_loss, optimizer, pooling):
    """The nearest check of what a TPU takes: static shapes, and no op XLA lacks."""
    config = TINY.replace(
        style_loss=style_loss, optimizer=optimizer, pooling=pooling, learning_rate=0.015
    )
    if style_loss == "neighbors":  # which begin at a stride of 4
        config = config.replace(style_layers=("block1_conv1", "block3_conv1"))
    plain, _ = loading.load_engine(config)
    content, style = CONTENTS[0][None], STYLES[0][None]
    image = picture(60, 80, seed=9)[None]
    arguments = (
        tf.constant(image),
        plain.init_state(tf.constant(image)),
        plain.targets(tf.constant(content), tf.constant(style)),
        engine.Knobs.from_config(config),
    )
    compiled = tf.function(plain.run_compiled, jit_compile=True)
    painted, state, history, taken = compiled(*arguments, tf.constant(2), rows=8)
    expected, expected_state, rows = plain.run_steps(*arguments, tf.constant(2))
    assert int(taken) == 2
    assert history.shape == (8, 4, 1)
    assert_alike(np.asarray(painted), np.asarray(expected))
    assert_alike(np.asarray(state.average), np.asarray(expected_state.average))
    np.testing.assert_allclose(history[:2], rows[:2], rtol=1e-3)
    np.testing.assert_array_equal(history[2:], 0)
    assert np.abs(painted - image).mean() > 0.004


@pytest.mark.slow
def test_bfloat16_compiles_with_xla():
    config = TINY.replace(precision="bfloat16")
    plain, _ = loading.load_engine(config)
    image = tf.constant(CONTENTS[0][None])
    compiled = tf.function(plain.run_compiled, jit_compile=True)
    painted, *_ = compiled(
        image, plain.init_state(image), plain.targets(image, STYLES[0][None]),
        engine.Knobs.from_config(config), tf.constant(2), rows=2,
    )  # fmt: skip
    assert 0 < np.abs(painted - image).max() < 0.2
