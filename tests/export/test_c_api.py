"""The export in TensorFlow's C library, as the real server runs it: without Python."""

import os
import pathlib
import pickle
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfnst
from tests import c_api
from tests.export.helpers import CONFIG, assert_gives
from tests.helpers import ROOT, picture
from tests.image_files import chunk, claiming_png, encode, png

pytestmark = pytest.mark.slow

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)
AN_HOUR = 100_000  # Steps at 64 pixels take at least that long.

FILES = {
    "content_bytes": encode(np.uint8(CONTENT * 255 + 0.5), "PNG"),
    "style_bytes": encode(np.uint8(STYLE * 255 + 0.5), "PNG"),
}
ARRAYS = {"content_image": CONTENT[None], "style_image": STYLE[None]}


def call(signature, milliseconds=0, **changes):
    inputs = ARRAYS if signature == "stylize" else FILES
    changes = {
        name: np.asarray(value, np.int32 if isinstance(value, int) else np.float32)
        if isinstance(value, int | float)
        else value
        for name, value in changes.items()
    }
    return signature, {**inputs, **changes}, milliseconds


LEFT = np.zeros((60, 80, 3), np.float32)
LEFT[:, :40] = 1
BLEND = {
    "style_bytes": [FILES["style_bytes"], FILES["content_bytes"]],
    "style_weights": np.float32([1, 3]),
    "region_bytes": [encode(np.uint8(LEFT * 255), "PNG"), b""],
    "preserve_color": b"transport",
}
SETTINGS = {"size": 64, "steps": 2, "style_weight": 30.0}
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
    "too much memory": call(
        "stylize", content_image=np.zeros([50, 20, 20, 3], np.float32), size=96
    ),
    "an hour's work": call("stylize", 200, size=64, steps=AN_HOUR),
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
    "too much memory": " GiB for `size` 96 and 50 pictures, 1 styles, 0 regions]",
    "no picture": "`style_bytes` must be an image file (PNG or JPEG). Received: "
    "a file of 3 bytes, which is neither]",
}


@pytest.fixture(scope="module")
def model(base):
    """The folder of its version."""
    return base / "1"


def run_calls(model, calls):
    """Runs calls in a process with the C library; returns what `c_api` writes.

    The variable TFNST_TEST_LIBRARIES can name the folder of another release's library.
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
    expected = tfnst.stylize(CONTENT, STYLE, config=CONFIG, **settings)
    assert_gives(answer.outputs, expected)


def test_files_give_what_python_gives(answers):
    answer = answers["serving_default"]
    assert answer.code == c_api.OK, answer.message
    expected = tfnst.stylize(
        FILES["content_bytes"], FILES["style_bytes"], config=CONFIG
    )
    assert_gives(answer.outputs, expected)


@pytest.mark.slow
def test_several_styles_give_what_python_gives(model):
    (answer,) = run_calls(model, [call("blend", **BLEND)])["answers"]
    assert answer.code == c_api.OK, answer.message
    style = [
        tfnst.StyleImage(image=FILES["style_bytes"], region=LEFT),
        tfnst.StyleImage(image=FILES["content_bytes"], weight=3),
    ]
    expected = tfnst.stylize(
        FILES["content_bytes"], style, config=CONFIG, preserve_color="transport"
    )
    assert_gives(answer.outputs, expected)


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_is_refused(answers, name):
    answer = answers[name]
    assert answer.code == c_api.INVALID_ARGUMENT
    assert REFUSALS[name] in answer.message


def test_a_time_limit_ends_the_loop(answers):
    answer = answers["an hour's work"]
    assert answer.code == c_api.DEADLINE_EXCEEDED
    assert answer.message == "Timed out waiting for notification"
    assert answer.seconds > 0.15
    assert answer.came_to_rest


def test_lives_on_as_before(answers):
    first, last = answers["serving_default"], answers["after all that"]
    assert last.code == c_api.OK
    assert last.outputs["image_bytes"] == first.outputs["image_bytes"]


# What hostile files cost

SMALL = np.uint8(STYLE * 255)
HUGE = 60_000
MANY_BYTES = 200_000_000


def changed(data, at, piece):
    """A file with some of its bytes replaced."""
    return data[:at] + piece + data[at + len(piece) :]


def claiming_jpeg(marker, **options):
    data = encode(SMALL, "JPEG", **options)
    return changed(data, data.index(marker) + 5, struct.pack(">HH", HUGE, HUGE))


def hidden_png(*chunks, more=b""):
    """A small picture whose file contains more than its pixels."""
    height, width, _ = SMALL.shape
    rows = b"".join(b"\0" + row.tobytes() for row in SMALL)
    return png(width, height, 8, 2, rows + more, *chunks)


def hostile_files():
    """Files that must be refused, and files that may also be accepted."""
    large = Image.new("1", (10_000, 10_000))
    text = zlib.compress(b"a" * MANY_BYTES, 9)
    refused = {
        "PNG that claims": claiming_png(HUGE, HUGE),
        "PNG of 100 megapixels": encode(large, "PNG"),
        "JPEG that claims": claiming_jpeg(b"\xff\xc0"),
        "progressive JPEG that claims": claiming_jpeg(b"\xff\xc2", progressive=True),
    }
    harmless = {
        "PNG with text": hidden_png(chunk(b"zTXt", b"Comment\0\0" + text)),
        "PNG with a profile": hidden_png(chunk(b"iCCP", b"x\0\0" + text)),
        "PNG with more rows": hidden_png(more=b"\0" * MANY_BYTES),
    }
    return refused, harmless


@pytest.mark.slow
def test_hostile_files_cost_no_memory(model):
    refused, harmless = hostile_files()
    files = {**refused, **harmless}
    assert max(map(len, files.values())) < 500_000
    calls = [call("serving_default", style_bytes=data) for data in files.values()]
    warm = [call("serving_default")] * 3
    answers = run_calls(model, warm + calls)["answers"][len(warm) :]
    for name, answer in zip(files, answers, strict=True):
        if name in refused:
            assert answer.code == c_api.INVALID_ARGUMENT, name
            assert "`style_bytes` must be an image of at most" in answer.message, name
        else:
            assert answer.code in (c_api.OK, c_api.INVALID_ARGUMENT), name
        # Each would take at least 59 MB if it were decoded.
        assert answer.grown is None or answer.grown < 20 * 2**20, name
