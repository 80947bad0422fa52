"""How much memory is free, and how much may be used."""

import math

from tfnst.engines import memory


def test_the_limit_is_what_is_asked_for_or_most_of_what_is_free(monkeypatch):
    assert memory.memory_limit(2.5) == 2.5 * memory.GIB
    monkeypatch.setattr(memory, "free_memory", lambda: 10 * memory.GIB)
    monkeypatch.setattr(memory, "resident_memory", lambda _: memory.GIB)
    assert memory.memory_limit(None) == 9 * memory.GIB
    monkeypatch.setattr(memory, "device_kind", lambda _: "gpu")
    assert memory.memory_limit(None) == math.inf


def test_free_memory_is_positive():
    assert 0 < memory.free_memory() < 2**50
