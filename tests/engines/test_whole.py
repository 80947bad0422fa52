import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import TINY, assert_alike, forget_engines, picture
from tfnst.engines import loading, whole
from tfnst.engines.engine import Knobs
from tfnst.export import graph_run
from tfnst.losses.objective import Targets
from tfnst.ops import color_transfer, coloring, pyramid, resizing
from tfnst.transfer import style_transfer

CONTENT, STYLE = picture(32, 40, seed=1)[None], picture(36, 32, seed=2)[None]


def start(config, image=CONTENT, content=CONTENT, style=STYLE):
    loop, _ = loading.load_engine(config)
    image = tf.constant(image)
    knobs = Knobs.from_config(config)
    return loop, image, loop.init_state(image), loop.targets(content, style), knobs


def run(config, steps, **pictures):
    loop, image, state, targets, knobs = start(config, **pictures)
    return loop.run_steps(image, state, targets, knobs, tf.constant(steps))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_loss_falls(optimizer):
    _, _, history = run(TINY.replace(optimizer=optimizer), 20)
    total = history.numpy()[:, 3, 0]
    assert total.shape == (20,)
    assert total[-1] < 0.6 * total[0]
    assert np.isfinite(total).all()


def test_history_holds_the_losses_before_each_step():
    config = TINY.replace(content_weight=2, style_weight=3, total_variation_weight=5)
    _, _, history = run(config, 4)
    content, style, variation, total = history.numpy()[:, :, 0].T
    # The run starts from the content image itself.
    assert content[0] < 1e-10 < content[1]
    np.testing.assert_allclose(
        total, 2 * content + 3 * style + 5 * variation, rtol=1e-5
    )


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_loop_equals_single_steps(optimizer):
    config = TINY.replace(optimizer=optimizer)
    # Few, because a graph may round otherwise.
    image, state, history = run(config, 2)
    loop, one, one_state, targets, knobs = start(config)
    totals = []
    for _ in range(2):
        one, one_state, measured = loop.step(one, one_state, targets, knobs)
        totals.append(measured.total.numpy()[0])
    np.testing.assert_allclose(history[:, 3, 0], totals, rtol=1e-4)
    assert_alike(image.numpy(), one.numpy())
    assert_alike(state.average.numpy(), one_state.average.numpy())
    assert state.step == one_state.step == 2


def test_grouping_of_steps_does_not_matter():
    config = TINY
    image, state, _ = run(config, 6)
    loop, one, one_state, targets, knobs = start(config)
    for steps in (1, 3, 2):
        one, one_state, _ = loop.run_steps(
            one, one_state, targets, knobs, tf.constant(steps)
        )
    np.testing.assert_array_equal(image, one)
    np.testing.assert_array_equal(state.average, one_state.average)


def test_pictures_of_a_batch_do_not_meet():
    contents = np.concatenate([CONTENT, CONTENT[:, ::-1]])
    styles = np.concatenate([STYLE, 1 - STYLE])
    for optimizer in ("adam", "lbfgs"):
        config = TINY.replace(optimizer=optimizer)
        together, _, history = run(
            config, 2, image=contents, content=contents, style=styles
        )
        for i in range(2):
            alone, _, alone_history = run(
                config,
                2,
                image=contents[i : i + 1],
                content=contents[i : i + 1],
                style=styles[i : i + 1],
            )
            assert_alike(together[i].numpy(), alone[0].numpy())
            np.testing.assert_allclose(
                history[:, :, i], alone_history[:, :, 0], rtol=1e-3, atol=1e-6
            )


def test_average_is_the_bias_corrected_moving_average():
    config = TINY.replace(ema_momentum=0.7)
    loop, image, state, targets, knobs = start(config)
    biased = 0
    for iterates in range(1, 6):
        image, state, _ = loop.step(image, state, targets, knobs)
        biased = 0.7 * biased + 0.3 * image.numpy()
        np.testing.assert_allclose(
            state.average, biased / (1 - 0.7**iterates), rtol=1e-4, atol=1e-6
        )


def test_momentum_close_to_one_averages_all_iterates():
    config = TINY.replace(ema_momentum=0.99999999)
    seen = [run(config, steps)[0].numpy() for steps in (1, 2, 3)]
    _, state, _ = run(config, 3)
    np.testing.assert_allclose(state.average, np.mean(seen, axis=0), atol=1e-6)


def test_no_momentum_means_the_last_iterate():
    image, state, _ = run(TINY.replace(ema_momentum=0), 3)
    np.testing.assert_allclose(state.average, image, atol=1e-7)


def test_pixels_stay_in_range():
    for optimizer in ("adam", "lbfgs"):
        image, _, _ = run(TINY.replace(optimizer=optimizer, learning_rate=1), 5)
        assert image.numpy().min() >= 0
        assert image.numpy().max() <= 1


def test_the_gradient_of_the_total_loss():
    loop, image, _, targets, knobs = start(TINY)
    image = image + 0.05

    def total(x):
        return loop._losses(x, targets, knobs).total

    with tf.GradientTape() as tape:
        tape.watch(image)
        value = total(image)
    gradient = tape.gradient(value, image)
    direction = tf.constant(np.sign(gradient.numpy()))
    step = 1e-3
    slope = (total(image + step * direction) - total(image - step * direction)) / (
        2 * step
    )
    np.testing.assert_allclose(slope, [tf.reduce_sum(gradient * direction)], rtol=0.02)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_loss_that_is_not_finite_ends_the_loop_and_keeps_the_picture(optimizer):
    config = TINY.replace(optimizer=optimizer)
    loop, image, state, targets, knobs = start(config)
    knobs = knobs._replace(style_weight=tf.constant(float("inf")))
    updated, state, history = loop.run_steps(
        image, state, targets, knobs, tf.constant(9)
    )
    assert history.shape[0] == 1
    assert np.isnan(history[0, 3, 0])
    np.testing.assert_array_equal(updated, image)
    np.testing.assert_array_equal(state.average, image)


@pytest.mark.slow
def test_one_trace_serves_steps_and_sizes():
    loop, _, _, targets, knobs = start(TINY.replace(pooling="average"))
    for height, width in ((32, 40), (45, 33)):
        image = tf.constant(picture(height, width)[None])
        targets = loop.targets(image, STYLE)
        state = loop.init_state(image)
        for steps in (1, 3):
            image, state, _ = loop.run_steps(
                image, state, targets, knobs, tf.constant(steps)
            )
    assert loop.traces == 1


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_scale_starts_with_a_fresh_optimizer(optimizer):
    config = TINY.replace(optimizer=optimizer)
    _, state, _ = run(config, 3)
    loop, _ = loading.load_engine(config)
    sides = tf.constant([48, 60])
    image, scaled, _ = loop.enter_scale(state.average, CONTENT, sides, 1.0)
    assert image.shape == (1, 48, 60, 3)
    for got, expected in zip(
        tf.nest.flatten(scaled), tf.nest.flatten(loop.init_state(image)), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("content_weight", "content_detail", "share"),
    [(1.0, 1.0, 1.0), (1.0, 0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)],
)
def test_enlarging_puts_the_contents_detail_back(content_weight, content_detail, share):
    loop, _ = loading.load_engine(TINY.replace(content_detail=content_detail))
    # A picture of one colour has no detail of its own.
    average = tf.fill([1, 16, 20, 3], 0.5)
    content = 0.25 + 0.5 * tf.constant(CONTENT)  # far from the limits
    sides = tf.constant([32, 40])
    image, _, _ = loop.enter_scale(average, content, sides, content_weight)
    low = resizing.resize_image(resizing.resize_image(content, 16, 20), 32, 40)
    expected = np.clip(0.5 + share * (content - low), 0, 1)
    np.testing.assert_allclose(image, expected, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)]
)
def test_the_run_as_one_graph_equals_the_python_loop(optimizer):
    config = TINY.replace(
        optimizer=optimizer, init_image="noise", initial_steps=3, steps=2
    )
    loop, _ = loading.load_engine(config)
    scales = pyramid.build_pyramid([32, 40], [36, 32], config.size, config.min_size)
    pictures = tf.TensorSpec([None, None, None, 3])

    # Of any size, as in an exported model: TensorFlow fuses other operations, and
    # rounds otherwise, where it knows the shapes.
    @tf.function(input_signature=[pictures, pictures])
    def paint(content, style):
        content = resizing.resize_image(content, *tf.unstack(scales[-1, 0]))
        style = resizing.resize_image(style, *tf.unstack(scales[-1, 1]))
        knobs = Knobs.from_config(config)
        content = coloring.carry_colors(
            content, color_transfer.color_moments(style), knobs.style_share
        )
        return graph_run.paint(
            loop,
            content,
            pyramid.first_image("noise", content, style, scales, seed=config.seed),
            scales[:, 0],
            knobs,
            scale_steps=pyramid.scale_steps(scales, config.steps, 3),
            style_targets=lambda scale: loop.style_targets(style, scales[scale, 1]),
        )

    painted, measured = paint(CONTENT, STYLE)
    result = style_transfer.stylize(CONTENT[0], STYLE[0], config=config)
    assert_alike(painted[0].numpy(), result.array)
    np.testing.assert_allclose(measured[3, 0], result.losses["total"][-1], rtol=1e-3)


def test_adams_steps_get_shorter_over_a_scale():
    loop, image, state, targets, knobs = start(TINY.replace(learning_rate=0.01))
    knobs = knobs._replace(steps=tf.constant(100.0))
    # The first step of Adam is the learning rate itself.
    for step, rate in ((0, 0.01), (50, 0.0055), (100, 0.001), (200, 0.001)):
        moved, _, _ = loop.step(
            image, state._replace(step=tf.constant(step)), targets, knobs
        )
        longest = tf.reduce_max(tf.abs(moved - image)).numpy()
        assert longest == pytest.approx(rate, rel=1e-3)


def test_enter_scale_resizes_all_there_is():
    loop, _ = loading.load_engine(TINY)
    image, state, content = loop.enter_scale(
        tf.constant(CONTENT), CONTENT, tf.constant([24, 30]), 1.0
    )
    style = loop.style_targets(STYLE, tf.constant([27, 24]))
    expected = resizing.resize_image(CONTENT, 24, 30)
    np.testing.assert_allclose(image, expected, atol=1e-6)
    np.testing.assert_allclose(state.average, expected, atol=1e-6)
    wanted = loop.targets(expected, resizing.resize_image(STYLE, 27, 24))
    targets = Targets(content, style)
    for got, other in zip(
        tf.nest.flatten(targets.given()),
        tf.nest.flatten(wanted.given()),
        strict=True,
    ):
        np.testing.assert_allclose(got, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)]
)
def test_gradients_have_a_unit_that_makes_up_for_the_size(optimizer, monkeypatch):
    for sides, unit in (((48, 64), 1), ((512, 512), 1), ((1024, 1024), 4)):
        assert float(whole.gradient_unit(tf.zeros([2, *sides, 3]))) == unit
    config = TINY.replace(optimizer=optimizer)
    expected, _, rows = run(config, 4)
    # As if the picture had 16,384 pixels a side, and the gradients were as small.
    real = whole.WholeEngine._losses

    def losses(*arguments):
        measured = real(*arguments)
        return measured._replace(total=measured.total / 1024)

    monkeypatch.setattr(whole.WholeEngine, "_losses", losses)
    monkeypatch.setattr(whole, "gradient_unit", lambda _: tf.constant(1024.0))
    forget_engines()
    image, _, smaller = run(config, 4)
    forget_engines()
    np.testing.assert_allclose(image, expected, atol=1e-5)
    np.testing.assert_allclose(1024 * smaller[:, 3], rows[:, 3], rtol=1e-5)
