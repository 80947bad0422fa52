"""How tests share a machine: its cores, its memory, and what takes long to make."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

# Each process keeps to one core, also without workers. TensorFlow reads these variables
# when it is loaded, also in the processes that tests start.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
if "PYTEST_XDIST_WORKER" not in os.environ:
    # For the workers, which start later: one heap, not one for each thread.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")

import tfnst
from tests.helpers import TINY, free_memory
from tfnst.processor import prefer_onednn

# As the `tfnst` command does, so that all processes compute alike.
prefer_onednn()

_MORE_MEMORY = 0.15 * 2**30  # Than was in use the last time; freeing takes a moment.


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Tiers(config), "tiers")


class _Tiers:
    """Says at the end of a run how many tests `make test-all` would add."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._left_out = 0

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._left_out += sum(
            item.get_closest_marker("slow") is not None for item in items
        )

    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["left_out"] = self._left_out

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._left_out = getattr(node, "workeroutput", {}).get("left_out", 0)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._left_out:
            terminalreporter.write_line(
                f"make test-all runs {self._left_out} tests more"
            )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """TINY exported for runs of up to an hour: its base path. Leave it as it is."""
    folder = tmp_path_factory.mktemp("tiny_model")
    tfnst.export_saved_model(folder, config=TINY, max_steps=100_000, max_size=256)
    return folder


@pytest.fixture(scope="session")
def _memory_left() -> list[int]:
    """What was in use when memory was last freed, in bytes."""
    return [0]


@pytest.fixture(scope="module", autouse=True)
def _free_memory(_memory_left: list[int]) -> Iterator[None]:
    """Frees what modules have traced; all modules together would take gigabytes."""
    yield
    process = psutil.Process()
    if process.memory_info().rss > _memory_left[0] + _MORE_MEMORY:
        free_memory()
        _memory_left[0] = process.memory_info().rss
