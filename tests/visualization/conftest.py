"""One run for all that show one."""

import importlib.util

import pytest

import tfnst
from tests.helpers import TINY, picture

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)


@pytest.fixture(scope="session")
def logged_run(tmp_path_factory):
    """A result, the progress after each step, and the folder of TensorBoard's log."""
    folder = tmp_path_factory.mktemp("logs") / "run"
    seen = []
    callbacks = [seen.append]
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(
            tfnst.TensorBoardCallback(folder, image_steps=5, image_size=32)
        )
    result = tfnst.stylize(
        CONTENT,
        STYLE,
        config=TINY.replace(content_weight=2),
        callback=callbacks,
        callback_steps=1,
    )
    return result, seen, folder
