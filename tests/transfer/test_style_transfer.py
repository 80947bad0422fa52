import io
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfnst
from tests.helpers import (
    TINY,
    assert_alike,
    forget_engines,
    paint_in_tiles,
    picture,
)
from tests.image_files import encode, noise
from tfnst.engines import engine, loading, whole
from tfnst.losses import objective
from tfnst.ops import pyramid, resizing

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)


@pytest.fixture(scope="module")
def result():
    return tfnst.stylize(CONTENT, STYLE, config=TINY)


def test_result_has_the_contents_shape_and_the_size_asked_for(result):
    assert result.array.shape == (36, 48, 3)
    assert result.array.dtype == np.float32
    assert 0 <= result.array.min() < result.array.max() <= 1
    assert result.image.size == (48, 36)
    assert result.image.mode == "RGB"
    assert result.config == TINY
    assert result.backbone == "vgg19"
    assert len(result.weights.sha256) == 64
    assert not result.stopped


def test_losses_have_one_row_a_step(result):
    losses = result.losses
    assert losses["step"].tolist() == list(range(1, 13))
    assert losses["size"].tolist() == [34] * 6 + [48] * 6
    assert (np.diff(losses["seconds"]) > 0).all()
    assert losses["total"][5] < losses["total"][0]
    np.testing.assert_allclose(
        losses["total"],
        TINY.content_weight * losses["content"]
        + TINY.loss_weights()["style_weight"] * losses["style"]
        + TINY.loss_weights()["total_variation_weight"] * losses["total_variation"],
        rtol=1e-5,
    )


def test_one_open_file_may_be_content_and_style():
    config = TINY.replace(steps=1, initial_steps=1)
    data = encode(noise(32, 40, 3))
    file = io.BytesIO(data)
    painted = tfnst.stylize(file, [file, tfnst.StyleImage(image=file)], config=config)
    expected = tfnst.stylize(data, [data, data], config=config)
    np.testing.assert_array_equal(painted.array, expected.array)


def test_is_nearer_to_the_style_than_the_content_was(result):
    loop, _ = loading.load_engine(TINY)
    sides = pyramid.build_pyramid([60, 80], [50, 40], 48, 32).numpy()[-1]
    content, style = (
        resizing.resize_image(p[None], *s)
        for p, s in zip((CONTENT, STYLE), sides, strict=True)
    )
    targets = loop.targets(content, style)
    knobs = engine.Knobs.from_config(TINY)
    before = loop._losses(content, targets, knobs).style
    after = loop._losses(tf.constant(result.array[None]), targets, knobs).style
    assert after < 0.7 * before


def test_the_same_call_gives_the_same_picture(result):
    again = tfnst.stylize(CONTENT, STYLE, config=TINY)
    np.testing.assert_array_equal(again.array, result.array)


def test_callbacks_do_not_change_the_picture(result):
    seen = []
    again = tfnst.stylize(
        CONTENT, STYLE, config=TINY, callback=seen.append, callback_steps=1
    )
    np.testing.assert_array_equal(again.array, result.array)
    assert [p.step for p in seen] == list(range(1, 13))
    assert {p.steps for p in seen} == {12}
    assert [p.size for p in seen] == [34] * 6 + [48] * 6
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[5] == pytest.approx(26 * 34 / (26 * 34 + 36 * 48), rel=1e-6)
    assert fractions[-1] == 1
    assert seen[0].losses["total"] == again.losses["total"][0]
    assert seen[0].image().size == (34, 26)
    assert seen[-1].image().size == (48, 36)


def test_callback_sees_each_multiple(result):
    seen = []
    tfnst.stylize(
        CONTENT,
        STYLE,
        config=TINY,
        callback=lambda p: seen.append(p.step),
        callback_steps=4,
    )
    assert {4, 8, 12} <= set(seen)


def test_callback_can_stop_the_run():
    def stop(progress):
        if progress.step == 3:
            progress.stop()

    result = tfnst.stylize(CONTENT, STYLE, config=TINY, callback=stop, callback_steps=1)
    assert result.stopped
    assert len(result.losses) == 3
    # Stopped at a coarse scale, but the picture has the size asked for.
    assert result.array.shape == (36, 48, 3)


def test_runtime_settings_share_one_trace():
    base = TINY.replace(pooling="average")
    tfnst.stylize(CONTENT, STYLE, config=base)
    tfnst.stylize(
        CONTENT, STYLE, config=base, steps=2, size=64, style_weight=3, learning_rate=0.1
    )
    loop, _ = loading.load_engine(base)
    assert loop.traces == 1


@pytest.mark.parametrize(
    "optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("init_image", ["content", "style", "noise"])
def test_starting_images(optimizer, init_image):
    config = TINY.replace(optimizer=optimizer, steps=4, initial_steps=4)
    result = tfnst.stylize(CONTENT, STYLE, init_image=init_image, config=config)
    assert result.config.init_image == init_image
    assert result.losses["total"][3] < result.losses["total"][0]
    assert (result.losses["content"][0] < 1e-10) == (init_image == "content")


def test_a_picture_to_start_from():
    result = tfnst.stylize(CONTENT, STYLE, init_image=STYLE, config=TINY, steps=1)
    assert result.config.init_image == "given"
    assert result.losses["content"][0] > 1e-3
    with pytest.raises(ValueError, match=r"^`init_image` must be a picture when"):
        tfnst.stylize(CONTENT, STYLE, config=TINY.replace(init_image="given"))
    with pytest.raises(OSError, match=r"^`init_image` "):
        tfnst.stylize(CONTENT, STYLE, init_image="nowhere.png", config=TINY)


@pytest.mark.parametrize(
    "optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("tiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_only_the_ratios_of_the_weights_change_the_picture(
    optimizer, tiled, monkeypatch
):
    if tiled:
        paint_in_tiles(monkeypatch, tail_side=12)
    config = TINY.replace(optimizer=optimizer, steps=2, initial_steps=2)
    wanted = tfnst.stylize(CONTENT, STYLE, config=config)
    for factor in (1e-28, 1e-8, 1e-6, 3, 1e24):
        weights = {n: factor * w for n, w in config.loss_weights().items()}
        result = tfnst.stylize(CONTENT, STYLE, config=config, **weights)
        assert_alike(result.array, wanted.array)
        np.testing.assert_allclose(
            result.losses["total"], factor * wanted.losses["total"], rtol=1e-3
        )


def test_a_single_scale():
    result = tfnst.stylize(CONTENT, STYLE, config=TINY, min_size=48)
    assert len(result.losses) == 6


def test_the_coarsest_scale_gets_more_steps():
    sizes = [
        tfnst.stylize(CONTENT, STYLE, config=TINY, steps=2, **more).losses["size"]
        for more in (
            {"initial_steps": None},
            {"initial_steps": 3},
            {"initial_steps": None, "min_size": 48},
        )
    ]
    assert sizes[0].tolist() == [34] * 8 + [48] * 6
    assert sizes[1].tolist() == [34] * 3 + [48] * 2
    assert sizes[2].tolist() == [48] * 8


def test_small_pictures_are_enlarged():
    result = tfnst.stylize(picture(20, 30), picture(16, 16), config=TINY, steps=1)
    assert result.array.shape == (32, 48, 3)


def test_settings_are_checked_by_name():
    with pytest.raises(ValueError, match=r"^`step` is not a setting; choose from "):
        tfnst.stylize(CONTENT, STYLE, step=3)
    for value in (0, True, 1.5):
        with pytest.raises(ValueError, match=r"^`callback_steps` must be an integer"):
            tfnst.stylize(CONTENT, STYLE, config=TINY, callback_steps=value)


@pytest.mark.parametrize("config", [{}, {"size": 48}, "fast", 3])
def test_a_config_is_a_config(config):
    with pytest.raises(ValueError, match=r"^`config` must be a StyleTransferConfig\. "):
        tfnst.stylize(CONTENT, STYLE, config=config)


def test_pictures_are_checked_by_name():
    nan = CONTENT.copy()
    nan[3, 3] = np.nan
    with pytest.raises(ValueError, match=r"^`content_image` must .*Received: "):
        tfnst.stylize(nan, STYLE, config=TINY)
    with pytest.raises(ValueError, match=r"^`style_image` must .*Received: "):
        tfnst.stylize(CONTENT, picture(1, 1), config=TINY)
    with pytest.raises(ValueError, match=r"^`style_image` must be one picture\. "):
        tfnst.stylize(CONTENT, np.stack([STYLE, STYLE]), config=TINY)


def test_narrow_pictures_are_refused_with_a_size_that_works():
    message = (
        r"^`style_image` is too narrow for size=48: its short side would have fewer "
        r"than 16 pixels; use a size of 160 or more\. "
        r"Received: a picture of 20x200 pixels$"
    )
    with pytest.raises(ValueError, match=message):
        tfnst.stylize(CONTENT, picture(200, 20), config=TINY)


def test_layers_must_exist():
    with pytest.raises(ValueError, match=r"Received: 'block1_conv9'$"):
        tfnst.stylize(CONTENT, STYLE, config=TINY, style_layers=("block1_conv9",))


def test_too_little_memory_is_said():
    def exhausted(_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    with pytest.raises(MemoryError, match=r"^`size` is too large .* Received: 48$"):
        tfnst.stylize(CONTENT, STYLE, config=TINY, callback=exhausted)


def test_several_threads_give_what_one_gives(result):
    results = [None] * 4

    def work(i):
        results[i] = tfnst.stylize(CONTENT, STYLE, config=TINY).array

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for array in results:
        np.testing.assert_array_equal(array, result.array)


def test_save(result, tmp_path):
    path = tmp_path / "out.png"
    result.save(path)
    with Image.open(path) as saved:
        np.testing.assert_array_equal(np.asarray(saved), np.asarray(result.image))
    with pytest.raises(ValueError, match=r"^`path` "):
        result.save(tmp_path / "out.doc")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.png"]


def test_files_give_what_their_pixels_give(tmp_path):
    pixels = [np.uint8(np.round(p * 255)) for p in (CONTENT, STYLE)]
    paths = [tmp_path / "content.png", tmp_path / "style.tif"]
    for array, path in zip(pixels, paths, strict=True):
        Image.fromarray(array).save(path)
    np.testing.assert_array_equal(
        tfnst.stylize(*paths, config=TINY).array,
        tfnst.stylize(*pixels, config=TINY).array,
    )


def test_a_style_transfer_gives_what_stylize_gives(monkeypatch):
    seen = []
    style_targets = objective.Objective.style_targets

    def counted(self, *arguments):
        seen.append(1)
        return style_targets(self, *arguments)

    monkeypatch.setattr(objective.Objective, "style_targets", counted)
    config = TINY.replace(ema_momentum=0.4)  # an engine of its own, not yet traced
    style_transfer = tfnst.StyleTransfer(STYLE, config=config)
    for content in (CONTENT, CONTENT[:, ::-1], CONTENT[:32]):
        one = style_transfer.stylize(content)
        other = tfnst.stylize(content, STYLE, config=config)
        np.testing.assert_array_equal(one.array, other.array)
    assert len(seen) == 1  # one trace for all sizes


def test_a_style_transfer_works_out_its_style_once_a_size(monkeypatch):
    style_transfer = tfnst.StyleTransfer(STYLE, config=TINY)
    first = style_transfer.stylize(CONTENT).array
    loop, _ = loading.load_engine(TINY)
    monkeypatch.setattr(loop, "style_targets", None)  # can't be called again
    np.testing.assert_array_equal(style_transfer.stylize(CONTENT).array, first)


def test_a_style_transfer_starts_from_a_picture():
    style_transfer = tfnst.StyleTransfer(STYLE, config=TINY, steps=1, initial_steps=1)
    given = np.zeros([20, 24, 3], np.float32)
    one = style_transfer.stylize(CONTENT, init_image=given).array
    other = tfnst.stylize(
        CONTENT, STYLE, config=TINY, steps=1, initial_steps=1, init_image=given
    ).array
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - style_transfer.stylize(CONTENT).array).max() > 0.1
    assert style_transfer.config.init_image == "content"


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_picture(monkeypatch):
    real = whole.WholeEngine.step

    def poisoned(self, image, state, targets, knobs):
        new_image, new_state, measured = real(self, image, state, targets, knobs)
        bad = tf.equal(state.step, 3) & (tf.shape(image)[2] == 48)
        total = tf.where(bad, float("nan"), measured.total)
        return (
            tf.where(bad, image, new_image),
            new_state._replace(average=tf.where(bad, state.average, new_state.average)),
            measured._replace(total=total),
        )

    monkeypatch.setattr(whole.WholeEngine, "step", poisoned)
    config = TINY.replace(ema_momentum=0.5)  # not shared with another test's engine

    def paint(**callbacks):
        with (
            pytest.warns(UserWarning, match="with half the `learning_rate`"),
            pytest.raises(
                tfnst.NonFiniteLossError,
                match=r"^The loss is no longer finite at step 10 of 12",
            ) as caught,
        ):
            tfnst.stylize(CONTENT, STYLE, config=config, **callbacks)
        return caught.value.result

    seen = []
    kept = paint()
    again = paint(
        callback_steps=1,
        callback=lambda p: seen.append((p.step, p.snapshot.average.numpy()[0])),
    )
    forget_engines()
    assert len(kept.losses) == 9
    assert kept.array.shape == (36, 48, 3)
    assert np.isfinite(kept.array).all()
    step, average = seen[-1]
    assert step == 9
    np.testing.assert_allclose(kept.array, average, atol=1e-6)
    np.testing.assert_array_equal(again.array, kept.array)
