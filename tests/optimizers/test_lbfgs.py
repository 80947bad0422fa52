"""L-BFGS against SciPy and against dense BFGS matrices."""

import functools

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from tests.optimizers.helpers import with_gradients
from tfnst.optimizers import lbfgs

TOLERANCE = 1e-6  # of the projected gradient, where a search is over


def rosenbrock(x):
    valley = 100 * tf.square(x[:, 1:] - tf.square(x[:, :-1]))
    return tf.reduce_sum(valley + tf.square(1 - x[:, :-1]), axis=1)


def quadratic(size, condition, seed=0, dtype=np.float64):
    """Half a quadratic form of the given condition around a centre in [-1, 2]."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(size, size)))
    matrix = (axes * np.geomspace(1, condition, size) @ axes.T).astype(dtype)
    center = rng.uniform(-1, 2, size).astype(dtype)

    def loss(x):
        distance = x - center
        return tf.reduce_sum(distance * tf.matmul(distance, matrix), axis=1) / 2

    return loss


def logistic(size, seed=0):
    """Logistic regression on random data with weight decay: convex."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(200, size)) * np.geomspace(0.1, 3, size)
    labels = np.sign(rng.normal(size=200) + inputs[:, 0])

    def loss(x):
        margins = tf.matmul(x, inputs.T) * labels
        fit = tf.reduce_mean(tf.math.softplus(-margins), axis=1)
        return fit + 1e-1 * tf.reduce_sum(tf.square(x), axis=1)

    return loss


@functools.cache
def update_function(dtype=tf.float64, history=10, **settings):
    """`lbfgs_update` traced once for any batch of vectors."""
    params = tf.TensorSpec([None, None], dtype)
    numbers = tf.TensorSpec([None], dtype)
    counts = tf.TensorSpec([None], tf.int32)
    ring = tf.TensorSpec([history, None, None], dtype)
    state = lbfgs.LBFGSState(
        params, numbers, params, numbers, params, numbers, counts, counts, ring, ring
    )
    update = functools.partial(lbfgs.lbfgs_update, **settings)
    return tf.function(
        update, input_signature=[params, numbers, params, state], autograph=False
    )


def search(loss, start, *, steps, dtype=tf.float64, history=10, **settings):
    """Yields (params, loss, gradients, state after the update) for every step."""
    evaluate = with_gradients(loss)
    settings = {"learning_rate": 1.0, **settings}
    update = update_function(dtype, history, **settings)
    params = tf.constant(np.atleast_2d(start), dtype)
    state = lbfgs.lbfgs_init(params, history=history)
    for _ in range(steps):
        value, gradients = evaluate(params)
        trial, state = update(params, value, gradients, state)
        yield params, value, gradients, state
        params = trial


def last(run):
    *_, end = run
    return end


PROBLEMS = {
    "rosenbrock 2": (rosenbrock, [-1.2, 1.0], {}),
    "rosenbrock 10": (rosenbrock, np.tile([-1.2, 1.0], 5), {}),
    "quadratic": (quadratic(10, 1e4), np.full(10, 0.5), {}),
    "logistic": (logistic(20), np.zeros(20), {}),
    "quadratic, bounds": (
        quadratic(20, 100, 2),
        np.full(20, 0.5),
        {"lower": 0.0, "upper": 1.0},
    ),
    "ill-conditioned quadratic, bounds": (
        quadratic(50, 1e3),
        np.full(50, 0.5),
        {"lower": 0.0, "upper": 1.0},
    ),
    "rosenbrock, upper bound": (rosenbrock, [-1.2, 1.0, 0.2], {"upper": 0.8}),
}


def projected_gradient(x, g, lower=None, upper=None):
    if lower is None and upper is None:
        return np.abs(g).max()
    return np.abs(np.clip(x - g, lower, upper) - x).max()


def scipy_search(loss, start, bounds):
    """SciPy's minimiser and its evaluations up to the tolerance."""
    evaluate = with_gradients(loss)
    sizes = []

    def function(x):
        value, gradients = (t.numpy()[0] for t in evaluate(tf.constant(x[None])))
        sizes.append(projected_gradient(x, gradients, **bounds))
        return value, gradients

    result = scipy.optimize.minimize(
        function,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=scipy.optimize.Bounds(
            bounds.get("lower", -np.inf), bounds.get("upper", np.inf)
        ),
        options={"maxcor": 10, "gtol": TOLERANCE / 10, "ftol": 0},
    )
    # On some processors rounding stops it just before the tolerance.
    reached = (i + 1 for i, size in enumerate(sizes) if size <= TOLERANCE)
    return result.x, next(reached, len(sizes))


REPEATS = ("rosenbrock 2", "rosenbrock 10", "quadratic", "quadratic, bounds")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in REPEATS else name
        for name in PROBLEMS
    ],
)
def test_lbfgs_needs_about_as_many_evaluations_as_scipy(name):
    loss, start, bounds = PROBLEMS[name]
    expected, scipy_count = scipy_search(loss, np.asarray(start, np.float64), bounds)
    count = 0
    for params, _, gradients, _ in search(loss, start, steps=900, **bounds):
        count += 1
        x, g = params.numpy()[0], gradients.numpy()[0]
        if projected_gradient(x, g, **bounds) <= TOLERANCE:
            break
    np.testing.assert_allclose(x, expected, atol=1e-5)
    assert count <= 1.5 * scipy_count
    if bounds:
        at_bound = np.isin(x, list(bounds.values()))
        assert 0 < at_bound.sum() < len(x)


@pytest.mark.parametrize("bounds", [{}, {"lower": -0.2, "upper": 1.0}])
@pytest.mark.parametrize(
    "history",
    [
        pytest.param(1, marks=pytest.mark.slow),
        3,
        pytest.param(10, marks=pytest.mark.slow),
    ],
)
def test_directions_are_those_of_the_dense_inverse_hessian(history, bounds):
    run = search(quadratic(6, 50), np.zeros(6), steps=9, history=history, **bounds)
    stored, checked = [], 0
    before = None
    for params, _, gradients, state in run:
        x, g = params.numpy()[0], gradients.numpy()[0]
        if int(state.rejections[0]):
            continue
        if before is not None:
            stored = [*stored, (x - before[0], g - before[1])][-history:]
        before = x, g
        if not stored:
            continue
        free = np.ones(6, bool)
        if bounds:
            free = ~(((x <= -0.2) & (g > 0)) | ((x >= 1.0) & (g < 0)))
        s, y = stored[-1][0][free], stored[-1][1][free]
        inverse = np.eye(free.sum()) * (s @ y) / (y @ y)
        for s, y in stored:
            s, y = s[free], y[free]
            left = np.eye(free.sum()) - np.outer(s, y) / (s @ y)
            inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
        expected = np.zeros(6)
        expected[free] = -inverse @ g[free]
        np.testing.assert_allclose(state.direction[0], expected, rtol=1e-8, atol=1e-12)
        checked += 1
    assert checked >= 6


def test_the_first_step_changes_values_by_the_learning_rate():
    state = lbfgs.lbfgs_init(tf.zeros([2, 3]))
    gradients = tf.constant([[1.0, -4.0, 2.0], [1e-6, 0.0, 0.0]])
    params, _ = lbfgs.lbfgs_update(
        tf.zeros([2, 3]), tf.ones([2]), gradients, state, learning_rate=0.02
    )
    np.testing.assert_allclose(
        params, [[-0.005, 0.02, -0.01], [-0.02, 0.0, 0.0]], rtol=1e-6
    )


def test_accepted_losses_never_rise():
    lowest = np.inf
    for _, value, _, state in search(rosenbrock, np.tile([-1.2, 1], 5), steps=110):
        accepted = float(state.loss[0])
        assert accepted <= lowest
        if int(state.rejections[0]) == 0:
            assert accepted == float(value[0])
        lowest = accepted
    assert lowest < 1e-9


def test_problems_of_a_batch_do_not_meet():
    starts = np.random.default_rng(3).uniform(-2, 2, (4, 5))
    # Later, rounding may decide whether a trial is refused.
    together = last(search(rosenbrock, starts, steps=8))[3]
    assert len(set(together.pairs.numpy())) > 1
    for n, start in enumerate(starts):
        alone = last(search(rosenbrock, start, steps=8))[3]
        assert int(alone.pairs[0]) == int(together.pairs[n])
        np.testing.assert_allclose(together.params[n], alone.params[0], rtol=1e-6)


def test_the_same_search_gives_the_same_bits():
    first, second = (
        last(search(rosenbrock, [-1.2, 1.0], steps=30))[3] for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["loss", "gradients"])
def test_trials_that_are_not_finite_are_refused(bad, where):
    params = tf.constant([[1.0, 2.0]], tf.float64)
    state = lbfgs.lbfgs_init(params)
    update = functools.partial(lbfgs.lbfgs_update, learning_rate=0.1)
    trial, state = update(params, tf.reduce_sum(params**2, 1), 2 * params, state)
    loss, gradients = tf.reduce_sum(trial**2, 1), 2 * trial
    if where == "loss":
        loss = tf.constant([bad], tf.float64)
    else:
        gradients = tf.constant([[0.0, bad]], tf.float64)
    shorter, after = update(trial, loss, gradients, state)
    np.testing.assert_array_equal(lbfgs.lbfgs_best(after), params)
    np.testing.assert_allclose(shorter - params, 0.1 * (trial - params), rtol=1e-12)


def test_a_wall_of_nan_is_kept_out():
    def loss(x):  # NaN left of 0; the minimum lies at 0.01
        return tf.reduce_sum(x - 0.01 * tf.math.log(x), axis=1)

    _, _, _, state = last(search(loss, [5.0, 0.5], steps=60))
    np.testing.assert_allclose(lbfgs.lbfgs_best(state), [[0.01, 0.01]], rtol=1e-5)


def test_after_ten_refusals_it_starts_anew():
    evaluate = with_gradients(quadratic(3, 5))
    update = update_function(learning_rate=0.5)
    params = tf.constant([[3.0, 3.0, 3.0]], tf.float64)
    state = lbfgs.lbfgs_init(params)
    for _ in range(4):
        params, state = update(params, *evaluate(params), state)
    best = lbfgs.lbfgs_best(state)
    assert int(state.pairs[0]) > 0
    for refusal in range(lbfgs.MAX_REJECTIONS):
        assert int(state.rejections[0]) == refusal
        _, gradients = evaluate(params)
        worse = tf.constant([1e9], tf.float64)
        params, state = update(params, worse, gradients, state)
    assert int(state.pairs[0]) == 0
    np.testing.assert_array_equal(state.params, best)
    np.testing.assert_allclose(np.abs(params - best).max(), 0.5)
    assert np.vdot(params - best, state.gradients) < 0


def test_steps_grow_where_the_loss_curves_downward():
    def loss(x):
        return tf.reduce_sum(tf.sqrt(1 + tf.square(tf.sin(x / 2000))), axis=1)

    run = search(loss, [2000 * np.pi * 0.499], steps=25, learning_rate=0.1)
    _, _, _, state = last(run)
    np.testing.assert_allclose(lbfgs.lbfgs_best(state), [[0.0]], atol=1e-2)


def test_a_start_outside_the_bounds_is_projected():
    bounds = {"lower": 0.0, "upper": 1.0}
    _, _, _, state = last(search(quadratic(4, 3), [-3, 0.5, 7, 2], steps=30, **bounds))
    inside = last(search(quadratic(4, 3), np.full(4, 0.5), steps=30, **bounds))[3]
    np.testing.assert_allclose(state.params, inside.params, atol=1e-7)


@pytest.mark.parametrize("bounds", [{}, {"lower": 0.0, "upper": 1.0}])
def test_it_stays_at_the_optimum(bounds):
    start = [0.25, 0.5]

    def loss(x):
        return tf.reduce_sum(tf.square(x - start), axis=1)

    for params, _, _, state in search(loss, start, steps=25, **bounds):
        np.testing.assert_array_equal(params, [start])
        np.testing.assert_array_equal(lbfgs.lbfgs_best(state), [start])


@pytest.mark.parametrize(
    ("bounds", "steps"),
    [
        ({"lower": 0.0, "upper": 1.0}, 150),
        pytest.param({"lower": 0.0, "upper": 1.0}, 500, marks=pytest.mark.slow),
        pytest.param({}, 500, marks=pytest.mark.slow),
    ],
)
def test_float32_stays_stable_at_the_noise_of_the_loss(bounds, steps):
    bowl = quadratic(30, 1e3, dtype=np.float32)
    start = np.full([2, 30], 0.5)
    losses = []
    settings = {"steps": steps, "dtype": tf.float32, **bounds}
    run = search(lambda x: 100 + bowl(x), start, **settings)
    for _, _, _, state in run:
        losses.append(state.loss.numpy())
        assert np.all(np.isfinite(state.params))
        assert np.all(np.isfinite(state.direction))
    losses = np.array(losses)
    assert np.all(losses <= np.minimum.accumulate(losses) * (1 + 2e-6))
    expected = last(search(lambda x: 100 + bowl_64(x), start, steps=150, **bounds))[3]
    np.testing.assert_allclose(losses[-1], expected.loss, rtol=2e-6)
    np.testing.assert_allclose(state.params, expected.params, atol=2e-2)


def bowl_64(x):
    return tf.cast(
        quadratic(30, 1e3, dtype=np.float32)(tf.cast(x, tf.float32)), x.dtype
    )


@pytest.mark.parametrize("history", [0, -1, 2.5, None, True])
def test_wrong_histories_are_refused(history):
    with pytest.raises(ValueError, match=r"`history` must be .* Received:"):
        lbfgs.lbfgs_init(tf.zeros([1, 3]), history=history)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", -1.0),
        ("lower", 2.0),
        ("loss", tf.zeros([])),
        ("loss", tf.zeros([2])),
        ("gradients", tf.zeros([1, 2])),
    ],
)
def test_lbfgs_refuses_wrong_arguments(name, value):
    params = tf.zeros([1, 3])
    arguments = {
        "loss": tf.zeros([1]),
        "gradients": params,
        "learning_rate": 0.1,
        "upper": 1.0,
        name: value,
    }
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received:"):
        lbfgs.lbfgs_update(params, state=lbfgs.lbfgs_init(params), **arguments)
