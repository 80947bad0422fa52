"""Networks and engines are loaded once."""

import logging
import math
import re

import numpy as np
import pytest

from tests.helpers import TINY
from tfnst import config
from tfnst.engines import loading, memory

MODES = config.COLOR_MODES[1:]


def test_modes_share_a_network():
    engines = {loading.load_engine(TINY.replace(preserve_color=m))[0] for m in MODES}
    assert engines == {loading.load_engine(TINY)[0]}


@pytest.mark.parametrize(
    ("limit", "said"), [(math.inf, ""), (3 * memory.GIB, " of 3.0")]
)
def test_memory_without_a_limit_is_said_to_have_none(limit, said, monkeypatch, caplog):
    monkeypatch.setattr(memory, "memory_limit", lambda *_: limit)
    monkeypatch.setattr(memory, "resident_memory", lambda *_: 0)
    engines = loading.ScaleEngines(TINY, pictures=1, regions=0)
    with caplog.at_level(logging.INFO, logger="tfnst"):
        engines.for_scale(np.full([2, 2], 32)).loop(("content", "style")).wait()
    (line,) = (each for each in caplog.messages if "GiB" in each)
    assert re.search(rf"this takes up to \d\.\d{said} GiB of memory$", line)
