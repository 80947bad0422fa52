"""How tests share a machine: its cores, its memory, and what takes long to make."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import psutil
import pytest

# Each process keeps to one core, also without workers: several threads add up sums in
# another order, and L-BFGS makes much of the rounding. TensorFlow reads these variables
# when it is loaded, also in the processes that tests start.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
if "PYTEST_XDIST_WORKER" not in os.environ:
    # For the workers, which start later: one heap, not one for each thread.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")

import tfnst
from tests.helpers import TINY, free_memory

_MUCH_MEMORY = 2**30  # TensorFlow alone takes about 0.6 GiB.


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the files that have slow tests, so that no worker ends with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """TINY exported for runs of up to an hour: its base path. Leave it as it is."""
    folder = tmp_path_factory.mktemp("tiny_model")
    tfnst.export_saved_model(folder, config=TINY, max_steps=100_000, max_size=256)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _free_memory() -> Iterator[None]:
    """Frees what each module has traced; all modules together would take gigabytes."""
    yield
    if psutil.Process().memory_info().rss > _MUCH_MEMORY:
        free_memory()
