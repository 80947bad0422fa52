"""L-BFGS as pure functions of tensors: the state goes in and comes out.

`lbfgs_init` makes the state; `lbfgs_update` takes one loss and gradient and says where
to evaluate next. Nothing is kept anywhere else, so the same code runs in a Python loop,
in a `tf.function` and in the `tf.while_loop` of an exported model::

    state = lbfgs_init(image)
    for _ in range(steps):
        loss, gradients = loss_and_gradients(image)  # [N] and [N, ...]
        image, state = lbfgs_update(image, loss, gradients, state, learning_rate=0.02)
    image = lbfgs_best(state)

The first axis counts N independent problems: every dot product, step length and
decision belongs to one of them alone.
"""

from __future__ import annotations

import operator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.optimizers.arguments import (
    check_bounds,
    check_like,
    check_params,
    check_rate,
)
from tfnst.optimizers.base import Optimizer

SUFFICIENT_DECREASE = 1e-4  # c_1 of Nocedal & Wright, equation 3.6a
HISTORY = 10  # pairs that L-BFGS remembers
MAX_REJECTIONS = 10  # trial points in a row before the history is thrown away


class LBFGSState(NamedTuple):
    """State of L-BFGS.

    Attributes:
        params: last accepted point, [N, ...].
        loss: its loss, [N]; infinite before the first evaluation.
        gradients: its gradients, [N, ...].
        lowest_loss: lowest loss accepted so far, [N].
        direction: search direction from `params`, [N, ...].
        step_size: length of the trial step along `direction`, [N].
        rejections: number of trial points refused in a row, [N], int32.
        pairs: number of pairs stored since the last restart, [N], int32.
        position_differences: ring of accepted steps s, [history, N, ...]. Pair number
            k of a problem lies in slot `k % history`.
        gradient_differences: ring of the changes of gradient y along them, as above.
    """

    params: tf.Tensor
    loss: tf.Tensor
    gradients: tf.Tensor
    lowest_loss: tf.Tensor
    direction: tf.Tensor
    step_size: tf.Tensor
    rejections: tf.Tensor
    pairs: tf.Tensor
    position_differences: tf.Tensor
    gradient_differences: tf.Tensor


def lbfgs_init(params: tf.Tensor, *, history: int = HISTORY) -> LBFGSState:
    """The state of L-BFGS before its first evaluation.

    Args:
        params: start of the search, [N, ...], floating.
        history: pairs to remember, 1 or more. They take `2 * history` times the
            memory of `params`.

    Raises:
        ValueError: if `params` is not floating or has fewer than two axes, or
            `history` is not a positive integer.
    """
    params = check_params(params)
    try:
        size = operator.index(history)
    except TypeError:
        size = 0
    if size < 1 or isinstance(history, bool):
        raise ValueError(
            f"`history` must be an integer, 1 or more. Received: {history!r}"
        )
    zeros = tf.zeros_like(params)
    numbers = tf.zeros(tf.shape(params)[:1], params.dtype)
    counts = tf.zeros_like(numbers, tf.int32)
    ring = tf.zeros(tf.concat([[size], tf.shape(params)], axis=0), params.dtype)
    return LBFGSState(
        params=params,
        loss=numbers + _unknown(params.dtype),
        gradients=zeros,
        lowest_loss=numbers + _unknown(params.dtype),
        direction=zeros,
        step_size=numbers,
        rejections=counts,
        pairs=counts,
        position_differences=ring,
        gradient_differences=ring,
    )


def lbfgs_best(state: LBFGSState) -> tf.Tensor:
    """The last accepted point, [N, ...]: the best so far, up to rounding errors.

    The point that `lbfgs_update` returns is one to try and may be worse.
    """
    return state.params


def lbfgs_update(
    params: tf.Tensor,
    loss: tf.Tensor,
    gradients: tf.Tensor,
    state: LBFGSState,
    *,
    learning_rate: float | tf.Tensor,
    lower: float | None = None,
    upper: float | None = None,
) -> tuple[tf.Tensor, LBFGSState]:
    """Judges the point `params` and names the next one to try.

    One call uses one evaluation of the loss and its gradients, so the line search is
    spread over calls. With the last accepted point x and the step s = params - x the
    point is accepted when the loss falls enough (Armijo's condition), ::

        loss <= loss(x) + c_1 * g(x) . s

    or, where rounding hides the fall, when the loss is within a few rounding errors
    of the lowest one and the slope shows what the loss can't (the approximate Wolfe
    condition of Hager & Zhang), ::

        g . s <= (2 c_1 - 1) * g(x) . s

    An accepted point gives a pair (s, y = g - g(x)) to the history when the loss
    curves upward along s. The next trial is the quasi-Newton step `x - H g`. Where
    the loss does not curve upward the pair is left out and the step length doubles.
    A refused point is followed by a shorter step, from the minimum of the cubic that
    fits both losses and slopes. After 10 refusals in a row, or when `-H g` does not
    lead downhill, the history is dropped and the search goes on with steepest
    descent. At an optimum, and after losses or gradients that are not finite, the
    last accepted point stays.

    Bounds are kept by projection. Values at a bound that want to cross it are frozen:
    they are left out of g, s and y when `H g` is formed (Bertsekas). L-BFGS-B solves
    a subproblem for that instead; in numbers of evaluations the two are alike.

    A start outside the bounds is replaced by its projection in the first call.

    Args:
        params: the point that was evaluated: `state.params` at first, later what the
            last update returned; [N, ...], floating.
        loss: loss of each problem at `params`, [N], same dtype.
        gradients: gradients of `loss` at `params`, same shape and dtype as `params`.
        state: from `lbfgs_init` or from the last update.
        learning_rate: largest change of a value in a steepest descent step, that is
            in the first one and after a restart; a number above 0 or a scalar tensor.
        lower: smallest value of `params`, or None.
        upper: largest value of `params`, or None.

    Returns:
        The next point to evaluate and the next state.

    Raises:
        ValueError: if an argument is out of its range or shapes differ.

    Reference:
        Nocedal & Wright, "Numerical Optimization", 2nd ed., algorithms 3.5, 7.4, 7.5.
        Byrd, Lu, Nocedal, Zhu, "A Limited Memory Algorithm for Bound Constrained
        Optimization", SIAM J. Sci. Comput. 16 (1995).
        Hager & Zhang, "A New Conjugate Gradient Method with Guaranteed Descent and an
        Efficient Line Search", SIAM J. Optim. 16 (2005).
        Bertsekas, "Projected Newton Methods for Optimization Problems with Simple
        Constraints", SIAM J. Control Optim. 20 (1982).
    """
    params = check_params(params)
    gradients = check_like("gradients", gradients, params.shape, params.dtype)
    loss = check_like("loss", loss, params.shape[:1], params.dtype)
    rate = check_rate(learning_rate, params.dtype)
    bounds = check_bounds(lower, upper, params.dtype)

    # Judge the trial point. A start outside the bounds is refused like a loss that is
    # not finite; the trial after it is its projection.
    s, y = params - state.params, gradients - state.gradients
    old_slope, new_slope = _dot(state.gradients, s), _dot(gradients, s)
    fresh = state.loss >= _unknown(params.dtype)
    inside = tf.clip_by_value(params, *bounds) == params
    usable = tf.math.is_finite(loss) & _all(inside & tf.math.is_finite(gradients))
    noise = _noise(params.dtype)
    falls = loss <= state.loss + SUFFICIENT_DECREASE * old_slope
    level = loss <= state.lowest_loss + noise * tf.abs(state.lowest_loss)
    level &= new_slope <= (2 * SUFFICIENT_DECREASE - 1) * old_slope
    accepted = usable & (fresh | ((old_slope < 0) & (falls | level)))
    stored = accepted & ~fresh & (_dot(s, y) > noise * tf.abs(old_slope))

    # Take over what was accepted.
    x = tf.where(_like(accepted, s), params, state.params)
    g = tf.where(_like(accepted, s), gradients, state.gradients)
    slot = state.pairs % state.position_differences.shape[0]
    s_ring = _write(state.position_differences, slot, s, stored)
    y_ring = _write(state.gradient_differences, slot, y, stored)
    refused = tf.where(accepted, 0, state.rejections + 1)
    restarts = (refused >= MAX_REJECTIONS) & (state.pairs > 0)
    pairs = tf.where(restarts, 0, state.pairs + tf.cast(stored, tf.int32))

    # Choose a new direction, or a shorter step along the old one.
    turns = accepted | restarts
    frozen = ((x <= bounds[0]) & (g > 0)) | ((x >= bounds[1]) & (g < 0))
    free = tf.cast(~frozen, x.dtype)
    steepest = -g * free
    newton = _quasi_newton(steepest, free, s_ring, y_ring, pairs, turns)
    slope = _dot(g, newton)
    downhill = (slope < 0) & tf.math.is_finite(slope)
    doubles = accepted & ~fresh & ~stored & (downhill | (pairs == 0))
    steepness = tf.reduce_max(tf.abs(steepest), axis=_axes(x))
    step_size = tf.where(
        downhill, tf.ones_like(slope), tf.math.divide_no_nan(rate, steepness)
    )
    step_size = tf.where(doubles, 2 * state.step_size, step_size)
    shrinkage = _shrinkage(loss - state.loss, old_slope, new_slope)
    step_size = tf.where(turns, step_size, shrinkage * state.step_size)
    direction = tf.where(_like(downhill, s), newton, steepest)
    direction = tf.where(_like(turns, s), direction, state.direction)
    lowest_loss = tf.minimum(loss, state.lowest_loss)
    return tf.clip_by_value(x + _like(step_size, s) * direction, *bounds), LBFGSState(
        params=x,
        loss=tf.where(accepted, loss, state.loss),
        gradients=g,
        lowest_loss=tf.where(accepted, lowest_loss, state.lowest_loss),
        direction=direction,
        step_size=step_size,
        rejections=tf.where(restarts, 0, refused),
        pairs=tf.where(turns & ~downhill, 0, pairs),
        position_differences=s_ring,
        gradient_differences=y_ring,
    )


def _quasi_newton(
    steepest: tf.Tensor,
    free: tf.Tensor,
    s_ring: tf.Tensor,
    y_ring: tf.Tensor,
    pairs: tf.Tensor,
    wanted: tf.Tensor,
) -> tf.Tensor:
    """`H * steepest` by the two-loop recursion; 0 without a pair to build H from.

    `free` holds ones and zeros. Restricted to the free values, the pairs make H the
    inverse of the Hessian's free block. A pair that has lost its curvature by that
    is passed over.
    """
    history = s_ring.shape[0]
    available = tf.where(wanted, tf.minimum(pairs, history), 0)
    longest = tf.reduce_max(available)

    def pair(age: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slots = _slots((pairs - 1 - age) % history)
        return tf.gather_nd(s_ring, slots), tf.gather_nd(y_ring, slots) * free

    def from_newest(
        age: tf.Tensor,
        q: tf.Tensor,
        alphas: tf.Tensor,
        rhos: tf.Tensor,
        scale: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        s, y = pair(age)
        sy, yy = _dot(s, y), _dot(y, y)
        curved = sy > _noise(q.dtype) * tf.sqrt(_dot(s, s)) * tf.sqrt(yy)
        used = curved & (age < available)
        rho = tf.math.divide_no_nan(tf.ones_like(sy), tf.where(used, sy, 0))
        alpha = rho * _dot(s, q)
        alphas = tf.tensor_scatter_nd_update(alphas, [[age]], alpha[tf.newaxis])
        rhos = tf.tensor_scatter_nd_update(rhos, [[age]], rho[tf.newaxis])
        ratio = tf.math.divide_no_nan(sy, yy)
        scale = tf.where(used & (scale == 0), ratio, scale)
        return age + 1, q - _like(alpha, q) * y, alphas, rhos, scale

    def from_oldest(age: tf.Tensor, r: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        s, y = pair(age)
        beta = rhos[age] * _dot(y, r)
        return age - 1, r + _like(alphas[age] - beta, r) * s

    zeros = tf.zeros(tf.shape(steepest)[:1], steepest.dtype)
    table = tf.tile(zeros[tf.newaxis], [history, 1])
    _, q, alphas, rhos, scale = tf.while_loop(
        lambda age, *_: age < longest,
        from_newest,
        (tf.constant(0), steepest, table, table, zeros),
        parallel_iterations=1,
    )
    _, r = tf.while_loop(
        lambda age, _: age >= 0,
        from_oldest,
        (longest - 1, _like(scale, q) * q),
        parallel_iterations=1,
    )
    return r * free


def _shrinkage(
    rise: tf.Tensor, old_slope: tf.Tensor, new_slope: tf.Tensor
) -> tf.Tensor:
    """Fraction of a refused step to try next, [N], from 0.1 to 0.7.

    The minimum of the cubic that has the losses and slopes of both ends (Nocedal &
    Wright, equation 3.59), or 0.1 where the numbers are not finite.
    """
    rise = tf.math.divide_no_nan(-rise, old_slope)
    slope = tf.math.divide_no_nan(-new_slope, old_slope)
    d_1 = slope - 1 - 3 * rise
    d_2 = tf.sqrt(tf.maximum(tf.square(d_1) + slope, 0))
    whole = slope + 1 + 2 * d_2
    fraction = 1 - tf.math.divide_no_nan(slope + d_2 - d_1, whole)
    fraction = tf.where((whole != 0) & tf.math.is_finite(fraction), fraction, 0.1)
    # The projection can turn a step uphill, where no such cubic has a minimum.
    fraction = tf.where(old_slope < 0, fraction, 0.25)
    return tf.clip_by_value(fraction, 0.1, 0.7)


def _unknown(dtype: tf.DType) -> float:
    """A loss that nothing has, and that doesn't overflow: for what isn't known yet."""
    return dtype.max / 4


def _noise(dtype: tf.DType) -> float:
    """Relative rounding error that a sum over many values is taken to have."""
    return 10 * float(np.finfo(dtype.as_numpy_dtype).eps)


def _axes(a: tf.Tensor) -> list[int]:
    return list(range(1, a.shape.rank))


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b, axis=_axes(a))


def _all(a: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(a, axis=_axes(a))


def _like(numbers: tf.Tensor, a: tf.Tensor) -> tf.Tensor:
    """[N] as [N, 1, ...], with as many axes as `a`."""
    index = (slice(None), *[tf.newaxis] * len(_axes(a)))
    return numbers[index]


def _slots(slot: tf.Tensor) -> tf.Tensor:
    """Indices of slot `slot[n]` of problem n in a ring, [N, 2]."""
    return tf.stack([slot, tf.range(tf.size(slot))], axis=1)


def _write(
    ring: tf.Tensor, slot: tf.Tensor, value: tf.Tensor, wanted: tf.Tensor
) -> tf.Tensor:
    """`ring` with `value[n]` in slot `slot[n]` of each problem that wants it."""
    old = tf.gather_nd(ring, _slots(slot))
    value = tf.where(_like(wanted, value), value, old)
    return tf.tensor_scatter_nd_update(ring, _slots(slot), value)


class LBFGS(Optimizer):
    """L-BFGS for pixels."""

    # Both rings, before and after a step.
    history_images = 2 * 2 * HISTORY

    def init(self, image: tf.Tensor) -> LBFGSState:
        return lbfgs_init(image)

    def update(
        self,
        image: tf.Tensor,
        loss: tf.Tensor,
        gradients: tf.Tensor,
        state: LBFGSState,
        *,
        learning_rate: tf.Tensor,
    ) -> tuple[tf.Tensor, LBFGSState]:
        return lbfgs_update(
            image,
            loss,
            gradients,
            state,
            learning_rate=learning_rate,
            lower=0.0,
            upper=1.0,
        )

    def best(self, state: LBFGSState) -> tf.Tensor:
        # The new point is only a trial; what counts is the last accepted one.
        return lbfgs_best(state)
