"""Adam and L-BFGS as pure functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnst.lazy import lazy_names

if TYPE_CHECKING:
    from tfnst.optimizers.adam import AdamState, adam_init, adam_update
    from tfnst.optimizers.base import Optimizer
    from tfnst.optimizers.lbfgs import (
        LBFGSState,
        lbfgs_best,
        lbfgs_init,
        lbfgs_update,
    )

__all__ = [
    "AdamState",
    "LBFGSState",
    "Optimizer",
    "adam_init",
    "adam_update",
    "lbfgs_best",
    "lbfgs_init",
    "lbfgs_update",
]

_MODULES = {
    "AdamState": "tfnst.optimizers.adam",
    "LBFGSState": "tfnst.optimizers.lbfgs",
    "Optimizer": "tfnst.optimizers.base",
    "adam_init": "tfnst.optimizers.adam",
    "adam_update": "tfnst.optimizers.adam",
    "lbfgs_best": "tfnst.optimizers.lbfgs",
    "lbfgs_init": "tfnst.optimizers.lbfgs",
    "lbfgs_update": "tfnst.optimizers.lbfgs",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
