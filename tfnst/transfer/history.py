"""The losses of a run, step by step."""

from __future__ import annotations

import numpy as np

LOSS_FIELDS = np.dtype(
    [
        ("step", np.int32),
        ("size", np.int32),
        ("content", np.float32),
        ("style", np.float32),
        ("total_variation", np.float32),
        ("total", np.float32),
        ("seconds", np.float64),
    ]
)
