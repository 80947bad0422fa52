"""Contact sheets: where pictures go, how large they are, and what stays empty."""

import numpy as np
import pytest
from PIL import Image

from tfnst.visualization import contact_sheet as module
from tfnst.visualization.contact_sheet import Cell, contact_sheet
from tfnst.visualization.sheet import BACKGROUND, MARGIN

LABEL = 20


def flat(color, size=(64, 48)):
    return lambda: Image.new("RGB", size, color)


def layout(groups):
    """The rows of a sheet: for each cell the colour in its middle."""
    sheet = np.asarray(contact_sheet(groups))
    height, width = 48 + LABEL + MARGIN, 64 + MARGIN
    return [
        [tuple(map(int, sheet[y, x])) for x in range(MARGIN + 32, len(sheet[0]), width)]
        for y in range(MARGIN + 24, len(sheet), height)
    ]


def groups_of(*sizes):
    """Groups of cells, each with a colour of its own, and these colours."""
    colors = [[(30 * i, 10 * k, 200) for k in range(n)] for i, n in enumerate(sizes)]
    return [[Cell("x", flat(c)) for c in group] for group in colors], colors


def test_one_group_makes_a_square():
    groups, ((a, b, c, d, e),) = groups_of(5)
    assert layout(groups) == [[a, b, c], [d, e, BACKGROUND]]


def test_groups_begin_at_the_same_columns():
    groups, ((a, b), (c, d), (e, f)) = groups_of(2, 2, 2)
    assert layout(groups) == [[a, b], [c, d], [e, f]]
    groups, colors = groups_of(*[2] * 8)
    rows = [[*colors[i], *colors[i + 1]] for i in range(0, 8, 2)]
    assert layout(groups) == rows


def test_shorter_and_longer_groups():
    groups, ((a, b, c), (d,)) = groups_of(3, 1)
    assert layout(groups) == [[a, b, c], [d, BACKGROUND, BACKGROUND]]
    # Longer than the sheet is wide: each begins on a row of its own.
    groups, (first, second) = groups_of(9, 9)
    rows = [
        *(first[:5], [*first[5:], BACKGROUND]),
        *(second[:5], [*second[5:], BACKGROUND]),
    ]
    assert layout(groups) == rows


def test_what_can_not_be_read_stays_empty_and_has_its_label():
    def missing():
        raise FileNotFoundError("gone")

    red = (255, 0, 0)
    cells = [Cell("a", flat(red)), Cell("b", missing), Cell("c")]
    assert layout([cells]) == [[red, BACKGROUND], [BACKGROUND, BACKGROUND]]
    sheet = np.asarray(contact_sheet([cells]))
    for y, x in ((48, 0), (48, 64 + MARGIN), (2 * 48 + LABEL + MARGIN, 0)):
        label = sheet[MARGIN + y : MARGIN + y + LABEL, MARGIN + x : MARGIN + x + 64]
        assert label.min() < 150, (y, x)


def test_long_labels_are_cut():
    short, long = (
        np.asarray(contact_sheet([[Cell(text, flat((0, 0, 255)))]]))
        for text in ("name", "a name that is longer than the picture is wide")
    )
    assert short.shape == long.shape == (48 + LABEL + 2 * MARGIN, 64 + 2 * MARGIN, 3)
    for sheet in (short, long):
        assert (sheet[:, :MARGIN] == BACKGROUND).all()
        assert (sheet[:, -MARGIN:] == BACKGROUND).all()
    assert (long != short).any()


@pytest.mark.parametrize(
    ("count", "side"), [(1, 320), (300, 320), (1000, 178), (10_000, 42), (10**6, 16)]
)
def test_thumbnails_are_smaller_the_more_there_are(count, side):
    assert module._side(count, 320) == side
    pixels = count * (side + MARGIN) * (side + MARGIN + LABEL)
    assert pixels <= 40_000_000 or side == 16


def test_large_pictures_are_read_one_at_a_time_and_kept_small(monkeypatch):
    held = []

    def load():
        assert all(max(t.size) <= 320 for t in held)
        return Image.new("RGB", (800, 1000), "red")

    real = Image.Image.thumbnail

    def thumbnail(image, *arguments):
        real(image, *arguments)
        held.append(image)

    monkeypatch.setattr(Image.Image, "thumbnail", thumbnail)
    sheet = contact_sheet([[Cell("a", load) for _ in range(4)]])
    assert [t.size for t in held] == [(256, 320)] * 4
    assert sheet.size == (2 * 256 + 3 * MARGIN, 2 * (320 + LABEL) + 3 * MARGIN)
