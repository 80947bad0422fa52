"""The export in TensorFlow's C library: what the real server runs, without Python."""

import io
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfnst
from tests import c_api
from tests.helpers import ROOT, TINY, picture

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
AN_HOUR = 100_000  # Steps at 64 pixels; more than that, to be exact.
LIMITS = {"max_steps": AN_HOUR, "max_size": 96, "max_pixels": 20_000}


def png(array):
    file = io.BytesIO()
    Image.fromarray(np.uint8(array * 255 + 0.5)).save(file, "PNG")
    return file.getvalue()


FILES = {"content_bytes": png(CONTENT), "style_bytes": png(STYLE)}
ARRAYS = {"content_image": CONTENT[None], "style_image": STYLE[None]}


def call(signature, milliseconds=0, **changes):
    inputs = FILES if signature == "serving_default" else ARRAYS
    changes = {
        name: np.asarray(value, np.int32 if isinstance(value, int) else np.float32)
        if isinstance(value, int | float)
        else value
        for name, value in changes.items()
    }
    return signature, {**inputs, **changes}, milliseconds


SETTINGS = {"size": 64, "steps": 4, "style_weight": 20.0}
CALLS = {
    "stylize": call("stylize"),
    "serving_default": call("serving_default"),
    "with settings": call("stylize", **SETTINGS),
    "rank 3": call("stylize", content_image=CONTENT),
    "four channels": call("stylize", style_image=np.zeros([1, 50, 40, 4], np.float32)),
    "steps of rank 1": call("stylize", steps=np.int32([5])),
    "no steps": call("stylize", steps=0),
    "float steps": call("stylize", steps=5.0),
    "NaN": call("stylize", content_image=CONTENT[None] * np.float32("nan")),
    "empty": call("stylize", content_image=np.zeros([1, 0, 80, 3], np.float32)),
    "no picture": call("serving_default", style_bytes=b"abc"),
    "an hour's work": call("stylize", 1000, size=64, steps=AN_HOUR),
    "after all that": call("serving_default"),
}
REFUSALS = {
    "rank 3": "[60,80,3] is not compatible with expected shape [?,?,?,3].",
    "four channels": "[1,50,40,4] is not compatible with expected shape [?,?,?,3].",
    "steps of rank 1": "[1] is not compatible with expected shape [].",
    "no steps": "`steps` must be an integer from 1 to 100000. Received:] [0]",
    "float steps": "to be int32 but float is provided",
    "NaN": "`content_image` must hold finite numbers from 0 to 1. Received:] [nan nan]",
    "empty": "`content_image` must be one or more pictures of at least 16 pixels a ",
    "no picture": "`style_bytes` must be an image file (PNG, JPEG, GIF, BMP or WebP). "
    "Received: a file of 3 bytes, which is none of these]",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("models")
    return tfnst.export_saved_model(directory, config=TINY, **LIMITS)


def run_calls(model, calls):
    """Runs calls in a process of the C library; returns what `c_api` writes.

    The variable TFNST_TEST_LIBRARIES names the folder of another release's library.
    """
    libraries = pathlib.Path(
        os.environ.get("TFNST_TEST_LIBRARIES") or pathlib.Path(tf.__file__).parent
    )
    if not list(libraries.glob("libtensorflow_cc.*")):
        pytest.skip("this build of TensorFlow has no libtensorflow_cc")
    script = ROOT / "tests" / "c_api.py"
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(libraries), str(model)],
        input=pickle.dumps(calls),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    result = pickle.loads(done.stdout)
    result["answers"] = [c_api.Answer(**answer) for answer in result["answers"]]
    return result


@pytest.fixture(scope="module")
def result(model):
    return run_calls(model, list(CALLS.values()))


@pytest.fixture(scope="module")
def answers(result):
    return dict(zip(CALLS, result["answers"], strict=True))


def test_imports_neither_tensorflow_nor_tfnst(result):
    assert result["imported"] == []


@pytest.mark.parametrize(
    ("name", "settings"), [("stylize", {}), ("with settings", SETTINGS)]
)
def test_arrays_give_what_python_gives(answers, name, settings):
    answer = answers[name]
    assert answer.code == c_api.OK, answer.message
    expected = tfnst.stylize(CONTENT, STYLE, config=TINY, **settings)
    np.testing.assert_allclose(
        answer.outputs["stylized_image"][0], expected.array, atol=1 / 255
    )
    for loss in ("content", "style", "total"):
        np.testing.assert_allclose(
            answer.outputs[f"{loss}_loss"], [expected.losses[-1][loss]], rtol=1e-3
        )


def test_files_give_what_python_gives(answers):
    answer = answers["serving_default"]
    assert answer.code == c_api.OK, answer.message
    stylized = tfnst.load_image(answer.outputs["image_bytes"])[0]
    expected = tfnst.stylize(FILES["content_bytes"], FILES["style_bytes"], config=TINY)
    np.testing.assert_allclose(stylized, expected.array, atol=1.01 / 255)


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_is_refused(answers, name):
    answer = answers[name]
    assert answer.code == c_api.INVALID_ARGUMENT
    assert REFUSALS[name] in answer.message


def test_a_time_limit_ends_the_loop(answers):
    answer = answers["an hour's work"]
    assert answer.code == c_api.DEADLINE_EXCEEDED
    assert answer.message == "Timed out waiting for notification"
    assert 0.9 < answer.seconds < 2.5
    assert answer.idle < 0.3


def test_lives_on_as_before(answers):
    first, last = answers["serving_default"], answers["after all that"]
    assert last.code == c_api.OK
    assert last.outputs["image_bytes"] == first.outputs["image_bytes"]
