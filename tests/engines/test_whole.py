import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import TINY, picture
from tfnst.engines import loading
from tfnst.engines.engine import Knobs
from tfnst.losses.objective import Targets
from tfnst.ops import pyramid, resizing
from tfnst.transfer import style_transfer

CONTENT, STYLE = picture(32, 40, seed=1)[None], picture(36, 32, seed=2)[None]


def start(config, image=CONTENT, content=CONTENT, style=STYLE):
    loop, _ = loading.load_engine(config)
    image = tf.constant(image)
    knobs = Knobs.from_config(config)
    return loop, image, loop.init_state(image), loop.targets(content, style), knobs


def run(config, steps, **pictures):
    loop, image, state, targets, knobs = start(config, **pictures)
    return loop.run(image, state, targets, knobs, tf.constant(steps))


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
    image, state, history = run(config, 5)
    loop, one, one_state, targets, knobs = start(config)
    totals = []
    for _ in range(5):
        one, one_state, measured = loop.step(one, one_state, targets, knobs)
        totals.append(measured.total.numpy()[0])
    np.testing.assert_allclose(history[:, 3, 0], totals, rtol=1e-4)
    np.testing.assert_allclose(image, one, atol=1e-3)
    np.testing.assert_allclose(state.average, one_state.average, atol=1e-3)
    assert state.step == one_state.step == 5


def test_grouping_of_steps_does_not_matter():
    config = TINY
    image, state, _ = run(config, 6)
    loop, one, one_state, targets, knobs = start(config)
    for steps in (1, 3, 2):
        one, one_state, _ = loop.run(one, one_state, targets, knobs, tf.constant(steps))
    np.testing.assert_array_equal(image, one)
    np.testing.assert_array_equal(state.average, one_state.average)


def test_pictures_of_a_batch_do_not_meet():
    contents = np.concatenate([CONTENT, CONTENT[:, ::-1]])
    styles = np.concatenate([STYLE, 1 - STYLE])
    for optimizer in ("adam", "lbfgs"):
        config = TINY.replace(optimizer=optimizer)
        together, _, history = run(
            config, 4, image=contents, content=contents, style=styles
        )
        for i in range(2):
            alone, _, alone_history = run(
                config,
                4,
                image=contents[i : i + 1],
                content=contents[i : i + 1],
                style=styles[i : i + 1],
            )
            np.testing.assert_allclose(together[i], alone[0], atol=2e-3)
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
    updated, state, history = loop.run(image, state, targets, knobs, tf.constant(9))
    assert history.shape[0] == 1
    assert np.isnan(history[0, 3, 0])
    np.testing.assert_array_equal(updated, image)
    np.testing.assert_array_equal(state.average, image)


def test_one_trace_serves_steps_and_sizes():
    loop, _, _, targets, knobs = start(TINY.replace(pooling="average"))
    for height, width in ((32, 40), (45, 33)):
        image = tf.constant(picture(height, width)[None])
        targets = loop.targets(image, STYLE)
        state = loop.init_state(image)
        for steps in (1, 3):
            image, state, _ = loop.run(image, state, targets, knobs, tf.constant(steps))
    assert loop.run.experimental_get_tracing_count() == 1


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
    ("size", "min_size", "expected"),
    [
        (512, 128, [128, 181, 256, 362, 512]),
        (256, 128, [128, 181, 256]),
        (128, 128, [128]),
        (100, 128, [100]),
        (200, 128, [141, 200]),
        (1024, 1024, [1024]),
    ],
)
def test_pyramid_sizes(size, min_size, expected):
    scales = pyramid.build_pyramid([300, 400], [200, 100], size, min_size).numpy()
    assert scales[:, 0].max(1).tolist() == expected
    assert scales[:, 1].max(1).tolist() == expected
    np.testing.assert_allclose(scales[:, 0, 0], scales[:, 0, 1] * 0.75, atol=0.5)
    np.testing.assert_allclose(scales[:, 1, 1], scales[:, 1, 0] / 2, atol=0.5)


def test_pyramid_leaves_out_scales_that_are_too_narrow():
    # 1:16 is 16 pixels at 256 and fewer below.
    scales = pyramid.build_pyramid([100, 1600], [50, 50], 512, 128).numpy()
    assert scales[:, 0].tolist() == [[16, 256], [23, 362], [32, 512]]
    assert pyramid.build_pyramid([50, 50], [1, 400], 512, 128).shape[0] == 0


def test_the_style_has_a_size_of_its_own():
    sides = [300, 400], [200, 100]
    plain = pyramid.build_pyramid(*sides, 512, 128).numpy()
    for factor in (0.5, 2.0):
        scales = pyramid.build_pyramid(*sides, 512, 128, factor).numpy()
        np.testing.assert_array_equal(scales[:, 0], plain[:, 0])
        np.testing.assert_allclose(scales[:, 1], factor * plain[:, 1], atol=1)
    # No shorter than what the network needs, and no scale is left out for it.
    scales = pyramid.build_pyramid(*sides, 512, 64, 0.1).numpy()
    assert len(scales) == len(pyramid.build_pyramid(*sides, 512, 64))
    assert scales[:, 1].min() == 16
    assert tuple(scales[-1, 1]) == (51, 26)


def test_several_styles_share_the_scales_that_suit_all():
    content, styles = [300, 400], [[200, 100], [50, 400]]
    scales = pyramid.build_pyramid(content, styles, 256, 64, [1.0, 0.5]).numpy()
    assert scales.shape[1:] == (3, 2)
    for i, (sides, factor) in enumerate(zip(styles, [1.0, 0.5], strict=True)):
        alone = pyramid.build_pyramid(content, sides, 256, 64, factor).numpy()
        np.testing.assert_array_equal(scales[:, 0], alone[-len(scales) :, 0])
        np.testing.assert_array_equal(scales[:, 1 + i], alone[-len(scales) :, 1])
        finest = pyramid.finest_sides(tf.constant(sides), 256, factor)
        np.testing.assert_array_equal(scales[-1, 1 + i], finest)
    # 1:8 has 16 pixels at 128, and there are scales below that.
    assert scales[:, 0].max(axis=1).tolist() == [128, 181, 256]
    # A picture too narrow keeps its sides.
    assert pyramid.finest_sides(tf.constant([3, 400]), 256).numpy().tolist() == [3, 400]


def test_first_images():
    scales = pyramid.build_pyramid([32, 40], [36, 32], 40, 32)

    def first(kind, seed=0):
        return pyramid.first_image(kind, CONTENT, STYLE, scales, seed)

    height, width = scales.numpy()[0, 0]
    np.testing.assert_array_equal(
        first("content"), resizing.resize_image(CONTENT, height, width)
    )
    np.testing.assert_array_equal(
        first("style"), resizing.cover_image(STYLE, height, width)
    )
    np.testing.assert_array_equal(
        first("noise", 3), pyramid.noise_image([1, height, width, 3], 3)
    )
    assert not np.array_equal(first("noise", 3), first("noise", 4))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_run_as_one_graph_equals_the_python_loop(optimizer):
    config = TINY.replace(
        optimizer=optimizer, init_image="noise", seed=5, initial_steps=9
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
        return loop.paint(
            content,
            pyramid.first_image("noise", content, style, scales, seed=5),
            scales[:, 0],
            Knobs.from_config(config),
            scale_steps=pyramid.scale_steps(scales, config.steps, 9),
            style_targets=lambda scale: loop.style_targets(style, scales[scale, 1]),
        )

    painted, measured = paint(CONTENT, STYLE)
    result = style_transfer.stylize(CONTENT[0], STYLE[0], config=config)
    np.testing.assert_allclose(painted[0], result.array, atol=1 / 255)
    np.testing.assert_allclose(measured[3, 0], result.losses["total"][-1], rtol=1e-3)


@pytest.mark.parametrize(
    ("sizes", "steps", "initial_steps", "expected"),
    [
        ([128, 181, 256, 362, 512, 724], 50, 200, [200, 141, 100, 71, 50, 50]),
        ([128, 181, 256], 50, 200, [200, 141, 100]),
        ([128, 181, 256], 50, 50, [50, 50, 50]),
        ([128, 181, 256], 50, 1, [1, 50, 50]),
        ([512], 50, 200, [200]),
    ],
)
def test_scale_steps(sizes, steps, initial_steps, expected):
    scales = tf.constant([[[size, size // 2], [size, 20]] for size in sizes])
    got = pyramid.scale_steps(scales, steps, initial_steps)
    assert got.numpy().tolist() == expected


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


def test_resize_to_the_same_size_changes_nothing():
    assert resizing.resize_image(CONTENT, 32, 40) is CONTENT
    in_a_graph = tf.function(resizing.resize_image)
    np.testing.assert_array_equal(in_a_graph(CONTENT, 32, 40), CONTENT)


@pytest.mark.parametrize(("height", "width"), [(45, 57), (20, 25)])
def test_resized_rows_are_those_of_the_whole(height, width):
    whole = resizing.resize_image(CONTENT, height, width)
    expected = tf.image.resize(CONTENT, [height, width], "lanczos3", antialias=True)
    np.testing.assert_allclose(whole, tf.clip_by_value(expected, 0, 1), atol=1e-6)
    for top, bottom in ((0, 7), (7, 19), (19, height)):
        rows = resizing.resize_rows(CONTENT, height, width, top, bottom)
        np.testing.assert_allclose(rows, whole[:, top:bottom], atol=1e-5)


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
        tf.nest.flatten(targets), tf.nest.flatten(wanted), strict=True
    ):
        np.testing.assert_allclose(got, other, rtol=1e-3, atol=1e-3)


def test_resize_keeps_flat_pictures_and_range():
    flat = tf.fill([1, 9, 7, 3], 0.25)
    np.testing.assert_allclose(resizing.resize_image(flat, 20, 3), 0.25, atol=1e-6)
    edge = tf.concat([tf.zeros([1, 8, 4, 3]), tf.ones([1, 8, 4, 3])], axis=2)
    resized = resizing.resize_image(edge, 32, 32)
    assert tf.reduce_min(resized) == 0
    assert tf.reduce_max(resized) == 1


def test_resize_down_averages_what_it_cannot_show():
    checkerboard = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)
    image = np.repeat(checkerboard[None, :, :, None], 3, -1)
    middle = resizing.resize_image(image, 16, 16)[:, 2:-2, 2:-2]
    np.testing.assert_allclose(middle, 0.5, atol=0.02)


def test_noise_is_seeded():
    a, b = (pyramid.noise_image([1, 20, 20, 3], 7) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, pyramid.noise_image([1, 20, 20, 3], 8))
    assert tf.reduce_min(a) >= 0
    assert tf.reduce_max(a) < 1
    np.testing.assert_allclose(tf.reduce_mean(a), 0.5, atol=0.05)


@pytest.mark.parametrize("sides", [(20, 40), (40, 20), (60, 60), (7, 5)])
def test_cover_fills_and_does_not_distort(sides):
    image = np.zeros((1, 30, 30, 3), np.float32)
    image[:, 10:20, 10:20] = 1  # a square in the middle
    covered = resizing.cover_image(image, *sides).numpy()[0, :, :, 0]
    assert covered.shape == sides
    rows, columns = (covered > 0.5).any(1).sum(), (covered > 0.5).any(0).sum()
    assert rows == pytest.approx(max(sides) / 3, abs=1)
    assert columns == pytest.approx(max(sides) / 3, abs=1)
