"""The first step of a graph, taken beforehand on a blank picture, beside other work.

Before it takes a first step, TensorFlow optimises the graph and makes a kernel for each
of its nodes, for about as long as a run takes to find what its first scale starts with.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfnst.engines.devices import placement
from tfnst.engines.engine import KNOBS_SPEC, MASKS_SPEC, PICTURES_SPEC
from tfnst.losses.objective import Targets
from tfnst.networks.features import layer_strides

if TYPE_CHECKING:
    from tfnst.engines.whole import WholeEngine


def begin_warm_up(engine: WholeEngine, device: str) -> threading.Thread:
    """Traces the steps of an engine, and has one taken in a thread.

    Args:
        engine: whose `run_steps` has not been called yet.
        device: of the run, as in StyleTransferConfig.

    Returns:
        The thread, which has begun and raises nothing: whatever goes wrong in it goes
        wrong again in the first real step.
    """
    engine.run_steps.get_concrete_function()

    def take_step() -> None:
        # Threads don't share in the placement of the one that made them.
        with contextlib.suppress(Exception), placement(device):
            engine.run_steps(*blank_step(engine))

    thread = threading.Thread(target=take_step, name="tfnst-warm-up")
    thread.start()
    return thread


def blank_step(engine: WholeEngine) -> tuple[Any, ...]:
    """The arguments of `WholeEngine.run_steps` for a step of the smallest picture."""
    objective = engine.objective
    border, strides = objective.border, layer_strides(engine.feature_extractor)
    side = 2 * border.stride
    padded = side + sum(border.widths(side))
    counting = padded - sum(border.margins)
    image = _blank(PICTURES_SPEC, side)
    targets = Targets(
        {
            layer: _blank(spec, counting // strides[layer])
            for layer, spec in objective.content_spec().items()
        },
        tf.nest.map_structure(_blank, objective.style_spec()),
        (_blank(MASKS_SPEC, padded),) if engine.regions else (),
        (image, _blank(MASKS_SPEC, side)) if engine.temporal else (),
    )
    knobs = tf.nest.map_structure(_blank, KNOBS_SPEC)
    return image, engine.init_state(image), targets, knobs, tf.constant(1)


def _blank(spec: tf.TensorSpec, side: int = 1) -> tf.Tensor:
    """Ones for one picture, whose height and width are `side`."""
    known = enumerate(spec.shape)
    shape = [length or (side if axis else 1) for axis, length in known]
    return tf.ones(shape, spec.dtype)
