"""Measures of a finished picture."""

from tfnst.keras_backend import require_tensorflow

require_tensorflow()
