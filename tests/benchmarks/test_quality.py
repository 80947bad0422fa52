"""The benchmark's recipes do what they claim, on a tiny seeded network."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.quality import (
    __main__,
    crowson,
    fronts,
    johnson,
    judge,
    nnst,
    recipes,
    report,
    task,
)
from tests.helpers import picture
from tfnst.networks import backbones, vgg

SIZE = 48
TINY = {"min_size": 32}


@pytest.fixture(scope="module")
def backbone():
    return backbones.load_backbone("vgg16", weights=None, last_layer="block5_conv2")


@pytest.fixture(scope="module")
def build_task(backbone):
    def build(**changes):
        settings = {
            "content": picture(60, 80, seed=1)[None],
            "style": picture(50, 40, seed=2)[None],
            "size": SIZE,
            "fraction": 0.006,
            "content_factor": 1.0,
            "backbone": backbone,
            "weights": None,
        }
        return task.Task(**settings | changes)

    return build


# The others take long.
QUICK = ("tensorflow", "keras", "johnson")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in recipes.build_recipes({})
    ],
)
def test_recipes_paint_within_the_budget(name, build_task):
    given = build_task(
        size=160 if name in ("crowson", "nnst") else SIZE,
        fraction=0.03 if name == "tfnst_quarter" else 0.006,
    )
    painting = recipes.build_recipes(TINY)[name](given)
    height, width = given.sides(given.size)
    assert painting.array.shape == (height, width, 3)
    assert painting.array.dtype == np.float32
    assert 0 <= painting.array.min() < painting.array.max() <= 1
    allowed = given.budget * (0.25 if name == "tfnst_quarter" else 1)
    assert 0.2 * allowed < painting.spent <= allowed
    json.dumps(painting.settings)


def test_the_command_names_all_recipes():
    assert tuple(recipes.build_recipes({})) == __main__.RECIPES


def test_the_budget_is_a_share_of_a_thousand_evaluations(build_task):
    given = build_task(fraction=0.01)
    assert given.budget == 10 * 36 * 48
    assert given.steps() == 10
    with pytest.raises(task.BudgetError):
        build_task(fraction=0.0001).steps()


def test_a_full_run_of_crowson_costs_what_a_thousand_steps_cost(build_task):
    for size in (128, 256, 512):
        given = build_task(
            size=size, fraction=1.0, content=np.zeros([1, 64, 64, 3], np.float32)
        )
        iterations = crowson._iterations(given, crowson._scales(size))
        assert iterations[0] == pytest.approx(1000, rel=0.01)
        assert iterations[1:] == [pytest.approx(500, rel=0.01)] * (len(iterations) - 1)
    assert crowson._scales(512) == [128, 181, 256, 362, 512]


@pytest.mark.slow
def test_tfnst_with_a_larger_budget_takes_more_steps(build_task):
    one, other = (
        recipes.paint_tfnst(build_task(fraction=f), TINY) for f in (0.006, 0.012)
    )
    assert other.settings["steps"] > one.settings["steps"]


def test_the_content_factor_multiplies_the_weight(build_task):
    assert recipes.tfnst_config(
        build_task(content_factor=4.0), {"content_weight": 2}
    ).content_weight == pytest.approx(8)


def test_lbfgs_solves_a_quadratic_with_steps_of_length_one():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    matrix = (root @ root.T + np.eye(8)).astype(np.float32)
    wanted = rng.normal(size=8).astype(np.float32)
    calls = []

    def gradient(x):
        calls.append(x)
        return matrix @ (x - wanted)

    points = list(johnson.lbfgs_points(gradient, np.zeros(8, np.float32), 60))
    assert len(points) == len(calls) == 60
    np.testing.assert_allclose(points[-1], wanted, atol=1e-2)
    # The first step is short, because no curvature is known yet.
    assert np.abs(points[0]).sum() <= 1.0001


def test_lbfgs_ends_at_a_gradient_that_is_not_finite():
    def gradient(x):
        return x if np.abs(x).max() > 0.9 else np.full_like(x, np.nan)

    start = np.ones(3, np.float32)
    assert len(list(johnson.lbfgs_points(gradient, start, 10))) == 1


def covariance(channels, seed):
    x = np.random.default_rng(seed).normal(size=(4 * channels, channels))
    return (x.T @ x / len(x)).astype(np.float32)


def square_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def test_square_roots_and_their_trace():
    matrix = covariance(16, 0)
    root, inverse = crowson.square_roots(tf.constant(matrix))
    np.testing.assert_allclose(root, square_root(matrix), atol=1e-3)
    np.testing.assert_allclose(inverse @ root, np.eye(16), atol=1e-2)
    with tf.GradientTape() as tape:
        given = tf.constant(matrix)
        tape.watch(given)
        trace = crowson.trace_of_square_root(given)
    np.testing.assert_allclose(trace, np.trace(square_root(matrix)), rtol=1e-4)
    expected = np.linalg.inv(square_root(matrix)) / 2
    np.testing.assert_allclose(tape.gradient(trace, given), expected, atol=1e-2)


def test_wasserstein_loss_of_known_activations():
    x = np.random.default_rng(0).normal(size=(1, 20, 30, 8)).astype(np.float32)
    target = crowson._target(tf.constant(x))

    def loss(activations):
        return crowson.wasserstein_loss(tf.constant(activations), *target)

    np.testing.assert_allclose(loss(x), 0, atol=1e-4)
    shuffled = np.random.default_rng(1).permutation(x.reshape(600, 8))
    np.testing.assert_allclose(loss(shuffled.reshape(x.shape)), 0, atol=1e-4)
    # A shift by d costs |d|^2 / C, and twice the deviation costs the variance.
    np.testing.assert_allclose(loss(x + 2), 4, rtol=1e-3)
    centred = x - x.mean(axis=(0, 1, 2))
    expected = np.mean(x.var(axis=(0, 1, 2)))
    np.testing.assert_allclose(loss(x + centred), expected, rtol=1e-2)


def test_crowsons_total_variation_is_that_of_a_slope():
    ramp = np.broadcast_to(np.linspace(0, 1, 101)[:, None, None], (101, 101, 3))
    # On a slope s, the differences away from the border sum to 2 s^2 (1/3 + 2/12).
    expected = 2 * 0.01**2 * (1 / 3 + 2 / 12)
    loss = crowson.total_variation(tf.constant(ramp[None], tf.float32))
    np.testing.assert_allclose(loss, expected, rtol=0.03)
    np.testing.assert_allclose(crowson.total_variation(tf.fill([1, 5, 5, 3], 0.3)), 0)


def test_fronts_keep_what_no_other_point_beats():
    points = [(0.5, 0.3), (0.6, 0.4), (0.3, 0.6), (0.3, 0.7), (0.2, 1.2), (1.3, 0.2)]
    line = fronts.front(points)
    assert line == [(0.2, 1.2), (0.3, 0.6), (0.5, 0.3), (1.3, 0.2)]
    assert fronts.height(line, 0.4) == pytest.approx(0.45)
    assert fronts.height(line, 2) == 0.2
    assert fronts.height(line, 0.1) == float("inf")
    assert fronts.behind([(0.4, 0.44), (0.4, 0.5), (0.1, 0.2)], line) == 1


def test_the_lead_is_the_mean_distance_at_equal_content():
    line = [(0.2, 0.8), (0.6, 0.4)]
    assert fronts.lead(line, line) == 0
    above = [(c, s + 0.1) for c, s in line]
    assert fronts.lead(line, above) == pytest.approx(0.1)
    assert fronts.lead(above, line) == pytest.approx(-0.1)
    # From 0.4, where the later front begins, to 0.8, where the longer one ends.
    late = [(0.4, 0.5), (0.8, 0.5)]
    assert fronts.lead(line, late) == pytest.approx(0.05, abs=1e-3)
    # Painting less of the style while keeping less of the content gains nothing.
    assert fronts.lead(line, [(0.9, 0.5), (1.0, 0.45)]) > 0


def test_no_layer_is_judged_that_a_recipe_optimises():
    held = vgg.layer_names("vgg16")
    free = judge.free_layers(held, recipes.PEERS_LAYERS)
    assert free == ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3")
    taken = recipes.PEERS_LAYERS | {"block3_conv3"}
    assert judge.free_layers(held, taken)[2] == "block3_conv2"
    assert judge.free_layers(held[:10], taken) == (*free[:2], "block3_conv2")


def row(recipe, factor, content, style, judge_name="own network"):
    values = dict.fromkeys(report.MEASURES, 0.0)
    values |= {"content_cosine": content, "content_self_similarity": content}
    values |= {"style_gram": style, "style_swd": style}
    return {
        **{"pair": "one", "recipe": recipe, "content_factor": factor},
        **{"judge": judge_name, "spent": 1, "budget": 1.0, "seconds": 1.0},
        **values,
    }


def test_comparisons_count_pairs_and_points(capsys):
    rows = [
        row("photo", 1.0, 0.0, 2.0),
        row("style", 1.0, 0.8, 0.1),
        row("tfnst", 0.25, 0.3, 0.6),
        row("tfnst", 1.0, 0.2, 0.8),
        row("keras", 1.0, 0.3, 1.2),
        row("crowson", 1.0, 0.2, 0.4),
    ]
    gram = [c for c in report.compare(rows) if c["measure"] == "style_gram"]
    keras, crowson_ = gram
    assert (keras["peer"], keras["ahead"], keras["pairs"]) == ("keras", 1, 1)
    assert (keras["theirs_behind"], keras["theirs"]) == (1, 1)
    assert (keras["ours_behind"], keras["ours"]) == (0, 2)
    assert (crowson_["ahead"], crowson_["lost"]) == (0, ["one"])
    assert (crowson_["theirs_behind"], crowson_["ours_behind"]) == (0, 2)
    report.print_comparisons(gram)
    assert "not on one" in capsys.readouterr().out


def test_a_pyramid_holds_the_picture():
    image = tf.constant(picture(50, 37, seed=3)[None])
    levels = nnst.to_pyramid(image)
    assert [level.shape[1:3].as_list() for level in levels] == [
        [50, 37], [25, 18], [12, 9], [6, 4], [3, 2], [1, 1],
    ]  # fmt: skip
    np.testing.assert_allclose(nnst.from_pyramid(levels), image, atol=1e-6)


def test_features_are_compared_by_the_cosine_of_their_deviations():
    rng = np.random.default_rng(0)
    one, other = rng.normal(3, 1, (5, 4)), rng.normal(-2, 1, (7, 4))
    deviations = [x - x.mean(axis=0) for x in (one, other)]
    lengths = [np.linalg.norm(x, axis=1) for x in deviations]
    np.testing.assert_allclose(
        nnst.centered_similarities(tf.constant(one), tf.constant(other)),
        deviations[0] @ deviations[1].T / np.outer(*lengths),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        np.diag(nnst.centered_similarities(tf.constant(one), tf.constant(one))), 1
    )


def test_nnst_takes_no_more_content_than_there_is(build_task):
    with pytest.raises(task.BudgetError, match="upper limit"):
        nnst.paint_nnst(build_task(size=160, content_factor=16.0))
