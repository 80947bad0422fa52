"""The scripts in examples/ run."""

import functools
import importlib
import sys

import numpy as np
import pytest
from PIL import Image

import tfnst
from examples import film, from_parts, train_styles
from tests.helpers import ROOT, SAMPLES, TINY, picture


def test_the_algorithm_from_its_parts():
    content, style = picture(48, 56, seed=1)[None], picture(40, 44, seed=2)[None]
    painted, losses = from_parts.paint(content, style, steps=12, weights=None)
    assert painted.shape == content.shape
    assert 0 <= painted.min() < painted.max() <= 1
    assert losses[-1] < 0.7 * losses[0]
    assert np.abs(painted - content).mean() > 0.01


@pytest.mark.slow
def test_the_film_of_the_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(
        tfnst, "FilmPainter", functools.partial(tfnst.FilmPainter, config=TINY)
    )
    arguments = ["film.py", "--frames", "4", "--size", "48"]
    out, source = tmp_path / "film.webp", tmp_path / "walk"
    monkeypatch.setattr(sys, "argv", [*arguments, "--out", str(out)])
    film.main()
    with Image.open(out) as image:
        assert (image.n_frames, image.size) == (4, (96, 32))
        shown = np.asarray(image.convert("RGB")).astype(int)
    monkeypatch.setattr(sys, "argv", [*arguments, "--source", str(source)])
    film.main()
    first, *others = sorted(source.iterdir())
    assert (first.name, len(others)) == ("0000.png", 3)
    with Image.open(first) as image:
        assert np.abs(np.asarray(image) - shown[:, :48]).mean() < 12


@pytest.fixture
def styles(monkeypatch):
    """The painters of the sample styles, by name."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("paint_styles").STYLES


def chroma(picture):
    return np.ptp(picture, axis=-1).max()


# Greys, the ink and paper of a print, and colours.
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        pytest.param("pencil", 0, 0, marks=pytest.mark.slow),
        pytest.param("woodcut", 5, 24, marks=pytest.mark.slow),
        ("watercolor", 60, 255),
        pytest.param("impasto", 60, 255, marks=pytest.mark.slow),
    ],
)
def test_a_style_depends_on_its_seed_only(styles, name, least, most):
    paint = styles[name][0]
    one, same, other = (paint(48, 64, seed=seed) for seed in (3, 3, 4))
    assert (one.shape, one.dtype) == ((48, 64, 3), np.uint8)
    np.testing.assert_array_equal(one, same)
    assert np.abs(np.int16(one) - other).mean() > 5
    assert least <= chroma(one) <= most
    # It isn't empty: light paper and dark marks.
    assert np.ptp(one.mean(axis=-1)) > 100


def test_sample_styles_are_those_that_are_painted(styles):
    for name, (_, height, width, _) in styles.items():
        with Image.open(SAMPLES / f"style_{name}.jpg") as image:
            assert image.size == (width, height)
    assert len(styles) == len(list(SAMPLES.glob("style_*")))
    assert set(train_styles.STYLES) == set(styles)
    pencil = np.asarray(Image.open(SAMPLES / "style_pencil.jpg"))
    assert chroma(pencil) == 0
