"""Several devices: each paints its share, and the pictures are the same."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests import processes
from tests.helpers import ROOT, TINY, picture
from tfnst.config import STYLE_LOSSES
from tfnst.engines import engine, loading

CONTENTS = [picture(60, 80, seed=i) for i in range(5)]
STYLES = [picture(50, 40, seed=2), picture(44, 60, seed=3)]
MASK = np.zeros((16, 16), np.float32)
MASK[:, :8] = 1

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
from tests.engines.test_replicated import CONTENTS, MASK, STYLES, TINY
from tfnst.engines import devices, replicated
strategy = devices.choose_strategy()
seen = []
real = replicated.ReplicatedEngine.run
def run(self, image, state, targets, knobs, steps):
    seen.append(int(image.shape[0]))
    return real(self, image, state, targets, knobs, steps)
replicated.ReplicatedEngine.run = run
arrays = {}
for optimizer in ("adam", "lbfgs"):
    config = TINY.replace(optimizer=optimizer, steps=4, initial_steps=4)
    items = tfnst.stylize_batch(CONTENTS, STYLES, config=config, batch_size=count + 1)
    arrays |= {f"{optimizer}{i}": x.result.array for i, x in enumerate(items)}
    arrays |= {
        f"{optimizer}{i}_loss": x.result.losses["total"] for i, x in enumerate(items)
    }
masked = tfnst.StyleImage(image=STYLES[0], mask=MASK)
items = tfnst.stylize_batch(CONTENTS[:count], [masked], config=TINY, batch_size=count)
arrays |= {f"masked{i}": x.result.array for i, x in enumerate(items)}
config = TINY.replace(seamless=True)
items = tfnst.stylize_batch(CONTENTS[:count], STYLES[:1], config=config)
arrays |= {f"seamless{i}": x.result.array for i, x in enumerate(items)}
np.savez(path, **arrays)
print(json.dumps({"replicas": strategy.num_replicas_in_sync, "together": seen}))
"""


@pytest.mark.parametrize("count", [2, 4])
def test_several_devices_give_what_one_gives(tmp_path, count):
    path = tmp_path / "arrays.npz"
    done = processes.run(exec, SPREAD, {"count": count, "path": path}, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["replicas"] == count
    # Batches of one more than there are devices, and what is left; one alone needs
    # no more than one device.
    assert {count, count + 1} | {10 % (count + 1)} - {0, 1} <= set(told["together"])
    arrays = np.load(path)
    for optimizer, tolerance in (("adam", 1 / 255), ("lbfgs", 0.1)):
        config = TINY.replace(optimizer=optimizer, steps=4, initial_steps=4)
        items = tfnst.stylize_batch(CONTENTS, STYLES, config=config)
        for i, item in enumerate(items):
            assert_nearly_equal(arrays[f"{optimizer}{i}"], item.result.array, tolerance)
            np.testing.assert_allclose(
                arrays[f"{optimizer}{i}_loss"], item.result.losses["total"], rtol=2e-2
            )
    masked = tfnst.StyleImage(image=STYLES[0], mask=MASK)
    for i, item in enumerate(
        tfnst.stylize_batch(CONTENTS[:count], [masked], config=TINY)
    ):
        assert_nearly_equal(arrays[f"masked{i}"], item.result.array, 1 / 255)
    config = TINY.replace(seamless=True)
    for i in range(count):
        alone = tfnst.stylize(CONTENTS[i], STYLES[0], config=config)
        assert_nearly_equal(arrays[f"seamless{i}"], alone.array, 1 / 255)


def assert_nearly_equal(one, other, tolerance):
    """Two pictures that differ by rounding.

    L-BFGS makes much of it, a step after the other, and Adam at the few pixels whose
    first gradient is nearly zero.
    """
    difference = np.abs(one - other)
    assert np.quantile(difference, 0.998) < tolerance
    assert difference.max() < 0.1


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("pooling", ["max", "average"])
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
    steps = 3 if optimizer == "adam" else 2
    painted, state, history, taken = compiled(*arguments, tf.constant(steps), rows=8)
    expected, expected_state, rows = plain.run_steps(*arguments, tf.constant(steps))
    assert int(taken) == steps
    assert history.shape == (8, 4, 1)
    # Among neighbours, rounding may decide which is nearest.
    assert_nearly_equal(painted, expected, 5e-3)
    assert_nearly_equal(state.average, expected_state.average, 5e-3)
    np.testing.assert_allclose(history[:steps], rows, rtol=1e-3)
    np.testing.assert_array_equal(history[steps:], 0)


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
