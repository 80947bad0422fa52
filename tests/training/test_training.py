"""Training of networks: that they learn, go on after a break, and say what is wrong."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfnst
from tests.helpers import picture
from tests.training.helpers import OPTIONS, SETTINGS, photos, train, weights_of
from tfnst.engines.loading import load_engine
from tfnst.losses.objective import Targets
from tfnst.losses.terms import LossWeights
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.training.checkpoint import load_training
from tfnst.training.photos import Crops, Photo, UnreadPhotoWarning
from tfnst.training.step import TrainingStep, falling_rate, unsteadiness
from tfnst.training.training import train_network

WEIGHTS = LossWeights(1.0, 20.0, 12.0)


def crops(count=2):
    return np.stack([picture(64, 64, seed) for seed in range(count)])


def halved(pictures):
    count, height, width, _ = pictures.shape
    return pictures.reshape(count, height // 2, 2, width // 2, 2, 3).mean(axis=(2, 4))


@pytest.fixture(scope="module")
def step():
    engine, _ = load_engine(tfnst.StyleTransferConfig(**SETTINGS))
    network = PaintingNetwork(width=4, blocks=1)
    network.initialize(seed=1)
    style = tf.constant(picture(64, 64, 9)[np.newaxis])
    targets = [engine.style_targets(style, tf.constant([s, s])) for s in (64, 32)]
    return TrainingStep(network, engine.objective, targets, WEIGHTS)


def run(step, state, chosen, rate=0.002, pictures=None):
    pictures = tf.constant(crops() if pictures is None else pictures)
    content = step.content_targets(pictures)
    chosen, rate = tf.constant(chosen, tf.int32), tf.constant(rate)
    return step.run(state, pictures, content, chosen, rate)


def test_losses_are_those_of_the_painted_crops_at_both_sizes(step):
    state, losses = run(step, step.first_state(), [1])
    objective, image = step._objective, crops()[1:]
    painted = step._network(tf.constant(image)).numpy()
    each = []
    for style in step._style_targets:
        targets = Targets(objective.content_targets(tf.constant(image)), style)
        each.append(objective.losses(tf.constant(painted), targets, WEIGHTS))
        image, painted = halved(image), halved(painted)
    expected = np.mean(np.stack(each)[:, :, 0], axis=0)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert int(state.step) == 1


def test_a_batch_counts_its_crops_alike(step):
    each = [run(step, step.first_state(), [i])[1] for i in (0, 1)]
    _, both = run(step, step.first_state(), [0, 1])
    np.testing.assert_allclose(both, np.mean(each, axis=0), rtol=1e-4)


def test_the_first_step_goes_along_the_sign_of_the_gradient(step):
    first = step.first_state()
    after, _ = run(step, first, [0], rate=1e-3)
    moved = np.abs(after.weights - first.weights)
    # Adam's first step is as long for every weight that has a gradient.
    assert np.quantile(moved, 0.9) == pytest.approx(1e-3, rel=0.01)
    np.testing.assert_array_equal(after.average, after.weights)


def test_losses_fall(step):
    state, losses = step.first_state(), []
    for _ in range(40):
        state, measured = run(step, state, [0], rate=0.005)
        losses.append(measured[3])
    assert losses[-1] < 0.5 * losses[0]


def test_a_step_that_fails_changes_nothing(step):
    broken = crops()
    broken[0, 5, 5] = np.nan
    first = step.first_state()
    after, losses = run(step, first, [0], pictures=broken)
    assert np.isnan(losses[3])
    for new, old in zip(tf.nest.flatten(after), tf.nest.flatten(first), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_painting_that_moves_with_the_picture_is_steady():
    pictures = tf.constant(crops())

    def moving(paint, step=3):
        return unsteadiness(paint, pictures, paint(pictures), tf.constant(step))

    # Only the noise is left.
    np.testing.assert_allclose(moving(tf.identity), [0.02**2] * 2, rtol=0.1)
    np.testing.assert_array_equal(moving(tf.zeros_like), [0, 0])
    # A pattern that stays where it is differs wherever it is moved.
    pattern = tf.constant(picture(64, 64, 7))[tf.newaxis]
    stays = [moving(lambda p: 0 * p + pattern, step) for step in (3, 3, 4)]
    assert np.min(stays) > 0.01
    np.testing.assert_array_equal(stays[0], stays[1])
    assert not np.array_equal(stays[0], stays[2])


def test_a_training_holds_moved_paintings_to_each_other(network):
    steady = train(temporal_weight=1000.0)

    def change(network):
        pictures = tf.constant(crops())
        paint = network.network
        return np.mean(unsteadiness(paint, pictures, paint(pictures), 0))

    assert change(steady) < 0.7 * change(network)
    assert steady.training["temporal_weight"] == 1000.0


def test_the_rate_falls_along_a_cosine():
    assert falling_rate(0.1, 0.0) == pytest.approx(0.1)
    assert falling_rate(0.1, 0.5) == pytest.approx(0.051)
    assert falling_rate(0.1, 1.0) == falling_rate(0.1, 1.2) == pytest.approx(0.002)


def test_crops_belong_to_their_numbers():
    shown = [Photo(np.uint8(255 * each), None) for each in photos()]
    one, same, other = (Crops(shown, side=64, size=80, seed=s) for s in (1, 1, 2))
    for index in (0, 7, 100):
        assert one.crop(index).shape == (64, 64, 3)
        np.testing.assert_array_equal(one.crop(index), same.crop(index))
        assert not np.array_equal(one.crop(index), other.crop(index))
    blocks = one.blocks(2, count=3)
    np.testing.assert_allclose(next(blocks)[1] * 255, one.crop(7), atol=1e-4)
    np.testing.assert_allclose(next(blocks)[0] * 255, one.crop(9), atol=1e-4)


def test_crops_of_a_photo_that_is_too_small_are_enlarged():
    crop = Crops(
        [Photo(np.zeros((20, 30, 3), np.uint8), None)], side=64, size=80, seed=0
    )
    assert crop.crop(0).shape == (64, 64, 3)


def test_a_training_goes_on_bit_for_bit(network, tmp_path, monkeypatch):
    path = tmp_path / "training"

    def stop(progress):
        if progress.step == 5:
            progress.stop()

    monkeypatch.setattr("tfnst.training.training._SECONDS_PER_CALL", 0)
    part = train(callback=stop, checkpoint=path)
    assert part.training["steps"] == 5
    assert not np.array_equal(weights_of(part)[0], weights_of(network)[0])
    whole = train_network(picture(64, 64, 9), photos(), resume=path)
    assert whole.training["steps"] == 12
    for one, other in zip(weights_of(whole), weights_of(network), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "training"
    train(steps=1, checkpoint=path)
    with pytest.raises(ValueError, match=r"`resume` must be .* same training.*photos"):
        train_network(picture(64, 64, 9), photos()[:2], resume=path)
    with pytest.raises(ValueError, match="`start` must be None where `resume` brings"):
        train_network(picture(64, 64, 9), photos(), resume=path, start="random")
    with pytest.raises(ValueError, match="one with other options, width 4 and not 8"):
        train_network(picture(64, 64, 9), photos(), resume=path, width=8)
    kept = load_training(path)
    strange = {name: kept.training[name] for name in ("settings", "photos")}
    dataclasses.replace(kept, training=strange).save(path)
    with pytest.raises(ValueError, match="`resume` must be a checkpoint of `tfnst tr"):
        train_network(picture(64, 64, 9), photos(), resume=path)
    path.write_text("something else")
    with pytest.raises(ValueError, match="`resume` must be a checkpoint of `tfnst tr"):
        train_network(picture(64, 64, 9), photos(), resume=path)


def test_a_training_begins_with_another_network(network, tmp_path):
    path = tmp_path / "first.keras"
    network.save(path)
    # The learning rate is too low to change a weight that has 16 bits.
    same = train(start=path, steps=1, learning_rate=1e-9)
    for one, other in zip(weights_of(same), weights_of(network), strict=True):
        np.testing.assert_array_equal(one, other)
    assert same.root == network.root != train(steps=1, seed=1).root
    assert train(start=same, steps=1).root == network.root


def test_a_network_to_begin_with_is_checked(network):
    with pytest.raises(ValueError, match="`width` must be 4, that of `start`"):
        train(start=network, width=8)
    with pytest.raises(ValueError, match="`start` must be a StyleNetwork, the path of"):
        train(start="photo.jpg")
    with pytest.raises(ValueError, match="`width` must be 16, that of `start`"):
        train(start="swirls")


def test_a_training_begins_with_a_built_in_style_unless_told_otherwise():
    swirls = tfnst.load_network("swirls")
    assert train(steps=1, width=16).root == swirls.root
    assert train(steps=1, width=16, start="random").root != swirls.root


def test_progress_has_losses_and_a_picture():
    seen = []

    def look(progress):
        seen.append((progress.step, progress.steps, progress.fraction))
        assert progress.losses["total"] > 0
        assert progress.image().size == (3 * 80, 60)
        assert progress.image(40).size == (3 * 40, 30)

    train(steps=2, callback=look)
    assert seen[-1] == (2, 2, 1.0)


def test_tensorboard_shows_a_training(tmp_path):
    pytest.importorskip("tensorboard")
    train(steps=2, callback=tfnst.TensorBoardCallback(tmp_path))
    (log,) = tmp_path.iterdir()
    written = log.read_bytes()
    assert b"loss/total" in written
    assert b"stylized" in written


def test_a_time_limit_ends_a_training():
    network = train(steps=None, minutes=1e-6)
    assert network.training["steps"] <= 1


def test_photos_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "broken.jpg").write_text("no picture")
    tfnst.save_image(photos()[0], tmp_path / "good.png")
    with pytest.warns(UnreadPhotoWarning, match=r"left out: .*broken\.jpg"):
        network = train_network(
            picture(64, 64, 9), tmp_path, **{**OPTIONS, **SETTINGS, "steps": 1}
        )
    assert network.training["photos"] == 1
    (tmp_path / "good.png").unlink()
    with (
        pytest.warns(UnreadPhotoWarning),
        pytest.raises(ValueError, match="`photos` must be photos"),
    ):
        train_network(picture(64, 64, 9), tmp_path, **OPTIONS, **SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "`steps` must be an integer from 1"),
        ({"batch_size": 65}, "`batch_size` must be an integer from 1 to 64"),
        ({"crop_size": 32}, "`crop_size` must be an integer from 64"),
        ({"width": 2}, "`width` must be an integer from 4 to 128"),
        ({"learning_rate": 0}, "`learning_rate` must be a number above 0"),
        ({"temporal_weight": -1}, "`temporal_weight` must be a number from 0 to"),
        ({"minutes": float("nan")}, "`minutes` must be a finite number"),
        ({"seamless": True}, "`seamless` must be left out"),
        ({"optimizer": "lbfgs"}, "`optimizer` must be left out"),
        ({"checkpoint": "missing/training"}, "`checkpoint` must be a path in a folder"),
        ({"checkpoint": __file__}, "`checkpoint` must be a new file or a checkpoint"),
        (
            {"checkpoint": "training", "checkpoint_seconds": -1},
            "`checkpoint_seconds` must be a finite number, 0 or more",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises((ValueError, OSError), match=message):
        train(**arguments)


def test_a_loss_that_stays_infinite_ends_a_training(monkeypatch):
    monkeypatch.setattr(
        TrainingStep, "_run", lambda self, state, *_: (state, tf.fill([4], np.nan))
    )
    with (
        pytest.warns(UserWarning, match="no longer finite at step 1; the training"),
        pytest.raises(ValueError, match="`learning_rate` must be smaller"),
    ):
        train()
