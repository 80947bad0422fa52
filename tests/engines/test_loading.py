"""Networks and engines are loaded once."""

from tests.helpers import TINY
from tfnst import config
from tfnst.engines import loading

MODES = config.COLOR_MODES[1:]


def test_modes_share_a_network():
    engines = {loading.load_engine(TINY.replace(preserve_color=m))[0] for m in MODES}
    assert engines == {loading.load_engine(TINY)[0]}
