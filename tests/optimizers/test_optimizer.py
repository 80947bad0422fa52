"""What every optimiser does, and what all of them refuse."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import TINY, assert_alike, message, paint_in_tiles, picture
from tests.optimizers.helpers import with_gradients
from tfnst import optimizers
from tfnst.config import OPTIMIZERS
from tfnst.optimizers import adam, lbfgs, optimizer

CONTENT, STYLE = picture(40, 48, seed=1), picture(36, 32, seed=2)


class SignDescent(optimizers.Optimizer):
    """Moves each value by the learning rate, down its slope."""

    elementwise = True

    def init(self, image):
        return {"steps": tf.zeros([], tf.int32)}

    def update(self, image, loss, gradients, state, *, learning_rate):
        image = image - learning_rate * tf.sign(gradients)
        return tf.clip_by_value(image, 0, 1), {"steps": state["steps"] + 1}

    def rate(self, learning_rate, done):
        return learning_rate * (1 - done)


class GradientDescent(optimizers.Optimizer):
    """The least that an optimiser needs."""

    def init(self, image):
        return ()

    def update(self, image, loss, gradients, state, *, learning_rate):
        step = learning_rate * gradients / tf.reduce_max(tf.abs(gradients))
        return tf.clip_by_value(image - step, 0, 1), state


def test_there_is_one_for_each_name_of_the_setting():
    for name in OPTIMIZERS:
        assert isinstance(optimizer.build_optimizer(name), optimizers.Optimizer)


@pytest.mark.parametrize(
    "kind", [SignDescent, pytest.param(GradientDescent, marks=pytest.mark.slow)]
)
def test_two_methods_are_an_optimizer(kind, monkeypatch):
    config = TINY.replace(learning_rate=0.01, optimizer=kind())
    whole = tfnst.stylize(CONTENT, STYLE, config=config)
    assert whole.losses["total"][-1] < 0.9 * whole.losses["total"][6]
    name = f"tests.optimizers.test_optimizer.{kind.__name__}"
    assert whole.manifest["settings"]["optimizer"] == name
    # Adam alone has gradients that are guessed in tiles, and rounding grows.
    few = config.replace(steps=1, initial_steps=1)
    whole = tfnst.stylize(CONTENT, STYLE, config=few)
    assert paint_in_tiles(monkeypatch) == []
    tiled = tfnst.stylize(CONTENT, STYLE, config=few)
    assert_alike(tiled.array, whole.array)


def test_a_run_goes_on_where_its_optimizer_is_passed_again(tmp_path):
    config = TINY.replace(learning_rate=0.01, optimizer=SignDescent())
    whole = tfnst.stylize(CONTENT, STYLE, config=config)

    def stop(progress):
        if progress.step == 8:
            # One of the six steps of this scale was done before.
            assert progress.learning_rate == pytest.approx(0.01 * 5 / 6)
            progress.stop()

    path = tmp_path / "run.ckpt"
    tfnst.stylize(
        CONTENT, STYLE, config=config, checkpoint=path, callback=stop, callback_steps=8
    )
    told = message(ValueError, tfnst.stylize, CONTENT, STYLE, resume=path)
    assert "`optimizer`" in told
    assert "SignDescent" in told
    resumed = tfnst.stylize(CONTENT, STYLE, config=config, resume=path)
    np.testing.assert_array_equal(resumed.array, whole.array)


def test_what_is_no_optimizer_is_refused():
    for bad in (SignDescent, 3, None):
        told = message(ValueError, TINY.replace, optimizer=bad)
        assert told.startswith(
            "`optimizer` must be one of 'adam', 'lbfgs', or a hashable object with the "
            "methods `init` and `update`. Received: "
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_elementwise_state_is_constant_before_the_first_step(name):
    """Tiles make the state of a large picture from that of one pixel."""
    pair = optimizer.build_optimizer(name)
    if not pair.elementwise:
        assert pair.best(pair.init(tf.constant(CONTENT[None]))) is not None
        return
    for tensor in tf.nest.flatten(pair.init(tf.constant(CONTENT[None]))):
        assert tensor.shape in ([], [1, *CONTENT.shape])
        assert not np.any(tensor)


def pictures(shape=(2, 6, 5, 3), dtype=tf.float64):
    return tf.random.stateless_uniform(shape, [0, 0], dtype=dtype)


def picture_loss(x):
    rough = tf.reduce_sum(tf.square(x[:, 1:] - x[:, :-1]), axis=[1, 2, 3])
    target = tf.range(tf.cast(tf.shape(x)[2], x.dtype))[:, tf.newaxis] / 2 - 0.5
    return rough + tf.reduce_sum(tf.square(x - target) ** 1.5, axis=[1, 2, 3])


def picture_update(name, params, state):
    loss, gradients = with_gradients(picture_loss)(params)
    settings = {"learning_rate": 0.02, "lower": 0.0, "upper": 1.0}
    if name == "adam":
        return adam.adam_update(params, gradients, state, **settings)
    return lbfgs.lbfgs_update(params, loss, gradients, state, **settings)


def test_only_adam_lowers_the_learning_rate():
    done = tf.constant(0.5)
    assert float(optimizer.build_optimizer("lbfgs").rate(0.02, done)) == 0.02
    assert float(optimizer.build_optimizer("adam").rate(0.02, done)) < 0.02


def picture_loop(name, params, steps):
    init = {"adam": adam.adam_init, "lbfgs": lbfgs.lbfgs_init}[name]
    return tf.while_loop(
        lambda step, *_: step < steps,
        lambda step, *rest: (step + 1, *picture_update(name, *rest)),
        (tf.constant(0), params, init(params)),
    )[1]


@pytest.mark.parametrize(
    "name", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)]
)
def test_loops_of_any_kind_agree(name, tmp_path):
    init = {"adam": adam.adam_init, "lbfgs": lbfgs.lbfgs_init}[name]
    params, state = pictures(), init(pictures())
    for _ in range(30):
        params, state = picture_update(name, params, state)
    assert float(tf.reduce_sum(picture_loss(params) - picture_loss(pictures()))) < 0
    assert 0 < np.mean(np.isin(params, [0, 1])) < 1

    module = tf.Module()
    module.run = tf.function(
        lambda params, steps: {"params": picture_loop(name, params, steps)},
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.float64, name="params"),
            tf.TensorSpec([], tf.int32, name="steps"),
        ],
        autograph=False,
    )
    shape = module.run.get_concrete_function().output_shapes["params"]
    assert shape.as_list() == [None, None, None, 3]
    # Later, rounding may decide whether a line search accepts a trial.
    params, state = pictures(), init(pictures())
    for _ in range(8):
        params, state = picture_update(name, params, state)
    looped = module.run(pictures(), 8)["params"]
    np.testing.assert_allclose(looped, params, atol=1e-9)

    tf.saved_model.save(module, str(tmp_path), signatures=module.run)
    exported = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    for shape in ((2, 6, 5, 3), (1, 4, 7, 3)):
        inputs = {"params": pictures(shape=shape), "steps": tf.constant(8)}
        np.testing.assert_array_equal(
            exported(**inputs)["params"], module.run(*inputs.values())["params"]
        )


@pytest.mark.parametrize(
    ("name", "steps"), [("adam", 12), pytest.param("lbfgs", 4, marks=pytest.mark.slow)]
)
def test_it_compiles_with_xla(name, steps):
    compiled = tf.function(
        functools.partial(picture_loop, name), jit_compile=True, autograph=False
    )
    np.testing.assert_allclose(
        compiled(pictures(dtype=tf.float32), tf.constant(steps)),
        picture_loop(name, pictures(dtype=tf.float32), steps),
        atol=1e-5,
    )


@pytest.mark.parametrize("init", [adam.adam_init, lbfgs.lbfgs_init])
@pytest.mark.parametrize("bad", [tf.zeros([3]), tf.zeros([1, 3], tf.int32)])
def test_wrong_params_are_refused(init, bad):
    with pytest.raises(ValueError, match=r"`params` must be .* Received:"):
        init(bad)
