"""Optimisers by name."""

from __future__ import annotations

from tfnst.optimizers.adam import Adam
from tfnst.optimizers.base import Optimizer
from tfnst.optimizers.lbfgs import LBFGS

_OPTIMIZERS: dict[str, Optimizer] = {"adam": Adam(), "lbfgs": LBFGS()}


def build_optimizer(setting: str | Optimizer) -> Optimizer:
    """The optimiser of the setting `optimizer`, a name or an object."""
    return _OPTIMIZERS[setting] if isinstance(setting, str) else setting
