"""Engines, which paint one scale of a run."""

from tfnst.keras_backend import require_tensorflow

require_tensorflow()
