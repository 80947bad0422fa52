"""Logs of a run, as TensorBoard reads them."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY


def read(folder):
    """Reads the values in the event files of a folder: by tag, then by step."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    values = {}
    (path,) = folder.iterdir()
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            found = (
                value.metadata.plugin_data.content
                if value.tag.startswith("_hparams_")
                else make_ndarray(value.tensor)
            )
            assert event.step not in values.setdefault(value.tag, {})
            values[value.tag][event.step] = found
    return values


@pytest.fixture(scope="module")
def logged(logged_run):
    """A run, its progress, and what was written about it."""
    result, seen, folder = logged_run
    return result, seen, read(folder)


def test_losses_and_rates_of_each_step(logged):
    result, seen, values = logged
    assert len(result.losses) == len(seen) == 12
    for name in ("content", "style", "total_variation", "total"):
        scalars = values[f"loss/{name}"]
        assert list(scalars) == list(range(1, 13))
        np.testing.assert_array_equal(list(scalars.values()), result.losses[name])
    assert list(values["size"].values()) == [34.0] * 6 + [48.0] * 6
    # Adam lowers the rate to a tenth over the steps of each scale.
    expected = TINY.learning_rate * (1 - 0.9 * np.arange(6) / 6)
    np.testing.assert_allclose(
        list(values["learning_rate"].values()), [*expected, *expected], rtol=1e-6
    )


def test_pictures_in_between_and_the_last_one(logged):
    _, seen, values = logged
    pictures = values["stylized"]
    assert list(pictures) == [1, 6, 11, 12]
    for step, (width, height, data) in pictures.items():
        assert (int(width), int(height)) == (32, 24)
        with Image.open(io.BytesIO(data)) as shown:
            expected = seen[step - 1].image(size=32)
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))


def test_settings_are_hyperparameters(logged):
    from tensorboard.plugins.hparams import plugin_data_pb2

    _, _, values = logged
    (content,) = values["_hparams_/session_start_info"].values()
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    settings = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in data.session_start_info.hparams.items()
    }
    assert set(settings) == set(TINY.to_dict())
    assert settings["steps"] == 6
    assert settings["learning_rate"] == pytest.approx(TINY.learning_rate)
    assert settings["style_layers"] == "block1_conv1, block2_conv1"
    assert settings["max_time"] == "None"


def test_what_is_wrong_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"^`log_dir` must be .* Received: 3$"):
        tfnst.TensorBoardCallback(3)
    with pytest.raises(ValueError, match=r"^`image_steps` must be an integer, 1 or"):
        tfnst.TensorBoardCallback(tmp_path, image_steps=0)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'tfnst\[tensorboard\]'"):
        tfnst.TensorBoardCallback(tmp_path)
    assert not list(tmp_path.iterdir())
