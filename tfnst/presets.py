"""Presets: settings that go together, by one word."""

from __future__ import annotations

from typing import Any

# What each has other than StyleTransferConfig; docs/runs.md says what they cost.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"steps": 10},
    "balanced": {},
    "fine": {"size": 1024},
    "poster": {"size": 2048, "steps": 10, "initial_steps": 100},
}
