"""Real photos through real pre-trained features."""

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import SAMPLES, real_vgg19
from tfnst.client.client import StylizeClient
from tfnst.images import reading
from tfnst.server import ModelServer

PHOTO = SAMPLES / "photo_rocket.jpg"
STYLE = SAMPLES / "style_swirls.jpg"
CAT, MOSAIC = SAMPLES / "photo_cat.jpg", SAMPLES / "style_mosaic.jpg"


@pytest.fixture(scope="module")
def weights():
    """The path of VGG19's weights."""
    return real_vgg19()


@pytest.fixture(scope="module")
def painted(weights):
    """The rocket at two sizes, with the defaults but fewer steps."""
    return {
        size: tfnst.stylize(
            PHOTO, STYLE, weights=weights, precision="float32", size=size, steps=25
        )
        for size in (96, 136)
    }


def test_a_small_picture_takes_on_the_style(weights):
    result = tfnst.stylize(
        PHOTO, STYLE, weights=weights, precision="float32", size=64, min_size=64,
        initial_steps=10,
    )  # fmt: skip
    first, last = result.losses[0], result.losses[-1]
    assert last["style"] < 0.6 * first["style"]
    assert last["total"] < 0.7 * first["total"]
    check_content(result)


@pytest.mark.slow
def test_takes_on_the_style_and_keeps_the_content(painted):
    result = painted[136]
    assert result.array.shape == (91, 136, 3)
    first, last = result.losses[0], result.losses[-1]
    # Neighbours leave more of it than moments would.
    assert last["style"] < 0.2 * first["style"]
    assert last["total"] < 0.4 * first["total"]
    check_content(result)


def check_content(result):
    """Light stays light and dark dark; the style has nothing in common with that."""

    def grey(picture):
        small = Image.fromarray(np.uint8(picture * 255)).convert("L").resize((24, 16))
        return np.asarray(small, np.float64).ravel()

    photo = reading.load_image(PHOTO)[0]
    assert np.corrcoef(grey(result.array), grey(photo))[0, 1] > 0.5


@pytest.mark.slow
def test_takes_on_the_colours_of_the_style(painted):
    def mean(array):
        return np.asarray(array).reshape(-1, 3).mean(0)

    photo, style = (reading.load_image(p) for p in (PHOTO, STYLE))
    before = np.abs(mean(photo) - mean(style))
    after = np.abs(mean(painted[136].array) - mean(style))
    # All the way would lose the content, which is dark.
    assert (after < before).all()
    assert after.sum() < 0.8 * before.sum()


@pytest.mark.slow
def test_weights_mean_the_same_at_both_sizes(painted):
    small, large = (painted[size].losses[-1] for size in (96, 136))
    assert large["content"] == pytest.approx(small["content"], rel=0.25)
    assert large["style"] == pytest.approx(small["style"], rel=0.5)


@pytest.mark.slow
def test_the_border_looks_like_the_rest(painted):
    grey = painted[136].array.mean(2)
    rows = np.concatenate([grey[:2], grey[-2:]]).mean()
    inside = np.concatenate([grey[4:10], grey[-10:-4]]).mean()
    assert rows == pytest.approx(inside, abs=0.08)


@pytest.mark.slow
def test_lbfgs_paints_too(weights):
    result = tfnst.stylize(
        PHOTO,
        STYLE,
        weights=weights,
        precision="float32",
        size=96,
        steps=25,
        optimizer="lbfgs",
    )
    assert result.losses["total"][-1] < 0.4 * result.losses["total"][0]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_server_gives_what_python_gives(weights, tmp_path, optimizer):
    settings = {
        "weights": weights,
        "precision": "float32",
        "optimizer": optimizer,
        # Few, because graphs of any size round otherwise.
        "steps": 2,
        "initial_steps": 2,
        "min_size": 64,
    }
    tfnst.export_saved_model(tmp_path, **settings)
    with (
        ModelServer(tmp_path, port=0) as server,
        StylizeClient(f"127.0.0.1:{server.port}") as client,
    ):
        assert server.wait_until_available(300)
        for pair in ((PHOTO, STYLE), (CAT, MOSAIC)):
            for size in (64, 91):
                response = client.stylize(*pair, size=size)
                expected = tfnst.stylize(*pair, size=size, **settings)
                levels = [np.int16(p.image) for p in (response, expected)]
                assert np.abs(levels[0] - levels[1]).mean() <= 0.25
                total = expected.losses["total"][-1]
                assert response.total_loss == pytest.approx(total, rel=1e-3)
