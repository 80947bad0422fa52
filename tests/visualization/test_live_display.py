"""The picture in a notebook while it is being painted, and the one at the end."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.visualization.helpers import progress


@pytest.fixture
def places(monkeypatch):
    """What notebooks would show: for each place what was in it, one after another."""
    display = pytest.importorskip("IPython.display")
    shown = []

    class Place:
        def __init__(self, item):
            self.items = [item.data]
            shown.append(self.items)

        def update(self, item):
            self.items.append(item.data)

    monkeypatch.setattr(display, "display", lambda item, display_id: Place(item))
    return shown


def test_a_run_is_shown_in_one_place(places):
    live = tfnst.LiveDisplay(seconds=0)
    for _ in range(2):
        for fraction in (0.2, 0.5, 1.0):
            live(progress(fraction, fraction))
    assert len(places) == 2
    for items in places:
        assert len(items) >= 3
        assert "100%, step 1001 of 1001 at 48 pixels: content 0." in items[-1]
        assert "data:image/jpeg;base64," in items[-1]
        assert len(set(items)) == len(items)


def test_the_first_and_the_last_picture_are_shown_however_quick_the_run(places):
    live = tfnst.LiveDisplay(seconds=3600)
    for step in range(1, 6):
        live(progress(step / 5, step / 5))
    ((first, last),) = places
    assert (
        first.count("20%, step 201 of 1001") == 2
    )  # below the picture, and instead of it
    assert "100%, step 1001 of 1001" in last


def test_bad_arguments_are_one_line(monkeypatch):
    with pytest.raises(ValueError, match=r"^`size` must be an integer from 32 to 1024"):
        tfnst.LiveDisplay(size=16)
    with pytest.raises(ValueError, match=r"^`seconds` must be a finite number, 0 or"):
        tfnst.LiveDisplay(seconds=-1)
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ImportError, match=r"^`LiveDisplay` needs IPython"):
        tfnst.LiveDisplay()


def test_a_result_is_shown_with_its_losses(logged_run):
    formatters = pytest.importorskip("IPython.core.formatters")
    result, _, _ = logged_run
    data, _ = formatters.DisplayFormatter().format(result)
    assert set(data) == {"image/png", "text/html", "text/plain"}
    with Image.open(io.BytesIO(data["image/png"])) as shown:
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(result.image))
    total = f"total {result.losses['total'][-1]:.3f}"
    for kind in ("text/html", "text/plain"):
        assert "48x36 pixels, 12 steps in " in data[kind]
        assert total in data[kind]
