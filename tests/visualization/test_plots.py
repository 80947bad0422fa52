"""Plots of losses."""

import dataclasses
import re
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

import tfnst
from tfnst.checks import argument
from tfnst.visualization import plots


@pytest.fixture(scope="module")
def result(logged_run):
    return logged_run[0]


def test_lines_are_what_losses_add_to_the_total(result):
    pytest.importorskip("matplotlib")
    figure = tfnst.plot_losses(result)
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    lines = {line.get_label(): line for line in axes.lines}
    weights = result.config.loss_weights()
    for label, field, weight in (
        ("total", "total", 1),
        ("2 x content", "content", 2),
        ("20 x style", "style", weights["style_weight"]),
        ("12 x total variation", "total_variation", 12),
    ):
        x, y = lines[label].get_data()
        np.testing.assert_array_equal(x, np.arange(1, 13))
        # The content loss of the content is 0, which has no logarithm.
        expected = weight * result.losses[field]
        np.testing.assert_allclose(y[1:], expected[1:], rtol=1e-6)
    marks = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
    assert marks == [1, 7]
    assert [text.get_text() for text in axes.texts] == ["34 px", "48 px"]


def test_a_weight_of_zero_has_no_line(result):
    pytest.importorskip("matplotlib")
    config = result.config.replace(total_variation_weight=0)
    (axes,) = tfnst.plot_losses(dataclasses.replace(result, config=config)).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["total", "2 x content", "20 x style"]


def test_plots_are_written(result, tmp_path):
    pytest.importorskip("matplotlib")
    for suffix in plots.SUFFIXES:
        tfnst.plot_losses(result, tmp_path / f"losses{suffix}")
    with Image.open(tmp_path / "losses.png") as image:
        assert image.size == (1080, 600)
    assert ElementTree.parse(tmp_path / "losses.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "losses.pdf").read_bytes().startswith(b"%PDF")
    assert len(list(tmp_path.iterdir())) == 3


def test_what_is_wrong_is_one_line(result, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"^`path` must be .*\.png, \.svg or \.pdf"):
        tfnst.plot_losses(result, tmp_path / "losses.gif")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = re.escape("`plot` needs Matplotlib: pip install 'tfnst[plot]'. ")
    with pytest.raises(ImportError, match=f"^{message}"), argument("plot"):
        plots.check_plot_path(tmp_path / "losses.png")
    assert not list(tmp_path.iterdir())
